"""From a sentence to a folder, as a stranger types it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import soundfile

from tests.e2e.cli.command import Run, Told

Made = tuple[Path, Told]


def song_of(folder: Path) -> dict[str, Any]:
    song: dict[str, Any] = json.loads((folder / "song.json").read_text())
    return song


def digests(folder: Path, *roles: str) -> dict[str, str]:
    return {output["file"]: output["sha256"] for output in song_of(folder)["outputs"] if output["role"] in roles}


def test_the_folder_is_complete_and_every_file_is_the_one_the_song_names(song: Made) -> None:
    folder, _ = song
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    named = {output["file"]: output["sha256"] for output in song_of(folder)["outputs"]}

    assert {"master.wav", "master.flac", "master.mp3", "song.mid", "cover.png", "waveform.json"} <= files
    assert {"stems/drums.flac", "stems/bass.flac", "stems/chords.flac"} <= files
    assert files == {*named, "song.json"}
    for file, digest in named.items():
        assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest


def test_the_song_says_what_was_asked_and_what_was_understood(song: Made) -> None:
    folder, _ = song
    made = song_of(folder)

    assert made["state"] == "SUCCEEDED"
    assert made["spec"]["duration_seconds"] == 20
    assert (made["resolved"]["bpm"], made["resolved"]["key"], made["resolved"]["seed"]) == (84, "A minor", "7")
    assert made["resolved"]["genre"] == "lo-fi hip-hop"
    assert {"field": "bpm", "value": "84"}.items() <= next(
        read for read in made["understood"] if read["field"] == "bpm"
    ).items()


def test_masters_stems_and_midi_agree_on_length_and_tempo(song: Made) -> None:
    folder, _ = song
    master = soundfile.info(folder / "master.wav")
    stems = [soundfile.info(path) for path in sorted((folder / "stems").iterdir())]
    tempos = [
        message
        for track in mido.MidiFile(folder / "song.mid").tracks
        for message in track
        if message.type == "set_tempo"
    ]

    assert (master.samplerate, master.channels) == (48000, 2)
    assert master.duration == pytest.approx(20, abs=0.5)
    assert {(stem.samplerate, stem.channels) for stem in stems} == {(48000, 2)}
    assert len({stem.frames for stem in stems}) == 1
    assert len(tempos) == 1
    assert mido.tempo2bpm(tempos[0].tempo) == pytest.approx(84, abs=0.001)


def test_stages_are_shown_and_the_path_comes_last_after_the_line_that_plays_it(song: Made) -> None:
    folder, told = song

    assert told.err == ""
    assert any(line.startswith("compose ") and "%" in line for line in told.lines)
    assert told.lines[-2].startswith("play it: ")
    assert f"{folder.name}/master.flac" in told.lines[-2]


def test_the_song_json_of_a_song_makes_the_same_song_again(song: Made, run: Run, tmp_path: Path) -> None:
    folder, _ = song
    told = run("compose", "--spec", str(folder / "song.json"), "--out", "again")

    assert (told.code, told.lines[-1]) == (0, "again")
    again = tmp_path / "again"
    assert song_of(again)["name"] != song_of(folder)["name"]
    assert digests(again, "stem", "midi") == digests(folder, "stem", "midi")


def test_takes_formats_and_stems_are_as_asked_and_json_ends_with_the_song(run: Run, tmp_path: Path) -> None:
    told = run(
        "compose", "techno", "at night", "--duration", "8", "--variations", "2", "--format", "wav", "--no-stems",
        "--set", "labels.album=night", "--out", "takes", "--json",
    )  # fmt: skip

    assert told.code == 0, told.err
    *events, folder, song = told.objects
    assert folder == {"folder": "takes"}
    assert (song["state"], song["labels"], song["spec"]["prompt"]) == (
        "SUCCEEDED",
        {"album": "night"},
        "techno at night",
    )
    assert all("resume_token" in event for event in events)
    files = {str(path.relative_to(tmp_path / "takes")) for path in (tmp_path / "takes").rglob("*") if path.is_file()}
    assert {"song.json", "1/song.json", "1/master.wav", "2/master.wav", "2/song.mid"} <= files
    assert not [file for file in files if "stems" in file or file.endswith((".flac", ".mp3"))]
    first, second = (soundfile.read(tmp_path / "takes" / take / "master.wav")[0] for take in ("1", "2"))
    assert not np.array_equal(first, second)


def test_a_folder_that_holds_another_song_needs_force(song: Made, run: Run, tmp_path: Path) -> None:
    folder, _ = song
    name = song_of(folder)["name"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "song.json").write_text('{"name": "songs/another"}')
    refused = run("download", name, "--out", "out", "--json")
    forced = run("download", name, "--out", "out", "--force")

    assert (refused.code, refused.error["field"]) == (5, "out")
    assert forced.code == 0
    assert digests(tmp_path / "out", "master") == digests(folder, "master")


def test_a_second_download_goes_to_the_folder_of_the_song_and_another_song_beside_it(
    song: Made, run: Run, tmp_path: Path
) -> None:
    folder, _ = song
    name = song_of(folder)["name"]
    first = run("download", name)
    second = run("download", name)
    (tmp_path / first.lines[-1] / "song.json").write_text('{"name": "songs/another"}')
    third = run("download", name)

    assert first.lines[-1] == second.lines[-1] == folder.name
    assert third.lines[-1] == f"{folder.name}-2"


def test_words_are_taken_from_a_file_and_saved(run: Run, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("[verse]\nRain upon the window pane\n[chorus]\nTea and rain again\n")
    told = run("compose", "folk song", "--duration", "15", "--lyrics", "words.txt", "--format", "mp3", "--out", "words")

    assert told.code == 0, told.err
    assert "Rain upon the window pane" in (tmp_path / "words" / "lyrics.txt").read_text()
    assert (tmp_path / "words" / "lyrics.lrc").is_file()
