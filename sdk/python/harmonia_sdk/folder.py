"""A song's folder on disk. Each file appears whole and with the digest the mesh names, or not at all.

Refuses a folder that holds another song. Files of this song that are there already are kept, so saving again
only fills holes.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from google.protobuf import json_format

from harmonia.song.v1 import song_pb2 as pb
from harmonia_chassis.file_names import folders_for
from harmonia_chassis.saved import SONG_JSON, files_of, take_folders, to_json
from harmonia_sdk.errors import Conflict, FailedPrecondition, InvalidInput, Reason
from harmonia_sdk.transfer import sha256_of

if TYPE_CHECKING:
    from harmonia_sdk.client import AsyncClient

AT_ONCE = 4


async def save(client: "AsyncClient", song: pb.Song, folder: Path, *, force: bool = False) -> None:
    check_finished(song)
    files = files_of(song)
    try:
        missing = await asyncio.to_thread(_prepare, folder, song, files, force=force)
        await _download_all(client, folder, missing)
        for place in sorted({folder, *(folder / take for take in take_folders(song))}):
            await asyncio.to_thread(write_whole, place / SONG_JSON, to_json(song))
    except OSError as exc:
        raise unwritable(folder, exc) from exc


def check_finished(song: pb.Song) -> None:
    if song.state != pb.Song.SUCCEEDED:
        state = pb.Song.State.Name(song.state)
        message = f"{song.name} is {state}: only a song that SUCCEEDED has files to save"
        raise FailedPrecondition(message, reason=Reason.WRONG_STATE)


def check_folder(folder: Path, name: str = "", *, force: bool) -> None:
    """Refuses a folder that holds another song than `name`; with "", any."""
    held = held_song(folder)
    if held and held.name != name and not force:
        message = f"{folder} holds another song, {held.name}: name another folder, or say --force to replace it"
        raise Conflict(message, reason=Reason.WRONG_STATE, field="out")
    if folder.exists() and not folder.is_dir():
        raise InvalidInput(f"{folder} is a file, not a folder", reason=Reason.MALFORMED, field="out")


def check_writable(place: Path) -> None:
    """Whether a folder could be made here; a song need not be made first to find out."""
    there = next(folder for folder in (place.absolute(), *place.absolute().parents) if folder.exists())
    try:
        with TemporaryDirectory(prefix=".harmonia-", dir=there):
            return
    except OSError as exc:
        message = f"cannot write in {there}: {exc.strerror or exc}"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="out") from exc


def free_folder(song: pb.Song, base: Path) -> Path:
    """base/<slug of the title>, then -2, …; the one that holds this song already, when it is met first."""
    for folder in folders_for(song.resolved.title or song.spec.title, base):
        held = held_song(folder)
        if (held and held.name == song.name) or _claimed(folder):
            return folder
    raise AssertionError("the names never end")


def held_song(folder: Path) -> pb.Song | None:
    """What the folder's song.json says; a nameless song where it is no song.json of ours."""
    try:
        text = (folder / SONG_JSON).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise unwritable(folder, exc) from exc
    song = pb.Song(name="(unreadable)")
    with suppress(json_format.ParseError, UnicodeDecodeError):  # whatever it is, it is not this song
        json_format.Parse(text, song, ignore_unknown_fields=True)
    return song


def write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        half.write_text(text, encoding="utf-8")
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)


def unwritable(folder: Path, exc: OSError) -> InvalidInput:
    message = f"cannot write {exc.filename or folder}: {exc.strerror or exc}"
    return InvalidInput(message, reason=Reason.MALFORMED, field="out")


def _claimed(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError as exc:
        raise unwritable(folder, exc) from exc
    return True


def _prepare(folder: Path, song: pb.Song, files: Mapping[Path, pb.Output], *, force: bool) -> Mapping[Path, pb.Output]:
    """The files still to be had. With force, the other song's own files are gone."""
    check_folder(folder, song.name, force=force)
    held = held_song(folder)
    missing = {file: output for file, output in files.items() if not _has(folder / file, output.sha256)}
    in_the_way = sorted(file for file in missing if (folder / file).exists())
    if in_the_way and held is None and not force:
        message = f"{folder / in_the_way[0]} is there and not of {song.name}: name another folder, or say --force"
        raise Conflict(message, reason=Reason.WRONG_STATE, field="out")
    if held and held.name != song.name:
        _remove(folder, held)
    for file in missing:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
    return missing


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and sha256_of(path) == digest


def _remove(folder: Path, other: pb.Song) -> None:
    for file in [*files_of(other), Path(SONG_JSON), *(Path(take) / SONG_JSON for take in take_folders(other))]:
        (folder / file).unlink(missing_ok=True)


async def _download_all(client: "AsyncClient", folder: Path, files: Mapping[Path, pb.Output]) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(file: Path, output: pb.Output) -> None:
        async with slots:
            await client.download(output.artifact, folder / file)

    try:
        async with asyncio.TaskGroup() as tasks:
            for file, output in files.items():
                tasks.create_task(one(file, output))
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None  # the first says why; the others were stopped by it
