"""What a file says of itself: ID3v2.4 (MP3, and a chunk of WAVE files) and Vorbis comments (FLAC).

Our own writers: libsndfile garbles UTF-8 in MP3 tags. They put in nothing that was not given: no time, no machine, no
name of an encoder, so the same song has the same bytes.
"""

import struct
from dataclasses import dataclass

_VENDOR = "Harmonia"


@dataclass(frozen=True, slots=True)
class Tags:
    """Empty texts and a bpm of 0 are left out."""

    title: str = ""
    artist: str = ""
    genre: str = ""
    bpm: float = 0.0
    key: str = ""
    lyrics: str = ""
    comment: str = ""


def id3(tags: Tags) -> bytes:
    """An ID3v2.4 tag; empty when there is nothing to say."""
    texts = {
        "TIT2": tags.title,
        "TPE1": tags.artist,
        "TCON": tags.genre,
        "TBPM": _number(tags.bpm),
        "TKEY": _short_key(tags.key),
    }
    frames = [_id3_frame(name, b"\x03" + _clean(text)) for name, text in texts.items() if text]
    if tags.key:
        # TKEY has room for three characters: the whole name goes beside it.
        frames.append(_id3_frame("TXXX", b"\x03KEY\0" + _clean(tags.key)))
    for name, text in (("USLT", tags.lyrics), ("COMM", tags.comment)):
        if text:
            frames.append(_id3_frame(name, b"\x03eng\0" + _clean(text)))
    body = b"".join(frames)
    return b"ID3\x04\x00\x00" + _synchsafe(len(body)) + body if body else b""


def vorbis_comment(tags: Tags) -> bytes:
    """The block of Vorbis comments as FLAC and Ogg carry it, without framing."""
    fields = {
        "TITLE": tags.title,
        "ARTIST": tags.artist,
        "GENRE": tags.genre,
        "BPM": _number(tags.bpm),
        "KEY": tags.key,
        "LYRICS": tags.lyrics,
        "COMMENT": tags.comment,
    }
    entries = [f"{name}=".encode() + _clean(text) for name, text in fields.items() if text]
    counted = [_counted(_VENDOR.encode()), struct.pack("<I", len(entries)), *map(_counted, entries)]
    return b"".join(counted)


def with_vorbis_comment(flac: bytes, tags: Tags) -> bytes:
    """The FLAC file with its stream info, our comments and its frames; other metadata blocks are dropped."""
    if flac[:4] != b"fLaC":
        raise ValueError("not a FLAC file")
    stream_info, start, last = b"", 4, False
    while not last:
        last, kind = bool(flac[start] & 0x80), flac[start] & 0x7F
        size = int.from_bytes(flac[start + 1 : start + 4], "big")
        if kind == 0:
            stream_info = flac[start + 4 : start + 4 + size]
        start += 4 + size
    comment = vorbis_comment(tags)
    return b"".join([b"fLaC", _flac_block(0, stream_info), _flac_block(0x80 | 4, comment), flac[start:]])


def riff_chunk(name: str, body: bytes) -> bytes:
    return name.encode("ascii") + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def _flac_block(head: int, body: bytes) -> bytes:
    return bytes([head]) + len(body).to_bytes(3, "big") + body


def _id3_frame(name: str, body: bytes) -> bytes:
    return name.encode("ascii") + _synchsafe(len(body)) + b"\0\0" + body


def _synchsafe(size: int) -> bytes:
    return bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))


def _counted(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


def _clean(text: str) -> bytes:
    # A zero ends a text in both; half a surrogate pair cannot be written in UTF-8.
    return text.replace("\0", "").encode("utf-8", errors="replace")


def _number(bpm: float) -> str:
    return f"{bpm:.3f}".rstrip("0").rstrip(".") if bpm else ""


def _short_key(key: str) -> str:
    """As ID3v2.4 §4.2.3 has it: "A minor" → "Am", "F# major" → "F#"; empty for other modes."""
    tonic, _, mode = key.partition(" ")
    return {"minor": f"{tonic}m", "major": tonic}.get(mode, "")
