"""The meter against EBU Tech 3341 and 3342, libebur128 and BS.1770-4's own table."""

from collections.abc import Sequence

import numpy as np
import pyebur128
import pytest

from harmonia_chassis.errors import InvalidInput
from harmonia_mastering import loudness
from harmonia_mastering.true_peak import Samples, true_peak

RATES = [48_000, 44_100, 96_000]


def tone(parts: Sequence[tuple[float, float | None]], rate_hz: int, *, channels: int = 2) -> Samples:
    """A 1 kHz sine in seconds at dBFS, phase going on through the parts; None is silence."""
    levels = [np.full(round(seconds * rate_hz), 0.0 if db is None else 10 ** (db / 20)) for seconds, db in parts]
    level = np.concatenate(levels)
    sine = level * np.sin(2 * np.pi * 1000 * np.arange(level.size) / rate_hz)
    return np.tile(sine.astype(np.float32), (channels, 1))


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("level", [-23, -33])
def test_ebu_1_and_2_a_steady_tone_reads_the_same_on_all_three_scales(rate_hz: int, level: int) -> None:
    reading = loudness.measure(tone([(20, level)], rate_hz), rate_hz)

    assert reading.max_momentary_lufs == pytest.approx(level, abs=0.1)
    assert reading.max_short_term_lufs == pytest.approx(level, abs=0.1)
    assert reading.integrated_lufs == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([(10, -36), (60, -23), (10, -36)], id="3"),
        pytest.param([(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)], id="4"),
        pytest.param([(20, -26), (20.1, -20), (20, -26)], id="5"),
    ],
)
def test_ebu_3_to_5_gates_leave_the_foreground(rate_hz: int, parts: list[tuple[float, float]]) -> None:
    assert loudness.integrated(tone(parts, rate_hz), rate_hz) == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("rate_hz", RATES)
def test_ebu_6_surround_channels_weigh_more(rate_hz: int) -> None:
    levels = [-28, -28, -24, -30, -30]
    surround = np.concatenate([tone([(20, level)], rate_hz, channels=1) for level in levels])

    assert loudness.integrated(surround, rate_hz) == pytest.approx(-23, abs=0.1)


@pytest.mark.parametrize("rate_hz", RATES)
def test_ebu_9_short_term_stands_still_over_a_repeating_pattern(rate_hz: int) -> None:
    short_term = loudness.short_term_lufs(tone([(1.34, -20), (1.66, -30)] * 5, rate_hz), rate_hz)

    assert short_term == pytest.approx(np.full(short_term.size, -23), abs=0.1)


@pytest.mark.parametrize("rate_hz", RATES)
def test_ebu_12_momentary_stands_still_over_a_repeating_pattern(rate_hz: int) -> None:
    momentary = loudness.momentary_lufs(tone([(0.18, -20), (0.22, -30)] * 25, rate_hz), rate_hz)
    after_1_s = momentary[60:]

    assert after_1_s == pytest.approx(np.full(after_1_s.size, -23), abs=0.1)


@pytest.mark.parametrize("i", range(20))
def test_ebu_10_and_11_a_burst_of_3_s_is_caught_wherever_it_begins(i: int) -> None:
    shifted = loudness.measure(tone([(i * 0.15, None), (3, -23), (1, None)], 48_000), 48_000)
    stepped = loudness.measure(tone([(3, -38 + i)], 48_000), 48_000)

    assert shifted.max_short_term_lufs == pytest.approx(-23, abs=0.1)
    assert stepped.max_short_term_lufs == pytest.approx(-38 + i, abs=0.1)


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("i", range(20))
def test_ebu_13_and_14_a_burst_of_400_ms_is_caught_wherever_it_begins(i: int, rate_hz: int) -> None:
    shifted = loudness.measure(tone([(i * 0.02, None), (0.4, -23), (1, None)], rate_hz), rate_hz)
    stepped = loudness.measure(tone([(0.4, -38 + i)], rate_hz), rate_hz)

    assert shifted.max_momentary_lufs == pytest.approx(-23, abs=0.1)
    assert stepped.max_momentary_lufs == pytest.approx(-38 + i, abs=0.1)


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize(
    ("divisor", "amplitude", "degrees", "expected"),
    [
        pytest.param(4, 0.50, 0, -6, id="15"),
        pytest.param(4, 0.50, 45, -6, id="16"),
        pytest.param(6, 0.50, 60, -6, id="17"),
        pytest.param(8, 0.50, 67.5, -6, id="18"),
        pytest.param(4, 1.41, 45, 3, id="19"),
    ],
)
def test_ebu_15_to_19_peaks_between_samples_are_seen(
    rate_hz: int, divisor: int, amplitude: float, degrees: float, expected: float
) -> None:
    n = np.arange(rate_hz)
    # Faded in and out, as the EBU's own files are: a hard edge is no sine any more.
    fade = np.clip(np.minimum(n, n[::-1]) / (0.01 * rate_hz), 0, 1)
    sine = (fade * amplitude * np.sin(2 * np.pi * n / divisor + np.radians(degrees))).astype(np.float32)
    peak = loudness.decibels(true_peak(np.tile(sine, (2, 1))))

    assert peak is not None
    assert expected - 0.4 <= peak <= expected + 0.2


@pytest.mark.parametrize("offset", range(4))
def test_ebu_20_to_23_a_single_period_between_samples_is_seen(offset: int) -> None:
    # At 4 fs: fs/6 at 0.50, with one period of fs/4 at 1.00 in the middle.
    quiet = 0.5 * np.sin(2 * np.pi * np.arange(24 * 200) / 24)
    loud = np.sin(2 * np.pi * np.arange(16) / 16)
    signal = np.concatenate([quiet, loud, quiet]).astype(np.float32)[offset::4]
    fade = np.clip(np.minimum(np.arange(signal.size), np.arange(signal.size)[::-1]) / 200, 0, 1)
    peak = loudness.decibels(true_peak(np.ascontiguousarray((signal * fade)[None], dtype=np.float32)))

    assert peak is not None
    assert -0.4 <= peak <= 0.2


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize(
    ("levels", "expected"),
    [([-20, -30], 10), ([-20, -15], 5), ([-40, -20], 20), ([-50, -35, -20, -35, -50], 15)],
)
def test_ebu_3342_range_of_steps(rate_hz: int, levels: list[float], expected: float) -> None:
    reading = loudness.measure(tone([(20, level) for level in levels], rate_hz), rate_hz)

    assert reading.range_lu == pytest.approx(expected, abs=1)


def test_k_weighting_at_48_khz_is_the_table_of_bs_1770() -> None:
    shelf, high_pass = loudness.k_weighting(48_000)

    assert shelf == pytest.approx(
        [1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585], abs=1e-8
    )
    assert high_pass == pytest.approx([1, -2, 1, -1.99004745483398, 0.99007225036621], abs=1e-8)


@pytest.mark.parametrize(
    ("seed", "rate_hz"), [(0, 48_000), (1, 48_000), (2, 48_000), (3, 44_100), (4, 88_200), (5, 96_000)]
)
def test_readings_agree_with_libebur128(seed: int, rate_hz: int) -> None:
    programme = invented_programme(seed, rate_hz)
    reading = loudness.measure(programme, rate_hz)

    mode = pyebur128.MeasurementMode
    other = pyebur128.R128State(2, rate_hz, mode.MODE_I | mode.MODE_LRA | mode.MODE_TRUE_PEAK)
    other.add_frames(programme.T.ravel(), programme.shape[1])
    assert reading.integrated_lufs == pytest.approx(pyebur128.get_loudness_global(other), abs=0.02)
    assert reading.range_lu == pytest.approx(pyebur128.get_loudness_range(other), abs=0.2)
    peaks = [loudness.decibels(pyebur128.get_true_peak(other, channel)) or 0.0 for channel in (0, 1)]
    assert reading.true_peak_dbtp == pytest.approx(max(peaks), abs=0.1)


def invented_programme(seed: int, rate_hz: int, seconds: float = 60.0) -> Samples:
    """Chords, drums and a slow swell: stereo, with the dynamics of a song.

    Long enough for the range: libebur128 looks once a second, we ten times (Tech 3342 v3 asks for it).
    """
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    swell = 10 ** (-0.5 + 0.3 * np.sin(2 * np.pi * time / rng.uniform(8, 15)))
    left, right = (
        sum(
            rng.uniform(0.05, 0.2) * np.sin(2 * np.pi * hz * time + rng.uniform(0, 6))
            for hz in rng.uniform(60, 6000, 6)
        )
        + np.convolve(rng.standard_normal(time.size), [0.25, 0.5, 0.25], "same") * np.exp(-((time * 2.1) % 1) * 12)
        for _ in range(2)
    )
    return np.ascontiguousarray(np.stack([left, right]) * swell, dtype=np.float32)


def test_silence_and_what_is_too_short_have_no_loudness() -> None:
    silent = loudness.measure(np.zeros((2, 96_000), dtype=np.float32), 48_000)
    short = loudness.measure(tone([(0.005, -6)], 48_000), 48_000)
    empty = loudness.measure(np.zeros((1, 0), dtype=np.float32), 48_000)

    assert silent == empty == loudness.Loudness(None, None, None, None, None)
    assert (short.integrated_lufs, short.range_lu, short.max_momentary_lufs) == (None, None, None)
    assert short.true_peak_dbtp == pytest.approx(-6, abs=0.1)


def test_direct_current_is_loud_only_where_it_begins() -> None:
    reading = loudness.measure(np.full((2, 480_000), 0.5, dtype=np.float32), 48_000)
    short_term = loudness.short_term_lufs(np.full((2, 480_000), 0.5, dtype=np.float32), 48_000)

    # The hard edges at both ends overshoot between samples (Gibbs): a little over 1 dB.
    assert reading.true_peak_dbtp == pytest.approx(-6.02 + 1.1, abs=0.2)
    assert (short_term[100:] < -70).all()


def test_mono_reads_3_lu_less_than_the_same_on_two_channels() -> None:
    mono = loudness.integrated(tone([(5, -20)], 48_000, channels=1), 48_000)
    stereo = loudness.integrated(tone([(5, -20)], 48_000), 48_000)

    assert mono is not None
    assert stereo is not None
    assert stereo - mono == pytest.approx(3.01, abs=0.01)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 32_000, 37_800, 192_000])
def test_odd_rates_read_the_same_tone_the_same(rate_hz: int) -> None:
    assert loudness.integrated(tone([(5, -23)], rate_hz), rate_hz) == pytest.approx(-23, abs=0.25)


@pytest.mark.parametrize(("channels", "rate_hz", "word"), [(7, 48_000, "7 channels"), (2, 4_000, "4000 Hz")])
def test_layouts_the_standard_does_not_know_are_refused(channels: int, rate_hz: int, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        loudness.measure(np.zeros((channels, 48_000), dtype=np.float32), rate_hz)
