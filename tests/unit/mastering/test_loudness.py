"""The meter against libebur128, BS.1770-4's own table, and what no standard speaks of."""

import numpy as np
import pyebur128
import pytest

from harmonia_chassis.errors import InvalidInput
from harmonia_mastering import loudness
from harmonia_mastering.true_peak import Samples
from tests.ebu import tone


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


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_range_is_that_of_libebur128_where_it_looks_ten_times_a_second(seed: int) -> None:
    """Ten of its meters, each beginning 0.1 s later, and one range over all: the overlap that Tech 3342 asks for."""
    programme = invented_programme(seed, 48_000)
    states = []
    for tenth in range(10):
        states.append(pyebur128.R128State(2, 48_000, pyebur128.MeasurementMode.MODE_LRA))
        later = np.ascontiguousarray(programme[:, tenth * 4800 :].T.ravel())
        states[-1].add_frames(later, later.size // 2)

    range_lu = loudness.range_lu(programme, 48_000)

    assert range_lu == pytest.approx(pyebur128.get_loudness_range_multiple(states), abs=0.001)


def invented_programme(seed: int, rate_hz: int, seconds: float = 60.0) -> Samples:
    """Chords, drums and a slow swell: stereo, with the dynamics of a song.

    Long enough for the range: libebur128 looks once a second, we ten times (Tech 3342, since 2016, asks for it).
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
