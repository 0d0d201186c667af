"""The bass: roots on the downbeats, and the genre's way of getting from one to the next. Pure."""

from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.groove import Player, events, swung
from harmonia_composer.engines.arranger.scale import Key
from harmonia_composer.engines.arranger.score import STEP, Note, Span
from harmonia_composer.engines.arranger.sheet import Chair, Sheet


def root_near(pitch_class: int, centre: int, low: int, high: int) -> int:
    """The octave of a pitch class nearest to a pitch, inside the range where there is one."""
    candidates = [pitch for pitch in range(pitch_class % 12, 128, 12) if low <= pitch <= high]
    candidates = candidates or [pitch_class % 12 + 36]
    return min(candidates, key=lambda pitch: (abs(pitch - centre), pitch))


def leading(target: int, key: Key, dice: Dice) -> int:
    """The note of the scale just below or above where the line goes next."""
    steps = [target + away for away in (-1, -2, 1, 2) if (target + away) % 12 in key.pitch_classes]
    return dice.choice(steps) if steps else target - 1


def tone(character: str, root: int, span: Span) -> int:
    third, fifth = (span.chord.tones[1] - span.chord.root) % 12, (span.chord.tones[2] - span.chord.root) % 12
    return root + {"R": 0, "3": third, "5": fifth, "8": 12}[character]


def bass(sheet: Sheet, chair: Chair) -> list[Note]:
    plan, dice = chair.plan, Dice(sheet.seed, "bass")
    player = Player(Dice(sheet.seed, "bassist", chair.label), spread_s=sheet.genre.spread_s * 0.8, bpm=sheet.bpm)
    roots = [root_near(span.chord.root, plan.register, *chair.limits) for span in sheet.spans]
    notes = []
    for span, root, following in zip(sheet.spans, roots, [*roots[1:], roots[-1]], strict=True):
        if chair.label not in sheet.section_at(span.tick).roles:
            continue
        if span.tick >= sheet.ending:
            notes.append(player.note(span.tick, sheet.ticks - span.tick, root, plan.velocity))
            continue
        for step, character, steps in events(sheet.pattern_at(span.tick, plan)[: span.length // STEP]):
            pitch = leading(following, sheet.key, dice) if character == "a" else tone(character, root, span)
            start = span.tick + swung(step, sheet.genre.swing)
            accent = 6 if step == 0 else -4
            notes.append(player.note(start, steps * STEP - STEP // 6, pitch, plan.velocity + accent))
    return notes
