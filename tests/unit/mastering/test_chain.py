"""Tone, glue, stereo checks, status and previews: against closed forms, and libebur128 where loudness is the matter."""

import numpy as np
import pyebur128
import pytest

from harmonia_mastering.glue import glue
from harmonia_mastering.loudness import hop_energies, momentary_lufs
from harmonia_mastering.master import PRESETS, Preset, Status, Target, master
from harmonia_mastering.preview import preview
from harmonia_mastering.stereo import Stereo, stereo
from harmonia_mastering.tone import octave_slope_db, tone
from harmonia_mastering.true_peak import Samples

RATE_HZ = 48_000


def sloped_noise(db_per_octave: float, *, seconds: float = 8.0, seed: int = 0) -> Samples:
    """Stereo noise whose octave bands fall or rise by so much."""
    rng = np.random.default_rng(seed)
    hz = np.fft.rfftfreq(round(seconds * RATE_HZ), 1 / RATE_HZ)
    # A density of 1/f has level octave bands.
    shape = np.maximum(hz, 20.0) ** ((db_per_octave / 3.0103 - 1) / 2)
    sides = [np.fft.irfft(shape * np.exp(2j * np.pi * rng.random(hz.size)), 2 * (hz.size - 1)) for _ in range(2)]
    return np.ascontiguousarray(np.array(sides) / np.max(np.abs(sides)) * 0.3, dtype=np.float32)


def drums(level_db: float = 0.0, *, seconds: float = 8.0) -> Samples:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    beat = (2 * time) % 1
    hit = 0.5 * np.sin(2 * np.pi * 180 * time) * np.exp(-beat * 14) + 0.03 * np.sin(2 * np.pi * 500 * time)
    return np.ascontiguousarray(np.tile(hit * 10 ** (level_db / 20), (2, 1)), dtype=np.float32)


def outside(samples: Samples) -> float:
    state = pyebur128.R128State(2, RATE_HZ, pyebur128.MeasurementMode.MODE_I)
    state.add_frames(samples.T.ravel(), samples.shape[1])
    return float(pyebur128.get_loudness_global(state))


@pytest.mark.parametrize("slope", [-6.0, -2.0, 0.0, 3.0])
def test_slope_of_a_spectrum_is_what_it_was_made_with(slope: float) -> None:
    assert octave_slope_db(sloped_noise(slope), RATE_HZ) == pytest.approx(slope, abs=0.1)


@pytest.mark.parametrize(("slope", "direction"), [(-6.0, 1), (3.0, -1)])
def test_tone_tilts_what_is_dull_up_and_what_is_bright_down_by_at_most_3_db(slope: float, direction: int) -> None:
    dull = sloped_noise(slope)
    toned = tone(dull, RATE_HZ, intensity=1.0)
    gained = np.abs(np.fft.rfft(toned.samples[0])) / np.abs(np.fft.rfft(dull[0]))
    hz = np.fft.rfftfreq(dull.shape[1], 1 / RATE_HZ)
    low, middle, high = (20 * np.log10(gained[np.argmin(abs(hz - at))]) for at in (100, 1000, 10_000))

    assert toned.tilt_db == 3.0 * direction
    assert high - low == pytest.approx(2.6 * direction, abs=0.4)
    assert middle == pytest.approx(0, abs=0.2)


def test_tone_leaves_alone_what_is_like_released_music_and_what_nobody_asked_for() -> None:
    assert tone(sloped_noise(-2.0), RATE_HZ, intensity=1.0).tilt_db == 0
    assert (tone(sloped_noise(-6.0), RATE_HZ, intensity=0.0).samples == sloped_noise(-6.0)).all()
    assert tone(np.zeros((2, RATE_HZ), dtype=np.float32), RATE_HZ, intensity=1.0).tilt_db == 0


def test_glue_draws_in_what_stands_out_and_says_how_much() -> None:
    hits = drums()
    glued = glue(hits, hop_energies(hits, RATE_HZ), RATE_HZ, intensity=1.0)
    fell_db = 20 * np.log10(np.max(np.abs(hits)) / np.max(np.abs(glued.samples)))

    assert 2 < glued.reduction_db < 8
    assert 0.5 < fell_db <= glued.reduction_db + 0.01
    assert glue(hits, hop_energies(hits, RATE_HZ), RATE_HZ, intensity=0.0).samples is hits


def test_glue_leaves_a_chorus_as_much_above_its_verse_as_it_was() -> None:
    song = np.concatenate([drums(-6.0), drums()], axis=1)
    glued = glue(song, hop_energies(song, RATE_HZ), RATE_HZ, intensity=1.0).samples

    before, after = (np.median(momentary_lufs(one, RATE_HZ)[[*range(900, 1450)]]) -
                     np.median(momentary_lufs(one, RATE_HZ)[[*range(50, 650)]]) for one in (song, glued))  # fmt: skip
    assert before == pytest.approx(6, abs=0.2)
    assert after == pytest.approx(before, abs=0.5)


@pytest.mark.parametrize("intensity", [0.0, 0.5, 1.0])
def test_master_of_any_intensity_meets_the_target(intensity: float) -> None:
    mastered = master(drums(), RATE_HZ, Target(-14.0, -1.0, intensity))

    assert outside(mastered.samples) == pytest.approx(-14, abs=0.05)
    assert (mastered.glue_reduction_db > 0) == (intensity > 0)


def test_a_master_that_only_a_hard_working_limiter_reaches_is_limited() -> None:
    clicks = np.zeros((2, 8 * RATE_HZ), dtype=np.float32)
    clicks[:, ::4_800] = 1.0
    quiet = sloped_noise(-2.0) * np.float32(0.2)

    assert master(sloped_noise(-2.0), RATE_HZ, PRESETS[Preset.BROADCAST]).status is Status.CLEAN
    limited = master(quiet + drums(), RATE_HZ, Target(-8.0, -9.0))
    assert limited.status is Status.LIMITED
    assert limited.limiter_reduction_db > 6
    assert master(clicks, RATE_HZ, Target(-8.0, -9.0)).status is Status.LIMITED
    assert master(clicks[:, :480], RATE_HZ, PRESETS[Preset.STREAMING]).status is Status.UNMEASURABLE


def test_stereo_readings_are_those_of_the_textbook() -> None:
    time = np.arange(RATE_HZ) / RATE_HZ
    sine, cosine = (f(2 * np.pi * 1000 * time).astype(np.float32) for f in (np.sin, np.cos))

    assert stereo(np.array([sine, sine])) == Stereo(1.0, 0.0, 0.0)
    assert stereo(np.array([sine, -sine])) == Stereo(-1.0, 0.0, 60.0)
    uncorrelated = stereo(np.array([sine, cosine]))
    assert uncorrelated
    assert uncorrelated.correlation == pytest.approx(0, abs=0.001)
    assert uncorrelated.mono_loss_lu == pytest.approx(3.01, abs=0.01)
    louder = stereo(np.array([sine, 2 * sine]))
    assert louder
    assert louder.balance_db == pytest.approx(6.02, abs=0.01)
    assert stereo(sine[None]) is None
    assert stereo(np.zeros((2, 480), dtype=np.float32)) is None


def test_stereo_warns_of_sides_out_of_phase_and_of_one_that_is_louder() -> None:
    assert "out of phase" in Stereo(-0.5, 0.0, 6.0).warnings()[0]
    assert "left side is 4.0 dB louder" in Stereo(0.5, -4.0, 1.0).warnings()[0]
    assert Stereo(0.3, 1.0, 1.9).warnings() == []


def test_before_and_after_are_equally_loud_and_of_the_same_place() -> None:
    song = np.concatenate([drums(-12.0, seconds=20), drums(seconds=40)], axis=1)
    mastered = master(song, RATE_HZ, PRESETS[Preset.LOUD]).samples
    shown = preview(song, mastered, RATE_HZ)

    assert shown.before.shape == shown.after.shape == (2, 30 * RATE_HZ)
    assert shown.start_s >= 20
    assert outside(shown.before) == pytest.approx(outside(shown.after), abs=0.1)
    assert np.abs(shown.before).max() <= 1.0


@pytest.mark.parametrize("seconds", [0.0, 0.005, 1.0])
def test_a_preview_of_next_to_nothing_is_as_long(seconds: float) -> None:
    scrap = drums(seconds=seconds)

    assert preview(scrap, scrap, RATE_HZ).before.shape == scrap.shape
