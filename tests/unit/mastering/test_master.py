"""The limiter never overshoots, the master is as loud as asked: measured by libebur128, not by our own meter."""

import numpy as np
import pyebur128
import pytest

from harmonia_chassis.errors import InvalidInput
from harmonia_mastering import limiter
from harmonia_mastering.master import PRESETS, Preset, Target, lower_peaks, master
from harmonia_mastering.true_peak import Samples, peak_envelope, true_peak

RATE_HZ = 48_000


def music(seconds: float = 12.0, *, seed: int = 0, rate_hz: int = RATE_HZ) -> Samples:
    """A drum on every beat over chords: crest factor of a mix, stereo, about -20 LUFS."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    beat = (time * 2) % 1
    kick = 0.5 * np.sin(2 * np.pi * 50 * beat / 2 + 6 * np.exp(-beat * 40)) * np.exp(-beat * 12)
    noise = np.convolve(rng.standard_normal(time.size), [0.25, 0.5, 0.25], "same")
    snare = 0.4 * noise * np.exp(-((time * 2 + 1) % 2) * 15)
    sides = [
        0.05 * sum(np.sin(2 * np.pi * hz * time + phase) for hz in (220, 277.2, 329.6, 440)) for phase in (0.0, 1.0)
    ]
    return np.ascontiguousarray([kick + snare + side for side in sides], dtype=np.float32)


def hostile() -> dict[str, Samples]:
    rng = np.random.default_rng(7)
    n = np.arange(2 * RATE_HZ)
    clicks = np.zeros((2, n.size), dtype=np.float32)
    clicks[:, rng.integers(0, n.size, 200)] = rng.choice([-1.0, 1.0], 200)
    alternating = np.where(n % 2, 1.0, -1.0) * np.repeat(rng.choice([0, 1], n.size // 480), 480)
    signals = {
        "white noise": rng.uniform(-1, 1, (2, n.size)),
        "quarter rate at 45 degrees": np.tile(1.4 * np.sin(np.pi / 2 * n + np.pi / 4), (2, 1)),
        "clicks": clicks,
        "square wave": np.tile(np.sign(np.sin(2 * np.pi * 997 * n / RATE_HZ)), (2, 1)),
        "bursts at half the rate": np.tile(alternating, (2, 1)),
        "one side only": np.stack([rng.uniform(-1, 1, n.size), np.zeros(n.size)]),
        "sudden loud": np.tile(np.where(n < n.size // 2, 0.001, 1.0) * np.sin(2 * np.pi * 3000 * n / RATE_HZ), (2, 1)),
        "mono": rng.uniform(-1, 1, (1, n.size)),
    }
    return {name: np.ascontiguousarray(signal, dtype=np.float32) for name, signal in signals.items()}


def outside(samples: Samples, rate_hz: int = RATE_HZ) -> tuple[float, float]:
    """LUFS and dBTP as libebur128 reads them."""
    mode = pyebur128.MeasurementMode
    state = pyebur128.R128State(samples.shape[0], rate_hz, mode.MODE_I | mode.MODE_TRUE_PEAK)
    state.add_frames(samples.T.ravel(), samples.shape[1])
    peak = max(pyebur128.get_true_peak(state, channel) for channel in range(samples.shape[0]))
    return pyebur128.get_loudness_global(state), 20 * np.log10(peak)


@pytest.mark.parametrize("name", hostile())
@pytest.mark.parametrize("gain_db", [0, 6, 20])
def test_limiter_keeps_every_hostile_signal_under_the_ceiling(name: str, gain_db: float) -> None:
    ceiling = 10 ** (-1 / 20)
    limited = lower_peaks(hostile()[name] * np.float32(10 ** (gain_db / 20)), RATE_HZ, ceiling_dbtp=-1.0)

    assert np.abs(limited).max() <= ceiling
    assert true_peak(limited) <= ceiling
    # libebur128 interpolates with an eighth of our taps, and overshoots on noise up to half the rate.
    assert outside(limited)[1] <= -0.95 + (0.3 if "noise" in name or name in {"mono", "one side only"} else 0)


def test_limiter_leaves_alone_what_is_under_the_ceiling() -> None:
    signal = music()
    curve = limiter.gain_curve(peak_envelope(signal), RATE_HZ, gain=0.5, ceiling=0.9)

    assert (curve == 0.5).all()


def test_limiter_is_down_before_the_peak_and_lets_go_after_it() -> None:
    signal = np.zeros((1, RATE_HZ), dtype=np.float32)
    signal[0, 24_000] = 1.0
    curve = limiter.gain_curve(peak_envelope(signal), RATE_HZ, gain=1.0, ceiling=0.5)

    assert curve[24_000] == pytest.approx(0.5, abs=1e-6)
    assert (curve[: 24_000 - 80] == 1.0).all()
    # One-pole release of 60 ms: 63 % of the way back after one time constant.
    assert curve[24_000 + 2_880 + 72] == pytest.approx(1 - 0.5 * np.exp(-1), abs=0.02)


def test_envelope_holds_the_peaks_between_samples() -> None:
    n = np.arange(4_800)
    signal = np.sin(np.pi / 2 * n + np.pi / 4)[None].astype(np.float32)

    assert peak_envelope(signal)[1_000:2_000] == pytest.approx(np.ones(1_000), abs=0.005)


@pytest.mark.parametrize("preset", [Preset.STREAMING, Preset.PODCAST, Preset.BROADCAST, Preset.LOUD])
@pytest.mark.parametrize("rate_hz", [48_000, 44_100])
def test_master_meets_the_target_at_the_ceiling(preset: Preset, rate_hz: int) -> None:
    target = PRESETS[preset]
    mastered = master(music(rate_hz=rate_hz), rate_hz, target)
    lufs, dbtp = outside(mastered.samples, rate_hz)

    assert mastered.reached
    assert mastered.loudness.integrated_lufs == pytest.approx(target.loudness_lufs, abs=0.02)
    assert lufs == pytest.approx(target.loudness_lufs, abs=0.05)
    assert dbtp <= target.ceiling_dbtp + 0.05


def test_master_reports_how_deep_the_limiter_went() -> None:
    loud = master(music(), RATE_HZ, PRESETS[Preset.LOUD])
    quiet = master(music(), RATE_HZ, PRESETS[Preset.BROADCAST])

    assert loud.gain_reduction_db > 3
    assert quiet.gain_reduction_db == 0


def test_preset_none_only_keeps_the_ceiling() -> None:
    under = music() * np.float32(0.5)
    over = under * np.float32(8)

    assert (master(under, RATE_HZ, PRESETS[Preset.NONE]).samples == under).all()
    assert outside(master(over, RATE_HZ, PRESETS[Preset.NONE]).samples)[1] <= -0.95


def test_master_of_nothing_to_hear_is_itself() -> None:
    target = PRESETS[Preset.STREAMING]
    for signal in (
        np.zeros((2, 2 * RATE_HZ), dtype=np.float32),
        music(0.005),
        np.zeros((2, 0), dtype=np.float32),
    ):
        mastered = master(signal, RATE_HZ, target)

        assert (mastered.samples == signal).all()
        assert not mastered.reached


def test_master_of_direct_current_stays_under_the_ceiling() -> None:
    mastered = master(np.full((2, 2 * RATE_HZ), 0.25, dtype=np.float32), RATE_HZ, PRESETS[Preset.STREAMING])

    assert np.isfinite(mastered.samples).all()
    assert outside(mastered.samples)[1] <= -0.95


def test_master_of_mono_stays_mono() -> None:
    mastered = master(np.ascontiguousarray(music()[:1]), RATE_HZ, PRESETS[Preset.STREAMING])

    assert mastered.samples.shape[0] == 1
    assert outside(mastered.samples)[0] == pytest.approx(-14, abs=0.05)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_refused(poison: float) -> None:
    signal = music(1)
    signal[0, 77] = poison

    with pytest.raises(InvalidInput, match="not finite"):
        master(signal, RATE_HZ, PRESETS[Preset.STREAMING])


def test_a_target_out_of_reach_is_said_so_and_still_under_the_ceiling() -> None:
    signal = np.zeros((2, 4 * RATE_HZ), dtype=np.float32)
    signal[:, ::24_000] = 1.0
    mastered = master(signal, RATE_HZ, Target(-8, -9))

    assert not mastered.reached
    assert outside(mastered.samples)[1] <= -8.95


@pytest.mark.parametrize(("lufs", "dbtp", "word"), [(-31, -1, "-31 LUFS"), (-7, -1, "-7 LUFS"), (-14, 0.5, "0.5 dBTP")])
def test_targets_out_of_range_are_refused(lufs: float, dbtp: float, word: str) -> None:
    with pytest.raises(InvalidInput, match=word):
        Target(lufs, dbtp)


def test_a_check_that_raises_stops_the_work() -> None:
    class StopWorkError(Exception):
        pass

    def stop() -> None:
        raise StopWorkError

    with pytest.raises(StopWorkError):
        master(music(1), RATE_HZ, PRESETS[Preset.STREAMING], check=stop)
