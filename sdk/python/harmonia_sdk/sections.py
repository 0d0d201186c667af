"""The sections of a song as its spec names them, some of them to be drawn anew. Pure."""

from collections.abc import Sequence

from harmonia.song.v1 import song_pb2 as pb
from harmonia.song.v1.spec_pb2 import Section
from harmonia_sdk.errors import FailedPrecondition, InvalidInput, Reason


def redrawn(song: pb.Song, wanted: Sequence[str], seed: int) -> list[Section]:
    """wanted: "chorus" for all of that name, "3" for the third. The others stay as they are, note by note.

    Raises InvalidInput for a section that the song does not have, FailedPrecondition for a song without any.
    """
    sections = [Section.FromString(one.SerializeToString()) for one in song.resolved.sections]
    sections = sections or [Section(name=one.name, bars=one.bars) for one in song.sections]
    if not sections:
        message = f"{song.name} has no sections: it was not composed, or by an engine that tells none"
        raise FailedPrecondition(message, reason=Reason.WRONG_STATE, field="redraw")
    for text in wanted:
        for number in _numbers(text, sections):
            sections[number].seed = seed
    return sections


def _numbers(text: str, sections: Sequence[Section]) -> list[int]:
    numbers = [n for n, one in enumerate(sections) if text.casefold() in (one.name.casefold(), str(n + 1))]
    if not numbers:
        there = ", ".join(f"{n} {one.name}" for n, one in enumerate(sections, start=1))
        raise InvalidInput(f"redraw {text[:40]!r}: the song has {there}", reason=Reason.UNKNOWN_VALUE, field="redraw")
    return numbers
