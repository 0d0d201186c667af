"""Brief and seed → score: the whole of composing, in the order a musician would decide it. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from harmonia_composer.engine import Brief, Kind, Unplayable
from harmonia_composer.engines.arranger import form, groove, harmony, prosody, voicing
from harmonia_composer.engines.arranger.bass import bass
from harmonia_composer.engines.arranger.casting import cast, layered
from harmonia_composer.engines.arranger.dice import Dice
from harmonia_composer.engines.arranger.form import Frame, Shape
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_composer.engines.arranger.genres.genre import Ending, Genre, Style
from harmonia_composer.engines.arranger.melody import melody
from harmonia_composer.engines.arranger.metre import PPQ, STEP, Metre, parse_metre
from harmonia_composer.engines.arranger.moods import MOODS, Mood, blend
from harmonia_composer.engines.arranger.prosody import Setting, Sung
from harmonia_composer.engines.arranger.scale import Key, parse_key
from harmonia_composer.engines.arranger.score import Line, Note, Part, Score, Section, Sound, Syllable
from harmonia_composer.engines.arranger.sheet import Chair, Sheet

LOOP_BARS, MOST_LOOP_BARS = 4, 8


def arrange(brief: Brief, seed: int) -> Score:
    genre = genre_of(brief)
    mood = blend(moods_of(brief))
    metre = parse_metre(brief.time_signature or genre.metre)
    key = parse_key(brief.key) if brief.key else drawn_key(genre, mood, Dice(seed, "key", genre.name))
    bpm = tempo(brief, genre, mood, Dice(seed, "bpm"))
    chairs = cast(
        genre, instruments=brief.instruments, suggested=mood.instruments, excluded=brief.excluded_instruments,
        seed=seed, kind=brief.kind,
    )  # fmt: skip
    have, sections, words = shaped(brief, genre, metre, mood, chairs, bpm=bpm, seed=seed)
    looped = brief.kind is Kind.LOOP
    density = min(1.0, max(0.0, brief.complexity + mood.density))
    spans = harmony.spans(genre, key, sections, complexity=density, turning=looped)
    sheet = Sheet(
        genre, mood, metre, key, bpm, seed, density, have.ticks, tuple(sections), tuple(spans),
        ends=ending(genre, brief, seed), round=looped, words=tuple(words),
    )  # fmt: skip
    parts = [part(chair, sheet) for chair in chairs]
    return Score(
        title=brief.title, genre=genre, seed=seed, key=key, bpm=bpm, duration_seconds=seconds(brief, have, bpm),
        ticks=sheet.ticks, sections=sheet.sections, chords=sheet.spans,
        parts=tuple(one for one in parts if one.notes), lines=tuple(sung_line(one, sheet) for one in words),
        brightness=mood.brightness, reverb=mood.reverb, metre=metre, syllables=tuple(syllables(words, sheet)),
        loop=looped, ending=sheet.ends,
    )  # fmt: skip


def genre_of(brief: Brief) -> Genre:
    name = brief.genre.strip().lower() or "lo-fi hip-hop"
    if name not in GENRES:
        raise Unplayable(f"no genre {brief.genre!r}: there are {', '.join(GENRES)}", field="genre")
    return GENRES[name]


def moods_of(brief: Brief) -> list[str]:
    names = [name.strip().lower() for name in brief.moods]
    for name in names:
        if name not in MOODS:
            raise Unplayable(f"no mood {name!r}: there are {', '.join(MOODS)}", field="moods")
    return names


def drawn_key(genre: Genre, mood: Mood, dice: Dice) -> Key:
    minor = dice.chance(min(1.0, max(0.0, genre.minor_share + mood.minor)))
    mode, tonic, drawn = "minor" if minor else "major", int(dice.unit() * 12), dice.unit()
    for colour, often in genre.colours.get(mode, ()):
        if drawn < often:
            return Key(tonic, colour)
        drawn -= often
    return Key(tonic, mode)


def tempo(brief: Brief, genre: Genre, mood: Mood, dice: Dice) -> float:
    """A whole number from the genre's usual range, leaning where the mood leans, when none is set."""
    if brief.bpm:
        return brief.bpm
    low, high = genre.bpm
    middle, reach = (low + high) / 2, (high - low) / 2
    return float(round(min(high, max(low, middle + reach * (mood.tempo + dice.between(-0.4, 0.4))))))


def shaped(
    brief: Brief, genre: Genre, metre: Metre, mood: Mood, chairs: Sequence[Chair], *, bpm: float, seed: int
) -> tuple[Frame, list[Section], list[Setting]]:
    """The form, who plays where, and when the words are sung."""
    shapes, lengths, have = chosen(brief, genre, metre, bpm=bpm, seed=seed)
    sections = form.laid(genre, shapes, lengths, metre=metre, seed=seed, lift=mood.energy)
    words = prosody.settings(
        brief.lyrics, sections, [form.character(words.name, genre) for words in brief.lyrics],
        ticks=have.ticks, bpm=bpm,
    )  # fmt: skip
    sung = frozenset(one.line.section for one in words if one.notes)
    wishes = [shape.intensity for shape in shapes]
    return have, layered(genre, sections, chairs, kind=brief.kind, intense=wishes, sung=sung), words


def chosen(brief: Brief, genre: Genre, metre: Metre, *, bpm: float, seed: int) -> tuple[list[Shape], list[int], Frame]:
    """Sections with their bars, and the time they fill."""
    have = form.frame(brief.duration_seconds, bpm, metre)
    if brief.kind is Kind.LOOP:
        bars = brief.bars or LOOP_BARS
        if not 1 <= bars <= MOST_LOOP_BARS:
            raise Unplayable(f"a loop has 1 to {MOST_LOOP_BARS} bars, not {bars}", field="bars")
        return [Shape("loop", bars)], [bars], Frame(metre, bars * metre.ticks)
    if brief.sections:
        shapes = form.wished(brief.sections, have, duration_seconds=brief.duration_seconds, bpm=bpm)
        have = form.cut_to(shapes, have)
        return shapes, form.stretched(shapes, have), have
    if brief.kind is Kind.BEAT:
        shapes = form.beat_shapes(have.bars)
    elif brief.lyrics:
        needed = -(-prosody.most_beats(brief.lyrics) // len(metre.pulses))
        line = max(form.line_bars(metre, bpm), min(4, needed))
        shapes = form.word_shapes(brief.lyrics, have.bars, line, genre)
    else:
        shapes = form.lengthened(form.own_shapes(genre, have.bars, Dice(seed, "form")), have.bars)
    shapes = shapes[: have.bars]
    return shapes, form.fitted(shapes, have.bars), have


def ending(genre: Genre, brief: Brief, seed: int) -> Ending:
    return Dice(seed, "ending").choice(genre.endings) if brief.kind is not Kind.LOOP else "ring"


def seconds(brief: Brief, have: Frame, bpm: float) -> float:
    """A loop is as long as its bars; all else as long as asked."""
    return have.ticks / PPQ * 60.0 / bpm if brief.kind is Kind.LOOP else brief.duration_seconds


def part(chair: Chair, sheet: Sheet) -> Part:
    sound, write = PLAYERS[chair.plan.style]
    notes = write(sheet, chair)
    if sheet.ends == "fade":
        notes = [faded(note, sheet) for note in notes]
    ordered = sorted(groove.cut(notes, sheet.ticks), key=lambda note: (note.start, note.pitch))
    return Part(chair.label, chair.instrument, sound, chair.plan.mix, tuple(ordered))


def faded(note: Note, sheet: Sheet) -> Note:
    """The last section grows quiet, to a third."""
    last = sheet.sections[-1]
    along = max(0.0, (note.tick - last.tick) / max(1, sheet.ticks - last.tick))
    return replace(note, velocity=max(1, round(note.velocity * (1.0 - 0.66 * along)))) if along else note


def texture(sheet: Sheet, chair: Chair) -> list[Note]:
    """One long note through sections that follow each other; the renderer knows what it is made of."""
    notes: list[Note] = []
    for section in sheet.sections:
        if chair.label not in section.roles:
            continue
        start = section.middle if chair.label in section.late else section.tick
        end = min(sheet.ticks, section.middle if chair.label in section.early else section.end)
        if end <= start:
            continue
        if notes and notes[-1].tick + notes[-1].length == start:
            notes[-1] = Note(notes[-1].tick, end - notes[-1].tick, 60, 80)
        else:
            notes.append(Note(start, end - start, 60, 80))
    return notes


def riser(sheet: Sheet, _: Chair) -> list[Note]:
    """The last bars before it gets louder."""
    notes = []
    for section in sheet.sections:
        if groove.rises(sheet, section) and section.tick < sheet.ending:
            before = sheet.section_at(section.tick - 1)
            length = min(sheet.genre.riser_bars, before.bars) * sheet.metre.ticks
            notes.append(Note(section.tick - length, length, 60, 80))
    return notes


# How each style sounds, and who writes it.
PLAYERS: dict[Style, tuple[Sound, Callable[[Sheet, Chair], list[Note]]]] = {
    "drums": ("drums", groove.drums),
    "bass": ("bass", bass),
    "comp": ("comp", voicing.comp),
    "pad": ("pad", voicing.pad),
    "melody": ("melody", melody),
    "counter": ("melody", voicing.counter),
    "texture": ("texture", texture),
    "riser": ("texture", riser),
}


def sung_line(setting: Setting, sheet: Sheet) -> Line:
    """With the time of its first note."""
    return replace(setting.line, tick=sung_tick(setting.notes[0], sheet)) if setting.notes else setting.line


def sung_tick(note: Sung, sheet: Sheet) -> int:
    """Where the tune has it: swung."""
    bar, step = divmod(note.tick // STEP, sheet.metre.steps)
    return bar * sheet.metre.ticks + groove.swung(step, sheet) if note.tick % STEP == 0 else note.tick


def syllables(words: Sequence[Setting], sheet: Sheet) -> list[Syllable]:
    return [
        Syllable(sung_tick(note, sheet), note.length, note.sound.text, one.number, note.sound.word, note.sound.stress)
        for one in words
        for note in one.notes
    ]
