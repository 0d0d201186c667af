"""Chords in hands: voicings that move as little as they can, then struck, strummed, picked or held. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

from harmonia_composer.engines.arranger.genres.genre import PartPlan, VoicingStyle
from harmonia_composer.engines.arranger.groove import Player, events, player, swung
from harmonia_composer.engines.arranger.metre import PPQ, STEP
from harmonia_composer.engines.arranger.scale import Key
from harmonia_composer.engines.arranger.score import Chord, Note, Span
from harmonia_composer.engines.arranger.sheet import Chair, Sheet

Voicing = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hand:
    """`voices` in all; `spread`: least and most semitones from the lowest to the highest; `gap`: least between two."""

    voices: int
    spread: tuple[int, int]
    gap: int = 1


HANDS: dict[VoicingStyle, Hand] = {
    "close": Hand(4, (5, 19)),
    "drop 2": Hand(4, (11, 19), 2),
    "open": Hand(4, (15, 26), 3),
    "triad": Hand(3, (5, 12)),
    "power": Hand(3, (12, 12)),
    "shell": Hand(3, (4, 14), 2),
    "quartal": Hand(3, (8, 13), 3),
    "octaves": Hand(2, (12, 12)),
}


def classes_of(chord: Chord, style: VoicingStyle, key: Key) -> list[tuple[int, ...]]:
    """The pitch classes a hand holds, one each voice; alternatives."""
    tones = tuple(dict.fromkeys(chord.tones))
    root, third, fifth = tones[0], tones[1], tones[2 if len(tones) > 2 else 1]
    match style:
        case "power":
            return [(root, fifth if len(tones) > 2 else third, root)]
        case "octaves":
            return [(root, root)]
        case "triad":
            return [(root, third, fifth)] if len(tones) > 2 else [(root, third, root)]
        case "shell":
            upper = (third, tones[3], *tones[4:5]) if len(tones) > 3 else (third, fifth)
            return [(*upper, colour) for colour in (fifth, root)] if len(upper) < 3 else [upper]
        case "quartal":
            return quartal(tones, key)
        case _:
            return doubled(tones, HANDS[style].voices)


def doubled(tones: tuple[int, ...], voices: int) -> list[tuple[int, ...]]:
    """Every tone once (a ninth leaves its root to the bass); triads double the root or the fifth."""
    if len(tones) >= voices:
        return [tones[1:] if len(tones) > voices else tones]
    if len(tones) == 2:
        return [(*tones, *tones)]
    return [(*tones, tones[0]), (*tones, tones[2])]


def quartal(tones: tuple[int, ...], key: Key) -> list[tuple[int, ...]]:
    """Fourths of the scale that hold the third or the seventh."""
    scale = [(key.tonic + step) % 12 for step in key.steps]
    stacks: list[tuple[int, ...]] = [(scale[at], scale[(at + 3) % 7], scale[(at + 6) % 7]) for at in range(7)]
    guides = {tones[1], tones[3] if len(tones) > 3 else tones[0]}
    found = [stack for stack in stacks if guides & set(stack) and len(set(stack) & set(tones)) >= 2]
    return found or doubled(tones, 3)


def candidates(chord: Chord, style: VoicingStyle, key: Key, *, centre: int, low: int, high: int) -> list[Voicing]:
    hand = HANDS[style]
    bottom, top = max(low, centre - 10 - hand.spread[1] // 8), min(high, centre + 11 + hand.spread[1] // 8)
    found: set[Voicing] = set()
    for classes in classes_of(chord, style, key):
        octaves = [[pitch for pitch in range(pc % 12, 128, 12) if bottom <= pitch <= top] for pc in classes]
        for pitches in product(*octaves):
            voicing = tuple(sorted(pitches))
            if hand.spread[0] <= voicing[-1] - voicing[0] <= hand.spread[1] and min_gap(voicing) >= hand.gap:
                found.add(voicing)
    return sorted(found) or [forced(chord, centre, low, high, hand.voices)]


def forced(chord: Chord, centre: int, low: int, high: int, voices: int) -> Voicing:
    """Where an instrument's range leaves no such voicing: the chord's tones nearest to the middle."""
    tones = [pitch for pitch in range(low, high + 1) if pitch % 12 in chord.tones]
    near = sorted(sorted(tones, key=lambda pitch: (abs(pitch - centre), pitch))[:voices])
    return tuple(near + [near[-1] + 12 * (number + 1) for number in range(voices - len(near))])


def min_gap(voicing: Voicing) -> int:
    return min(high - low for low, high in pairwise(voicing))


def motion(before: Voicing, after: Voicing) -> int:
    return sum(abs(one - other) for one, other in zip(before, after, strict=False))


def awkwardness(voicing: Voicing, centre: int) -> float:
    """Far from the register, clusters and mud low down."""
    middle = sum(voicing) / len(voicing)
    clusters = sum(3 for low, high in pairwise(voicing) if high - low < 2)
    mud = 3 if voicing[1] - voicing[0] < 4 and voicing[0] < 48 else 0
    return abs(middle - centre) * 0.7 + clusters + mud


def voicings(
    spans: Sequence[Span], starts: Iterable[int], style: VoicingStyle, key: Key, *, centre: int, limits: tuple[int, int]
) -> list[Voicing]:
    """Each nearest to the one before; every section (`starts`) begins where its first chord lies best."""
    low, high = limits
    centre = max(low + 10, min(high - 10, centre))
    fresh = set(starts)
    known: dict[tuple[tuple[int, ...], Voicing | None], Voicing] = {}
    found: list[Voicing] = []
    for span in spans:
        before = found[-1] if found and span.tick not in fresh else None
        if (span.chord.tones, before) not in known:
            options = candidates(span.chord, style, key, centre=centre, low=low, high=high)
            known[span.chord.tones, before] = min(options, key=lambda one: (cost(before, one, centre), one))
        found.append(known[span.chord.tones, before])
    return found


def cost(before: Voicing | None, option: Voicing, centre: int) -> float:
    return awkwardness(option, centre) + (motion(before, option) if before else 0)


def hands(sheet: Sheet, chair: Chair) -> list[tuple[Span, Voicing]]:
    register = chair.plan.register + sheet.mood.register
    starts = [section.tick for section in sheet.sections]
    held = voicings(sheet.spans, starts, chair.plan.voicing, sheet.key, centre=register, limits=chair.limits)
    return list(zip(sheet.spans, held, strict=True))


def comp(sheet: Sheet, chair: Chair) -> list[Note]:
    notes: list[Note] = []
    held = hands(sheet, chair)
    section, hand = None, None
    for number, (span, voicing) in enumerate(held):
        if section is not sheet.section_at(span.tick) or hand is None:
            section = sheet.section_at(span.tick)
            hand = Comper(sheet, chair, player(sheet, section, chair, spread=0.7))
        if not section.plays(chair.label, span.tick):
            continue
        if span.tick >= sheet.ending:
            notes += hand.last(span, voicing)
            break
        after = held[(number + 1) % len(held)][1] if sheet.round or number + 1 < len(held) else voicing
        notes += hand.chord(span, voicing, after)
    return notes + thrown(sheet, chair, notes)


THROWN = tuple((number, 0.72**number) for number in range(1, 6))
"""Which return of an echo, and how much of the blow is left."""


def thrown(sheet: Sheet, chair: Chair, notes: Sequence[Note]) -> list[Note]:
    """Echoes of the last blow of every so many bars, where nobody strikes meanwhile."""
    found: list[Note] = []
    bar = sheet.metre.ticks
    for start in range((chair.plan.throws - 1) * bar, sheet.ending - 2 * bar, chair.plan.throws * bar or sheet.ticks):
        blows = [note for note in notes if chair.plan.throws and start <= note.tick < start + bar]
        last = [note for note in blows if note.tick > max(one.tick for one in blows) - STEP // 2]
        for note in last:
            for number, left in THROWN:
                away = 3 * STEP * number
                found.append(replace(note, tick=note.tick + away, velocity=max(1, round(note.velocity * left))))
    return found


class Comper:
    """Two hands in one section."""

    def __init__(self, sheet: Sheet, chair: Chair, player: Player) -> None:
        self.sheet, self.plan, self.player = sheet, chair.plan, player

    def last(self, span: Span, voicing: Voicing) -> list[Note]:
        strummed = any(set("DUdu") & set(pattern) for pattern in patterns_of(self.plan))
        blow = Blow("D" if strummed else "C", span.tick, self.sheet.last_length, self.plan.velocity)
        return self.struck(blow, voicing)

    def chord(self, span: Span, voicing: Voicing, after: Voicing) -> list[Note]:
        notes: list[Note] = []
        sheet, section = self.sheet, self.sheet.section_at(span.tick)
        bar = section.tick + (span.tick - section.tick) // sheet.metre.ticks * sheet.metre.ticks
        first = (span.tick - bar) // STEP
        pattern = sheet.pattern_at(span.tick, self.plan)[first : first + span.length // STEP]
        for step, character, steps in events(pattern):
            early = self.plan.anticipates and (len(pattern) - step) <= 2
            tick = bar + swung(first + step, sheet)
            soft = 14 if character.islower() else 0
            accent = 5 if first + step in sheet.metre.strong else 0 if (first + step) % 4 == 0 else -4
            velocity = self.plan.velocity + accent - soft + 14 * (section.energy - 0.6)
            if character.isdigit():
                length = min(6 * STEP, max(steps * STEP, span.tick + span.length - tick))
                notes.append(self.player.note(tick, length, voice_of(voicing, character), velocity - 3))
            else:
                blow = Blow(character.upper(), tick, steps * STEP - STEP // 5, velocity)
                notes += self.struck(blow, after if early else voicing)
        return notes

    def struck(self, blow: "Blow", voicing: Voicing) -> list[Note]:
        """An upstroke is softer and misses the lowest string; a stab is short; a scratch hardly sounds."""
        up = blow.character == "U"
        order = {"U": voicing[:0:-1], "T": voicing[1:], "B": voicing[:1]}.get(blow.character, voicing)
        apart = self.plan.strum_s * self.sheet.bpm / 60 * PPQ if blow.character in "DUM" else 0.0
        length = min(blow.length, {"S": STEP * 3 // 4, "M": STEP // 4}.get(blow.character, blow.length))
        softer = {"U": 10, "M": 26}.get(blow.character, 0)
        return [
            self.player.note(
                blow.tick + round(place * apart), length - round(place * apart), pitch,
                blow.velocity - 2 * place * (apart > 0) - softer - 4 * up,
            )
            for place, pitch in enumerate(order)
        ]  # fmt: skip


def patterns_of(plan: PartPlan) -> list[str]:
    return [*plan.patterns, *(pattern for own in plan.sections.values() for pattern in own)]


def voice_of(voicing: Voicing, digit: str) -> int:
    """Voices past the last are the first ones an octave up."""
    octave, index = divmod(int(digit), len(voicing))
    return voicing[index] + 12 * octave


@dataclass(frozen=True, slots=True)
class Blow:
    """C all at once, S cut short, D strummed down, U strummed up, T the upper voices, B the lowest, M muted."""

    character: str
    tick: int
    length: int
    velocity: float


def pad(sheet: Sheet, chair: Chair) -> list[Note]:
    """Held from chord to chord; a voice that does not move is not struck again, except where a section begins."""
    found: list[tuple[int, int, int]] = []
    held: dict[int, tuple[int, int]] = {}
    for span, voicing in hands(sheet, chair):
        section = sheet.section_at(span.tick)
        wanted = set(voicing) if section.plays(chair.label, span.tick) else set()
        leaving = [pitch for pitch in held if pitch not in wanted or span.tick == section.tick]
        found += [(*held.pop(pitch), pitch) for pitch in leaving]
        for pitch in wanted:
            start = held.get(pitch, (span.tick, 0))[0]
            held[pitch] = (start, min(sheet.ticks, span.tick + span.length))
    found += [(start, end, pitch) for pitch, (start, end) in held.items()]
    players = {section.tick: player(sheet, section, chair) for section in sheet.sections}
    return [
        players[sheet.section_at(start).tick].note(start, end - start, pitch, chair.plan.velocity)
        for start, end, pitch in sorted(found)
    ]


def counter(sheet: Sheet, chair: Chair) -> list[Note]:
    """Thirds and sevenths, each the nearest to the one before: struck as its pattern says, or held."""
    low, high = chair.limits
    centre = max(low + 6, min(high - 6, chair.plan.register + sheet.mood.register))
    notes: list[Note] = []
    section, last, hand = None, centre, None
    for span in sheet.spans:
        if section is not sheet.section_at(span.tick) or hand is None:
            section, last = sheet.section_at(span.tick), centre
            hand = player(sheet, section, chair)
        if not section.plays(chair.label, span.tick):
            continue
        last = guide(span.chord, last, centre, low, high)
        if span.tick >= sheet.ending:
            notes.append(hand.note(span.tick, sheet.last_length, last, chair.plan.velocity))
            break
        first = (span.tick - section.tick) // STEP % sheet.metre.steps
        pattern = sheet.pattern_at(span.tick, chair.plan)[first : first + span.length // STEP]
        blows = list(events(pattern)) if chair.plan.patterns else [(0, "x", span.length // STEP)]
        for step, character, steps in blows:
            tick = span.tick - first * STEP + swung(first + step, sheet)
            velocity = chair.plan.velocity + 10 * (character == "X") + 10 * (section.energy - 0.6)
            notes.append(hand.note(tick, steps * STEP - STEP // 4, last, velocity))
    return notes


def guide(chord: Chord, last: int, centre: int, low: int, high: int) -> int:
    classes = {chord.tones[1], chord.tones[3] if len(chord.tones) > 3 else chord.tones[2]}
    options = [pitch for pitch in range(low, high + 1) if pitch % 12 in classes]
    return min(options, key=lambda pitch: (abs(pitch - last) + 0.4 * abs(pitch - centre), pitch))
