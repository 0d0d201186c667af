"""What the guide voice is like: in tune (V3), in time (V4), how loud, and what it costs (V6).

Songs of the first prompts of the page of lyrics, composed in this process with and without the voice, in turns. Costs
are processor seconds, those of the synthesiser's processes included.
"""

import os
import tempfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
from numpy.typing import NDArray

from bench.table import Row
from harmonia_composer import wire as composer_wire
from harmonia_composer.engine import Brief, Order, Take, Unheard
from harmonia_composer.engines.arranger import effects
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.dice import take_seed
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.arranger.score import Score
from harmonia_composer.voice import world
from harmonia_composer.voice.guide import seated
from harmonia_composer.voice.speech import Flite, installed
from harmonia_composer.voice.syllables import nuclei
from harmonia_lyricist import wire
from harmonia_lyricist.brief import Asked, Palette, Words
from harmonia_lyricist.write import load, write
from tests.singing import RATE, Written, cents_off, sung_at, thirds

SONGS = ("pop", "folk", "metal", "techno", "jazz", "waltz")
SECONDS = 60.0
SEED = 1


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one song. `cents`: each note's; `late_s`: each vowel's; `under_lu`: the voice under the band."""

    genre: str
    cents: tuple[float, ...]
    late_s: tuple[float, ...]
    under_lu: float
    cpu_s: float


async def rows() -> list[Row]:
    if (flite := installed()) is None or world.library() is None:
        return [Row("guide voice", "not measured: Flite or pyworld is not installed", "")]
    return table(figures(flite))


def table(found: list[Figures]) -> list[Row]:
    cents = np.abs([one for song in found for one in song.cents])
    late = np.abs([one for song in found for one in song.late_s])
    pitched = cents[~np.isnan(cents)]
    under = [song.under_lu for song in found]
    cost = [song.cpu_s / SECONDS for song in found]
    return [
        Row("V3 error of a note, median", f"{np.median(pitched):.1f} cents, {len(cents)} notes", "≤ 10 cents"),
        Row("V3 error of a note, 95 %", f"{np.percentile(pitched, 95):.1f} cents", "≤ 25 cents"),
        Row("V3 octave errors", f"{100 * np.mean(pitched > 600):.1f} %", "≤ 1 %"),
        Row("notes in which no pitch is found", f"{np.isnan(cents).sum()}", ""),
        Row("V4 vowels that begin within 30 ms of their note", f"{100 * np.mean(late <= 0.03):.1f} %", "≥ 90 %"),
        Row("V4 vowels, 90 % begin within", f"{1000 * np.percentile(late, 90):.0f} ms", ""),
        Row("V6 real-time factor, of the song", f"{median(cost):.3f} ({min(cost):.3f}–{max(cost):.3f})", "≤ 0.15"),
        Row("under the band while it sings", f"{median(under):.1f} LU ({min(under):.1f}–{max(under):.1f})", "2.5 LU"),
    ]


def figures(flite: Flite) -> list[Figures]:
    engine = Arranger()
    engine.warm_up()
    return [one(genre, engine, flite) for genre in SONGS]


def one(genre: str, engine: Arranger, flite: Flite) -> Figures:
    brief = brief_of(genre)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plain_s, _ = composed(engine, brief, folder / "plain", vocals=False)
        sung_s, take = composed(engine, brief, folder / "sung", vocals=True)
        score = seated(arrange(brief, take_seed(SEED, 1)), brief, lambda *_: np.ones(1))
        stereo = soundfile.read(take.stems["vocals"].path)[0]
        mixed = soundfile.read(take.premaster)[0]
        voice = thirds(stereo.mean(axis=1))
        notes = [
            Written(score.seconds(note.start), score.seconds(note.start + note.length), note.pitch)
            for note in score.parts[-1].notes
        ]
        late = lateness(score, notes, voice, flite, folder)
        return Figures(
            genre, tuple(cents_off(voice, notes)), tuple(late), under(stereo, mixed - stereo), sung_s - plain_s
        )


def brief_of(genre: str) -> Brief:
    asked = Asked(seed=SEED, genre=genre, words=Words.WRITE, duration_seconds=SECONDS)
    message = wire.brief_to_proto(write("a song about the sea and leaving home", asked, Palette(), tables=load()).brief)
    return composer_wire.brief_from_proto(message, message.lyrics)


def composed(engine: Arranger, brief: Brief, folder: Path, *, vocals: bool) -> tuple[float, Take]:
    before = os.times()
    take = engine.compose(Order(brief, SEED, vocals=vocals), folder=folder, listener=Unheard())[0]
    after = os.times()
    return sum(after[:4]) - sum(before[:4]), take


def lateness(score: Score, notes: list[Written], voice: NDArray[np.float64], flite: Flite, folder: Path) -> list[float]:
    """Seconds from each note to its vowel; lines whose words are spoken in other syllables are left out."""
    found: list[float] = []
    for line, numbers in groupby(range(len(notes)), key=lambda number: score.syllables[number].line):
        own = [notes[number] for number in numbers]
        speech = flite.speak(score.lines[line].text, folder)
        vowels = [nucleus.start_s for nucleus in nuclei(speech.phones)]
        if len(vowels) != len(own):
            continue
        start_s = max(0.0, own[0].start_s - 0.4)
        song = voice[round(start_s * RATE) : round((own[-1].end_s + 0.3) * RATE)]
        at = sung_at(speech.samples, song, vowels)
        found += [start_s + time - note.start_s for time, note in zip(at, own, strict=True)]
    return found


def under(voice: NDArray[np.float64], band: NDArray[np.float64]) -> float:
    own, others = powers(voice), powers(band)
    singing = own > 0.1 * own[own > 0].mean()
    return float(10 * np.log10(others[singing].mean() / own[singing].mean()))


def powers(sound: NDArray[np.float64]) -> NDArray[np.float64]:
    """K-weighted, over 400 ms, every 100."""
    sums = np.zeros(-(-len(sound) // 4800))
    effects.weighed(sound.astype(np.float32), np.zeros(8), sums)
    return np.convolve(sums, np.ones(4) / 4, "same")
