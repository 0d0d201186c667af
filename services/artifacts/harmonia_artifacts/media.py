"""Which media types the store takes, and what a few bytes say about a file. PURE.

Uploads come from people, so their bytes are asked; what a service puts is known to it.
"""

from __future__ import annotations

from harmonia_chassis.errors import InvalidInput, Reason

SNIFFED_BYTES = 4096

_AUDIO = frozenset(
    f"audio/{name}" for name in ("wav", "flac", "mpeg", "ogg", "opus", "aiff", "mp4", "midi", "basic", "x-caf")
)
_OUTPUTS = frozenset({"application/json", "image/png", "text/plain", "text/x-lrc"})
# What only services put: long words between stages, checkpoints, archives of a session.
_INTERNAL = frozenset({"application/octet-stream", "application/x-protobuf", "application/zip"})
ALLOWED = _AUDIO | _OUTPUTS | _INTERNAL
UPLOADABLE = _AUDIO | {"text/plain", "application/json"}

# Other names of the same format, as browsers and file managers send them.
_ALIASES = {
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "application/ogg": "audio/ogg",
    "audio/x-aiff": "audio/aiff",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/mid": "audio/midi",
    "audio/x-midi": "audio/midi",
}


def allowed_type(media_type: str) -> str:
    """The canonical name, without parameters. Raises InvalidInput for a type that the store does not take."""
    bare = media_type.partition(";")[0].strip().lower()
    name = _ALIASES.get(bare, bare)
    if name not in ALLOWED:
        message = f"the store takes no {media_type!r}; it takes {', '.join(sorted(ALLOWED))}"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="media_type")
    return name


def uploaded_type(media_type: str, start: bytes) -> str:
    """What an upload is by its first 4 KiB. Raises InvalidInput when that is not what it is said to be."""
    if not start:
        raise InvalidInput("this file is empty", reason=Reason.UNKNOWN_VALUE, field="media_type")
    found = sniffed(start)
    if found not in UPLOADABLE:
        message = "this file is neither audio, MIDI, plain text nor JSON"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="media_type")
    said = allowed_type(media_type) if media_type else found
    # JSON is text; Opus travels in Ogg.
    if said != found and (said, found) not in {("application/json", "text/plain"), ("audio/opus", "audio/ogg")}:
        message = f"this file is said to be {said} and is {found}"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="media_type")
    return said


def sniffed(start: bytes) -> str:
    """The type by its signature; text/plain for UTF-8 without control characters; else application/octet-stream."""
    if start[:4] in {b"RIFF", b"RF64"} and start[8:12] == b"WAVE":
        return "audio/wav"
    if start[:4] == b"FORM" and start[8:12] in {b"AIFF", b"AIFC"}:
        return "audio/aiff"
    if start[4:8] == b"ftyp":
        return "audio/mp4"
    for signature, name in _SIGNATURES:
        if start.startswith(signature):
            return name
    if _is_mpeg_frame(start):
        return "audio/mpeg"
    return "text/plain" if _is_text(start) else "application/octet-stream"


_SIGNATURES = (
    (b"fLaC", "audio/flac"),
    (b"OggS", "audio/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"MThd", "audio/midi"),
    (b".snd", "audio/basic"),
    (b"caff", "audio/x-caf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
)


def _is_mpeg_frame(start: bytes) -> bool:
    """ISO/IEC 11172-3 §2.4.2.3: eleven set bits, then no reserved version, layer, bit rate or sampling rate."""
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return False
    version, layer = start[1] >> 3 & 3, start[1] >> 1 & 3
    bit_rate, sampling_rate = start[2] >> 4, start[2] >> 2 & 3
    return version != 1 and layer != 0 and bit_rate not in {0, 15} and sampling_rate != 3


def _is_text(start: bytes) -> bool:
    # A character may be cut at the end of the sample.
    text = start.decode("utf-8", "ignore")
    whole = len(start) - len(text.encode()) <= 3
    return whole and not any(ord(c) < 32 and c not in "\t\n\r\f" for c in text)
