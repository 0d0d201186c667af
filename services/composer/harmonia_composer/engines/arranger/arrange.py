"""Brief and seed → score: the whole of composing, in the order a musician would decide it. Pure."""

from collections.abc import Sequence

from harmonia_composer.engine import Brief, LyricSection, Unplayable
from harmonia_composer.engines.arranger import form, groove, harmony, voicing
from harmonia_composer.engines.arranger.bass import bass
from harmonia_composer.engines.arranger.casting import cast, layered
from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_composer.engines.arranger.genres.genre import Genre
from harmonia_composer.engines.arranger.melody import melody
from harmonia_composer.engines.arranger.moods import MOODS, Mood, blend
from harmonia_composer.engines.arranger.scale import Key, parse_key
from harmonia_composer.engines.arranger.score import BAR, PPQ, Line, Note, Part, Score, Section
from harmonia_composer.engines.arranger.sheet import Chair, Sheet


def arrange(brief: Brief, seed: int) -> Score:
    genre = genre_of(brief)
    mood = blend(moods_of(brief))
    key = parse_key(brief.key) if brief.key else drawn_key(genre, mood, Dice(seed, "key", genre.name))
    bpm = tempo(brief, genre, mood, Dice(seed, "bpm"))
    beats = form.whole_beats(brief.duration_seconds, bpm)
    chairs = cast(
        genre, instruments=brief.instruments, suggested=mood.instruments, excluded=brief.excluded_instruments,
        dice=Dice(seed, "cast"),
    )  # fmt: skip
    shape = form.plan(genre, beats=beats, wishes=brief.sections, lyrics=brief.lyrics, lift=mood.energy)
    sections = layered(genre, shape, chairs)
    density = min(1.0, max(0.0, brief.complexity + mood.density))
    spans = harmony.spans(genre, key, sections, seed=seed, complexity=density)
    sheet = Sheet(genre, mood, key, bpm, seed, density, beats * PPQ, tuple(sections), tuple(spans))
    parts = [part(chair, sheet) for chair in chairs]
    return Score(
        title=brief.title, genre=genre, seed=seed, key=key, bpm=bpm, duration_seconds=brief.duration_seconds,
        ticks=sheet.ticks, sections=sheet.sections, chords=sheet.spans,
        parts=tuple(one for one in parts if one.notes), lines=tuple(lines(brief.lyrics, sections, sheet.ticks)),
        brightness=mood.brightness, reverb=mood.reverb,
    )  # fmt: skip


def genre_of(brief: Brief) -> Genre:
    name = brief.genre.strip().lower() or "lo-fi hip-hop"
    if name not in GENRES:
        raise Unplayable(f"no genre {brief.genre!r}: there are {', '.join(GENRES)}", field="genre")
    if brief.time_signature not in {"", "4/4"}:
        raise Unplayable(f"{brief.time_signature!r} cannot be played yet: 4/4 can", field="time_signature")
    return GENRES[name]


def moods_of(brief: Brief) -> list[str]:
    names = [name.strip().lower() for name in brief.moods]
    for name in names:
        if name not in MOODS:
            raise Unplayable(f"no mood {name!r}: there are {', '.join(MOODS)}", field="moods")
    return names


def drawn_key(genre: Genre, mood: Mood, dice: Dice) -> Key:
    minor = dice.chance(min(1.0, max(0.0, genre.minor_share + mood.minor)))
    return Key(int(dice.unit() * 12), "minor" if minor else "major")


def tempo(brief: Brief, genre: Genre, mood: Mood, dice: Dice) -> float:
    """A whole number from the genre's usual range, leaning where the mood leans, when none is set."""
    if brief.bpm:
        return brief.bpm
    low, high = genre.bpm
    middle, reach = (low + high) / 2, (high - low) / 2
    return float(round(min(high, max(low, middle + reach * (mood.tempo + dice.between(-0.4, 0.4))))))


def part(chair: Chair, sheet: Sheet) -> Part:
    notes = written(chair, sheet)
    ordered = sorted(groove.cut(notes, sheet.ticks + 1), key=lambda note: (note.start, note.pitch))
    return Part(chair.label, chair.instrument, chair.plan.style, chair.plan.mix, tuple(ordered))


def written(chair: Chair, sheet: Sheet) -> list[Note]:
    match chair.plan.style:
        case "drums":
            return groove.drums(sheet, chair)
        case "bass":
            return bass(sheet, chair)
        case "comp":
            return voicing.comp(sheet, chair)
        case "pad":
            return voicing.pad(sheet, chair)
        case "melody":
            return melody(sheet, chair)
        case "texture":
            return texture(sheet, chair)


def texture(sheet: Sheet, chair: Chair) -> list[Note]:
    """One long note through sections that follow each other; the renderer knows what it is made of."""
    notes: list[Note] = []
    for section in sheet.sections:
        if chair.label not in section.roles:
            continue
        end = min(sheet.ticks, section.end)
        if notes and notes[-1].tick + notes[-1].length == section.tick:
            notes[-1] = Note(notes[-1].tick, end - notes[-1].tick, 60, 80)
        else:
            notes.append(Note(section.tick, end - section.tick, 60, 80))
    return notes


def lines(lyrics: Sequence[LyricSection], sections: Sequence[Section], ticks: int) -> list[Line]:
    """Each line at a bar of its section, or at a beat where it has more lines than bars.

    Sections the form has no room for share the last one that it has.
    """
    sung = [place for place, section in enumerate(sections) if section.name not in {"intro", "outro"}] or [0]
    words: dict[int, list[str]] = {}
    for number, section in enumerate(lyrics):
        words.setdefault(sung[min(number, len(sung) - 1)], []).extend(line.text for line in section.lines)
    found = []
    for place, texts in words.items():
        start, end = sections[place].tick, min(sections[place].end, ticks)
        grain = BAR if len(texts) * BAR <= end - start else PPQ
        for number, text in enumerate(texts):
            offset = (end - start) * number // len(texts) // grain * grain
            found.append(Line(start + offset, place, text))
    return found
