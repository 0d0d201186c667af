"""The minimum requirements of EBU Tech 3341 and Tech 3342, as signals made here and readings of our meter.

Cases 7 and 8 of Tech 3341, and 5 and 6 of Tech 3342, are recordings of programmes that are the EBU's: not here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harmonia_mastering import loudness
from harmonia_mastering.true_peak import Samples, true_peak

RATES_HZ = (44_100, 48_000, 88_200, 96_000)


@dataclass(frozen=True)
class Case:
    """measured: the worst of the case's readings. low and high: what is allowed."""

    number: str
    what: str
    expected: str
    low: float
    high: float
    measured: float

    @property
    def met(self) -> bool:
        return self.low <= self.measured <= self.high


def table(rate_hz: int) -> Iterator[Case]:
    yield from _steady(rate_hz)
    yield from _gated(rate_hz)
    yield from _windows(rate_hz)
    yield from _true_peaks(rate_hz)
    yield from _ranges(rate_hz)


def tone(parts: Sequence[tuple[float, float | None]], rate_hz: int, *, channels: int = 2) -> Samples:
    """A 1 kHz sine in seconds at dBFS, phase going on through the parts; None is silence."""
    levels = [np.full(round(seconds * rate_hz), 0.0 if db is None else 10 ** (db / 20)) for seconds, db in parts]
    level = np.concatenate(levels)
    sine = level * np.sin(2 * np.pi * 1000 * np.arange(level.size) / rate_hz)
    return np.tile(sine.astype(np.float32), (channels, 1))


def _case(number: str, what: str, expected: float, measured: Sequence[float | None], tolerance: float) -> Case:
    readings = [float("nan") if one is None else one for one in measured]
    worst = max(readings, key=lambda one: abs(one - expected))
    return Case(number, what, f"{expected:g} ±{tolerance:g}", expected - tolerance, expected + tolerance, worst)


def _steady(rate_hz: int) -> Iterator[Case]:
    for number, level in (("1", -23), ("2", -33)):
        read = loudness.measure(tone([(20, level)], rate_hz), rate_hz)
        readings = [read.max_momentary_lufs, read.max_short_term_lufs, read.integrated_lufs]
        yield _case(number, "M, S and I of a steady tone", level, readings, 0.1)


def _gated(rate_hz: int) -> Iterator[Case]:
    for number, parts in (
        ("3", [(10, -36), (60, -23), (10, -36)]),
        ("4", [(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)]),
        ("5", [(20, -26), (20.1, -20), (20, -26)]),
    ):
        yield _case(number, "I behind the gates", -23, [loudness.integrated(tone(parts, rate_hz), rate_hz)], 0.1)
    levels = [-28, -28, -24, -30, -30]
    surround = np.concatenate([tone([(20, level)], rate_hz, channels=1) for level in levels])
    yield _case("6", "I of 5.0 channels", -23, [loudness.integrated(surround, rate_hz)], 0.1)


def _windows(rate_hz: int) -> Iterator[Case]:
    short_term = loudness.short_term_lufs(tone([(1.34, -20), (1.66, -30)] * 5, rate_hz), rate_hz)
    yield _case("9", "S stands still over a pattern of 3 s", -23, list(short_term), 0.1)
    shifted = [_max_s([(i * 0.15, None), (3, -23), (1, None)], rate_hz) for i in range(20)]
    yield _case("10", "max S, 3 s beginning anywhere", -23, shifted, 0.1)
    steps = [_max_s([(3, -38 + i)], rate_hz) - i for i in range(20)]
    yield _case("11", "max S of 3 s at -38 to -19, less the step", -38, steps, 0.1)
    momentary = loudness.momentary_lufs(tone([(0.18, -20), (0.22, -30)] * 25, rate_hz), rate_hz)[60:]
    yield _case("12", "M stands still over a pattern of 0.4 s", -23, list(momentary), 0.1)
    shifted = [_max_m([(i * 0.02, None), (0.4, -23), (1, None)], rate_hz) for i in range(20)]
    yield _case("13", "max M, 400 ms beginning anywhere", -23, shifted, 0.1)
    steps = [_max_m([(0.4, -38 + i)], rate_hz) - i for i in range(20)]
    yield _case("14", "max M of 400 ms at -38 to -19, less the step", -38, steps, 0.1)


def _max_s(parts: Sequence[tuple[float, float | None]], rate_hz: int) -> float:
    found = loudness.measure(tone(parts, rate_hz), rate_hz).max_short_term_lufs
    return float("nan") if found is None else found


def _max_m(parts: Sequence[tuple[float, float | None]], rate_hz: int) -> float:
    found = loudness.measure(tone(parts, rate_hz), rate_hz).max_momentary_lufs
    return float("nan") if found is None else found


def _true_peaks(rate_hz: int) -> Iterator[Case]:
    for number, divisor, amplitude, degrees, expected in (
        ("15", 4, 0.50, 0.0, -6.0), ("16", 4, 0.50, 45.0, -6.0), ("17", 6, 0.50, 60.0, -6.0),
        ("18", 8, 0.50, 67.5, -6.0), ("19", 4, 1.41, 45.0, 3.0),
    ):  # fmt: skip
        n = np.arange(rate_hz)
        # Faded in and out, as the EBU's own files are: a hard edge is no sine any more.
        fade = np.clip(np.minimum(n, n[::-1]) / (0.01 * rate_hz), 0, 1)
        sine = fade * amplitude * np.sin(2 * np.pi * n / divisor + np.radians(degrees))
        yield _peak_case(number, f"fs/{divisor} at {amplitude:.2f} FS, {degrees:g}°", expected, sine)
    for offset in range(4):
        yield _peak_case(f"{20 + offset}", f"one louder period, decimated from {offset}", 0.0, _single_period(offset))


def _single_period(offset: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    """At 4 fs: fs/6 at 0.50, with one period of fs/4 at 1.00 in the middle."""
    quiet = 0.5 * np.sin(2 * np.pi * np.arange(24 * 200) / 24)
    loud = np.sin(2 * np.pi * np.arange(16) / 16)
    decimated = np.concatenate([quiet, loud, quiet])[offset::4]
    fade = np.clip(np.minimum(np.arange(decimated.size), np.arange(decimated.size)[::-1]) / 200, 0, 1)
    return np.asarray(decimated * fade)


def _peak_case(number: str, what: str, expected: float, sine: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Case:
    peak = loudness.decibels(true_peak(np.ascontiguousarray(np.tile(sine, (2, 1)), dtype=np.float32)))
    assert peak is not None
    return Case(number, what, f"{expected:+.1f} +0.2/-0.4", expected - 0.4, expected + 0.2, peak)


def _ranges(rate_hz: int) -> Iterator[Case]:
    for number, (levels, expected) in enumerate(
        [([-20, -30], 10), ([-20, -15], 5), ([-40, -20], 20), ([-50, -35, -20, -35, -50], 15)], start=1
    ):
        read = loudness.measure(tone([(20, level) for level in levels], rate_hz), rate_hz)
        yield _case(f"3342-{number}", f"LRA of {', '.join(map(str, levels))} dBFS", expected, [read.range_lu], 1.0)


def exact_true_peak(samples: Samples, *, around: int = 8192, factor: int = 16) -> float:
    """By interpolating the spectrum around the largest samples: slow, and free of any filter's choices."""
    taper = np.clip(4 * np.minimum(np.arange(2 * around) + 1, 2 * around - np.arange(2 * around)) / (2 * around), 0, 1)
    highest = 0.0
    for channel in samples:
        padded = np.pad(channel.astype(np.float64), around)
        for place in np.unique(np.argsort(-np.abs(channel))[:2000] // around):
            stretch = padded[place * around + around // 2 :][: 2 * around]
            stretch = np.pad(stretch, (0, 2 * around - stretch.size)) * taper
            spectrum = np.zeros(factor * around + 1, dtype=np.complex128)
            spectrum[: around + 1] = np.fft.rfft(stretch)
            fine = np.fft.irfft(spectrum) * factor
            highest = max(highest, float(np.abs(fine[fine.size // 4 : -fine.size // 4]).max()))
    return highest
