"""Time: patterns of sixteenths become notes that swing, breathe and are never twice the same. Pure."""

from collections.abc import Iterable, Iterator

from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.genres.genre import Beat
from harmonia_composer.engines.arranger.metre import PPQ, STEP
from harmonia_composer.engines.arranger.percussion import DRUMS
from harmonia_composer.engines.arranger.score import Note, Section
from harmonia_composer.engines.arranger.sheet import Chair, Sheet, level_of

STRENGTH = {"X": 112, "x": 90, "o": 52, "?": 60, "r": 84, "t": 80, "f": 104}
# Strokes inside the step, and how each compares to the first: rolls fall off, a flam's first is a grace.
STROKES = {"r": (0.0, 0.5), "t": (0.0, 1 / 3, 2 / 3), "f": (0.0, 0.16)}
RISE = 0.15
"""Of energy, from one section to the next: enough for a crash, a riser, a pick-up."""

Hits = dict[tuple[str, int], str]


def swung(step: int, sheet: Sheet) -> int:
    """Tick of a sixteenth, counted from any bar line. Beats of three do not swing: they are what swing comes from."""
    genre = sheet.genre
    if sheet.metre.compound:
        return step * STEP
    if genre.swing_on == 16:
        return step * STEP + (round(genre.swing * STEP) if step % 2 else 0)
    within = step % 4
    late = {0: 0.0, 1: 1.0, 2: 2.0, 3: 1.0}[within] * genre.swing
    return step * STEP + round(late * STEP)


class Player:
    """One musician: how far off the grid and how evenly this part is played. Draws a fresh touch for every note."""

    def __init__(self, dice: Dice, sheet: Sheet, *, spread: float = 1.0, late_s: float = 0.0) -> None:
        """`spread` times the genre's."""
        self._dice = dice
        self._second = sheet.bpm / 60.0 * PPQ
        self._spread = spread * sheet.genre.spread_s * self._second
        self._behind = late_s * self._second
        self._velocity = sheet.genre.velocity_spread

    def note(self, tick: int, length: int, pitch: int, velocity: float, *, slide: int = 0, late_s: float = 0.0) -> Note:
        touched = round(velocity + self._dice.bell(self._velocity))
        late = self._behind + late_s * self._second + self._dice.bell(self._spread)
        return Note(tick, max(STEP // 4, length), pitch, max(1, min(127, touched)), round(late), slide)


def player(sheet: Sheet, section: Section, chair: Chair, *, spread: float = 1.0) -> Player:
    return Player(sheet.dice(section, "player", chair.label), sheet, spread=spread, late_s=chair.plan.late_s)


def events(pattern: str) -> Iterator[tuple[int, str, int]]:
    """(step, character, steps it lasts) of each character that sounds."""
    for step, character in enumerate(pattern):
        if character in ".-":
            continue
        held = step + 1
        while held < len(pattern) and pattern[held] == "-":
            held += 1
        yield step, character, held - step


def rises(sheet: Sheet, section: Section) -> bool:
    """It gets louder here than it was."""
    if section.bar == 0:
        return False
    return section.energy - sheet.section_at(section.tick - 1).energy_end >= RISE


def hits(sheet: Sheet, beat: Beat, bar: int, dice: Dice, *, often: float) -> Hits:
    found: Hits = {}
    for drum, pattern in beat.items():
        for step, character, _ in events(sheet.bar_of(pattern, bar)):
            if character != "?" or dice.chance(often):
                found[drum, step] = character
    return found


def last_bar(sheet: Sheet, beat: Beat) -> int:
    """Of a fill that takes two bars in this metre, what leads out."""
    return max(len(sheet.fitted(pattern)) for pattern in beat.values()) // sheet.metre.steps - 1


def filled(found: Hits, fill: Hits, start: int) -> None:
    """From `start` on the bar is the fill's."""
    for place in [place for place in found if place[1] >= start]:
        del found[place]
    found.update({place: character for place, character in fill.items() if place[1] >= start})


def drum_bars(sheet: Sheet, section: Section, *, comes_in: int) -> list[Hits]:
    """What is struck on which step, bar by bar: fills where something new follows, a crash where it gets loud."""
    genre, density, dice = sheet.genre, sheet.density, sheet.dice(section, "drums")
    last = section is sheet.sections[-1] and not sheet.round
    crashes = genre.crash and section.energy > 0.6 and (rises(sheet, section) or section.character == "chorus")
    bars: list[Hits] = []
    for bar in range(section.bars):
        energy = section.energy + (section.energy_end - section.energy) * bar / section.bars
        beat = beat_of(sheet, section, bar, energy + 0.4 * (density - 0.5))
        found = hits(sheet, beat, bar, dice, often=0.2 + 0.6 * density)
        chosen, whole, often = dice.choice(genre.fills or ({},)), dice.unit() < density - 0.35, dice.unit()
        ends = bar == section.bars - 1 and section.bars > 1 and not last
        turns = bar % 4 == 3 and often < 0.15 + 0.35 * density and not genre.same_bars
        if chosen and (ends or turns):
            start = 0 if whole and ends else sheet.metre.half if ends else sheet.metre.pulse_starts[-1]
            filled(found, hits(sheet, chosen, last_bar(sheet, chosen), dice, often=density), start)
        if bar == comes_in and crashes and section.bar > 0:
            found["crash", 0] = "x"
        # A section of one bar has no bar before it, but a neighbour that may begin alike.
        alike = section.bars == 1 or bool(bars and found.keys() == bars[-1].keys())
        if alike and not genre.same_bars:
            varied(found, sheet, dice)
        bars.append(found)
    return bars


def varied(found: Hits, sheet: Sheet, dice: Dice) -> None:
    """One ghost note more, or one less."""
    drum, step = dice.choice(sheet.genre.ghosts or (("hat", 11),))
    place = (drum, step % sheet.metre.steps)
    if found.pop(place, None) is None:
        found[place] = "o"


def beat_of(sheet: Sheet, section: Section, bar: int, energy: float) -> Beat:
    """The alternatives of a level take turns: the first three bars of four one, the fourth another. A build's are gone
    through in order."""
    genre = sheet.genre
    own = section.of(genre.section_beats)
    if own and section.character == "build":
        return own[bar * len(own) // section.bars]
    options = own or genre.beats[level_of(energy, len(genre.beats))]
    if bar % 8 < 4:
        return options[1 % len(options)] if bar % 4 == 3 else options[0]
    return options[-1] if bar % 4 == 3 else options[bar % len(options)]


def drums(sheet: Sheet, chair: Chair) -> list[Note]:
    notes: list[Note] = []
    for section in sheet.sections:
        drummer = player(sheet, section, chair)
        comes_in = (section.middle - section.tick) // sheet.metre.ticks if chair.label in section.late else 0
        for bar, found in enumerate(drum_bars(sheet, section, comes_in=comes_in)):
            start = section.tick + bar * sheet.metre.ticks
            if section.plays(chair.label, start):
                notes += struck_bar(sheet, found, start, drummer)
            elif pick_up_here(sheet, chair, start):
                notes += struck_bar(sheet, pick_up(sheet, section), start, drummer)
    return notes


def pick_up_here(sheet: Sheet, chair: Chair, start: int) -> bool:
    """The bar before the drums come in."""
    following = start + sheet.metre.ticks
    if not sheet.genre.pickups or following >= sheet.ending:
        return False
    return sheet.section_at(following).plays(chair.label, following)


def pick_up(sheet: Sheet, section: Section) -> Hits:
    dice = sheet.dice(section, "pick-up")
    chosen = dice.choice(sheet.genre.pickups)
    found = hits(sheet, chosen, last_bar(sheet, chosen), dice, often=sheet.density)
    return {place: character for place, character in found.items() if place[1] >= sheet.metre.pulse_starts[-1]}


def struck_bar(sheet: Sheet, found: Hits, start: int, drummer: Player) -> list[Note]:
    notes = []
    for (drum, step), character in sorted(found.items(), key=lambda hit: (hit[0][1], hit[0][0])):
        tick = start + swung(step, sheet)
        if tick >= sheet.ending and not (drum in {"kick", "crash"} and tick == sheet.ending < sheet.ticks):
            continue
        strokes = STROKES.get(character, (0.0,))
        for place, along in enumerate(strokes):
            grace = character == "f" and place == 0
            soft = 0.5 if grace else 1.0 - 0.08 * place if character != "f" else 1.0
            at = tick + round(along * STEP)
            notes.append(
                drummer.note(at, STEP // len(strokes), DRUMS[drum], STRENGTH[character] * soft,
                             late_s=sheet.genre.drags.get(drum, 0.0))
            )  # fmt: skip
    return notes


def cut(notes: Iterable[Note], ticks: int) -> list[Note]:
    return [note for note in notes if note.tick < ticks]
