"""Ogg pages (RFC 3533), written anew around the packets of an encoder: our comments, and the same bytes every time.

libsndfile draws a serial number for each file and says who it is; neither belongs into a song that is to be remade.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SERIAL = 1
_MOST_SEGMENTS = 255
_NO_GRANULE = 0xFFFF_FFFF_FFFF_FFFF
_CONTINUED, _FIRST = 0x01, 0x02
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class _Page:
    flags: int
    granule: int
    lacing: bytes
    body: bytes


def with_ogg_comment(ogg: bytes, comment: bytes) -> bytes:
    """The stream with `comment` (vendor and entries, without a packet's head) in place of its own.

    Vorbis or Opus, one stream. Raises ValueError for anything else.
    """
    pages = list(_pages(ogg))
    head, entry, headers = _codec(pages[0].body)
    packets, first_of_sound = _header_packets(pages, headers)
    # RFC 7845 §5.2 knows no framing bit; Vorbis I §5.2.1 asks for it.
    packets[1] = entry + comment + (b"\x01" if headers == 3 else b"")
    written = [_Page(_FIRST, 0, _lacing(len(head)), head), *_laid_out(packets[1:]), *pages[first_of_sound:]]
    return b"".join(_to_bytes(page, number) for number, page in enumerate(written))


def _codec(head: bytes) -> tuple[bytes, bytes, int]:
    """The first packet, how the packet of comments begins, and how many packets come before sound."""
    if head.startswith(b"\x01vorbis"):
        return head, b"\x03vorbis", 3
    if head.startswith(b"OpusHead"):
        return head, b"OpusTags", 2
    raise ValueError("neither Vorbis nor Opus")


def _pages(ogg: bytes) -> Iterator[_Page]:
    at = 0
    while at < len(ogg):
        if ogg[at : at + 4] != b"OggS":
            raise ValueError("not an Ogg stream")
        flags, granule, segments = ogg[at + 5], int.from_bytes(ogg[at + 6 : at + 14], "little"), ogg[at + 26]
        lacing = ogg[at + 27 : at + 27 + segments]
        start, size = at + 27 + segments, sum(lacing)
        yield _Page(flags, granule, lacing, ogg[start : start + size])
        at = start + size


def _header_packets(pages: Sequence[_Page], count: int) -> tuple[list[bytes], int]:
    """The first packets, and the number of the page after them: sound begins on a page of its own."""
    packets, packet = list[bytes](), b""
    for number, page in enumerate(pages):
        at = 0
        for size in page.lacing:
            packet += page.body[at : at + size]
            at += size
            if size < _MOST_SEGMENTS:
                packets.append(packet)
                packet = b""
        if len(packets) >= count:
            return packets, number + 1
    raise ValueError("an Ogg stream without sound")


def _lacing(size: int) -> bytes:
    return b"\xff" * (size // 255) + bytes([size % 255])


def _laid_out(packets: Sequence[bytes]) -> Iterator[_Page]:
    lacing, body = b"".join(_lacing(len(packet)) for packet in packets), b"".join(packets)
    at, continued = 0, False
    for first in range(0, len(lacing), _MOST_SEGMENTS):
        part = lacing[first : first + _MOST_SEGMENTS]
        ends = any(size < 255 for size in part)
        size = sum(part)
        yield _Page(_CONTINUED if continued else 0, 0 if ends else _NO_GRANULE, part, body[at : at + size])
        at, continued = at + size, part[-1] == 255


def _to_bytes(page: _Page, number: int) -> bytes:
    head = struct.pack("<4sBBQII", b"OggS", 0, page.flags, page.granule, _SERIAL, number)
    rest = bytes([len(page.lacing)]) + page.lacing + page.body
    checksum = _crc(head + bytes(4) + rest)
    return head + checksum.to_bytes(4, "little") + rest


def _crc(data: bytes) -> int:
    # Ogg's CRC is zlib's, read from the other end of each byte, without its inversions.
    mirrored = zlib.crc32(data.translate(_MIRRORED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{mirrored:032b}"[::-1], 2)
