"""PURE: a zip file as it is streamed: what stands before, between and after its files, whose bytes come from elsewhere.

Files are stored as they are, for sound does not shrink; what is known beforehand decides every byte but the checksums,
so that the length is known too, and the same files make the same zip. APPNOTE.TXT 6.3.10, zip64 where it is needed.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

LARGEST = 0xFFFFFFFE
_FLAGS = 0x0808  # names in UTF-8 (bit 11); checksum and sizes follow the file (bit 3)
_STORED = 0
_UNIX = 3 << 8 | 20
_MODE = 0o100644 << 16
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Entry:
    """`size`: bytes, at most LARGEST."""

    path: str
    size: int
    modified: datetime

    @property
    def name(self) -> bytes:
        return self.path.encode()


def before(entry: Entry) -> bytes:
    time, date = _dos(entry.modified)
    head = struct.pack("<4sHHHHHIIIHH", b"PK\3\4", 20, _FLAGS, _STORED, time, date, 0, 0, 0, len(entry.name), 0)
    return head + entry.name


def after(entry: Entry, crc: int) -> bytes:
    return struct.pack("<4sIII", b"PK\7\x08", crc, entry.size, entry.size)


def end(entries: Sequence[Entry], crcs: Sequence[int]) -> bytes:
    """The directory, which is what readers go by."""
    start, listed = 0, bytearray()
    for entry, crc in zip(entries, crcs, strict=True):
        listed += _listed(entry, crc, start)
        start += _length(entry)
    wide = len(entries) >= _FULL16 or start + len(listed) >= _FULL32
    more = _end64(len(entries), len(listed), start) if wide else b""
    count = min(len(entries), _FULL16)
    last = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, min(len(listed), _FULL32), min(start, _FULL32), 0)
    return bytes(listed) + more + last


def length(entries: Sequence[Entry]) -> int:
    return sum(_length(entry) for entry in entries) + len(end(entries, [0] * len(entries)))


def _length(entry: Entry) -> int:
    return len(before(entry)) + entry.size + len(after(entry, 0))


def _listed(entry: Entry, crc: int, start: int) -> bytes:
    time, date = _dos(entry.modified)
    far = start >= _FULL32
    extra = struct.pack("<HHQ", 1, 8, start) if far else b""
    version = 45 if far else 20
    head = struct.pack(
        "<4sHHHHHHIIIHHHHHII",
        *(b"PK\1\2", _UNIX, version, _FLAGS, _STORED, time, date, crc, entry.size, entry.size),
        *(len(entry.name), len(extra), 0, 0, 0, _MODE, min(start, _FULL32)),
    )
    return head + entry.name + extra


def _end64(count: int, size: int, start: int) -> bytes:
    record = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, _UNIX, 45, 0, 0, count, count, size, start)
    return record + struct.pack("<4sIQI", b"PK\6\7", 0, start + size, 1)


def _dos(moment: datetime) -> tuple[int, int]:
    """Two seconds are the finest; years from 1980."""
    at = max(moment.astimezone(UTC), datetime(1980, 1, 1, tzinfo=UTC))
    return at.hour << 11 | at.minute << 5 | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day
