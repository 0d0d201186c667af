"""The encoders, in a process of their own: one that crashes costs one file, not the service.

`python -m harmonia_mastering.encode` reads a line of JSON for each order from stdin, writes the file it names, and
answers with a line on stdout; it ends when stdin does. Samples come as .npy files (float32 [channels, n]), so nothing
large goes through the pipes. The same samples and tags give the same bytes.
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from harmonia_mastering.tags import Tags, id3, riff_chunk, with_vorbis_comment

_FULL_SCALE_24 = 1 << 23


class Format(StrEnum):
    WAV = "wav"
    FLAC = "flac"
    MP3 = "mp3"


MEDIA_TYPES = {Format.WAV: "audio/wav", Format.FLAC: "audio/flac", Format.MP3: "audio/mpeg"}


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
        return cls(
            samples=Path(given["samples"]),
            rate_hz=given["rate_hz"],
            format=Format(given["format"]),
            tags=Tags(**given["tags"]),
            to=Path(given["to"]),
        )


def fill(order: Order) -> None:
    samples = np.load(order.samples)
    order.to.write_bytes(_ENCODERS[order.format](samples, order.rate_hz, order.tags))


def wav(samples: NDArray[np.float32], rate_hz: int, tags: Tags) -> bytes:
    """24-bit PCM with an ID3 chunk; LIST INFO has no place for tempo, key and words, and hides the ID3 from ffmpeg."""
    pcm = _pcm24(samples)
    packed = np.ascontiguousarray(pcm.view(np.uint8).reshape(-1, 4)[:, :3]).tobytes()
    channels = samples.shape[0]
    layout = [1, channels, rate_hz, rate_hz * channels * 3, channels * 3, 24]
    form = b"".join(value.to_bytes(size, "little") for value, size in zip(layout, (2, 2, 4, 4, 2, 2), strict=True))
    body = b"WAVE" + riff_chunk("fmt ", form) + riff_chunk("data", packed) + _id3_chunk(tags)
    return riff_chunk("RIFF", body)


def _id3_chunk(tags: Tags) -> bytes:
    tag = id3(tags)
    return riff_chunk("id3 ", tag) if tag else b""


def flac(samples: NDArray[np.float32], rate_hz: int, tags: Tags) -> bytes:
    """24-bit, with Vorbis comments."""
    import soundfile

    out = BytesIO()
    # The highest 24 bits of 32: libsndfile would round float samples on its own.
    soundfile.write(out, _pcm24(samples) << 8, rate_hz, format="FLAC", subtype="PCM_24")
    return with_vorbis_comment(out.getvalue(), tags)


def mp3(samples: NDArray[np.float32], rate_hz: int, tags: Tags) -> bytes:
    """320 kbit/s, with an ID3v2.4 tag; at 48 kHz when MP3 does not know the rate."""
    from harmonia_mastering.mp3 import RATES_HZ, encode_mp3

    if rate_hz not in RATES_HZ:
        import soxr

        samples = np.ascontiguousarray(soxr.resample(samples.T, rate_hz, 48_000).T)
        rate_hz = 48_000
    return id3(tags) + encode_mp3(samples, rate_hz)


_ENCODERS = {Format.WAV: wav, Format.FLAC: flac, Format.MP3: mp3}


def _pcm24(samples: NDArray[np.float32]) -> NDArray[np.int32]:
    """Interleaved int32 [n, channels] of 24 bits. No dither: at -144 dBFS the music brings its own."""
    steps = np.rint(samples.T.astype(np.float64) * _FULL_SCALE_24)
    return np.ascontiguousarray(np.clip(steps, -_FULL_SCALE_24, _FULL_SCALE_24 - 1), dtype=np.int32)


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
