"""PURE: names of songs and artifacts. A name of another form is a name of nothing."""

import re

from harmonia_chassis.errors import NotFound, Reason

_SONG = re.compile(r"songs/([0-9a-f]{32})")
_UPLOAD = re.compile(r"uploads/([0-9a-f]{32})")
_ARTIFACT = re.compile(r"artifacts/([0-9a-f]{64})")


def song_id(name: str, *, field: str = "name") -> str:
    """Raises NotFound."""
    match = _SONG.fullmatch(name)
    if match is None:
        raise NotFound(
            f"{name[:60]!r} names no song: names are songs/ and 32 hex digits, as CreateSong and ListSongs give them",
            reason=Reason.SONG_NOT_FOUND,
            field=field,
        )
    return match.group(1)


def no_song(name: str, *, field: str = "name") -> NotFound:
    """The same for what is not there and what is not the caller's."""
    message = f"there is no {name}: ListSongs tells which there are"
    return NotFound(message, reason=Reason.SONG_NOT_FOUND, field=field)


def artifact_digest(name: str, *, field: str = "name") -> str:
    """Raises NotFound."""
    match = _ARTIFACT.fullmatch(name)
    if match is None:
        raise NotFound(
            f"{name[:80]!r} names no artifact: names are artifacts/ and the 64 hex digits of a SHA-256",
            reason=Reason.ARTIFACT_NOT_FOUND,
            field=field,
        )
    return match.group(1)


def upload_id(name: str, *, field: str = "name") -> str:
    """Raises NotFound."""
    match = _UPLOAD.fullmatch(name)
    if match is None:
        raise NotFound(
            f"{name[:80]!r} names no upload: names are uploads/ and 32 hex digits, as CreateUpload gives them",
            reason=Reason.ARTIFACT_NOT_FOUND,
            field=field,
        )
    return match.group(1)
