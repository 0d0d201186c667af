"""The guide voice: a synthesiser speaks the words, the WORLD vocoder sings them on the notes of the tune.

Robotic, in tune and in time: to show singers how it goes. Without a synthesiser there is none, and a warning says what
to install.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harmonia_composer.engine import Brief, Order, Stem
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.genres.genre import Mix
from harmonia_composer.engines.arranger.instruments import INSTRUMENTS, is_excluded
from harmonia_composer.engines.arranger.metre import STEP
from harmonia_composer.engines.arranger.render import Event, frame_at, frames_of
from harmonia_composer.engines.arranger.score import Note, Part, Score, Syllable
from harmonia_composer.engines.arranger.synth.kernels import RATE, Buffer
from harmonia_composer.voice import resample, world
from harmonia_composer.voice.sing import LONGEST_RUN_UP_S, RELEASE_S, SungNote, Take, sung
from harmonia_composer.voice.speech import Flite, NoSpeech, Speech, installed
from harmonia_composer.voice.syllables import VOWELS, Nucleus, fitted, nuclei

VERSION = "1"
ROLE, INSTRUMENT = "vocals", "guide voice"
UNDER_BAND_LU = 2.5
# As much is listened to for that, of so many sections.
PROBE_S, MOST_PASSAGES = 5.0, 2
MIX = Mix(-19.0, width=0.6, reverb=0.16, low_cut_hz=140, high_db=2.0)
# The instrument that plays the same tune steps back.
LEAD_STEPS_BACK_DB = 5.0
# Middle of what the voice sings well, MIDI pitch.
MIDDLE = 67
LONGEST_ENDING_S = 0.5
# The second voice: a little sharp, a little late, on both sides.
DOUBLE_CENTS, DOUBLE_LEVEL, DOUBLE_LATE_S = 7.0, 0.4, (0.017, 0.027)
NO_SYNTHESISER = (
    "vocals: no speech synthesiser is installed where the composer runs, so nobody sings: install Flite "
    "(apt install flite, brew install flite) and make the song again"
)
NO_TIME = "vocals: the song has no time for its words, so nobody sings"
NO_VOCODER = (
    "vocals: pyworld is not installed where the composer runs, so nobody sings: pip install pyworld (it needs a C++ "
    "compiler), and make the song again"
)


@dataclass(frozen=True, slots=True)
class Guide:
    """Who sings in this process: `missing` is the warning when nobody does."""

    synthesiser: Flite | None
    missing: str

    @classmethod
    def here(cls) -> "Guide":
        if world.library() is None:
            return cls(None, NO_VOCODER)
        found = installed()
        return cls(found, "" if found else NO_SYNTHESISER)

    def asked(self, order: Order, folder: Path) -> tuple["Singer | None", tuple[str, ...]]:
        """Who sings this, or why nobody does; neither where nobody was asked to."""
        if not order.vocals:
            return None, ()
        refusal = self.refusal(order.brief)
        if refusal or self.synthesiser is None:
            return None, (refusal,)
        return Singer(self.synthesiser, folder), ()

    def refusal(self, brief: Brief) -> str:
        """Empty when somebody sings."""
        if not brief.lyrics:
            return "vocals: there are no words, so nobody sings"
        language = brief.language.lower().partition("-")[0] or "en"
        if self.synthesiser and language not in self.synthesiser.languages:
            return f"vocals: the guide voice sings English only, the words are in {brief.language}; nobody sings"
        return self.missing


Powers = Callable[[Score, Sequence[Part], Sequence[tuple[int, int]]], NDArray[np.float64]]
"""Of parts, between frames, in cells of 100 ms."""


def seated(score: Score, brief: Brief, powers: Powers) -> Score:
    """With a part for the voice: a note for each syllable, in an octave that it sings well."""
    tune = tune_of(score, brief)
    if not tune:
        return score
    middle = sum(note.pitch for note in tune) / len(tune)
    octave = 12 * round((MIDDLE - middle) / 12)
    notes = tuple(replace(note, pitch=note.pitch + octave, late=0, slide=0) for note in tune)
    band = tuple(
        replace(part, mix=replace(part.mix, level_lufs=part.mix.level_lufs - LEAD_STEPS_BACK_DB))
        if part.role == "lead"
        else part
        for part in score.parts
    )
    voice = Part(ROLE, INSTRUMENT, "vocals", MIX, notes)
    level = level_of(voice, replace(score, parts=(*band, voice)), powers)
    return replace(score, parts=(*band, replace(voice, mix=replace(MIX, level_lufs=level))))


def level_of(voice: Part, score: Score, powers: Powers) -> float:
    """What puts it under the band while it sings; in half decibels, so that a note here or there changes nothing."""
    heard = passages(voice, score)
    own = powers(score, [voice], heard)
    band = powers(score, [part for part in score.parts if part is not voice], heard)
    if not own.any():
        return MIX.level_lufs
    singing = own > 0.1 * own[own > 0].mean()
    above = 10 * np.log10(own[singing].mean() / max(1e-9, band[singing].mean()))
    return round(2 * (MIX.level_lufs - UNDER_BAND_LU - float(above))) / 2


def passages(voice: Part, score: Score) -> list[tuple[int, int]]:
    """Frames from and to of the beginning of a section of each character in which it sings."""
    found: dict[str, tuple[int, int]] = {}
    last = round(score.duration_seconds * RATE)
    for section in score.sections:
        if section.character not in found and any(section.tick <= note.tick < section.end for note in voice.notes):
            start = frame_at(score, section.tick)
            end = min(frame_at(score, section.end), start + round(PROBE_S * RATE), last)
            found[section.character] = (start - start % 2, end - end % 2)
    return list(found.values())[:MOST_PASSAGES]


def tune_of(score: Score, brief: Brief) -> list[Note]:
    """The notes that the words are set to, in order: the lead's; where nobody plays it, what one would play."""
    if not score.syllables:
        return []
    lead = [note for part in score.parts if part.role == "lead" for note in part.notes]
    if not lead:
        lead = [note for part in with_lead(score, brief).parts if part.role == "lead" for note in part.notes]
    found: list[Note] = []
    for syllable in score.syllables:
        near = min(lead, key=lambda note: abs(note.tick - syllable.tick), default=None)
        if near and abs(near.tick - syllable.tick) <= STEP:
            found.append(replace(near, length=min(near.length, syllable.length)))
        else:
            pitch = found[-1].pitch if found else MIDDLE
            found.append(Note(syllable.tick, syllable.length, pitch, 80))
    return found


def with_lead(score: Score, brief: Brief) -> Score:
    players = [
        name
        for name, instrument in INSTRUMENTS.items()
        if instrument.roles[0] == "lead"
        and not is_excluded(name, tuple(one.lower() for one in brief.excluded_instruments))
    ]
    if not players:
        return score
    asked = replace(brief, instruments=(*brief.instruments, players[0]), bpm=score.bpm)
    return arrange(asked, score.seed)


class Singer:
    """Sings the lines of one take. What a line sounds like, spoken, is kept: choruses come back."""

    def __init__(self, synthesiser: Flite, folder: Path) -> None:
        self._synthesiser = synthesiser
        self._folder = folder
        self._spoken: dict[str, tuple[world.Print, tuple[Nucleus, ...]] | None] = {}
        self.warnings: tuple[str, ...] = ()

    def recipe(self, score: Score) -> str:
        """Of what is sung, besides the part's notes."""
        made_from = (VERSION, self._synthesiser.version, score.syllables, [line.text for line in score.lines])
        return hashlib.sha256(repr(made_from).encode()).hexdigest()

    def source(self, part: Part, score: Score) -> "Sung":
        return Sung(self, part, score)

    def line(self, text: str, syllables: Sequence[Syllable], notes: Sequence[SungNote]) -> list[Take]:
        """The line, and once more a little sharp; empty when it cannot be spoken, which a warning says."""
        if text not in self._spoken:
            self._spoken[text] = self._said(text, syllables)
        said = self._spoken[text]
        if said is None:
            return []
        first = sung(*said, notes)
        sharp = replace(first.voice, hertz=first.voice.hertz * 2 ** (DOUBLE_CENTS / 1200))
        return [first, replace(first, voice=sharp)]

    def _said(self, text: str, syllables: Sequence[Syllable]) -> tuple[world.Print, tuple[Nucleus, ...]] | None:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            speech = self._synthesiser.speak(text, self._folder)
            placed = self._placed(speech, syllables)
        except NoSpeech as failure:
            self.warnings += (f"vocals: a line is not sung: {failure}",)
            return None
        vowels = [(phone.start_s, phone.end_s) for phone in speech.phones if phone.name in VOWELS]
        return world.analysed(speech.samples, speech.rate_hz, vowels), tuple(placed)

    def _placed(self, speech: Speech, syllables: Sequence[Syllable]) -> list[Nucleus]:
        found = nuclei(speech.phones)
        if not found:
            raise NoSpeech("there is nothing in it to sing on")
        if len(found) == len(syllables):
            return found
        by_word = [list(own) for _, own in groupby(syllables, key=lambda one: one.word)]
        words = ["".join(one.text for one in own) for own in by_word]
        spoken = [sum(phone in VOWELS for phone in phones) for phones in self._synthesiser.by_word(words, self._folder)]
        return fitted(found, spoken, [len(own) for own in by_word])


def outcome(
    score: Score, stems: dict[str, Stem], singer: Singer | None, refusal: tuple[str, ...]
) -> tuple[dict[str, Stem], tuple[str, ...]]:
    """The stems of a take and its warnings. A voice that left lines out is never taken over by another song."""
    if singer is None:
        return stems, refusal
    if not any(part.role == ROLE for part in score.parts):
        return stems, (NO_TIME,)
    if singer.warnings and ROLE in stems:
        return stems | {ROLE: replace(stems[ROLE], recipe="")}, tuple(dict.fromkeys(singer.warnings))
    return stems, singer.warnings


class Sung:
    """The part of the voice: an event for each line."""

    def __init__(self, singer: Singer, part: Part, score: Score) -> None:
        self.part, self.score, self._singer = part, score, singer
        self._lines = [
            list(own) for _, own in groupby(range(len(part.notes)), key=lambda number: score.syllables[number].line)
        ]

    def events(self, notes: Sequence[int]) -> Iterator[Event]:
        wanted = set(notes)
        for number, own in enumerate(self._lines):
            if wanted.isdisjoint(own):
                continue
            first, last = self.part.notes[own[0]], self.part.notes[own[-1]]
            start = max(0, frame_at(self.score, first.start) - round(LONGEST_RUN_UP_S * RATE))
            end = frame_at(self.score, last.start + last.length) + round((LONGEST_ENDING_S + RELEASE_S) * RATE)
            yield Event(start, end, number, first, end - start)

    def sound(self, event: Event, out: Buffer, start: int) -> None:
        own = self._lines[event.number]
        syllables = [self.score.syllables[number] for number in own]
        takes = self._singer.line(self.score.lines[syllables[0].line].text, syllables, self._notes(own))
        frames = frames_of(self.score)
        turn = event.start - event.start % frames if event.start >= frames else 0
        for number, take in enumerate(takes):
            sound = resample.up(world.heard(take.voice) * gain_of(take), take.voice.rate_hz)
            begins = turn + round(take.start_s * RATE) - event.start + start
            if number == 0:
                added(out, sound, begins, (1.0, 1.0))
                continue
            for side, late_s in enumerate(DOUBLE_LATE_S):
                gains = (DOUBLE_LEVEL * (1 - side), DOUBLE_LEVEL * side)
                added(out, sound, begins + round(late_s * RATE), gains)

    def _notes(self, own: Sequence[int]) -> list[SungNote]:
        notes = [self.part.notes[number] for number in own]
        return [
            SungNote(
                self.score.seconds(note.start), self.score.seconds(note.start + note.length), note.pitch, note.velocity
            )
            for note in notes
        ]


def gain_of(take: Take) -> np.ndarray:
    """Of each sample."""
    step = take.voice.rate_hz * world.FRAME_S
    samples = int(len(take.gain) * step)
    return np.interp(np.arange(samples) / step, np.arange(len(take.gain)), take.gain)


def added(out: Buffer, sound: np.ndarray, begins: int, gains: tuple[float, float]) -> None:
    """Into `out`, as far as it reaches."""
    first, last = max(0, begins), min(out.shape[0], begins + len(sound))
    if last > first:
        piece = sound[first - begins : last - begins]
        out[first:last] += np.stack([piece * gain for gain in gains], axis=1).astype(np.float32)
