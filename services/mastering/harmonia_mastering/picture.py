"""A recording to look at: spectrogram, loudness over time, the parts that were heard. A PNG of 1600 × 900.

The same recording has the same picture, byte for byte.
"""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from harmonia_mastering.loudness import HOPS_PER_SECOND, Loudness, momentary_lufs, short_term_lufs
from harmonia_mastering.sections import Section
from harmonia_mastering.true_peak import Samples

WIDTH, HEIGHT = 1600, 900
_LEFT, _RIGHT = 80, 1580
_SPECTRUM = (50, 560)
_LOUDNESS = (610, 850)
_LOWEST_HZ = 30.0
_FLOOR_DB = -90.0
_LUFS = (-50.0, 0.0)
_WINDOW = 4096
_INK, _FAINT, _PAPER = (40, 40, 48), (205, 205, 212), (252, 252, 250)
_MOMENTARY, _SHORT_TERM, _INTEGRATED = (170, 190, 215), (36, 90, 170), (200, 60, 40)
# From silence to full scale: dark blue, violet, red, orange, pale yellow.
_HEAT = ((0.0, (8, 8, 30)), (0.3, (70, 20, 110)), (0.55, (180, 50, 90)), (0.8, (245, 140, 40)), (1.0, (255, 250, 200)))


def picture_png(samples: Samples, rate_hz: int, loudness: Loudness, found: Sequence[Section]) -> bytes:
    """samples: float32 [channels, n]."""
    canvas = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw, length_s = ImageDraw.Draw(canvas), samples.shape[1] / rate_hz
    top_hz = min(20_000.0, rate_hz / 2)
    if samples.shape[1]:
        canvas.paste(_spectrogram(samples, rate_hz, top_hz), (_LEFT, _SPECTRUM[0]))
    _frequency_axis(draw, top_hz)
    _loudness_axis(draw)
    _time_axis(draw, length_s)
    _curve(draw, momentary_lufs(samples, rate_hz), length_s, _MOMENTARY, 0.4)
    _curve(draw, short_term_lufs(samples, rate_hz), length_s, _SHORT_TERM, 3.0)
    _legend(draw, loudness)
    for section in found:
        _section(draw, section, length_s)
    out = BytesIO()
    canvas.save(out, "PNG", compress_level=6)
    return out.getvalue()


def _spectrogram(samples: Samples, rate_hz: int, top_hz: float) -> Image.Image:
    """A column for each pixel, the loudest of up to four moments in it; rows by the logarithm of frequency."""
    width, height = _RIGHT - _LEFT, _SPECTRUM[1] - _SPECTRUM[0]
    mono = np.pad(samples.mean(axis=0, dtype=np.float32), (_WINDOW // 2, _WINDOW))
    window = np.hanning(_WINDOW).astype(np.float32) * np.float32(4 / _WINDOW)
    rows_hz = np.geomspace(top_hz, _LOWEST_HZ, height)
    bins = np.clip(np.rint(rows_hz * _WINDOW / rate_hz).astype(int), 1, _WINDOW // 2)
    levels = np.empty((height, width), dtype=np.float32)
    per_column = samples.shape[1] / width
    moments = max(1, min(4, round(per_column / _WINDOW)))
    for column in range(width):
        starts = ((column + (np.arange(moments) + 0.5) / moments) * per_column).astype(int)
        spectra = np.abs(np.fft.rfft(mono[starts[:, None] + np.arange(_WINDOW)] * window, axis=1)).max(axis=0)
        levels[:, column] = spectra[bins]
    share = np.clip(1 - 20 * np.log10(np.maximum(levels, 1e-9)) / _FLOOR_DB, 0, 1)
    at = [place for place, _ in _HEAT]
    heat = [np.interp(share, at, [colour[channel] for _, colour in _HEAT]) for channel in range(3)]
    return Image.fromarray(np.stack(heat, axis=-1).astype(np.uint8), "RGB")


def _frequency_axis(draw: ImageDraw.ImageDraw, top_hz: float) -> None:
    for hz in (50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000):
        if hz <= top_hz:
            share = np.log(top_hz / hz) / np.log(top_hz / _LOWEST_HZ)
            y = _SPECTRUM[0] + share * (_SPECTRUM[1] - _SPECTRUM[0])
            draw.line([(_LEFT - 6, y), (_LEFT, y)], fill=_INK)
            _text(draw, (_LEFT - 10, y), f"{hz // 1000} k" if hz >= 1000 else f"{hz}", anchor="rm")
    _text(draw, (_LEFT - 10, _SPECTRUM[0] - 22), "Hz", anchor="rm")


def _loudness_axis(draw: ImageDraw.ImageDraw) -> None:
    for lufs in range(-50, 1, 10):
        y = _lufs_y(float(lufs))
        draw.line([(_LEFT, y), (_RIGHT, y)], fill=_FAINT)
        _text(draw, (_LEFT - 10, y), f"{lufs}", anchor="rm")
    _text(draw, (_LEFT - 10, _LOUDNESS[0] - 20), "LUFS", anchor="rm")


def _time_axis(draw: ImageDraw.ImageDraw, length_s: float) -> None:
    step = next((one for one in (1, 2, 5, 10, 15, 30, 60, 120, 300) if length_s / one <= 14), 600)
    for second in range(0, int(length_s) + 1, step):
        x = _x(second, length_s)
        draw.line([(x, _LOUDNESS[1]), (x, _LOUDNESS[1] + 6)], fill=_INK)
        _text(draw, (x, _LOUDNESS[1] + 18), f"{second // 60}:{second % 60:02d}", anchor="mm")


def _curve(
    draw: ImageDraw.ImageDraw, lufs: NDArray[np.float64], length_s: float, colour: tuple[int, int, int], window_s: float
) -> None:
    """The loudest reading in each pixel, at the end of its window."""
    if lufs.size < 2:
        return
    seconds = window_s + np.arange(lufs.size) / HOPS_PER_SECOND
    columns = np.rint(_LEFT + (_RIGHT - _LEFT) * np.minimum(seconds / length_s, 1)).astype(int)
    starts = np.flatnonzero(np.diff(columns, prepend=-1))
    heights = [_lufs_y(float(value)) for value in np.maximum.reduceat(lufs, starts)]
    draw.line(list(zip(columns[starts].tolist(), heights, strict=True)), fill=colour, width=2)


def _legend(draw: ImageDraw.ImageDraw, loudness: Loudness) -> None:
    named = [("momentary", _MOMENTARY), ("short-term", _SHORT_TERM)]
    if loudness.integrated_lufs is not None:
        y = _lufs_y(loudness.integrated_lufs)
        draw.line([(_LEFT, y), (_RIGHT, y)], fill=_INTEGRATED, width=2)
        named.append((f"integrated {loudness.integrated_lufs:.1f} LUFS", _INTEGRATED))
    if loudness.range_lu is not None:
        named.append((f"range {loudness.range_lu:.1f} LU", _INK))
    if loudness.true_peak_dbtp is not None:
        named.append((f"true peak {loudness.true_peak_dbtp:.1f} dBTP", _INK))
    x = float(_LEFT)
    for words, colour in named:
        _text(draw, (x, _LOUDNESS[0] - 20), words, fill=colour, anchor="lm")
        x += draw.textlength(words, font=_font()) + 28


def _section(draw: ImageDraw.ImageDraw, section: Section, length_s: float) -> None:
    x = _x(section.start_s, length_s)
    if section.start_s > 0:
        draw.line([(x, _SPECTRUM[0] - 24), (x, _SPECTRUM[1])], fill=_FAINT)
    _text(draw, (x + 6, _SPECTRUM[0] - 16), section.label, anchor="lm")


def _x(second: float, length_s: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * min(1.0, second / max(length_s, 1e-9))


def _lufs_y(lufs: float) -> float:
    low, high = _LUFS
    share = (min(max(lufs, low), high) - low) / (high - low)
    return _LOUDNESS[1] - share * (_LOUDNESS[1] - _LOUDNESS[0])


def _text(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    words: str,
    *,
    anchor: str,
    fill: tuple[int, int, int] = _INK,
) -> None:
    draw.text(at, words, fill=fill, font=_font(), anchor=anchor)


def _font() -> "ImageFont.FreeTypeFont | ImageFont.ImageFont":
    return ImageFont.load_default(16)
