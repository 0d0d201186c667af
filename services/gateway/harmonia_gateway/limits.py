"""The numbers a song may not exceed: one table, for the rules, the capabilities and the documentation."""

from datetime import timedelta

from harmonia_chassis.errors import InvalidInput, Reason

PROMPT_CHARACTERS = 2000
LYRICS_CHARACTERS = 8000
TITLE_CHARACTERS = 120
LABELS = 20
LABEL_CHARACTERS = 64
MOODS = 8
INSTRUMENTS = 16
SECTIONS = 64
NAME_CHARACTERS = 64
REQUEST_ID_CHARACTERS = 64
DURATION_S = (5.0, 600.0)
DEFAULT_DURATION_S = 60.0
VARIATIONS = 8
BATCH_SIZE = 100
DEFAULT_LIFE = timedelta(hours=24)
LONGEST_LIFE = timedelta(days=7)
LONGEST_WAIT_S = 60.0
KEPT_WHEN_DELETED = timedelta(days=30)
INLINE_LYRICS_BYTES = 2048
UPLOAD_BYTES = 200 * 1024 * 1024
UPLOAD_SECONDS = 20 * 60.0
CHUNK_BYTES = 256 * 1024
PAGE_SIZE = 200
DEFAULT_PAGE_SIZE = 50


def page_size(asked: int) -> int:
    """Raises InvalidInput."""
    if asked < 0:
        message = f"page_size is {asked}: it must be from 1 to {PAGE_SIZE}"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="page_size")
    return min(asked or DEFAULT_PAGE_SIZE, PAGE_SIZE)
