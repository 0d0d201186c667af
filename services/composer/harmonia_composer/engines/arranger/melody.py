"""The tune: a motif of two bars, and what becomes of it. Pure.

A phrase of eight bars says the motif, then repeats, moves, inverts or varies it, says it again and answers it. Each
kind of section has a motif of its own that comes back whenever the section does; the chorus lies higher; intro and
outro remember the chorus. Strong beats stand on tones of the chord, the rest walks the scale between them; of all ways
through a motif's contour the smoothest is taken. Where there are words, they give the rhythm.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.genres.genre import Tune
from harmonia_composer.engines.arranger.groove import Player, events, player, swung
from harmonia_composer.engines.arranger.metre import STEP
from harmonia_composer.engines.arranger.prosody import Setting
from harmonia_composer.engines.arranger.scale import Key
from harmonia_composer.engines.arranger.score import Chord, Note, Section
from harmonia_composer.engines.arranger.sheet import Chair, Sheet

WIDEST = 18
# Steps of the scale a motif may leave its own place by.
LOWEST, HIGHEST = -3, 5
FURTHEST = 3
"""Semitones from the middle of a section's register to where a motif is set."""
Form = Literal["said", "moved", "inverted", "varied", "fragment", "answered"]
# What becomes of the motif in each pair of bars of a phrase of eight, from literal to developed.
PHRASES: tuple[tuple[Form, Form, Form, Form], ...] = (
    ("said", "said", "said", "answered"),
    ("said", "varied", "said", "answered"),
    ("said", "moved", "said", "answered"),
    ("said", "moved", "moved", "answered"),
    ("said", "inverted", "said", "answered"),
    ("said", "answered", "moved", "answered"),
    ("said", "fragment", "said", "answered"),
)
# Steps of the scale that the four pairs of bars lie above the motif's own place.
ARCS = {"arch": (0, 2, 3, 0), "fall": (0, -1, 0, -3), "rise": (0, 1, 2, 3), "wave": (0, 2, -1, 1)}
PENTATONIC = {False: (0, 2, 4, 7, 9), True: (0, 3, 5, 7, 10)}


@dataclass(frozen=True, slots=True)
class Onset:
    """A note to come: its place in the pair of bars, and where the motif wants it, in steps of the scale."""

    step: int
    steps: int
    offset: int
    accent: bool = False


@dataclass(frozen=True, slots=True)
class Motif:
    """Two bars. `forms` is what becomes of it; `lean`: semitones from the middle of the register to where it is set;
    `shift`: how far it moves; `pickup`: notes before a phrase begins."""

    bars: tuple[tuple[Onset, ...], tuple[Onset, ...]]
    forms: tuple[Form, Form, Form, Form]
    arc: tuple[int, int, int, int]
    lean: float
    shift: int
    pickup: int

    @property
    def contour(self) -> tuple[int, ...]:
        return tuple(onset.offset for bar in self.bars for onset in bar)


@dataclass(frozen=True, slots=True)
class Place:
    """A note without a pitch: when, how long, over what, and about where."""

    tick: int
    length: int
    chord: Chord
    target: int
    strong: bool
    accent: float


def motif(sheet: Sheet, kind: str, section: Section) -> Motif:
    """Denser rhythms for denser songs; drawn once for a kind of section, so that it returns with it."""
    tune, dice = sheet.genre.tune, Dice(section.seed, "motif", kind)
    busy = sheet.density * 0.9 - 0.05 + (0.12 if kind == "chorus" else 0.0)
    patterns = rhythms(sheet, kind)
    drawn = [near_density(patterns, busy, dice) for _ in range(2)]
    rhythm = drawn[0] if len(drawn[0]) == 2 else (drawn[0][0], drawn[1][0])
    if dice.chance(0.35) and len(drawn[0]) == 1:
        rhythm = (rhythm[0], rhythm[0])
    arc = dice.choice(tune.arcs)
    sizes = [sum(1 for _ in events(bar)) for bar in rhythm]
    contour = walk(sum(sizes), dice.choice(tune.arcs), tune, dice)
    first = onsets(rhythm[0], contour[: sizes[0]], sheet, dice, free=True)
    second = onsets(rhythm[1], contour[sizes[0] :], sheet, dice, free=False)
    literal = round((1.0 - tune.repeats) * (len(PHRASES) - 1) + dice.between(-2.5, 2.5))
    forms = PHRASES[max(0, min(len(PHRASES) - 1, literal))]
    pickup = dice.choice((1, 2, 2, 3)) if dice.chance(tune.pickups) else 0
    return Motif((first, second), forms, ARCS[arc], dice.between(-2.0, 2.0), dice.choice((-2, -1, 1, 2)), pickup)


def rhythms(sheet: Sheet, kind: str) -> list[tuple[str, ...]]:
    """Each as its bars in the song's metre."""
    own = sheet.genre.tune.rhythms
    found = []
    for pattern in own.get(kind) or own.get("verse") or sheet.genre.motifs:
        whole, size = sheet.fitted(pattern), sheet.metre.steps
        bars = tuple(whole[at : at + size] for at in range(0, len(whole), size))[:2]
        found.append(bars if len(bars) == 1 or any(events(bars[1])) else bars[:1])
    return sorted(found, key=lambda bars: (sum(bar.count("x") for bar in bars) / len(bars), bars))


def near_density(patterns: Sequence[tuple[str, ...]], busy: float, dice: Dice) -> tuple[str, ...]:
    last = len(patterns) - 1
    return patterns[min(last, max(0, round((busy + dice.bell(0.3)) * last)))]


def walk(length: int, arc: str, tune: Tune, dice: Dice) -> list[int]:
    """Mostly steps, some leaps, towards where the arc wants to be; a note said twice now and then."""
    top, still = dice.choice((2, 3, 3, 4, 5)), dice.between(0.05, 0.35)
    place, found = dice.choice((0, 0, 1, 2, 4)), []
    for number in range(length):
        along = number / max(1, length - 1)
        wanted = {"arch": top * 4 * along * (1 - along), "fall": top * (1 - along), "rise": top * along,
                  "wave": top * (0.5 + 0.5 * (-1) ** (number // 3))}[arc]  # fmt: skip
        found.append(place)
        if dice.chance(still):
            continue
        away = wanted - place + dice.between(-2.0, 2.0)
        size = dice.choice((2, 2, 3, 4)) if dice.chance(tune.leaps) else 1
        place = max(LOWEST, min(HIGHEST, place + (size if away > 0 else -size)))
    return found


def onsets(rhythm: str, contour: Sequence[int], sheet: Sheet, dice: Dice, *, free: bool) -> tuple[Onset, ...]:
    """`free`: the first note may not come early, for it begins a phrase."""
    found: list[Onset] = []
    for (step, character, steps), offset in zip(events(rhythm), contour, strict=True):
        early = 2 if step >= 2 and step in sheet.metre.pulse_starts and dice.chance(sheet.genre.tune.syncopation) else 0
        taken = found and found[-1].step >= step - early
        early = 0 if taken or (free and not found) else early
        if early and found:
            found[-1] = replace(found[-1], steps=min(found[-1].steps, step - early - found[-1].step))
        found.append(Onset(step - early, steps + early, offset, character == "X"))
    return tuple(found)


class Singer:
    """Where the voice lies and what it may sing; finds the smoothest way along the places of a line."""

    def __init__(self, sheet: Sheet, chair: Chair) -> None:
        low, high = chair.limits
        half = min(WIDEST, sheet.genre.tune.reach, high - low) // 2
        self.key: Key = sheet.key
        self.tune = sheet.genre.tune
        self.centre = max(low + half, min(high - half, chair.plan.register + sheet.mood.register))
        self.low, self.high = self.centre - half, self.centre + half
        self.scale = self._scale()

    def _scale(self) -> frozenset[int]:
        if self.tune.scale == "mode" or self.key.mode not in {"major", "minor", "dorian", "mixolydian"}:
            return self.key.pitch_classes
        return frozenset((self.key.tonic + step) % 12 for step in PENTATONIC[self.key.is_minor])

    @property
    def blue(self) -> frozenset[int]:
        if self.tune.scale != "blues":
            return frozenset()
        return frozenset({(self.key.tonic + 6) % 12} | ({(self.key.tonic + 3) % 12} - self.key.pitch_classes))

    def middle(self, kind: str) -> int:
        lift = min(5, self.tune.lift)
        return self.centre + {"chorus": lift - lift // 2, "verse": -(lift // 2), "pre": 0}.get(kind, 0)

    def anchor(self, around: float, chord: Chord) -> int:
        """Step of the scale nearest to the chord's tone nearest to a pitch."""
        return self.key.index_near(nearest_tone(around, chord, self.low, self.high))

    def options(self, place: Place) -> list[tuple[float, int]]:
        """(cost, pitch) of what might be sung here."""
        found = []
        tones = frozenset(tone % 12 for tone in place.chord.tones[:4])
        for pitch in range(max(self.low, place.target - 7), min(self.high, place.target + 7) + 1):
            inside = pitch % 12 in tones
            if not inside and (place.strong or pitch % 12 not in self.scale | self.blue):
                continue
            cost = abs(pitch - place.target) * 1.0
            cost += 0.0 if inside else 0.3 + 0.9 * min(2.0, place.length / (4 * STEP))
            cost += 2.0 if pitch % 12 in self.blue and not inside else 0.0
            found.append((cost, pitch))
        return found or [(0.0, nearest_tone(place.target, place.chord, self.low, self.high))]

    def reachable(self, options: list[tuple[float, int]], place: Place, before: int | None) -> list[tuple[float, int]]:
        """At most an octave from the note before."""
        if before is None:
            return options
        near = [option for option in options if abs(option[1] - before) <= 12]
        low, high = max(self.low, before - 12), min(self.high, before + 12)
        return near or [(0.0, nearest_tone(place.target, place.chord, low, high))]

    def line(self, places: Sequence[Place], before: int | None = None) -> list[int]:
        """Of all ways the one with the least of: distance from the motif, leaps, dissonance held."""
        rows: list[list[tuple[float, int, int]]] = []
        for number, place in enumerate(places):
            options = self.options(place)
            if not rows:
                rows.append([(cost, pitch, -1) for cost, pitch in self.reachable(options, place, before)])
                continue
            wanted = place.target - places[number - 1].target
            rows.append([min(
                (came + cost + stride(pitch - last, wanted), pitch, at)
                for at, (came, last, _) in enumerate(rows[-1])
            ) for cost, pitch in options])  # fmt: skip
        found, at = [], min(range(len(rows[-1])), key=lambda place: rows[-1][place][:2]) if rows else 0
        for row in reversed(rows):
            found.append(row[at][1])
            at = row[at][2]
        return found[::-1]


def stride(away: int, wanted: int) -> float:
    """What an interval costs: the wider the more; tritones do not sing; it goes where the motif does."""
    size = abs(away)
    if size > 9:
        return 40.0 + size
    turned = 0.0 if (away > 0) == (wanted > 0) and (away < 0) == (wanted < 0) else 1.3
    return turned + (4.0 if size == 6 else max(0.0, 0.55 * (size - 2)))


def nearest_tone(pitch: float, chord: Chord, low: int, high: int) -> int:
    tones = [at for at in range(low, high + 1) if at % 12 in chord.tones[:4]]
    return min(tones, key=lambda at: (abs(at - pitch), at))


def kind_of(section: Section) -> str:
    """Whose motif it has: intro and outro have the chorus's."""
    return "chorus" if section.character in {"intro", "outro", "chorus"} else section.character


def melody(sheet: Sheet, chair: Chair) -> list[Note]:
    singer = Singer(sheet, chair)
    notes: list[Note] = []
    for number, section in enumerate(sheet.sections):
        if chair.label not in section.roles:
            continue
        hand = player(sheet, section, chair)
        words = [one for one in sheet.words if one.line.section == number and one.notes]
        before = notes[-1].pitch if notes else None
        notes += Voice(sheet, chair, section, singer, hand).sung(words, before)
    return one_at_a_time(notes)


class Voice:
    """The tune of one section."""

    def __init__(self, sheet: Sheet, chair: Chair, section: Section, singer: Singer, hand: Player) -> None:
        self.sheet, self.chair, self.section, self.singer, self.hand = sheet, chair, section, singer, hand
        self.kind = kind_of(section)
        self.motif = motif(sheet, self.kind, section)
        self.dice = sheet.dice(section, "sings", chair.label)
        self.middle = singer.middle(section.character)

    def sung(self, words: Sequence[Setting], before: int | None) -> list[Note]:
        notes = self.worded(words, before) if words else self.played(before)
        last = self.section is self.sheet.sections[-1] and self.sheet.ending < self.sheet.ticks
        if last and not any(note.tick >= self.sheet.ending for note in notes):
            notes.append(self.home(notes[-1].pitch if notes else self.middle))
        return notes

    def played(self, before: int | None) -> list[Note]:
        notes: list[Note] = []
        for unit in range((self.section.bars + 1) // 2):
            places = self.places(unit)
            if places:
                pitches = self.singer.line(places, notes[-1].pitch if notes else before)
                notes += self.noted(places, pitches)
        return notes

    def places(self, unit: int) -> list[Place]:
        """Two bars of a phrase, as this place in it wants the motif."""
        form = self.form(unit)
        start = self.section.tick + 2 * unit * self.sheet.metre.ticks
        base = self.base(form, unit, start)
        bars = self.turned(form)
        found: list[Place] = []
        for number, bar in enumerate(bars):
            bar_start = start + number * self.sheet.metre.ticks
            if 2 * unit + number >= self.section.bars or bar_start >= self.sheet.ending:
                break
            if not self.section.plays(self.chair.label, bar_start):
                continue
            closing = self.closes(unit, number, form)
            found += self.bar_places(bar, bar_start, base, closing=closing, airy=form not in {"said", "answered"})
        return self.with_pickup(found, unit)

    def form(self, unit: int) -> Form:
        last = (self.section.bars + 1) // 2 - 1
        if unit == last and last > 0:
            return "answered"
        return self.motif.forms[unit % 4]

    def base(self, form: Form, unit: int, start: int) -> int:
        anchor = self.singer.anchor(self.middle + self.motif.lean, self.sheet.chord_at(start))
        if form in {"said", "answered", "fragment"}:
            return anchor
        away = (self.motif.shift if form == "moved" else 0) + self.motif.arc[unit % 4]
        base = anchor + max(-2, min(2, away))
        while abs(self.singer.key.pitch(base) - self.middle) > FURTHEST:
            base -= 1 if self.singer.key.pitch(base) > self.middle else -1
        return base

    def turned(self, form: Form) -> tuple[tuple[Onset, ...], tuple[Onset, ...]]:
        first, second = self.motif.bars
        match form:
            case "inverted":
                centre = sum(self.motif.contour) / max(1, len(self.motif.contour))
                return mirrored(first, centre), mirrored(second, centre)
            case "varied":
                return first, tuple(
                    replace(one, offset=other.offset - 1) for one, other in zip(second, reversed(second), strict=True)
                )
            case "fragment":
                return first, tuple(replace(one, offset=one.offset - 1) for one in first)
            case _:
                return first, second  # fmt: skip

    def closes(self, unit: int, number: int, form: Form) -> bool:
        """The last bar of a phrase, or of the section: the line comes to rest and leaves room."""
        last = 2 * unit + number == self.section.bars - 1
        return last or (form == "answered" and number == 1)

    def bar_places(self, bar: Sequence[Onset], start: int, base: int, *, closing: bool, airy: bool) -> list[Place]:
        """`airy`: half the bar may be left to the others."""
        metre = self.sheet.metre
        # A bar of one or two notes leaves room as it is.
        cut = closing and len(bar) > 2
        chosen = [onset for onset in bar if onset.step < metre.half] or list(bar[:1]) if cut else list(bar)
        if airy and not closing and self.dice.chance(self.sheet.genre.tune.rests) and len(chosen) > 2:
            chosen = [onset for onset in chosen if onset.step < metre.half] or chosen
        found = []
        for number, onset in enumerate(chosen):
            final = closing and number == len(chosen) - 1
            tick = start + swung(onset.step, self.sheet)
            steps = max(onset.steps, (metre.steps - onset.step) * 3 // 4) if final else onset.steps
            chord = self.sheet.chord_at(start + onset.step * STEP)
            target = self.singer.key.pitch(base + onset.offset)
            if final:
                target = self.rest(start, base)
            strong = final or onset.step in metre.strong or (number == 0 and onset.step < 4)
            accent = 6.0 if onset.step in metre.strong else 4.0 if onset.accent else -3.0
            found.append(Place(tick, steps * STEP - STEP // 8, chord, target, strong, accent))
        return found

    def rest(self, tick: int, base: int) -> int:
        """Where a phrase comes to rest: the tonic, when the section is over or the chord has it; else nearby."""
        over = tick + self.sheet.metre.ticks >= self.section.end
        tonic = self.sheet.key.tonic
        if over or tonic in self.sheet.chord_at(tick).tones[:3]:
            pitches = [at for at in range(self.singer.low, self.singer.high + 1) if at % 12 == tonic]
            return min(pitches, key=lambda at: (abs(at - self.middle), at))
        return self.singer.key.pitch(base - 1)

    def with_pickup(self, places: list[Place], unit: int) -> list[Place]:
        """Steps up to the first note of a phrase, where the bar before it is this section's."""
        size = 2 * self.motif.pickup
        if not places or unit % 4 or not unit or not size:
            return places
        first = places[0]
        start = first.tick - size * STEP
        led = []
        for number in range(self.motif.pickup):
            target = first.target - 2 * (self.motif.pickup - number)
            tick = start + 2 * number * STEP
            led.append(Place(tick, 2 * STEP - STEP // 6, self.sheet.chord_at(tick), target, False, -4.0))
        return led + places

    def noted(self, places: Sequence[Place], pitches: Sequence[int]) -> list[Note]:
        loudness = self.chair.plan.velocity + 12 * (self.section.energy - 0.6)
        highest = max(pitches)
        notes = []
        for place, pitch in zip(places, pitches, strict=True):
            swell = place.accent + 4.0 * (pitch == highest)
            slide = self.dice.choice((-1, -2)) if place.strong and self.dice.chance(self.singer.tune.graces) else 0
            notes.append(self.hand.note(place.tick, place.length, pitch, loudness + swell, slide=slide))
        return notes

    def worded(self, words: Sequence[Setting], before: int | None) -> list[Note]:
        """One note a syllable; lines take the forms that pairs of bars have in a tune without words."""
        notes: list[Note] = []
        for number, setting in enumerate(words):
            last = number == len(words) - 1
            places = self.worded_places(setting, last=last)
            pitches = self.singer.line(places, notes[-1].pitch if notes else before)
            notes += self.noted(places, pitches)
        return notes

    def worded_places(self, setting: Setting, *, last: bool) -> list[Place]:
        form: Form = "answered" if last else self.motif.forms[setting.place % 4]
        base = self.base(form, setting.place, setting.start)
        offsets = [onset.offset for bar in self.turned(form) for onset in bar] or [0]
        size = len(setting.notes)
        found = []
        for number, note in enumerate(setting.notes):
            step = (note.tick - self.section.tick) // STEP % self.sheet.metre.steps
            offset = offsets[number * len(offsets) // size]
            final = number == size - 1
            over = last and final
            target = self.rest(setting.end, base) if over else self.singer.key.pitch(base + offset)
            strong = final or step in self.sheet.metre.strong
            tick = note.tick - step * STEP + swung(step, self.sheet) if note.tick % STEP == 0 else note.tick
            accent = 6.0 if note.sound.stress else -4.0
            found.append(Place(tick, note.length - STEP // 8, self.sheet.chord_at(note.tick), target, strong, accent))
        return found

    def home(self, last: int) -> Note:
        """The last note: the tonic nearest to where the line stands."""
        sheet = self.sheet
        pitches = [at for at in range(self.singer.low, self.singer.high + 1) if at % 12 == sheet.key.tonic]
        pitch = min(pitches, key=lambda at: (abs(at - last), at))
        return self.hand.note(sheet.ending, sheet.last_length, pitch, self.chair.plan.velocity)


def mirrored(bar: Sequence[Onset], centre: float) -> tuple[Onset, ...]:
    """Upside down about its own middle, so that the line stays where it lies."""
    return tuple(replace(onset, offset=round(2 * centre) - onset.offset) for onset in bar)


def one_at_a_time(notes: Sequence[Note]) -> list[Note]:
    """A voice ends a note before it begins the next; of two that begin together the later written one stays."""
    found: list[Note] = []
    for note in sorted(notes, key=lambda one: one.tick):
        while found and found[-1].tick >= note.tick:
            found.pop()
        if found and found[-1].tick + found[-1].length > note.tick:
            found[-1] = replace(found[-1], length=note.tick - found[-1].tick)
        found.append(note)
    return found
