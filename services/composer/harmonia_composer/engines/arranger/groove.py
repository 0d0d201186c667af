"""Time: patterns of sixteen steps become notes that swing, breathe and are never twice the same. Pure."""

from collections.abc import Iterable, Iterator

from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.genres.genre import Beat, Genre
from harmonia_composer.engines.arranger.score import BAR, PPQ, STEP, Note, Section
from harmonia_composer.engines.arranger.sheet import Chair, Sheet, level_of

# General MIDI percussion.
DRUMS = {
    "kick": 36, "rim": 37, "snare": 38, "clap": 39, "hat": 42, "low tom": 45, "open hat": 46,
    "mid tom": 47, "crash": 49, "high tom": 50, "ride": 51, "tambourine": 54, "shaker": 70,
}  # fmt: skip
STRENGTH = {"X": 112, "x": 90, "o": 52, "?": 60}
VELOCITY_SPREAD = 5.0


def swung(step: int, swing: float) -> int:
    """Tick of a sixteenth, counted from any bar line."""
    return step * STEP + (round(swing * STEP) if step % 2 else 0)


class Player:
    """One musician: how far off the grid and how evenly this part is played. Draws a fresh touch for every note."""

    def __init__(self, dice: Dice, *, spread_s: float, bpm: float) -> None:
        self._dice = dice
        self._spread_ticks = spread_s * bpm / 60.0 * PPQ

    def note(self, tick: int, length: int, pitch: int, velocity: float) -> Note:
        touched = round(velocity + self._dice.bell(VELOCITY_SPREAD))
        return Note(
            tick, max(STEP // 4, length), pitch, max(1, min(127, touched)), round(self._dice.bell(self._spread_ticks))
        )


def events(pattern: str) -> Iterator[tuple[int, str, int]]:
    """(step, character, steps it lasts) of each character that sounds."""
    for step, character in enumerate(pattern):
        if character in ".-":
            continue
        held = step + 1
        while held < len(pattern) and pattern[held] == "-":
            held += 1
        yield step, character, held - step


def hits(beat: Beat, dice: Dice, *, often: float) -> dict[tuple[str, int], int]:
    found = {}
    for drum, pattern in beat.items():
        for step, character, _ in events(pattern):
            if character != "?" or dice.chance(often):
                found[drum, step] = STRENGTH[character]
    return found


def filled(found: dict[tuple[str, int], int], fill: dict[tuple[str, int], int], *, whole: bool) -> None:
    """The second half of the bar becomes the fill's, or all of it."""
    start = 0 if whole else 8
    for place in [place for place in found if place[1] >= start]:
        del found[place]
    found.update({place: strength for place, strength in fill.items() if place[1] >= start})


def drum_bars(sheet: Sheet, section: Section, dice: Dice) -> list[dict[tuple[str, int], int]]:
    """What is struck on which step, bar by bar, with a fill at the end and a crash where it gets loud."""
    genre, density = sheet.genre, sheet.density
    last = section is sheet.sections[-1]
    bars: list[dict[tuple[str, int], int]] = []
    for bar in range(section.bars):
        energy = section.energy + (section.energy_end - section.energy) * bar / section.bars
        found = hits(beat_of(genre, bar, energy + 0.25 * (density - 0.5)), dice, often=0.2 + 0.6 * density)
        if bar == section.bars - 1 and section.bars > 1 and not last:
            filled(found, hits(dice.choice(genre.fills), dice, often=density), whole=density > 0.75)
        if bar == 0 and energy > 0.6 and section.bar > 0:
            found["crash", 0] = 96
        if not genre.same_bars and bars and found.keys() == bars[-1].keys():
            place = dice.choice(genre.ghosts)
            if found.pop(place, None) is None:
                found[place] = STRENGTH["o"]
        bars.append(found)
    return bars


def beat_of(genre: Genre, bar: int, energy: float) -> Beat:
    """The alternatives of a level take turns: the first three bars of four one, the fourth another."""
    options = genre.beats[level_of(energy, len(genre.beats))]
    if bar % 8 < 4:
        return options[1 % len(options)] if bar % 4 == 3 else options[0]
    return options[-1] if bar % 4 == 3 else options[bar % len(options)]


def drums(sheet: Sheet, chair: Chair) -> list[Note]:
    dice = Dice(sheet.seed, "drums")
    player = Player(Dice(sheet.seed, "drummer", chair.label), spread_s=sheet.genre.spread_s, bpm=sheet.bpm)
    notes = []
    for section in sheet.sections:
        bars = drum_bars(sheet, section, dice)
        if chair.label not in section.roles:
            continue
        for bar, found in enumerate(bars):
            start = section.tick + bar * BAR
            for (drum, step), strength in sorted(found.items(), key=lambda hit: (hit[0][1], hit[0][0])):
                tick = start + swung(step, sheet.genre.swing)
                if tick < sheet.ending or (drum in {"kick", "crash"} and tick == sheet.ending):
                    notes.append(player.note(tick, STEP, DRUMS[drum], strength))
    return notes


def cut(notes: Iterable[Note], ticks: int) -> list[Note]:
    return [note for note in notes if note.tick < ticks]
