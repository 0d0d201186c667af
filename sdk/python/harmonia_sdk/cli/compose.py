"""`harmonia compose`: from a sentence to a folder."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
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


@dataclass(frozen=True, slots=True)
class Making:
    """What becomes of a song besides its being made."""

    saving: Saving
    detach: bool = False
    ephemeral: bool = False
    play: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The fields of a song that have an option of their own, and --set for all others."""

    duration: Annotated[str, typer.Option(metavar="SECONDS")] = ""
    bpm: Annotated[str, typer.Option(metavar="BPM")] = ""
    key: Annotated[str, typer.Option(metavar="KEY", help='"A minor"')] = ""
    genre: Annotated[str, typer.Option(metavar="GENRE")] = ""
    mood: Annotated[list[str] | None, typer.Option(metavar="MOOD", help="May be given again.")] = None
    instrument: Annotated[list[str] | None, typer.Option(metavar="NAME", help="May be given again.")] = None
    time_signature: Annotated[str, typer.Option(metavar="4/4")] = ""
    kind: Annotated[str, typer.Option(metavar="song|beat|loop")] = ""
    lyrics: Annotated[str, typer.Option(metavar="auto|none|write|FILE")] = ""
    engine: Annotated[str, typer.Option(metavar="NAME")] = ""
    model: Annotated[str, typer.Option(metavar="NAME|DIR", help="A folder is imported first.")] = ""
    seed: Annotated[str, typer.Option(metavar="N", help="The same seed gives the same song.")] = ""
    variations: Annotated[str, typer.Option(metavar="N", help="Takes, 1 to 8.")] = ""
    format: Annotated[list[str] | None, typer.Option(metavar="wav|flac|mp3", help="May be given again.")] = None
    stems: Annotated[
        bool | None, typer.Option("--stems/--no-stems", show_default=False, help="Default: with stems.")
    ] = None
    daw: Annotated[str, typer.Option(metavar="dawproject,ardour", help="Sessions for studios, in daw/.")] = ""
    preset: Annotated[str, typer.Option(metavar="NAME", help="streaming, podcast, broadcast, loud or none")] = ""
    vocals: Annotated[str, typer.Option(metavar="off|guide", help="guide: a voice sings the words.")] = ""
    set: Annotated[
        list[str] | None, typer.Option(metavar="FIELD=VALUE", help="Any other field: sampling.temperature=0.8")
    ] = None

    @property
    def weights(self) -> Path | None:
        """A name has no slashes; what has is meant as a folder, even one that is not there. One word may be both: it is
        the folder where that holds weights."""
        is_folder = bool(self.model) and ("/" in self.model or _holds_weights(Path(self.model)))
        return Path(self.model) if is_folder else None

    def fill(self, spec: "SongSpec") -> "SongSpec":
        """What was set wins over what is there."""
        from harmonia_sdk.spec import checked_size, set_text

        for path, texts in (self._texts() | _assignments(self.set or [])).items():
            set_text(spec, path, texts)
        if self.lyrics:
            _set_lyrics(spec, self.lyrics)
        return checked_size(spec)

    def _texts(self) -> dict[str, list[str]]:
        flags = {
            "duration_seconds": [self.duration],
            "bpm": [self.bpm],
            "key": [self.key],
            "genre": [self.genre],
            "moods": self.mood or [],
            "instruments": self.instrument or [],
            "time_signature": [self.time_signature],
            "kind": [self.kind],
            "engine": [self.engine],
            "model": [] if self.weights else [self.model],
            "seed": [self.seed],
            "variations": [self.variations],
            "outputs.formats": self.format or [],
            "outputs.stems": [] if self.stems is None else [str(self.stems).lower()],
            "mastering.preset": [self.preset],
            "vocals": [self.vocals],
            **{f"outputs.{name}": ["true"] for name in sessions_of(self.daw)},
        }
        return {path: given for path, texts in flags.items() if (given := [text for text in texts if text])}


DAWS = ("dawproject", "ardour")
LYRICS_MODES = {"auto": "AUTO", "none": "INSTRUMENTAL", "write": "WRITE"}


def register(app: typer.Typer) -> None:
    add_command(app, "compose", compose)
    add_command(app, "revise", revise)


async def compose(
    common: Common,
    wishes: Wishes,
    *,
    prompt: Annotated[list[str] | None, typer.Argument(metavar="PROMPT…", help="What it should be.")] = None,
    spec: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A SongSpec as JSON, or the song.json of an earlier song.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: ./<title>, then -2, …")] = None,
    out_base: Annotated[Path, typer.Option(metavar="DIR", help="Where the default folder is made.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace another song in --out.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Print its name and return.")] = False,
    ephemeral: Annotated[
        bool, typer.Option("--ephemeral", help="In a temporary home; the song is not listed.")
    ] = False,
    play: Annotated[bool, typer.Option("--play", help="Play it from its first bars on, while it is made.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only look whether it can be asked for.")] = False,
) -> None:
    """Makes a song and saves its folder."""
    wanted = wishes.fill(_base(prompt or [], spec))
    recording = _recording_of(wanted)
    _refuse_without_weights(common, wanted, wishes.weights, ephemeral=ephemeral)
    if check:
        return
    how = Making(Saving(out, out_base, force), detach=detach, ephemeral=ephemeral, play=play)

    async def ask(mesh: "Session") -> "song_pb2.Song":
        played = await _with_weights(mesh, wanted, wishes.weights, common)
        return await mesh.client.create(await _with_recording(mesh, played, recording))

    await make(common, how, ask)


async def revise(
    common: Common,
    wishes: Wishes,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help='"songs/…", as `harmonia list` shows it.')],
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="Read anew, with all that was asked for before.")] = "",
    title: Annotated[str, typer.Option(metavar="TITLE")] = "",
    redraw: Annotated[
        list[str] | None, typer.Option(metavar="SECTION", help="Drawn anew: chorus, or 3 for the third.")
    ] = None,
    anew: Annotated[
        list[str] | None, typer.Option(metavar="FIELD", help="Chosen again: --anew seed. May be given again.")
    ] = None,
    from_stage: Annotated[str, typer.Option(metavar="write|compose|master", help="Default: by what changes.")] = "",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: ./<title>, then -2, …")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another song in --out.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Print its name and return.")] = False,
    play: Annotated[bool, typer.Option("--play", help="Play it from its first bars on, while it is made.")] = False,
) -> None:
    """Makes another song out of one that has ended, and keeps what is not changed."""
    from random import getrandbits

    from harmonia_sdk.sections import redrawn
    from harmonia_sdk.spec import checked_text, song_spec

    changes = wishes.fill(song_spec(prompt, {"title": title} if title else {}))
    recording = _recording_of(changes)
    chosen = [checked_text(field, "anew") for field in anew or []]
    stage = checked_text(from_stage, "from_stage")
    how = Making(Saving(out, Path(), force), detach=detach, play=play)
    if redraw and changes.sections:
        message = "--redraw and --set sections=… both say what the sections are: keep one"
        raise InvalidInput(message, reason=Reason.CONTRADICTORY, field="redraw")

    async def ask(mesh: "Session") -> "song_pb2.Song":
        if redraw:
            changes.sections.extend(redrawn(await mesh.client.get(name), redraw, getrandbits(64)))
        changed = await _with_weights(mesh, changes, wishes.weights, common)
        changed = await _with_recording(mesh, changed, recording)
        return await mesh.client.revise_spec(name, changed, anew=chosen, from_stage=stage)

    await make(common, how, ask)


async def make(common: Common, how: Making, ask: "Callable[[Session], Awaitable[song_pb2.Song]]") -> None:
    """The song that `ask` asks for: shown while it is made, played if wished, and saved."""
    from harmonia_sdk.cli.players import find_player
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json
    from harmonia_sdk.folder import check_folder, check_writable

    saving = how.saving
    if how.play and how.detach:
        message = "--play listens to what --detach goes away from: say one of them"
        raise InvalidInput(message, reason=Reason.CONTRADICTORY, field="play")
    if saving.out is not None:
        check_folder(saving.out, force=saving.force)
    if not how.detach:
        check_writable(saving.out or saving.base)
    player = find_player() if how.play else ""
    async with session(common, ephemeral=how.ephemeral, may_start=not how.detach) as mesh:
        song = await ask(mesh)
        if how.detach:
            print_json(song) if common.json else print(song.name)
            return
        await _see_it_made(mesh, song.name, saving, player=player, as_json=common.json)


async def _see_it_made(mesh: "Session", name: str, saving: Saving, *, player: str, as_json: bool) -> None:
    from harmonia_sdk.cli.follow import follow, left_alone, raise_unless_succeeded
    from harmonia_sdk.cli.play import play_beside
    from harmonia_sdk.cli.show import print_json

    playing = asyncio.ensure_future(play_beside(mesh, name, player)) if player else None
    try:
        ended = await follow(mesh, name, as_json=as_json)
        if ended is None:
            print_json(await mesh.client.get(name)) if as_json else left_alone(name)
            return
        if ended.state != ended.SUCCEEDED and as_json:
            print_json(ended)
        raise_unless_succeeded(ended)
        await save_and_print(mesh, ended, saving, as_json=as_json)
        if playing is not None:
            await playing
    finally:
        if playing is not None:
            playing.cancel()
            await asyncio.wait([playing])


def _holds_weights(folder: Path) -> bool:
    return any(file.suffix in (".bin", ".safetensors") for file in folder.glob("*"))


def _refuse_without_weights(common: Common, spec: "SongSpec", folder: Path | None, *, ephemeral: bool) -> None:
    """Before a mesh is started for the song, or its engine installed; of a mesh elsewhere only that mesh knows."""
    from harmonia_sdk.cli.session import home_of, local_installed, remote_of

    if spec.engine != "musicgen" or (not ephemeral and remote_of(common) is not None):
        return
    with local_installed():
        from harmonia_local.weights import refuse_unknown_model, refuse_unplayable
    if folder is not None:
        refuse_unplayable(folder)
    else:
        refuse_unknown_model(None if ephemeral else home_of(common), spec.model)


async def _with_weights(mesh: "Session", spec: "SongSpec", folder: Path | None, common: Common) -> "SongSpec":
    """Names the model that the folder holds, once it is imported."""
    from harmonia_sdk.cli.models import brought

    if folder is not None:
        model = await brought(mesh.operator.models, folder, "", "", quiet=common.json)
        spec.model = model.name.removeprefix("models/")
    return spec


def _recording_of(spec: "SongSpec") -> Path | None:
    """The file on this machine that the song is to go on from; the mesh knows songs and artifacts."""
    field = "spec.conditioning.continue_from"
    named = spec.conditioning.continue_from
    if not named or named.startswith(("songs/", "artifacts/")):
        return None
    if not Path(named).is_file():
        message = f"{field} is {named[:80]!r}: it must be songs/{{id}}, artifacts/{{sha256}} or a file on this machine"
        raise InvalidInput(message, reason=Reason.MALFORMED, field=field)
    return Path(named)


async def _with_recording(mesh: "Session", spec: "SongSpec", recording: Path | None) -> "SongSpec":
    """Names it, once it is uploaded."""
    if recording is not None:
        spec.conditioning.continue_from = (await mesh.client.upload(recording)).name
    return spec


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


def _base(prompt: Sequence[str], file: Path | None) -> "SongSpec":
    from harmonia_sdk.spec import song_spec

    if bool(prompt) == (file is not None):
        message = "say what the song should be: either a PROMPT or --spec FILE"
        raise InvalidInput(message, reason=Reason.MISSING, field="prompt")
    return song_spec(" ".join(prompt), {}) if file is None else _spec_of(file)


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


def sessions_of(daw: str) -> list[str]:
    sessions = [name for name in daw.lower().split(",") if name]
    if unknown := next((name for name in sessions if name not in DAWS), ""):
        message = f"--daw takes {' and '.join(DAWS)}, by commas, not {unknown!r}"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="daw")
    return sessions
