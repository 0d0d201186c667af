"""PURE: what the zip file of a project holds, in which order and under which names; decided before a byte is read.

A folder for each song that has succeeded, as `harmonia compose` saves it; project.json; and SHA256SUMS over all of it,
for `sha256sum -c`. The same project with the same songs is the same file, byte for byte, and has the same id.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

from harmonia.song.v1 import song_pb2
from harmonia_chassis import saved
from harmonia_chassis.errors import FailedPrecondition, Reason
from harmonia_chassis.file_names import slug
from harmonia_gateway import zips
from harmonia_gateway.projects import Project

SUMS = "SHA256SUMS"
PROJECT_JSON = "project.json"


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the zip: `content`, or, where that is None, the artifact of this digest."""

    entry: zips.Entry
    sha256: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Export:
    id: str
    file: str
    size: int
    parts: tuple[Part, ...]
    songs: tuple[str, ...]
    left_out: tuple[str, ...]


def export_of(project: Project, songs: Sequence[song_pb2.Song]) -> Export:
    """`songs`: those that are there, in the project's order. Raises FailedPrecondition when none can be exported."""
    fit = [song for song in songs if song.state == song.SUCCEEDED and not song.HasField("delete_time")]
    if not fit:
        message = f"{project.name} has no song that has succeeded: there is nothing to export"
        raise FailedPrecondition(message, reason=Reason.WRONG_STATE, field="name")
    top, left_out = slug(project.title), tuple(song.name for song in songs if song not in fit)
    folders = {song.name: f"{n:0{len(str(len(fit)))}d}-{_slug_of(song)}" for n, song in enumerate(fit, start=1)}
    parts = [_text(PROJECT_JSON, _about(project, folders, left_out), _updated(project))]
    for song in fit:
        parts += _parts_of(song, folders[song.name])
    sums = "".join(f"{part.sha256}  {part.entry.path}\n" for part in parts)
    whole = [_inside(top, part) for part in (*parts, _text(SUMS, sums, _updated(project)))]
    told = "".join(f"{part.entry} {part.sha256}\n" for part in whole)
    return Export(
        id=hashlib.sha256(told.encode()).hexdigest(),
        file=f"{top}.zip",
        size=zips.length([part.entry for part in whole]),
        parts=tuple(whole),
        songs=tuple(song.name for song in fit),
        left_out=left_out,
    )


def _parts_of(song: song_pb2.Song, folder: str) -> Iterator[Part]:
    modified = song.update_time.ToDatetime(UTC)
    for place in sorted({"", *saved.take_folders(song)}):
        yield _text(str(PurePosixPath(folder, place, saved.SONG_JSON)), saved.to_json(song), modified)
    for file, output in saved.files_of(song).items():
        path = str(PurePosixPath(folder, file.as_posix()))
        yield Part(zips.Entry(path, output.bytes, modified), output.sha256)


def _text(path: str, text: str, modified: datetime) -> Part:
    content = text.encode()
    return Part(zips.Entry(path, len(content), modified), hashlib.sha256(content).hexdigest(), content)


def _inside(top: str, part: Part) -> Part:
    entry = zips.Entry(f"{top}/{part.entry.path}", part.entry.size, part.entry.modified)
    return Part(entry, part.sha256, part.content)


def _about(project: Project, folders: dict[str, str], left_out: Sequence[str]) -> str:
    told = {
        "name": project.name,
        "title": project.title,
        "description": project.description,
        "songs": [{"name": name, "folder": folder} for name, folder in folders.items()],
        "left_out": list(left_out),
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _slug_of(song: song_pb2.Song) -> str:
    return slug(song.resolved.title or song.spec.title)


def _updated(project: Project) -> datetime:
    return datetime.fromtimestamp(project.update_time, UTC)
