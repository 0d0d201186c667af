"""Chords in hands: voicings that move as little as they can, then struck, strummed, picked or held. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, product

from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.groove import Player, events, swung
from harmonia_composer.engines.arranger.score import PPQ, STEP, Chord, Note, Span
from harmonia_composer.engines.arranger.sheet import Chair, Sheet

VOICES = 4
Voicing = tuple[int, ...]


def candidates(chord: Chord, centre: int, low: int, high: int) -> list[Voicing]:
    """Four voices around a register: every tone once (a ninth leaves its root to the bass), triads double one."""
    tones = chord.tones[1:] if len(chord.tones) > VOICES else chord.tones
    doubled = [tones] if len(tones) == VOICES else [(*tones, extra) for extra in (tones[0], tones[2])]
    found = set()
    for classes in doubled:
        octaves = [
            [pitch for pitch in range(pc % 12, 128, 12) if max(low, centre - 9) <= pitch <= min(high, centre + 10)]
            for pc in classes
        ]
        for pitches in product(*octaves):
            voicing = tuple(sorted(pitches))
            if len(set(voicing)) == VOICES and voicing[-1] - voicing[0] <= 19 and min_gap(voicing) >= 1:
                found.add(voicing)
    return sorted(found)


def min_gap(voicing: Voicing) -> int:
    return min(high - low for low, high in pairwise(voicing))


def motion(before: Voicing, after: Voicing) -> int:
    return sum(abs(one - other) for one, other in zip(before, after, strict=True))


def awkwardness(voicing: Voicing, centre: int) -> float:
    """Far from the register, clusters and mud low down."""
    middle = sum(voicing) / VOICES
    clusters = sum(3 for low, high in pairwise(voicing) if high - low < 2)
    mud = 3 if voicing[1] - voicing[0] < 4 and voicing[0] < 48 else 0
    return abs(middle - centre) * 0.7 + clusters + mud


def voicings(spans: Sequence[Span], *, centre: int, limits: tuple[int, int]) -> list[Voicing]:
    low, high = limits
    centre = max(low + 10, min(high - 10, centre))
    found: list[Voicing] = []
    for span in spans:
        options = candidates(span.chord, centre, low, high)
        before = found[-1] if found else None
        found.append(min(options, key=lambda option: (cost(before, option, centre), option)))
    return found


def cost(before: Voicing | None, option: Voicing, centre: int) -> float:
    return awkwardness(option, centre) + (motion(before, option) if before else 0)


def comp(sheet: Sheet, chair: Chair) -> list[Note]:
    plan, dice = chair.plan, Dice(sheet.seed, "comp", chair.plan.role)
    player = Player(Dice(sheet.seed, "comping", chair.label), spread_s=sheet.genre.spread_s * 0.7, bpm=sheet.bpm)
    strum = strum_ticks(sheet.bpm)
    notes: list[Note] = []
    for span, voicing in hands(sheet, chair):
        section = sheet.section_at(span.tick)
        if chair.label not in section.roles:
            continue
        if span.tick >= sheet.ending:
            blow = Blow("D", span.tick, sheet.ticks - span.tick, plan.velocity)
            notes += struck(blow, voicing, player, strum=strum)
            continue
        for step, character, steps in events(sheet.pattern_at(span.tick, plan)[: span.length // STEP]):
            start = span.tick + swung(step, sheet.genre.swing)
            velocity = plan.velocity + (5 if step % 8 == 0 else -5) + 14 * (section.energy - 0.6)
            if character.isdigit():
                length = min(6 * STEP, span.tick + span.length - start)
                notes.append(player.note(start, length, voice_of(voicing, character), velocity - dice.between(0, 6)))
            else:
                blow = Blow(character, start, steps * STEP - STEP // 5, velocity)
                notes += struck(blow, voicing, player, strum=strum)
    return notes


def hands(sheet: Sheet, chair: Chair) -> list[tuple[Span, Voicing]]:
    register = chair.plan.register + sheet.mood.register
    return list(zip(sheet.spans, voicings(sheet.spans, centre=register, limits=chair.limits), strict=True))


def voice_of(voicing: Voicing, digit: str) -> int:
    """Voices past the last are the first ones an octave up."""
    octave, index = divmod(int(digit), VOICES)
    return voicing[index] + 12 * octave


def strum_ticks(bpm: float) -> float:
    """Ticks in a second, times the 14 ms from string to string."""
    return 0.014 * bpm / 60 * PPQ


@dataclass(frozen=True, slots=True)
class Blow:
    """C all at once, D strummed down, U strummed up."""

    character: str
    tick: int
    length: int
    velocity: float


def struck(blow: Blow, voicing: Voicing, player: Player, *, strum: float) -> list[Note]:
    """An upstroke is softer and misses the lowest string."""
    up = blow.character == "U"
    order = voicing[:0:-1] if up else voicing
    apart = 0.0 if blow.character == "C" else strum
    return [
        player.note(
            blow.tick + round(place * apart), blow.length - round(place * apart), pitch,
            blow.velocity - 2 * place - 10 * up,
        )
        for place, pitch in enumerate(order)
    ]  # fmt: skip


def pad(sheet: Sheet, chair: Chair) -> list[Note]:
    """Held from chord to chord; a voice that does not move is not struck again, except where a section begins."""
    plan = chair.plan
    player = Player(Dice(sheet.seed, "pad", chair.label), spread_s=sheet.genre.spread_s, bpm=sheet.bpm)
    held: dict[int, tuple[int, int]] = {}
    found: list[tuple[int, int, int]] = []
    for span, voicing in hands(sheet, chair):
        section = sheet.section_at(span.tick)
        wanted = set(voicing) if chair.label in section.roles else set()
        leaving = [pitch for pitch in held if pitch not in wanted or span.tick == section.tick]
        found += [(*held.pop(pitch), pitch) for pitch in leaving]
        for pitch in wanted:
            start = held.get(pitch, (span.tick, 0))[0]
            held[pitch] = (start, min(sheet.ticks, span.tick + span.length))
    found += [(start, end, pitch) for pitch, (start, end) in held.items()]
    return [player.note(start, end - start, pitch, plan.velocity) for start, end, pitch in sorted(found)]
