"""The encoders, in a process of their own: one that crashes costs one file, not the service.

`python -m harmonia_mastering.encode` reads a line of JSON for each order from stdin, writes the file it names, and
answers with a line on stdout; it ends when stdin does. Samples come as .npy files (float32 [channels, n]), so nothing
large goes through the pipes, and are read in blocks. The same samples and tags give the same bytes.
"""

import json
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from harmonia_mastering.ogg import with_ogg_comment
from harmonia_mastering.pcm import pcm16, pcm24
from harmonia_mastering.tags import SourceType, Tags, id3, riff_chunk, vorbis_comment, with_vorbis_comment, xmp

# libsndfile's Vorbis encoder overruns its stack on longer writes.
BLOCK = 1 << 16
# Of libsndfile's scales from 1 to 0: quality 7, about 230 kbit/s, and 192 kbit/s for two channels.
_VORBIS_LEVEL = 0.3
_OPUS_LEVEL = 0.64
OPUS_RATE_HZ = 48_000


class Format(StrEnum):
    WAV = "wav"
    WAV16 = "wav16"
    WAV32F = "wav32f"
    FLAC = "flac"
    MP3 = "mp3"
    OPUS = "opus"
    OGG = "ogg"

    @property
    def file(self) -> str:
        """Its name in a song's folder."""
        return {Format.WAV16: "master-16bit.wav", Format.WAV32F: "master-32float.wav"}.get(self, f"master.{self}")


MEDIA_TYPES = {
    Format.WAV: "audio/wav",
    Format.WAV16: "audio/wav",
    Format.WAV32F: "audio/wav",
    Format.FLAC: "audio/flac",
    Format.MP3: "audio/mpeg",
    Format.OPUS: "audio/ogg",
    Format.OGG: "audio/ogg",
}
LOSSY = frozenset({Format.MP3, Format.OPUS, Format.OGG})
# Ogg's own orders of more channels are not those of WAVE files, MP3 has none.
LOSSY_CHANNELS = 2


@dataclass(frozen=True, slots=True)
class Order:
    samples: Path
    rate_hz: int
    format: Format
    tags: Tags
    to: Path

    def to_json(self) -> str:
        return json.dumps(asdict(self) | {"samples": str(self.samples), "to": str(self.to)})

    @classmethod
    def from_json(cls, line: str | bytes) -> "Order":
        given = json.loads(line)
        tags = given["tags"]
        return cls(
            samples=Path(given["samples"]),
            rate_hz=given["rate_hz"],
            format=Format(given["format"]),
            tags=Tags(**tags | {"source_type": SourceType(tags["source_type"])}),
            to=Path(given["to"]),
        )


def fill(order: Order) -> None:
    samples = np.load(order.samples, mmap_mode="r")
    with order.to.open("wb") as out:
        _ENCODERS[order.format](samples, order.rate_hz, order.tags, out)


def wav16(samples: NDArray[np.float32], rate_hz: int, tags: Tags, out: BinaryIO) -> None:
    """16-bit PCM with triangular dither."""
    blocks = (pcm16(block, start=start).tobytes() for start, block in _blocks(samples))
    _riff(samples, _form(samples, rate_hz, code=1, bits=16), blocks, tags, out)


def wav(samples: NDArray[np.float32], rate_hz: int, tags: Tags, out: BinaryIO) -> None:
    """24-bit PCM."""

    def packed(block: NDArray[np.float32]) -> bytes:
        return np.ascontiguousarray(pcm24(block).view(np.uint8).reshape(-1, 4)[:, :3]).tobytes()

    blocks = (packed(block) for _, block in _blocks(samples))
    _riff(samples, _form(samples, rate_hz, code=1, bits=24), blocks, tags, out)


def wav32f(samples: NDArray[np.float32], rate_hz: int, tags: Tags, out: BinaryIO) -> None:
    """32-bit float: the master as it is, to the last bit."""
    blocks = (np.ascontiguousarray(block.T, dtype="<f4").tobytes() for _, block in _blocks(samples))
    fact = riff_chunk("fact", samples.shape[1].to_bytes(4, "little"))
    _riff(samples, _form(samples, rate_hz, code=3, bits=32) + fact, blocks, tags, out)


def _form(samples: NDArray[np.float32], rate_hz: int, *, code: int, bits: int) -> bytes:
    channels, width = samples.shape[0], samples.shape[0] * bits // 8
    return riff_chunk("fmt ", struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * width, width, bits))


def _riff(samples: NDArray[np.float32], form: bytes, blocks: Iterator[bytes], tags: Tags, out: BinaryIO) -> None:
    """Tags in an ID3 chunk: LIST INFO has no place for tempo, key and words, and hides the ID3 from ffmpeg."""
    width = int.from_bytes(form[20:22], "little")
    size = samples.shape[1] * width
    after = _chunk("id3 ", id3(tags)) + _chunk("_PMX", xmp(tags))
    whole = 4 + len(form) + 8 + size + size % 2 + len(after)
    out.write(b"RIFF" + whole.to_bytes(4, "little") + b"WAVE" + form + b"data" + size.to_bytes(4, "little"))
    out.writelines(blocks)
    out.write(b"\0" * (size % 2) + after)


def _chunk(name: str, body: bytes) -> bytes:
    return riff_chunk(name, body) if body else b""


def flac(samples: NDArray[np.float32], rate_hz: int, tags: Tags, out: BinaryIO) -> None:
    """24-bit, with Vorbis comments."""
    import soundfile

    stream = BytesIO()
    with soundfile.SoundFile(stream, "w", rate_hz, samples.shape[0], format="FLAC", subtype="PCM_24") as file:
        for _, block in _blocks(samples):
            # The highest 24 bits of 32: libsndfile would round float samples on its own.
            file.write(pcm24(block) << 8)
    out.write(with_vorbis_comment(stream.getvalue(), tags))


def mp3(samples: NDArray[np.float32], rate_hz: int, tags: Tags, out: BinaryIO) -> None:
    """320 kbit/s, with an ID3v2.4 tag; at 48 kHz when MP3 does not know the rate."""
    from harmonia_mastering.mp3 import RATES_HZ, encode_mp3

    if rate_hz not in RATES_HZ:
        samples, rate_hz = _resampled(samples, rate_hz, 48_000), 48_000
    out.write(id3(tags) + encode_mp3((block for _, block in _blocks(samples)), samples.shape, rate_hz))


def ogg(samples: NDArray[np.float32], rate_hz: int, tags: Tags, out: BinaryIO) -> None:
    """Vorbis of quality 7."""
    out.write(with_ogg_comment(_ogg(samples, rate_hz, "VORBIS", _VORBIS_LEVEL), vorbis_comment(tags)))


def opus(samples: NDArray[np.float32], rate_hz: int, tags: Tags, out: BinaryIO) -> None:
    """192 kbit/s at 48 kHz, the only rate that Opus decodes to."""
    if rate_hz != OPUS_RATE_HZ:
        samples = _resampled(samples, rate_hz, OPUS_RATE_HZ)
    out.write(with_ogg_comment(_ogg(samples, OPUS_RATE_HZ, "OPUS", _OPUS_LEVEL), vorbis_comment(tags)))


def _ogg(samples: NDArray[np.float32], rate_hz: int, codec: str, level: float) -> bytes:
    import soundfile

    stream = BytesIO()
    with soundfile.SoundFile(
        stream, "w", rate_hz, samples.shape[0], format="OGG", subtype=codec, compression_level=level
    ) as file:
        for _, block in _blocks(samples):
            file.write(np.ascontiguousarray(block.T))
    return stream.getvalue()


_ENCODERS = {
    Format.WAV: wav,
    Format.WAV16: wav16,
    Format.WAV32F: wav32f,
    Format.FLAC: flac,
    Format.MP3: mp3,
    Format.OPUS: opus,
    Format.OGG: ogg,
}


def _blocks(samples: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    for start in range(0, samples.shape[1], BLOCK):
        yield start, samples[:, start : start + BLOCK]


def _resampled(samples: NDArray[np.float32], rate_hz: int, to_hz: int) -> NDArray[np.float32]:
    import soxr

    return np.ascontiguousarray(soxr.resample(samples.T, rate_hz, to_hz).T)


def serve(orders: BinaryIO, answers: BinaryIO) -> None:
    """Fills orders until there are no more. What an encoder raises is its answer; what kills it, the parent sees."""
    for line in orders:
        answer: dict[str, str | float] = {}
        started = time.process_time()
        try:
            fill(Order.from_json(line))
            answer["cpu_s"] = time.process_time() - started
        except (ValueError, RuntimeError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def main() -> None:
    import soundfile  # noqa: F401  loaded before the first order, not in it

    import harmonia_mastering.mp3  # noqa: F401  the same

    sys.stdout.buffer.write(b"{}\n")
    sys.stdout.buffer.flush()
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    main()
