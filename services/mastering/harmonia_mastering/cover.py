"""A square picture for a song: its loudness as hills before a sky whose colours come from genre and seed.

The same song has the same picture, byte for byte. No letters: no font draws every title.
"""

import colorsys
import hashlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 1024
_HILLS = 7

Colour = tuple[float, float, float]


def cover_png(samples: NDArray[np.float32], *, title: str, genre: str, seed: int) -> bytes:
    """A 1024 × 1024 PNG. samples: float32 [channels, n], any rate: their envelope shapes the hills."""
    rng = np.random.default_rng(_number(f"{title}\0{genre}\0{seed}"))
    # Songs of a genre are relatives: near in hue, not the same.
    hue = (_number(genre) % 360) / 360 + rng.uniform(-0.06, 0.06)
    drift = rng.choice([-1, 1]) * rng.uniform(0.08, 0.22)
    picture = _sky(hue, drift)
    _sun(picture, rng, hue + 0.5)
    profile = _profile(samples)
    for hill in range(_HILLS):
        _hill(picture, profile, rng, depth=hill / (_HILLS - 1), hue=hue + drift * hill / _HILLS)
    return _png(picture)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", errors="replace")).digest()[:8], "big")


def _sky(hue: float, drift: float) -> Image.Image:
    top, bottom = np.array(_colour(hue, 0.55, 0.22)), np.array(_colour(hue + drift, 0.45, 0.92))
    share = np.linspace(0, 1, SIDE)[:, None] ** 1.3
    rows = (top * (1 - share) + bottom * share) * 255
    return Image.fromarray(np.repeat(rows[:, None, :], SIDE, axis=1).astype(np.uint8), "RGB")


def _sun(picture: Image.Image, rng: np.random.Generator, hue: float) -> None:
    x, y, radius = SIDE * rng.uniform(0.25, 0.75), SIDE * rng.uniform(0.22, 0.38), SIDE * rng.uniform(0.09, 0.15)
    colour = _rgb(_colour(hue, 0.18, 0.98))
    ImageDraw.Draw(picture).ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def _hill(
    picture: Image.Image, profile: NDArray[np.float64], rng: np.random.Generator, *, depth: float, hue: float
) -> None:
    """depth: 0 far and pale, 1 near and dark."""
    crest = np.roll(profile, rng.integers(profile.size)) * (0.10 + 0.16 * depth) * rng.uniform(0.7, 1.1)
    height = SIDE * (0.50 + 0.42 * depth - crest)
    edge = list(zip(np.linspace(0, SIDE, profile.size), height, strict=True))
    colour = _rgb(_colour(hue, 0.35 + 0.35 * depth, 0.80 - 0.68 * depth))
    ImageDraw.Draw(picture).polygon([(0, SIDE), *edge, (SIDE, SIDE)], fill=colour)


def _profile(samples: NDArray[np.float32], points: int = 256) -> NDArray[np.float64]:
    """How loud the song is on its way, 0 to 1, smoothed; closed to a ring, so hills can be shifted."""
    if samples.shape[1] < points:
        return np.zeros(points)
    parts = np.array_split(samples[0, ::16].astype(np.float64), points)
    level = np.sqrt([np.mean(part**2) for part in parts])
    smooth = np.convolve(np.tile(level / max(level.max(), 1e-9), 3), np.hanning(11) / np.hanning(11).sum(), "same")
    return np.asarray(smooth[points : 2 * points])


def _colour(hue: float, saturation: float, value: float) -> Colour:
    return colorsys.hsv_to_rgb(hue % 1, saturation, value)


def _rgb(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (round(255 * part) for part in colour)
    return red, green, blue


def _png(picture: Image.Image) -> bytes:
    out = BytesIO()
    picture.save(out, "PNG", compress_level=6)
    return out.getvalue()
