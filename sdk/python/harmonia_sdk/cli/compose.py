"""`harmonia compose`: from a sentence to a folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command
from harmonia_sdk.errors import InvalidInput, Reason

if TYPE_CHECKING:
    from harmonia.song.v1 import song_pb2
    from harmonia.song.v1.spec_pb2 import SongSpec
    from harmonia_sdk.cli.session import Session


@dataclass(frozen=True, slots=True)
class Saving:
    """`out`: the folder; None: the first free one in `base`, by the song's title."""

    out: Path | None
    base: Path
    force: bool


DAWS = ("dawproject", "ardour")
LYRICS_MODES = {"auto": "AUTO", "none": "INSTRUMENTAL", "write": "WRITE"}


def register(app: typer.Typer) -> None:
    add_command(app, "compose", compose)


async def compose(
    common: Common,
    *,
    prompt: Annotated[list[str] | None, typer.Argument(metavar="PROMPT…", help="What it should be.")] = None,
    spec: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A SongSpec as JSON, or the song.json of an earlier song.")
    ] = None,
    duration: Annotated[str, typer.Option(metavar="SECONDS")] = "",
    bpm: Annotated[str, typer.Option(metavar="BPM")] = "",
    key: Annotated[str, typer.Option(metavar="KEY", help='"A minor"')] = "",
    genre: Annotated[str, typer.Option(metavar="GENRE")] = "",
    mood: Annotated[list[str] | None, typer.Option(metavar="MOOD", help="May be given again.")] = None,
    time_signature: Annotated[str, typer.Option(metavar="4/4")] = "",
    kind: Annotated[str, typer.Option(metavar="song|beat|loop")] = "",
    lyrics: Annotated[str, typer.Option(metavar="auto|none|write|FILE")] = "",
    engine: Annotated[str, typer.Option(metavar="NAME")] = "",
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="A folder is imported first.")] = "",
    seed: Annotated[str, typer.Option(metavar="N", help="The same seed gives the same song.")] = "",
    variations: Annotated[str, typer.Option(metavar="N", help="Takes, 1 to 8.")] = "",
    format: Annotated[list[str] | None, typer.Option(metavar="wav|flac|mp3", help="May be given again.")] = None,
    stems: Annotated[bool, typer.Option("--stems/--no-stems", show_default=False, help="Default: with stems.")] = True,
    daw: Annotated[str, typer.Option(metavar="dawproject,ardour", help="Later.")] = "",
    preset: Annotated[str, typer.Option(metavar="NAME", help="streaming, podcast, broadcast, loud or none")] = "",
    vocals: Annotated[str, typer.Option(metavar="off|guide", help="guide: later.")] = "",
    set: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Any other field: sampling.temperature=0.8")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: ./<title>, then -2, …")] = None,
    out_base: Annotated[Path, typer.Option(metavar="DIR", help="Where the default folder is made.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace another song in --out.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Print its name and return.")] = False,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="In a temporary home; the song is not listed.")
    ] = False,
    play: Annotated[bool, typer.Option("--play", help="Later.")] = False,
) -> None:
    """Makes a song and saves its folder."""
    _refuse_later(play=play, daw=daw, vocals=vocals)
    flags = {
        "duration_seconds": [duration],
        "bpm": [bpm],
        "key": [key],
        "genre": [genre],
        "moods": mood or [],
        "time_signature": [time_signature],
        "kind": [kind],
        "engine": [engine],
        "model": [] if _is_folder(model) else [model],
        "seed": [seed],
        "variations": [variations],
        "outputs.formats": format or [],
        "outputs.stems": [] if stems else ["false"],
        "mastering.preset": [preset],
        "vocals": [vocals],
    }
    texts = {path: given for path, texts in flags.items() if (given := [text for text in texts if text])}
    wanted = _spec(prompt or [], spec, lyrics, texts | _assignments(set or []))
    weights = Path(model) if _is_folder(model) else None
    saving = Saving(out, out_base, force)
    await _compose(common, wanted, saving, weights=weights, detach=detach, ephemeral=ephemeral)


async def _compose(
    common: Common, spec: "SongSpec", saving: Saving, *, weights: Path | None, detach: bool, ephemeral: bool
) -> None:
    from harmonia_sdk.cli.follow import follow, left_alone, raise_unless_succeeded
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json
    from harmonia_sdk.folder import check_folder, check_writable

    if saving.out is not None:
        check_folder(saving.out, force=saving.force)
    if not detach:
        check_writable(saving.out or saving.base)
    async with session(common, ephemeral=ephemeral, may_start=not detach) as mesh:
        if weights is not None:
            spec.model = await _imported(mesh, weights, common)
        song = await mesh.client.create(spec)
        if detach:
            print_json(song) if common.json else print(song.name)
            return
        ended = await follow(mesh, song.name, as_json=common.json)
        if ended is None:
            print_json(await mesh.client.get(song.name)) if common.json else left_alone(song.name)
            return
        if ended.state != ended.SUCCEEDED and common.json:
            print_json(ended)
        raise_unless_succeeded(ended)
        await save_and_print(mesh, ended, saving, as_json=common.json)


def _is_folder(model: str) -> bool:
    """A name has neither slashes nor capitals; what has is meant as a folder, even one that is not there."""
    return bool(model) and ("/" in model or Path(model).is_dir())


async def _imported(mesh: "Session", folder: Path, common: Common) -> str:
    from harmonia_sdk.cli.models import brought

    model = await brought(mesh.operator.models, folder, "", "", quiet=common.json)
    return model.name.removeprefix("models/")


async def save_and_print(mesh: "Session", song: "song_pb2.Song", saving: Saving, *, as_json: bool) -> None:
    from harmonia_sdk.cli.show import print_json, print_made
    from harmonia_sdk.folder import free_folder, save

    folder = saving.out or free_folder(song, saving.base)
    await save(mesh.client, song, folder, force=saving.force)
    if as_json:
        print_json({"folder": str(folder)})
        print_json(song)
        return
    print_made(song, folder)


def _spec(prompt: Sequence[str], file: Path | None, lyrics: str, texts: Mapping[str, Sequence[str]]) -> "SongSpec":
    """What was set by a flag wins over the file."""
    from harmonia_sdk.spec import checked_size, set_text, song_spec

    if bool(prompt) == (file is not None):
        message = "say what the song should be: either a PROMPT or --spec FILE"
        raise InvalidInput(message, reason=Reason.MISSING, field="prompt")
    spec = song_spec(" ".join(prompt), {}) if file is None else _spec_of(file)
    for path, given in texts.items():
        set_text(spec, path, given)
    if lyrics:
        _set_lyrics(spec, lyrics)
    return checked_size(spec)


def _spec_of(file: Path) -> "SongSpec":
    from harmonia_sdk.spec import spec_from_json

    return spec_from_json(_read(file, "spec"))


def _set_lyrics(spec: "SongSpec", lyrics: str) -> None:
    from harmonia_sdk.spec import fill

    spec.ClearField("lyrics")
    if lyrics in LYRICS_MODES:
        fill(spec, {"lyrics": {"mode": LYRICS_MODES[lyrics]}})
        return
    try:
        text = _read(Path(lyrics), "spec.lyrics").decode()
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"{lyrics} is not text in UTF-8", reason=Reason.MALFORMED, field="spec.lyrics") from exc
    fill(spec, {"lyrics": {"mode": "TEXT", "text": text}})


def _assignments(pairs: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for pair in pairs:
        path, equals, text = pair.partition("=")
        if not (path and equals):
            message = f"--set takes FIELD=VALUE, as in bpm=84, not {pair!r}"
            raise InvalidInput(message, reason=Reason.MALFORMED, field="set")
        found.setdefault(path, []).append(text)
    return found


def _read(file: Path, field: str) -> bytes:
    try:
        return file.read_bytes()
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise InvalidInput(f"cannot read {str(file)!r}: {why}", reason=Reason.MALFORMED, field=field) from exc


def _refuse_later(*, play: bool, daw: str, vocals: str) -> None:
    sessions = [name for name in daw.lower().split(",") if name]
    if unknown := next((name for name in sessions if name not in DAWS), ""):
        message = f"--daw takes {' and '.join(DAWS)}, by commas, not {unknown!r}"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="daw")
    fields = [f"spec.outputs.{name}" for name in sessions]
    for field in [*(["play"] if play else []), *fields, *(["spec.vocals"] if vocals.lower() == "guide" else [])]:
        message = f"{field} comes in a later release: leave it out"
        raise InvalidInput(message, reason=Reason.NOT_YET_SUPPORTED, field=field)
