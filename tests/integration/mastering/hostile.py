"""Hostile audio files, made by mutation of real ones: the same seed, the same files."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import soundfile

RATE_HZ = 48_000
FORMS = (
    ("wav", "WAV", "PCM_24"), ("float", "WAV", "FLOAT"), ("flac", "FLAC", "PCM_16"), ("mp3", "MP3", None),
    ("ogg", "OGG", "VORBIS"), ("opus", "OGG", "OPUS"), ("aiff", "AIFF", "PCM_16"), ("au", "AU", "PCM_16"),
    ("caf", "CAF", "PCM_16"), ("w64", "W64", "PCM_16"), ("ima", "WAV", "IMA_ADPCM"), ("alac", "CAF", "ALAC_16"),
)  # fmt: skip

Mutate = Callable[[np.random.Generator, bytes], bytes]


@dataclass(frozen=True)
class Hostile:
    name: str
    body: bytes


def hostile_files(count: int, seed: int) -> Iterator[Hostile]:
    """Every form and every mutation in turn, the rest by chance."""
    rng = np.random.default_rng(seed)
    mutations = sorted(MUTATIONS)
    for number in range(count):
        form, container, subtype = FORMS[number % len(FORMS)]
        how = mutations[(number + number // len(FORMS)) % len(mutations)]
        yield Hostile(f"{number:03d}-{how}.{form}", MUTATIONS[how](rng, real(rng, container, subtype)))


def real(rng: np.random.Generator, container: str, subtype: str | None) -> bytes:
    """A second or two of chords and noise, as somebody's program would have written it."""
    rate_hz = int(rng.choice([RATE_HZ, 44_100 if subtype != "OPUS" else RATE_HZ]))
    channels = int(rng.choice([1, 2]))
    time = np.arange(int(rng.uniform(0.5, 2) * rate_hz)) / rate_hz
    tones = sum(np.sin(2 * np.pi * hz * time) for hz in rng.uniform(80, 4000, 4))
    samples = 0.15 * tones[:, None] + 0.05 * rng.standard_normal((time.size, channels))
    out = BytesIO()
    soundfile.write(out, np.clip(samples, -1, 1).astype(np.float32), rate_hz, format=container, subtype=subtype)
    return out.getvalue()


def cut(rng: np.random.Generator, body: bytes) -> bytes:
    return body[: int(rng.integers(0, len(body)))]


def cut_early(rng: np.random.Generator, body: bytes) -> bytes:
    return body[: int(rng.integers(0, 200))]


def flipped(rng: np.random.Generator, body: bytes) -> bytes:
    data = np.frombuffer(body, dtype=np.uint8).copy()
    places = rng.integers(0, data.size, max(1, data.size // 200))
    data[places] ^= rng.integers(1, 256, places.size).astype(np.uint8)
    return data.tobytes()


def flipped_head(rng: np.random.Generator, body: bytes) -> bytes:
    """The first 100 bytes are where sizes, counts and rates stand."""
    data = bytearray(body)
    for place in rng.integers(4, min(100, len(data)), 6):
        data[place] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
    return bytes(data)


def huge_numbers(rng: np.random.Generator, body: bytes) -> bytes:
    """A 32-bit field of the head says four billion, or less than nothing."""
    data, place = bytearray(body), int(rng.integers(4, min(80, len(body) - 4)))
    struct.pack_into("<I", data, place, int(rng.choice([0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0])))
    return bytes(data)


def shuffled(rng: np.random.Generator, body: bytes) -> bytes:
    parts = [body[start : start + 997] for start in range(0, len(body), 997)]
    return b"".join([parts[0], *(parts[1 + int(n)] for n in rng.permutation(len(parts) - 1))])


def repeated(rng: np.random.Generator, body: bytes) -> bytes:
    start = int(rng.integers(0, len(body) // 2))
    return body[: start + 500] + body[start : start + 500] * int(rng.integers(2, 400)) + body[start:]


def another_head(rng: np.random.Generator, body: bytes) -> bytes:
    heads = (b"RIFF\xff\xff\xff\xffWAVE", b"fLaC\0\0\0\x22", b"OggS\0\x02", b"ID3\x04\0\0\x7f\x7f\x7f\x7f", b"FORM")
    head = heads[int(rng.integers(len(heads)))]
    return head + body[len(head) :]


def not_finite(rng: np.random.Generator, body: bytes) -> bytes:
    """NaN, infinities and the largest floats all over the second half."""
    data, half = bytearray(body), len(body) // 2
    for place in range(half, len(data) - 4, int(rng.integers(8, 64))):
        struct.pack_into("<f", data, place, float(rng.choice([np.nan, np.inf, -np.inf, 3e38])))
    return bytes(data)


def many_channels(rng: np.random.Generator, body: bytes) -> bytes:
    """A true WAVE file of up to 200 channels, in place of what was given."""
    out = BytesIO()
    soundfile.write(out, rng.uniform(-1, 1, (500, int(rng.integers(3, 200)))), RATE_HZ, format="WAV")
    return out.getvalue()


def odd_rate(rng: np.random.Generator, body: bytes) -> bytes:
    out = BytesIO()
    rate_hz = int(rng.choice([1, 999, 7_999, 8_001, 11_127, 352_800, 384_001, 2_000_000]))
    soundfile.write(out, rng.uniform(-1, 1, (4_000, 2)), rate_hz, format="WAV")
    return out.getvalue()


def hours_of_silence(rng: np.random.Generator, body: bytes) -> bytes:
    """A small file that says it is long: FLAC packs 21 minutes of nothing into 200 kB."""
    out = BytesIO()
    soundfile.write(out, np.zeros(8_000 * 60 * 21, dtype=np.int16), 8_000, format="FLAC")
    return out.getvalue()


def silence(rng: np.random.Generator, body: bytes) -> bytes:
    out = BytesIO()
    soundfile.write(out, np.zeros((int(rng.integers(0, 30_000)), 2)), RATE_HZ, format="WAV")
    return out.getvalue()


def text_after(rng: np.random.Generator, body: bytes) -> bytes:
    return body + rng.bytes(int(rng.integers(1, 60_000)))


def noise(rng: np.random.Generator, body: bytes) -> bytes:
    return body[:12] + rng.bytes(len(body))


MUTATIONS: dict[str, Mutate] = {
    one.__name__.replace("_", "-"): one
    for one in (
        cut, cut_early, flipped, flipped_head, huge_numbers, shuffled, repeated, another_head, not_finite,
        many_channels, odd_rate, hours_of_silence, silence, text_after, noise,
    )
}  # fmt: skip
