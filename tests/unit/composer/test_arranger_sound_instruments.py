"""Every instrument by itself: in tune, brighter when struck harder, clean, and never twice quite the same."""

import numpy as np
import pytest
from numpy.typing import NDArray

from harmonia_composer.engines.arranger import effects
from harmonia_composer.engines.arranger.instruments import INSTRUMENTS
from harmonia_composer.engines.arranger.percussion import DRUMS
from harmonia_composer.engines.arranger.render import AIRS
from harmonia_composer.engines.arranger.synth.drums import KITS
from harmonia_composer.engines.arranger.synth.kernels import Pluck, Tone
from harmonia_composer.engines.arranger.synth.sound import coefficients
from harmonia_composer.engines.arranger.synth.sounds import SOUNDS
from harmonia_composer.engines.arranger.synth.tables import Waveform, table
from harmonia_composer.engines.arranger.synth.voice import Played, String, Voice, Waves

RATE = 48_000
Samples = NDArray[np.float64]
EVERY_SOUND = pytest.mark.parametrize("name", sorted(SOUNDS))


def hertz(pitch: int) -> float:
    return 440.0 * 2 ** ((pitch - 69) / 12)


def voiced(voice: Voice, pitch: int, *, velocity: int = 90, held_s: float = 1.0, seed: int = 1) -> NDArray[np.float32]:
    out = np.zeros((int((held_s + 0.6) * RATE), 2), dtype=np.float32)
    level = 0.2 * (velocity / 127) ** 1.4
    voice.play(out, Played(0, int(held_s * RATE), hertz(pitch), level, level, velocity / 127, 1.0, seed))
    return out


def played(name: str, pitch: int, **touch: float) -> Samples:
    sound = SOUNDS[name]
    out = voiced(sound.voice, pitch, **touch)  # type: ignore[arg-type]
    for bands in (coefficients(sound.before), None, coefficients(sound.body)):
        if bands is not None:
            effects.equalize(out, bands, np.zeros((len(bands), 4)))
        elif sound.drive:
            effects.amplify(out, np.zeros((2, 7), dtype=np.float32), float(sound.drive))
    return np.asarray(out, dtype=np.float64)


def spectrum(samples: Samples, window: Samples) -> tuple[Samples, Samples]:
    size = 1 << 18
    power = np.abs(np.fft.rfft(samples * window, size)) ** 2
    return np.asarray(power, dtype=np.float64), np.asarray(np.fft.rfftfreq(size, 1 / RATE), dtype=np.float64)


def cents_off(samples: Samples, hz: float) -> float:
    """Of the first partial: the middle of its power, so that vibrato and ensembles count with their mean."""
    part = samples[int(0.08 * RATE) : int(0.98 * RATE)].mean(axis=1)
    power, at = spectrum(part, np.hanning(part.size))
    near = (at > hz * 2 ** (-70 / 1200)) & (at < hz * 2 ** (70 / 1200))
    return float(1200 * np.log2((power[near] * at[near]).sum() / power[near].sum() / hz))


def centroid_hz(samples: Samples) -> float:
    part = samples[: int(0.5 * RATE)].mean(axis=1)
    power, at = spectrum(part, np.hanning(part.size))
    return float((power * at).sum() / power.sum())


@EVERY_SOUND
def test_an_instrument_is_in_tune_over_its_range(name: str) -> None:
    low, high = INSTRUMENTS[name].low, INSTRUMENTS[name].high
    # Players of an ensemble beat against each other: they are in tune over several turns.
    voice = SOUNDS[name].voice
    several = isinstance(voice, Waves) and (voice.tone.voices > 1 or bool(voice.dark.cents))
    for pitch in (low, (low + high) // 2, high):
        turns = range(1, 9) if several else (1,)
        assert abs(np.mean([cents_off(played(name, pitch, seed=seed), hertz(pitch)) for seed in turns])) <= 5.0, pitch


@EVERY_SOUND
def test_a_harder_touch_is_brighter_and_louder(name: str) -> None:
    pitch = (INSTRUMENTS[name].low + INSTRUMENTS[name].high) // 2
    notes = [played(name, pitch, velocity=velocity) for velocity in (40, 80, 120)]
    soft, middle, hard = (centroid_hz(note) for note in notes)
    quiet, loud = np.sqrt((notes[0] ** 2).mean()), np.sqrt((notes[-1] ** 2).mean())

    assert soft < middle < hard
    assert 20 * np.log10(loud / quiet) > 3.0


@EVERY_SOUND
def test_a_note_is_clean_and_the_same_bits_again_but_not_in_another_turn(name: str) -> None:
    pitch = (INSTRUMENTS[name].low + INSTRUMENTS[name].high) // 2
    note = played(name, pitch, velocity=110)

    assert np.isfinite(note).all()
    assert 0.005 < np.abs(note).max() < 1.0
    assert np.abs(note.mean(axis=0)).max() < 0.02 * np.abs(note).max()
    assert note.tobytes() == played(name, pitch, velocity=110).tobytes()


@pytest.mark.parametrize("name", ["acoustic guitar", "flute", "piano", "strings", "trumpet", "violin"])
def test_two_turns_of_a_note_differ(name: str) -> None:
    assert played(name, 64, seed=1).tobytes() != played(name, 64, seed=2).tobytes()


@pytest.mark.parametrize("pitch", [40, 52, 64, 76])
def test_a_string_rings_as_long_as_it_is_told(pitch: int) -> None:
    """By regression on its level: the time to fall by 60 dB."""
    settings = Pluck(ring_s=3.0, sparkle_s=0.5, pitch_power=0.0, tilt=1.0, hardness_hz=800)
    note = voiced(String(settings), pitch, held_s=2.0).mean(axis=1)[RATE // 2 : 3 * RATE // 2]
    cells = 10 * np.log10((note[: note.size // 2400 * 2400].reshape(-1, 2400) ** 2).mean(axis=1))
    fall_db_s = np.polyfit(np.arange(cells.size) * 0.05, cells, 1)[0]

    assert -60 / fall_db_s == pytest.approx(3.0, rel=0.12)


def test_a_piano_note_falls_in_two_slopes_and_its_partials_are_stretched() -> None:
    note = played("piano", 48, held_s=4.0, velocity=80).mean(axis=1)
    cells = 10 * np.log10((note[: 4 * RATE].reshape(-1, 4800) ** 2).mean(axis=1))
    power, at = spectrum(note[:RATE], np.hanning(RATE))
    hz = hertz(48)
    tenth = (at > 10 * hz * 0.99) & (at < 10 * hz * 1.04)
    stretched = at[tenth][np.argmax(power[tenth])] / (10 * hz)

    assert np.polyfit(np.arange(8), cells[1:9], 1)[0] < 1.3 * np.polyfit(np.arange(15), cells[20:35], 1)[0]
    # Fletcher and Rossing: some 10 to 40 cents at the tenth partial of the middle of a piano.
    assert 5 < 1200 * np.log2(stretched) < 50


@pytest.mark.parametrize("pitch", [60, 84, 96])
def test_waves_do_not_fold(pitch: int) -> None:
    """Nothing between the partials of a saw at more than -60 dB of the strongest."""
    steady = Tone(drift_cents=0, sustain=1.0, attack_s=0.001, cutoff_hz=20_000, resonance=0.0)
    note = voiced(Waves(steady, Waveform(), touch=0.0), pitch)[4800 : 4800 + RATE // 2].mean(axis=1)
    power, at = spectrum(note, np.blackman(note.size))
    between = (np.abs(at / hertz(pitch) - np.round(at / hertz(pitch))) * hertz(pitch) > 25) & (at > 30) & (at < 20_000)

    assert 10 * np.log10(power[between].max() / power.max()) < -60


def test_an_amplifier_hardly_folds() -> None:
    time = np.arange(RATE) / RATE
    sine = np.repeat((0.4 * np.sin(2 * np.pi * 2637.0 * time))[:, None], 2, axis=1).astype(np.float32)
    effects.amplify(sine, np.zeros((2, 7), dtype=np.float32), 22.0)
    power, at = spectrum(sine[4800:, 0].astype(np.float64), np.blackman(RATE - 4800))
    between = (np.abs(at / 2637.0 - np.round(at / 2637.0)) * 2637.0 > 40) & (at > 60) & (at < 16_000)

    assert 10 * np.log10(power[between].max() / power.max()) < -45


def test_a_distorted_guitar_ends_where_its_cabinet_does_and_is_played_twice() -> None:
    """A square wave has 18 dB less at 9 kHz than at 1.1 kHz; a guitar speaker lets far less through."""
    note = played("distorted guitar", 45, velocity=100).mean(axis=1)
    power, at = spectrum(note[: RATE // 2], np.hanning(RATE // 2))
    low = power[(at > 500) & (at < 2000)].mean()

    assert 10 * np.log10(power[(at > 8000) & (at < 10_000)].mean() / low) < -35
    assert SOUNDS["distorted guitar"].doubled


def test_tables_are_made_once_and_end_where_they_begin() -> None:
    wave = Waveform(cents=12)

    assert table(wave, 30) is table(wave, 30)
    assert table(wave, 30)[0] == table(wave, 30)[-1]
    assert np.sqrt(np.mean(table(wave, 30)[:-1] ** 2)) == pytest.approx(0.3, abs=1e-4)


@pytest.mark.parametrize("name", sorted(KITS))
def test_a_kit_has_every_drum_of_general_midi(name: str) -> None:
    assert {DRUMS[drum] for drum in KITS[name]} == set(range(35, 82))


@pytest.mark.parametrize("name", sorted(KITS))
def test_drums_are_clean_brighter_when_struck_harder_and_take_turns(name: str) -> None:
    for drum in ("kick", "snare", "hat", "open hat", "crash", "mid tom"):
        soft, hard, again = (KITS[name][drum].sound(*touch)[:, :1] for touch in ((0.3, 1), (0.95, 1), (0.95, 2)))

        assert np.isfinite(hard).all(), drum
        assert 0.02 < np.abs(hard).max() < 3.0, drum
        assert np.abs(hard[-1]).max() < 1e-3, drum
        assert hard.tobytes() != again.tobytes(), drum
        assert centroid_hz(soft.astype(np.float64)) < 1.02 * centroid_hz(hard.astype(np.float64)), drum


def test_what_can_be_asked_for_has_a_sound() -> None:
    drums = {name for name, one in INSTRUMENTS.items() if one.family == "drums"}
    textures = {name for name, one in INSTRUMENTS.items() if one.family == "textures"}

    assert drums == set(KITS)
    assert textures == set(AIRS)
    assert set(INSTRUMENTS) - drums - textures == set(SOUNDS)
