"""What a command prints: songs for people, JSON for programs, and how far a song is while it is made."""

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from google.protobuf import json_format
from google.protobuf.message import Message

from harmonia.song.v1 import song_pb2 as pb
from harmonia_sdk.cli.faults import one_line, printable
from harmonia_sdk.song import Progress, progress_of

STEP = 0.1  # of a song, between two plain lines
NO_SONGS = "no songs"
PLAYERS = {
    "ffplay": "-nodisp -autoexit -loglevel error",
    "mpv": "--no-video",
    "afplay": "",
    "play": "-q",
    "pw-play": "",
    "paplay": "",
    "aplay": "-q",
}


class Show(Protocol):
    def __call__(self, event: pb.SongEvent, song: pb.Song) -> None: ...


def as_dict(message: Message) -> dict[str, object]:
    told: dict[str, object] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return told


def all_of(message: Message) -> dict[str, object]:
    """With what is 0, false or empty too: for answers whose keys are promised."""
    told: dict[str, object] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return told


def print_json(value: Message | dict[str, object]) -> None:
    print(json.dumps(as_dict(value) if isinstance(value, Message) else value), flush=True)


def say(text: str) -> None:
    print(printable(text).rstrip(), flush=True)


@contextmanager
def progress_shown(*, as_json: bool) -> Iterator[Show]:
    if as_json:
        yield _events
    elif sys.stdout.isatty():
        with _bar() as show:
            yield show
    else:
        yield Lines()


class Lines:
    """A line at each change of state or stage, and each tenth of the song."""

    def __init__(self) -> None:
        self._last = ("", "", -1)

    def __call__(self, event: pb.SongEvent, song: pb.Song) -> None:
        told = progress_of(event, song)
        if told is None:
            return
        now = (told.state, told.stage, int(told.fraction / STEP))
        if now != self._last:
            self._last = now
            say(as_text(told))


def as_text(told: Progress) -> str:
    """ "compose  42 %, 3 s left, rendering chorus 2" """
    stage = told.stage if told.state == "RUNNING" and told.stage else told.state.lower()
    left = f", {told.eta_s:.0f} s left" if told.eta_s else ""
    return f"{stage} {told.fraction:.0%}{left}{f', {told.message}' if told.message else ''}"


def print_table(found: pb.ListSongsResponse) -> None:
    if not found.songs:
        say(NO_SONGS)
    for song in found.songs:
        state = pb.Song.State.Name(song.state)
        made = song.create_time.ToDatetime().strftime("%Y-%m-%d %H:%M")
        say(f"{song.name}  {state:<10}  {made}  {song.resolved.title or song.spec.title or song.spec.prompt[:60]}")
    if found.total_size > len(found.songs):
        say(f"{len(found.songs)} of {found.total_size}: --limit shows more")


def headline(song: pb.Song) -> str:
    """ "Rain": lo-fi hip-hop, 84 bpm, A minor, 60 s, -14.0 LUFS, -1.0 dBTP"""
    spec, loudness = song.resolved, song.analysis.loudness
    parts = [spec.genre, f"{spec.bpm:g} bpm" if spec.bpm else "", spec.key]
    parts.append(f"{spec.duration_seconds:g} s" if spec.duration_seconds else "")
    parts.append(f"{loudness.integrated_lufs:.1f} LUFS" if loudness.HasField("integrated_lufs") else "")
    parts.append(f"{loudness.true_peak_dbtp:.1f} dBTP" if loudness.HasField("true_peak_dbtp") else "")
    return f'"{spec.title or song.spec.title or song.name}": {", ".join(part for part in parts if part)}'


def print_made(song: pb.Song, folder: Path) -> None:
    """The path is the last line: scripts read it."""
    say(headline(song))
    for read in song.understood:
        if read.text:
            say(f'understood "{read.text}": {read.field} {read.value}')
    for warning in song.warnings:
        say(f"warning: {warning}")
    if (line := play_line(folder)) is not None:
        print(f"play it: {line}")
    print(folder, flush=True)


def play_line(folder: Path) -> str | None:
    take = folder / "1" if (folder / "1").is_dir() else folder
    master = next((take / f"master.{ending}" for ending in ("flac", "wav", "mp3") if _there(take, ending)), None)
    if master is None:
        return None
    player = next((name for name in PLAYERS if shutil.which(name)), "")
    command = f"{player} {PLAYERS[player]}".strip() if player else "open" if sys.platform == "darwin" else "xdg-open"
    return f"{command} {shlex.quote(str(master))}"


def _there(folder: Path, ending: str) -> bool:
    return (folder / f"master.{ending}").is_file()


def _events(event: pb.SongEvent, song: pb.Song) -> None:  # noqa: ARG001  a Show
    if not event.HasField("heartbeat"):
        print_json(event)


@contextmanager
def _bar() -> Iterator[Show]:
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.fields[stage]:<10}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}", markup=False),
    )
    with Bar(*columns, transient=True) as bar:
        task = bar.add_task("", total=1.0, stage="", left="")

        def show(event: pb.SongEvent, song: pb.Song) -> None:
            if (told := progress_of(event, song)) is not None:
                stage = told.stage if told.state == "RUNNING" and told.stage else told.state.lower()
                left = f"{told.eta_s:.0f} s left" if told.eta_s else ""
                bar.update(task, completed=told.fraction, stage=stage, left=one_line(f"{left} {told.message}"))

        yield show
