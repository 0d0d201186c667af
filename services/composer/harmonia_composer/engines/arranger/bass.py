"""The bass: roots on the downbeats, and the genre's way of getting from one to the next. Pure."""

from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.groove import Player, events, player, swung
from harmonia_composer.engines.arranger.metre import STEP
from harmonia_composer.engines.arranger.score import Note, Section, Span
from harmonia_composer.engines.arranger.sheet import Chair, Sheet


def root_near(pitch_class: int, centre: int, low: int, high: int) -> int:
    """The octave of a pitch class nearest to a pitch, inside the range where there is one."""
    candidates = [pitch for pitch in range(pitch_class % 12, 128, 12) if low <= pitch <= high]
    candidates = candidates or [pitch_class % 12 + 36]
    return min(candidates, key=lambda pitch: (abs(pitch - centre), pitch))


class Line:
    """A bass line in the making: where it is, where the chord after this one will want it."""

    def __init__(self, sheet: Sheet, chair: Chair, section: Section) -> None:
        self.sheet, self.low, self.high = sheet, *chair.limits
        self.dice: Dice = sheet.dice(section, "bass")
        self.last = chair.plan.register
        self.centre = chair.plan.register

    def pitch(self, character: str, root: int, following: int, span: Span) -> int:
        match character:
            case "a":
                found = self.leading(following)
            case "w":
                found = self.walked(span, following)
            case "P":
                found = root_near(self.sheet.key.tonic, self.centre, self.low, self.high)
            case _:
                found = self.tone(character, root, span)
        while found > self.high and found - 12 >= self.low:
            found -= 12
        while found < self.low and found + 12 <= self.high:
            found += 12
        self.last = found
        return found

    def tone(self, character: str, root: int, span: Span) -> int:
        tones = span.chord.tones
        third, fifth = (tones[1] - tones[0]) % 12, (tones[2] - tones[0]) % 12
        seventh = (tones[3] - tones[0]) % 12 if len(tones) > 3 else fifth
        base = root - (span.chord.bass - span.chord.root) % 12
        away = {"R": root - base, "/": root - base, "8": root - base + 12, "3": third, "5": fifth, "7": seventh}
        return base + (fifth - 12 if character == "v" else away[character])

    def leading(self, target: int) -> int:
        """The note of the scale just below or above where the line goes next, on the side it comes from."""
        steps = [target + away for away in (-1, -2, 1, 2) if (target + away) % 12 in self.sheet.key.pitch_classes]
        near = [step for step in steps if (step < target) == (self.last < target)] or steps
        return self.dice.choice(near) if near else target - 1

    def walked(self, span: Span, target: int) -> int:
        """A tone of the chord, or of the scale in between, nearer to where it goes; never the same again."""
        inside = {tone % 12 for tone in span.chord.tones[:4]}
        options = []
        for away in (-4, -3, -2, -1, 1, 2, 3, 4, 5):
            pitch = self.last + away
            if not self.low <= pitch <= self.high or pitch % 12 not in inside | self.sheet.key.pitch_classes:
                continue
            cost = 0.5 * abs(target - pitch) + (0.0 if pitch % 12 in inside else 1.6) + 0.25 * abs(abs(away) - 3)
            options.append((cost + abs(pitch - self.centre) * 0.12 + self.dice.between(0.0, 2.2), pitch))
        return min(options)[1] if options else target


def bass(sheet: Sheet, chair: Chair) -> list[Note]:
    plan = chair.plan
    centre = plan.register + min(0, sheet.mood.register)
    roots = [root_near(span.chord.bass, centre, *chair.limits) for span in sheet.spans]
    notes: list[Note] = []
    section, line, bassist = None, None, None
    for number, (span, root) in enumerate(zip(sheet.spans, roots, strict=True)):
        if section is not sheet.section_at(span.tick) or line is None or bassist is None:
            section = sheet.section_at(span.tick)
            line, bassist = Line(sheet, chair, section), player(sheet, section, chair, spread=0.8)
        if not section.plays(chair.label, span.tick):
            continue
        if span.tick >= sheet.ending:
            notes.append(bassist.note(span.tick, sheet.last_length, root, plan.velocity))
            break
        following = roots[number + 1] if number + 1 < len(roots) else roots[0] if sheet.round else roots[-1]
        notes += played(sheet, chair, span, line, bassist, root=root, following=following)
    return notes


def played(
    sheet: Sheet, chair: Chair, span: Span, line: Line, bassist: Player, *, root: int, following: int
) -> list[Note]:
    """One chord; a chord in the middle of a bar begins the pattern anew, and what is new begins on its root."""
    notes: list[Note] = []
    new = span.tick == 0 or sheet.chord_at(span.tick - 1) != span.chord
    steps_in = (span.tick - sheet.section_at(span.tick).tick) // STEP % sheet.metre.steps
    for step, written, steps in events(sheet.pattern_at(span.tick, chair.plan)[: span.length // STEP]):
        before = line.last
        character = "R" if step == 0 and new and written not in "R/P" else written
        pitch = line.pitch(character, root, following, span)
        tick = span.tick - steps_in * STEP + swung(steps_in + step, sheet)
        accent = 6 if step == 0 else -4
        # From the octave above where the note before is the same: what an 808 does.
        slide = max(-12, min(12, before - pitch or 12)) if character == "/" else 0
        velocity = chair.plan.velocity + accent + 8 * (sheet.section_at(span.tick).energy - 0.6)
        notes.append(bassist.note(tick, steps * STEP - STEP // 6, pitch, velocity, slide=slide))
    return notes
