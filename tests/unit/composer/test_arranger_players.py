"""What musicians do that a machine has to be told: bows that swell, tuned timpani, questions and answers, hands."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from harmonia_composer.engine import Brief, Unheard
from harmonia_composer.engines.arranger import render
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.channel import BLOCK, Channel, Pulse
from harmonia_composer.engines.arranger.metre import STEP
from harmonia_composer.engines.arranger.score import Note, Part, Score
from harmonia_composer.engines.arranger.synth.drums import KITS, tuned_to
from harmonia_composer.engines.arranger.synth.sounds import SOUNDS
from harmonia_composer.engines.arranger.synth.voice import Played
from tests import figures

RATE = 48_000
Samples = NDArray[np.float64]


def part_of(score: Score, role: str) -> Part:
    return next(part for part in score.parts if part.role == role)


def levels_db(name: str, held_s: float) -> Samples:
    """Of a held C4, in steps of 0.2 s, the mean of eight players."""
    power = np.zeros(round(held_s / 0.2))
    for seed in range(8):
        out = np.zeros((round((held_s + 2) * RATE), 2), dtype=np.float32)
        SOUNDS[name].voice.play(out, Played(0, round(held_s * RATE), 261.6, 0.2, 0.2, 0.7, 1.0, seed))
        power += (out.mean(axis=1)[: round(held_s * RATE)].reshape(-1, RATE // 5) ** 2).mean(axis=1)
    return np.asarray(10 * np.log10(power))


@pytest.mark.parametrize("name", ["cello", "strings", "violin"])
def test_a_stroke_of_the_bow_grows_and_falls(name: str) -> None:
    """Under two seconds are one stroke."""
    levels = levels_db(name, 1.8)

    assert levels[3:6].mean() - levels[1] > 1.0
    assert levels[3:6].mean() - levels[-1] > 1.5


def test_an_organ_holds_its_note() -> None:
    levels = levels_db("organ", 1.8)[1:]

    assert levels.max() - levels.min() < 1.0


@pytest.mark.parametrize(("key", "tonic"), [("F# minor", 6), ("C major", 0), ("Bb minor", 10)])
def test_timpani_stand_on_tonic_fourth_or_fifth(key: str, tonic: int) -> None:
    """By the strongest partial that rings: the first of the kettle, within a third of a semitone."""
    score = arrange(Brief(genre="cinematic", key=key), 1)
    for name in ("low tom", "mid tom", "high tom"):
        shot = tuned_to(KITS["orchestral percussion"][name], score.key.tonic).sound(0.8, 1)[: 2 * RATE, 0]
        power = np.abs(np.fft.rfft(shot[RATE // 4 :] * np.hanning(shot.size - RATE // 4), 1 << 19))
        hz = np.fft.rfftfreq(1 << 19, 1 / RATE)
        heard = 69 + 12 * np.log2(hz[np.argmax(power)] / 440)

        assert min(abs((heard - tonic - step + 6) % 12 - 6) for step in (0, 5, 7)) < 0.34, name


def test_only_timpani_follow_the_key() -> None:
    sharp, flat = (tuned_to(KITS["orchestral percussion"]["low tom"], tonic) for tonic in (6, 3))

    assert sharp != flat
    assert tuned_to(KITS["rock drums"]["low tom"], 6) is KITS["rock drums"]["low tom"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_funk_the_keys_answer_the_guitar(seed: int) -> None:
    """In a chorus most of what the keys play falls into half bars in which the guitar plays less than on average."""
    score = arrange(Brief(genre="funk", duration_seconds=60), seed)
    half = score.metre.ticks // 2
    halves = [
        at for one in score.sections if one.character == "chorus" for at in range(one.tick // half, one.end // half)
    ]
    counts = {
        role: [sum(note.tick // half == at for note in part_of(score, role).notes) for at in halves]
        for role in ("chords", "arp")
    }
    guitar, keys = np.array(counts["chords"]), np.array(counts["arp"])

    assert keys[guitar < guitar.mean()].sum() > 0.6 * keys.sum()


def test_in_techno_a_blow_is_thrown_into_an_echo() -> None:
    """Every fourth bar's last chord comes back three sixteenths later and softer, five times."""
    score = arrange(Brief(genre="techno", duration_seconds=60), 1)
    chords = part_of(score, "chords")
    echoes = [
        note
        for note in chords.notes
        if all(
            any(one.pitch == note.pitch and one.tick == note.tick + 3 * STEP * number and one.velocity < note.velocity
                for one in chords.notes)
            for number in (1, 2, 3, 4, 5)
        )
    ]  # fmt: skip

    assert echoes
    assert all(note.tick // score.metre.ticks % 4 == 3 for note in echoes)


def test_in_techno_a_hand_opens_and_closes_the_filter_in_four_bars() -> None:
    score = arrange(Brief(genre="techno", duration_seconds=60, bpm=130), 1)
    arp = part_of(score, "arp")
    section = next(one for one in score.sections if one.character == "chorus")

    open_, closed = (brightness(arp, score, section.tick + bar * score.metre.ticks) for bar in (1, 3))
    assert abs(np.log2(open_ / closed)) > 0.2
    still = replace(arp, mix=replace(arp.mix, hand_octaves=0.0))
    one, other = (brightness(still, score, section.tick + bar * score.metre.ticks) for bar in (1, 3))
    assert abs(np.log2(one / other)) < 0.05


def brightness(part: Part, score: Score, tick: int) -> float:
    """Centroid in hertz of a note struck here."""
    note = Note(tick, STEP, 67, 90)
    alone = replace(part, notes=(note,))
    start = render.frame_at(score, tick)
    sound = render.performance(alone, score, SOUNDS[part.instrument], [0])
    sound.block(0, start, Unheard().check)
    power = np.abs(np.fft.rfft(sound.block(start, RATE // 4, Unheard().check).mean(axis=1))) ** 2
    hz = np.fft.rfftfreq(RATE // 4, 1 / RATE)
    return float((power * hz).sum() / power.sum())


@pytest.mark.parametrize("seed", range(1, 21))
def test_an_ambient_minute_says_its_motif_twice(seed: int) -> None:
    score = arrange(Brief(genre="ambient"), seed)

    assert figures.motif_returns(part_of(score, "lead").notes, score) >= 2


def test_after_a_long_silence_a_part_sounds_as_if_it_had_just_begun() -> None:
    score = arrange(Brief(genre="folk", bpm=100, duration_seconds=60), 1)
    part = part_of(score, "lead")
    blow = np.zeros((2 * BLOCK, 2), dtype=np.float32)
    blow[100] = 0.5
    rested, fresh = blow.copy(), blow.copy()
    channel = Channel(part, score, SOUNDS[part.instrument], Pulse.of(score))
    channel.treat(blow.copy(), 0, Unheard().check)
    channel.treat(np.zeros((40 * BLOCK, 2), dtype=np.float32), 2 * BLOCK, Unheard().check)
    channel.treat(rested, 42 * BLOCK, Unheard().check)
    Channel(part, score, SOUNDS[part.instrument], Pulse.of(score)).treat(fresh, 42 * BLOCK, Unheard().check)

    assert np.abs(rested).max() > 0.01
    assert rested.tobytes() == fresh.tobytes()
