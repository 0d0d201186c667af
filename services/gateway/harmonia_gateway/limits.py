"""The numbers a song may not exceed: one table, for the rules, the capabilities and the documentation."""

from datetime import timedelta

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
LONGEST_WAIT = timedelta(seconds=60)
KEPT_WHEN_DELETED = timedelta(days=30)
INLINE_LYRICS_BYTES = 2048
# Of a record in HM_JOBS as it is created; stage results come on top.
RECORD_BYTES = 32 * 1024
UPLOAD_BYTES = 200 * 1024 * 1024
UPLOAD_SECONDS = 20 * 60.0
CHUNK_BYTES = 256 * 1024
PAGE_SIZE = 200
DEFAULT_PAGE_SIZE = 50
