"""The mix as it is made: stretch by stretch, each stem from its recipe alone, heard before the song is done."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from harmonia_composer.engine import Brief, Kind, Order, Stem, Take, Unheard
from harmonia_composer.engines.arranger import channel, effects, render
from harmonia_composer.engines.arranger import mix as mixing
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.arranger.mix import mix
from harmonia_composer.engines.arranger.score import Part, Score
from harmonia_composer.engines.arranger.synth.sounds import SOUNDS

RATE = 48_000
Samples = NDArray[np.float64]
BRIEF = Brief(genre="lo-fi hip-hop", bpm=90, key="A minor", duration_seconds=24.0)


class Heard(Unheard):
    """Keeps previews, and has stems of earlier songs."""

    def __init__(self, stems: Sequence[Stem] = ()) -> None:
        self.stretches: list[tuple[float, float, bytes]] = []
        self.asked: list[str] = []
        self._stems = {stem.recipe: stem.path for stem in stems}

    def preview(self, path: Path, start_seconds: float, duration_seconds: float) -> None:
        sound, rate = soundfile.read(path, dtype="int32")
        assert rate == RATE
        self.stretches.append((start_seconds, duration_seconds, sound.tobytes()))

    def reusable(self, recipe: str) -> Path | None:
        self.asked.append(recipe)
        return self._stems.get(recipe)


def made(score: Score, folder: Path, listener: Unheard | None = None) -> tuple[Path, dict[str, Stem]]:
    return mix(score, folder, stems=True, version="test", listener=listener or Unheard())


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(path: Path) -> Samples:
    return np.asarray(soundfile.read(path)[0], dtype=np.float64)


def recast(score: Score, role: str, instrument: str) -> Score:
    parts = (replace(part, instrument=instrument) if part.role == role else part for part in score.parts)
    return replace(score, parts=tuple(parts))


@pytest.fixture(scope="module")
def score() -> Score:
    return arrange(BRIEF, 5)


@pytest.fixture(scope="module")
def song(score: Score, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Stem], Heard]:
    heard = Heard()
    return (*made(score, tmp_path_factory.mktemp("song"), heard), heard)


def test_previews_one_after_the_other_are_the_premaster(song: tuple[Path, dict[str, Stem], Heard]) -> None:
    premaster, _, heard = song
    starts = [start for start, _, _ in heard.stretches]
    ends = [start + length for start, length, _ in heard.stretches]

    assert starts[0] == 0.0
    assert starts[1:] == pytest.approx(ends[:-1])
    assert ends[-1] == pytest.approx(24.0)
    assert ends[0] <= mixing.FIRST_S + 60 / 90 * 4
    assert b"".join(sound for *_, sound in heard.stretches) == soundfile.read(premaster, dtype="int32")[0].tobytes()


def test_another_instrument_changes_one_stem_and_its_recipe(
    song: tuple[Path, dict[str, Stem], Heard], score: Score, tmp_path: Path
) -> None:
    _, stems, _ = song
    _, others = made(recast(score, "chords", "vibraphone"), tmp_path)
    same = {role for role in stems if digest(stems[role].path) == digest(others[role].path)}

    assert same == set(stems) - {"chords"}
    assert {role for role in stems if stems[role].recipe == others[role].recipe} == same


def test_stems_of_an_earlier_song_are_taken_as_they_are(
    song: tuple[Path, dict[str, Stem], Heard], score: Score, tmp_path: Path
) -> None:
    premaster, stems, _ = song
    kept = Heard([stem for role, stem in stems.items() if role != "bass"])
    again, others = made(score, tmp_path, kept)

    assert set(kept.asked) == {stem.recipe for stem in stems.values()}
    assert {role: digest(stem.path) for role, stem in others.items()} == {
        role: digest(stem.path) for role, stem in stems.items()
    }
    assert digest(again) == digest(premaster)


def test_a_stem_of_the_wrong_length_is_made_anew(
    song: tuple[Path, dict[str, Stem], Heard], score: Score, tmp_path: Path
) -> None:
    _, stems, _ = song
    short = tmp_path / "short.flac"
    soundfile.write(short, np.zeros((100, 2)), RATE, subtype="PCM_24")
    _, others = made(score, tmp_path, Heard([Stem(short, stems["bass"].recipe)]))

    assert digest(others["bass"].path) == digest(stems["bass"].path)


@pytest.mark.parametrize("role", ["drums", "chords", "texture"])
def test_blocks_of_any_length_give_the_same_bits(score: Score, role: str) -> None:
    part = next(one for one in score.parts if one.role == role)
    whole = dry(part, score, 24 * RATE)

    assert dry(part, score, 33_334).tobytes() == whole.tobytes()
    assert dry(part, score, 7 * RATE).tobytes() == whole.tobytes()


def dry(part: Part, score: Score, size: int) -> NDArray[np.float32]:
    playing = render.performance(part, score, SOUNDS.get(part.instrument), render.everything(part))
    edges = [*range(0, 24 * RATE, size), 24 * RATE]
    blocks = [
        playing.block(start, end - start, Unheard().check) for start, end in pairwise(edges)
    ]  # fmt: skip
    return np.concatenate(blocks)


def test_the_low_end_is_the_same_left_and_right(song: tuple[Path, dict[str, Stem], Heard]) -> None:
    samples = read(song[0])
    low = np.abs(np.fft.rfft(samples, axis=0))[: 60 * 24]
    left, right = np.fft.rfft(samples[:, 0])[: 60 * 24], np.fft.rfft(samples[:, 1])[: 60 * 24]
    side = np.abs(left - right) / 2

    assert 10 * np.log10((side**2).sum() / (low**2).sum()) < -20


@pytest.mark.parametrize("room_s", [0.8, 2.5])
def test_a_room_falls_by_60_db_in_its_time(room_s: float) -> None:
    sound = np.zeros((4 * RATE, 2), dtype=np.float32)
    sound[0] = 1.0
    lengths, kept = effects.room_gains(room_s)
    lines = np.zeros((14, effects.PAST + 2 * RATE), dtype=np.float32)
    effects.room(sound, lines, lengths, kept, np.zeros(4), 1.0, 0.0)
    part = sound[int(0.1 * RATE) : int((0.1 + 0.6 * room_s) * RATE)].astype(np.float64)
    cells = 10 * np.log10((part[: len(part) // 2400 * 2400].reshape(-1, 4800) ** 2).mean(axis=1))
    fall_db_s = np.polyfit(np.arange(cells.size) * 0.05, cells, 1)[0]

    assert -60 / fall_db_s == pytest.approx(room_s, rel=0.15)


def test_a_pad_gives_way_to_the_kick_without_a_step() -> None:
    tone = np.full((RATE, 2), 0.1, dtype=np.float32)
    flat = np.array([[0.0, 1.0], [1e9, 1.0], [1e9 + 1, 1.0]])
    none, kicks = np.zeros(0, dtype=np.int64), np.array([RATE // 2], dtype=np.int64)
    effects.strip(tone, 0, np.zeros(7), 0.0, 0.0, 1.0, flat, kicks, 10 ** (-6 / 20), none, 1.0)

    assert 20 * np.log10(tone.min() / 0.1) == pytest.approx(-6.0, abs=1.0)
    assert np.abs(np.diff(tone[:, 0])).max() < 0.001
    assert tone[-1, 0] > 0.098


def looped(folder: Path, brief: Brief) -> Take:
    (take,) = Arranger().compose(Order(brief, 7), folder=folder, listener=Unheard())
    return take


@pytest.mark.parametrize("bars", [1, 4])
def test_a_loop_meets_its_own_beginning(bars: int, tmp_path: Path) -> None:
    """What rings at its end is heard at its start, and the seam is no bigger a step than others."""
    take = looped(tmp_path, Brief(genre="lo-fi hip-hop", bpm=97, key="A minor", kind=Kind.LOOP, bars=bars))
    samples = read(take.premaster)
    steps = np.abs(np.diff(samples, axis=0)).max(axis=1)
    seam = np.abs(samples[0] - samples[-1]).max()

    assert samples.shape[0] == round(bars * 4 * 60 / 97 * RATE)
    assert seam <= np.quantile(steps, 0.999)
    for stem in take.stems.values():
        assert np.abs(read(stem.path)).max() > 0.003
    assert np.abs(sum(read(stem.path) for stem in take.stems.values()) - samples).max() <= 10 ** (-90 / 20)


def test_a_loop_starts_with_what_its_end_left_ringing(tmp_path: Path) -> None:
    score = arrange(Brief(genre="folk", bpm=100, key="C major", kind=Kind.LOOP, bars=1), 3)
    part = next(one for one in score.parts if one.style not in {"drums", "texture"})
    last = max(part.notes, key=lambda note: note.start)
    alone = replace(score, parts=(replace(part, notes=(last,)),))
    _, stems = made(alone, tmp_path)

    assert np.abs(read(stems[part.role].path)[:480]).max() > 1e-4


def test_stretches_fill_the_song_at_bar_lines_and_the_first_is_short() -> None:
    for seconds in (5.0, 61.7, 600.0):
        score = arrange(replace(BRIEF, duration_seconds=seconds), 5)
        found = mixing.stretches(score)
        bar = 4 * 60 / 90 * RATE

        assert found[0][0] == 0
        assert found[-1][1] == round(seconds * RATE)
        assert all(end == start for (_, end), (start, _) in pairwise(found))
        assert all(start % 2 == 0 for start, _ in found)
        assert all(abs(start / bar - round(start / bar)) < 1e-3 for start, _ in found)
        assert found[0][1] <= (mixing.FIRST_S + 4 * 60 / 90) * RATE
        assert max(end - start for start, end in found) <= (mixing.LONGEST_S + 8) * RATE


def test_ceilings_of_a_whole_band_stay_under_full_scale(score: Score) -> None:
    drums = next(part for part in score.parts if part.style == "drums")
    crowd = tuple(replace(drums, role=f"drums-{number}") for number in range(9))
    for band in (score, replace(score, parts=score.parts + crowd)):
        assert sum(channel.ceiling(part, band) for part in band.parts) <= 0.9501
