"""PURE: what requests about the words of a song may hold. Each check raises InvalidInput with the field."""

from harmonia.lyrics.v1 import lyrics_pb2 as pb
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_gateway import limits, rules

SYLLABLES = (2, 14)
THEME_CHARACTERS = 200
WORD_CHARACTERS = 40


def check_rewrite(request: pb.RewriteLyricsRequest) -> None:
    check_text(request.text)
    rules.check_text(request.theme, THEME_CHARACTERS, shown="theme")
    rules.check_text(request.rhyme_with, WORD_CHARACTERS, shown="rhyme_with")
    rules.check_text(request.language, limits.NAME_CHARACTERS, shown="language")
    if request.HasField("syllables"):
        _within("syllables", request.syllables, *SYLLABLES)


def check_text(text: str) -> None:
    if not text.strip():
        raise InvalidInput("text is empty: give the words", reason=Reason.MISSING, field="text")
    rules.check_text(text, limits.LYRICS_CHARACTERS, shown="text")


def check_rhymes(request: pb.ListRhymesRequest) -> None:
    if not request.word.strip():
        raise InvalidInput("word is empty: give one", reason=Reason.MISSING, field="word")
    rules.check_text(request.word, WORD_CHARACTERS, shown="word")
    if request.page_size:
        _within("page_size", request.page_size, 1, limits.PAGE_SIZE)


def _within(field: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InvalidInput(f"{field} is {value}: from {low} to {high}", reason=Reason.OUT_OF_RANGE, field=field)
