"""The tune: a motif of two bars, and what becomes of it. Pure.

A phrase of eight bars says the motif, says it again over the next chords, repeats it and answers it. The chorus has
a motif of its own, a little higher. Strong beats sit on chord tones, the rest walks the scale between them.
"""

from dataclasses import dataclass

from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.form import character
from harmonia_composer.engines.arranger.genres.genre import Genre
from harmonia_composer.engines.arranger.groove import Player, events, swung
from harmonia_composer.engines.arranger.scale import Key
from harmonia_composer.engines.arranger.score import BAR, STEP, Chord, Note, Section
from harmonia_composer.engines.arranger.sheet import Chair, Sheet

REACH = 9
"""Semitones from the middle of the range: 18 from end to end."""


@dataclass(frozen=True, slots=True)
class Motif:
    """Two bars: rhythm as patterns, contour as steps of the scale from where each bar starts."""

    bars: tuple[str, str]
    contour: tuple[tuple[int, ...], tuple[int, ...]]


def walk(length: int, dice: Dice) -> tuple[int, ...]:
    """Mostly steps, some thirds, leaning back to where it came from."""
    place, direction, found = 0, dice.choice((1, -1)), []
    for _ in range(length):
        found.append(place)
        if abs(place) >= 3 or dice.chance(0.35):
            direction = -1 if place > 0 else 1
        place += direction * (2 if dice.chance(0.2) else 1) * (0 if dice.chance(0.15) else 1)
    return tuple(found)


def motif(genre: Genre, dice: Dice, *, density: float) -> Motif:
    """Denser rhythms for denser songs: the better of two draws."""
    rhythms = sorted(genre.motifs, key=lambda pattern: (pattern.count("x"), pattern))
    spread = len(rhythms) - 1
    draws = [min(spread, max(0, round((density + dice.bell(0.28)) * spread))) for _ in range(2)]
    bars = (rhythms[draws[0]], rhythms[draws[1]])
    return Motif(bars, (walk(bars[0].count("x"), dice), walk(bars[1].count("x"), dice)))


def nearest_tone(pitch: float, chord: Chord, low: int, high: int) -> int:
    tones = [at for at in range(low, high + 1) if at % 12 in chord.tones[:4]]
    return min(tones, key=lambda at: (abs(at - pitch), at))


def turned(contour: tuple[int, ...], form: str) -> tuple[int, ...]:
    return tuple(-step for step in contour) if form == "inverted" else contour


# What becomes of the motif in each pair of bars of a phrase of eight.
PHRASE = ("said", "moved", "said", "answered")
PHRASE_AGAIN = ("said", "inverted", "said", "answered")


class Singer:
    """Keeps the line in hand: remembers the last pitch, refuses leaps beyond an octave and notes out of range."""

    def __init__(self, key: Key, centre: int) -> None:
        self.key = key
        self.low, self.high = centre - REACH, centre + REACH
        self.last = centre

    def step(self, wanted: int, chord: Chord, *, strong: bool) -> int:
        pitch = wanted
        while pitch - self.last > 8 or pitch > self.high:
            pitch -= 12
        while self.last - pitch > 8 or pitch < self.low:
            pitch += 12
        pitch = max(self.low, min(self.high, pitch))
        if strong:
            pitch = nearest_tone(pitch, chord, self.low, self.high)
        elif pitch % 12 not in self.key.pitch_classes and pitch % 12 not in chord.tones:
            pitch += -1 if pitch > self.low else 1
        self.last = pitch
        return pitch


def melody(sheet: Sheet, chair: Chair) -> list[Note]:
    low, high = chair.limits
    centre = max(low + REACH, min(high - REACH, chair.plan.register + sheet.mood.register))
    singer = Singer(sheet.key, centre)
    player = Player(Dice(sheet.seed, "singer", chair.label), spread_s=sheet.genre.spread_s, bpm=sheet.bpm)
    notes: list[Note] = []
    for section in sheet.sections:
        if chair.label not in section.roles:
            continue
        kind = "chorus" if character(section.name, sheet.genre) == "chorus" else "verse"
        busy = sheet.density * 0.7 + (0.25 if kind == "chorus" else 0.0)
        said = motif(sheet.genre, Dice(sheet.seed, "motif", kind), density=busy)
        target = centre + (3 if kind == "chorus" else -2)
        for bar in range(section.bars):
            if section.tick + bar * BAR >= sheet.ending:
                notes.append(home(sheet, chair, singer, player))
                break
            notes += sung_bar(sheet, chair, section, bar, said=said, singer=singer, player=player, target=target)
    return notes


def sung_bar(
    sheet: Sheet, chair: Chair, section: Section, bar: int, *, said: Motif, singer: Singer, player: Player, target: int
) -> list[Note]:
    """One bar of a phrase: the motif as this place in the phrase wants it."""
    form = (PHRASE if bar // 8 % 2 == 0 else PHRASE_AGAIN)[bar // 2 % 4]
    closing = bar == section.bars - 1 or (form == "answered" and bar % 2 == 1)
    start = section.tick + bar * BAR
    anchor = nearest_tone(target + (2 if form == "moved" else 0), sheet.chord_at(start), singer.low, singer.high)
    base = sheet.key.index_near(anchor)
    found = list(zip(events(said.bars[bar % 2]), turned(said.contour[bar % 2], form), strict=True))
    if closing:
        found = [entry for entry in found if entry[0][0] < 8] or found[:1]
    loudness = chair.plan.velocity + 5.0 - 3.0 * abs(bar % 4 - 1.5) + 12 * (section.energy - 0.6)
    notes = []
    for number, ((step, _, steps), offset) in enumerate(found):
        final = closing and number == len(found) - 1
        strong = step % 8 == 0 or number == 0 or final
        pitch = singer.step(sheet.key.pitch(base + offset), sheet.chord_at(start + step * STEP), strong=strong)
        length = (16 - step) * STEP * 3 // 4 if final else steps * STEP - STEP // 8
        accent = 6 if step % 8 == 0 else -3
        notes.append(player.note(start + swung(step, sheet.genre.swing), length, pitch, loudness + accent))
    return notes


def home(sheet: Sheet, chair: Chair, singer: Singer, player: Player) -> Note:
    """The last note: the tonic nearest to where the line stands."""
    pitches = [pitch for pitch in range(singer.low, singer.high + 1) if pitch % 12 == sheet.key.tonic]
    pitch = min(pitches, key=lambda at: (abs(at - singer.last), at))
    return player.note(sheet.ending, sheet.ticks - sheet.ending, pitch, chair.plan.velocity)
