"""Errors as a person or a script meets them: one line on stderr, and the exit code that outside.md promises."""

import json
import sys
import traceback
from typing import TYPE_CHECKING

from typer.exceptions import TyperException

from harmonia_sdk import errors
from harmonia_sdk.errors import Cancelled, HarmoniaError, Internal, InvalidInput, Reason
from harmonia_sdk.settings import default_home

if TYPE_CHECKING:
    from harmonia.song.v1.song_pb2 import Song, StageStatus

SONG_FAILED = 8
EXIT_CODES: dict[type[HarmoniaError], int] = {
    Internal: 1,
    InvalidInput: 2,
    errors.NotFound: 3,
    errors.PermissionDenied: 4,
    errors.Unauthenticated: 4,
    errors.Conflict: 5,
    errors.FailedPrecondition: 5,
    errors.QuotaExceeded: 6,
    errors.Overloaded: 6,
    errors.Unavailable: 7,
    errors.DeadlineExceeded: 7,
    Cancelled: 9,
}


class SongEnded(Exception):
    """A song that was waited for is FAILED, EXPIRED or CANCELLED."""

    def __init__(self, song: "Song") -> None:
        super().__init__(song.name)
        self.song = song


def exit_code_of(error: HarmoniaError | SongEnded) -> int:
    if isinstance(error, SongEnded):
        return EXIT_CODES[Cancelled] if _state(error.song) == "CANCELLED" else SONG_FAILED
    return next((code for kind, code in EXIT_CODES.items() if isinstance(error, kind)), 1)


def error_of(error: HarmoniaError | SongEnded) -> HarmoniaError:
    return _why(error.song) if isinstance(error, SongEnded) else error


def print_error(error: HarmoniaError, *, as_json: bool) -> None:
    if as_json:
        told = {
            "code": error.code,
            "reason": error.reason.value,
            "field": error.field,
            "message": one_line(f"{error.message} {_when_to_come_back(error)}"),
            "request_id": error.request_id,
        }
        print(json.dumps({"error": told}), file=sys.stderr)
        return
    print(f"harmonia: {one_line(_sentence(error))}", file=sys.stderr)


def usage_error(exc: TyperException) -> InvalidInput:
    option = getattr(exc, "option_name", None) or getattr(getattr(exc, "param", None), "name", None) or "command"
    message = one_line(exc.format_message()).rstrip(".")
    return InvalidInput(message, reason=Reason.MALFORMED, field=option.lstrip("-").replace("-", "_"))


def unexpected(exc: Exception) -> Internal:
    """A defect of ours. What a developer needs goes to a log, a word of it to the terminal."""
    log = default_home() / "logs" / "cli.log"
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            traceback.print_exception(exc, file=file)
    except OSError as failure:
        return Internal(f"internal error: {type(exc).__name__}; {log}: {failure.strerror}", reason=Reason.INTERNAL)
    return Internal(f"internal error: {type(exc).__name__}; more in {log}", reason=Reason.INTERNAL)


def printable(text: str) -> str:
    """On one line, without anything that could move a terminal's cursor or colour it; its columns stay."""
    return "".join(char if char.isprintable() else " " for char in text)


def one_line(text: str) -> str:
    """Printable, and without the space that others put into it."""
    return " ".join(printable(text).split())


def _sentence(error: HarmoniaError) -> str:
    parts = [error.message or error.reason.value.replace("_", " ").lower()]
    if error.field and error.field not in error.message:
        parts.append(f"({error.field})")
    parts.append(_when_to_come_back(error))
    if isinstance(error, Internal) and error.request_id:
        parts.append(f"(request {error.request_id})")
    return " ".join(parts)


def _when_to_come_back(error: HarmoniaError) -> str:
    if error.retry_after is None:
        return ""
    return f"(try again in {max(1, round(error.retry_after.total_seconds()))} s)"


def _why(song: "Song") -> HarmoniaError:
    from harmonia_chassis.status import from_problem

    if _state(song) == "CANCELLED":
        return Cancelled(f"{song.name} was cancelled", reason=Reason.CANCELLED)
    stage = next((stage for stage in song.stages if _state(stage) != "SUCCEEDED"), None)
    at = f" at {stage.name}" if stage else ""
    if _state(song) == "EXPIRED":
        return errors.DeadlineExceeded(f"{song.name} expired{at}: its deadline passed", reason=Reason.DEADLINE)
    error = from_problem(song.error)
    error.message = f"{song.name} failed{at}: {song.error.message or song.error.reason}"
    return error


def _state(thing: "Song | StageStatus") -> str:
    from harmonia.song.v1 import song_pb2 as pb

    return pb.Song.State.Name(thing.state)
