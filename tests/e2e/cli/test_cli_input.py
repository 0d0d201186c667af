"""Bad input on a running mesh: the exit code of the table, one line, the field named, nothing queued."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.cli.command import Run, Told
from tests.e2e.cli.conftest import Up


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("specs")
    (folder / "nan.json").write_text('{"prompt": "rain", "bpm": NaN}')
    (folder / "huge.json").write_text(json.dumps({"prompt": "x" * 5_000_000}))
    (folder / "text.wav").write_text("this is no recording")
    return folder


BAD: list[tuple[Sequence[str], str]] = [
    (["--bpm", "900"], "spec.bpm"),
    (["--bpm", "nan"], "spec.bpm"),
    (["--duration", "1"], "spec.duration_seconds"),
    (["--duration", "601"], "spec.duration_seconds"),
    (["--variations", "9"], "spec.variations"),
    (["--key", "H minor"], "spec.key"),
    (["--genre", "polka"], "spec.genre"),
    (["--mood", "purple"], "spec.moods"),
    (["--time-signature", "9/8"], "spec.time_signature"),
    (["--kind", "loop", "--set", "bars=9"], "spec.bars"),
    (["--engine", "orchestra"], "spec.engine"),
    (["--format", "aac"], "spec.outputs.formats"),
    (["--set", "sampling.temperature=0.8"], "spec.sampling.temperature"),
    (["--set", "mastering.target_lufs=-3"], "spec.mastering.target_lufs"),
    (["--set", "webhook=https://example.com"], "spec.webhook"),
    (["--set", f"title={'x' * 121}"], "spec.title"),
]


@pytest.mark.parametrize(("arguments", "field"), BAD)
def test_a_field_that_cannot_be_is_refused_by_name(run: Run, arguments: Sequence[str], field: str) -> None:
    told = run("compose", "folk", *arguments, "--json")

    assert told.code == 2, told.err
    assert told.error["field"].startswith(field)
    assert told.out == ""


def test_prompts_of_any_script_are_text_and_too_long_ones_are_refused(run: Run, files: Path) -> None:
    fine = run("compose", "folk 🌧️ مطر שיר\u202e", "--detach", "--json", "--duration", "600")
    name = fine.objects[0]["name"]
    run("cancel", name)
    long = run("compose", "x" * 10_000, "--json")
    nan = run("compose", "--spec", str(files / "nan.json"), "--json")
    huge = run("compose", "--spec", str(files / "huge.json"), "--json")

    assert (fine.code, fine.objects[0]["spec"]["prompt"]) == (0, "folk 🌧️ مطر שיר\u202e")
    assert (long.code, long.error["field"]) == (2, "spec.prompt")
    assert (nan.code, nan.error["field"]) == (2, "spec.bpm")
    assert (huge.code, huge.error["field"]) == (2, "spec.prompt")


def test_nothing_of_it_was_queued(run: Run) -> None:
    before = run("list", "--json").objects[0]["total_size"]
    run("compose", "folk", "--bpm", "900")
    after = run("list", "--json").objects[0]["total_size"]

    assert before == after


@pytest.mark.parametrize("name", ["songs/none", f"songs/{'0' * 32}", "songs/../../etc", "artifacts/x", "\u202e*"])
def test_a_song_that_is_none_is_not_found(run: Run, name: str) -> None:
    told = run("show", name)

    assert (told.code, told.out) == (3, "")
    assert told.err.count("\n") == 1


def test_a_recording_that_is_none_is_refused(run: Run, files: Path) -> None:
    told = run("analyze", str(files / "text.wav"), "--json")

    assert told.code == 2
    assert told.out == ""


def test_a_filter_that_is_none_is_refused(run: Run) -> None:
    told = run("list", "--filter", "state ==== 1", "--json")

    assert (told.code, told.error["field"]) == (2, "filter")


def test_a_stranger_is_not_let_in(run: Run, up: Up, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("not-the-token")
    told = run("list", "--server", up.info["grpc"], "--ca", up.info["ca"], "--token-file", "token", "--json")
    proper = run("list", "--server", up.info["grpc"], "--ca", up.info["ca"], "--token-file", up.info["token_file"])

    assert (told.code, told.error["code"]) == (4, "UNAUTHENTICATED")
    assert proper.code == 0


def test_a_mesh_that_is_not_there_is_unreachable(run: Run, up: Up) -> None:
    told = run("list", "--server", "127.0.0.1:1", "--ca", up.info["ca"], "--token-file", up.info["token_file"])

    assert told.code == 7
    assert told.err.count("\n") == 1


def test_a_recording_is_measured(run: Run, song: tuple[Path, Told]) -> None:
    folder, _ = song
    told = run("analyze", str(folder / "master.flac"), "--json")
    measured = told.objects[0]

    assert measured["loudness"]["integrated_lufs"] == pytest.approx(-14, abs=0.1)
    assert measured["loudness"]["true_peak_dbtp"] <= -0.95
    assert (measured["sample_rate_hz"], measured["channels"]) == (48000, 2)
    assert measured["duration_seconds"] == pytest.approx(20, abs=0.5)
    assert set(measured) >= {"tempo", "key"}


def test_a_prompt_is_understood_without_making_anything(run: Run) -> None:
    told = run("understand", "sad folk tune, 95 bpm in D dorian, no drums", "--json")
    read = told.objects[0]

    assert set(read) == {"brief", "understood"}
    assert (read["brief"]["bpm"], read["brief"]["genre"]) == (95, "folk")
    assert {"text", "field", "value"} == set(next(one for one in read["understood"] if one["field"] == "bpm"))


def test_words_are_written_line_by_line_and_the_same_again(run: Run) -> None:
    told = run("lyrics", "a song about rain", "--seed", "3", "--json")
    again = run("lyrics", "a song about rain", "--seed", "3", "--json")

    assert told.code == 0, told.err
    assert set(told.objects[-1]) == {"result"}
    assert all(set(line) == {"line"} for line in told.objects[:-1])
    assert told.out == again.out
