"""What a file says of itself: ID3v2.4 (MP3, and a chunk of WAVE files) and Vorbis comments (FLAC, Ogg, Opus).

Our own writers: libsndfile garbles UTF-8 in MP3 tags. They put in nothing that was not given: no time, no machine, no
name of an encoder, so the same song has the same bytes. That a machine made the music is said in the words of the IPTC,
for programs: as a tag of its own, and where XMP has a place (ID3, WAVE) as Iptc4xmpExt:DigitalSourceType.
"""

import struct
from dataclasses import dataclass
from enum import StrEnum
from xml.sax.saxutils import escape

_VENDOR = "Harmonia"


class SourceType(StrEnum):
    """How the sound came to be: http://cv.iptc.org/newscodes/digitalsourcetype. NONE: not ours to say."""

    NONE = ""
    # Made by rules alone, without anything learnt from recordings.
    ALGORITHMIC = "algorithmicMedia"
    # Made by a model that learnt from recordings.
    TRAINED = "trainedAlgorithmicMedia"

    @property
    def uri(self) -> str:
        return f"http://cv.iptc.org/newscodes/digitalsourcetype/{self}" if self else ""


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
    source_type: SourceType = SourceType.NONE


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
    if tags.source_type:
        frames.append(_id3_frame("TXXX", b"\x03DIGITALSOURCETYPE\0" + _clean(tags.source_type.uri)))
        # XMP specification part 3, §2.3.3: where MP3 files carry it.
        frames.append(_id3_frame("PRIV", b"XMP\0" + xmp(tags)))
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
        "DIGITALSOURCETYPE": tags.source_type.uri,
    }
    entries = [f"{name}=".encode() + _clean(text) for name, text in fields.items() if text]
    counted = [_counted(_VENDOR.encode()), struct.pack("<I", len(entries)), *map(_counted, entries)]
    return b"".join(counted)


def xmp(tags: Tags) -> bytes:
    """An XMP packet that says how the sound came to be and what it is called; empty when there is nothing to say."""
    if not tags.source_type:
        return b""
    # XML 1.0 has no control characters, not even escaped.
    title = escape("".join(c for c in _clean(tags.title).decode() if c >= " "))
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">'
        f'<dc:title><rdf:Alt><rdf:li xml:lang="x-default">{title}</rdf:li></rdf:Alt></dc:title>'
        f"<Iptc4xmpExt:DigitalSourceType>{tags.source_type.uri}</Iptc4xmpExt:DigitalSourceType>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
    ).encode()


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
