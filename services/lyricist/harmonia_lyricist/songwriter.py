"""Who writes: a language model where there is one, the built-in writer where there is none or it fails.

No failure of a model reaches the song: the writer answers in its place and a warning says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harmonia_lyricist import draft, editor, opinion, writer
from harmonia_lyricist.brief import Asked, Line, Lyrics, LyricSection, Palette, Reading, Understood
from harmonia_lyricist.lexicon import Lexicon
from harmonia_lyricist.llm import LanguageModel, NoAnswer
from harmonia_lyricist.metre import scanned
from harmonia_lyricist.prompt import read, total_bars
from harmonia_lyricist.rhyme import last_word, rhymes
from harmonia_lyricist.title import fit


@dataclass(frozen=True, slots=True)
class Sung:
    """`by` names the model whose words they are; empty: the writer's."""

    lyrics: Lyrics
    warnings: tuple[str, ...] = ()
    by: str = ""


async def understood(prompt: str, asked: Asked, palette: Palette, *, lexicon: Lexicon, model: LanguageModel) -> Reading:
    """The parser's reading, and the model's opinion where the prompt leaves a field open."""
    reading = read(prompt, asked, palette, lexicon=lexicon, any_language=True)
    fields = opinion.left_open(reading, asked)
    if not prompt.strip() or not fields:
        return reading
    try:
        answer = await model.answer(opinion.question(prompt, fields, palette, seed=asked.seed))
    except NoAnswer as failure:
        return _warned(reading, f"prompt: no answer from the language model: {failure}; the parser read it alone")
    seen = opinion.opinion(answer, fields, asked, palette)
    again = read(prompt, seen.asked, palette, lexicon=lexicon, any_language=True)
    return opinion.judged(again, seen, by=model.name)


def alone(plan: draft.Plan, *, seed: int, writing: writer.Writing) -> Sung:
    """PURE. The built-in writer's words."""
    if not plan.unsaid:
        return Sung(writer.write(plan.theme, title=plan.title, form=plan.form, seed=seed, writing=writing).lyrics)
    spared = writer.without(writing, plan.unsaid)
    title = "" if writer.mentions(plan.title, plan.unsaid) else plan.title
    try:
        written = writer.write(plan.theme, title=title, form=plan.form, seed=seed, writing=spared, unsaid=plan.unsaid)
    except writer.NoRhyme:
        told = (
            f"lyrics: there are too few rhymes without {', '.join(plan.unsaid)}: the words are written with all of them"
        )
        return replace(alone(replace(plan, unsaid=()), seed=seed, writing=writing), warnings=(told,))
    return Sung(written.lyrics)


async def words(plan: draft.Plan, *, seed: int, writing: writer.Writing, model: LanguageModel) -> Sung:
    spare = alone(plan, seed=seed, writing=writing).lyrics
    try:
        stanzas = draft.titled(draft.stanzas_from(await model.answer(draft.question(plan, seed=seed)), plan), plan)
    except NoAnswer as failure:
        return _spare(plan, spare, f"no answer from the language model: {failure}")
    stanzas, faults = await _repaired(plan, stanzas, seed=seed, writing=writing, model=model)
    return _judged(plan, stanzas, faults, spare, writing=writing, by=model.name)


async def _repaired(
    plan: draft.Plan, stanzas: draft.Stanzas, *, seed: int, writing: writer.Writing, model: LanguageModel
) -> tuple[draft.Stanzas, list[draft.Fault]]:
    faults = draft.faults_of(stanzas, plan, writing)
    if not faults:
        return stanzas, []
    try:
        answer = await model.answer(draft.question_again(plan, stanzas, faults, seed=seed + 1))
        better = draft.titled(draft.repaired(stanzas, faults, answer), plan)
    except NoAnswer:
        return stanzas, faults
    return better, draft.faults_of(better, plan, writing)


def _judged(
    plan: draft.Plan,
    stanzas: draft.Stanzas,
    faults: Sequence[draft.Fault],
    spare: Lyrics,
    *,
    writing: writer.Writing,
    by: str,
) -> Sung:
    bad = frozenset(fault.stanza for fault in faults)
    if len(bad) == len(stanzas):
        return _spare(plan, spare, "nothing the language model wrote could be sung")
    ours = spare if plan.in_english else Lyrics()
    lyrics = draft.song(plan, stanzas, ours, bad=bad, writing=writing)
    instead = "are the built-in writer's" if plan.in_english else "are left out"
    warning = f"lyrics: {len(bad)} of {len(stanzas)} stanzas {instead}: the language model's could not be sung"
    return Sung(lyrics, (warning,) if bad else (), by)


def _spare(plan: draft.Plan, spare: Lyrics, why: str) -> Sung:
    english = "" if plan.in_english else f"; it writes English only, {plan.language} was asked for"
    return Sung(spare, (f"lyrics: {why}; the words are the built-in writer's{english}",))


def _warned(reading: Reading, warning: str) -> Reading:
    return replace(reading, warnings=(*reading.warnings, warning))


def plan(reading: Reading) -> draft.Plan:
    brief = reading.brief
    form = reading.form or writer.form_for(total_bars(brief.duration_seconds, brief.bpm, brief.time_signature))
    named = tuple(name for name in form if name not in writer.WORDLESS) or ("chorus",)
    return draft.Plan(reading.theme or "", fit(brief.title), brief.language, named, reading.unsaid)


def credit(reading: Reading, sung: Sung) -> tuple[Understood, ...]:
    return (*reading.understood, Understood("", "written_by", sung.by)) if sung.by else reading.understood


async def another(
    lyrics: Lyrics, change: editor.Change, *, language: str, writing: writer.Writing, model: LanguageModel | None
) -> tuple[tuple[Line, ...], tuple[str, ...]]:
    """New lines and warnings. Raises editor.NoLine when nobody has any."""
    if model is None:
        return editor.new_lines(lyrics, change, writing), ()
    try:
        return await _by_model(lyrics, change, language=language, writing=writing, model=model), ()
    except NoAnswer as failure:
        told = f"lyrics: no answer from the language model: {failure}; the words are the built-in writer's"
        return editor.new_lines(lyrics, change, writing), (told,)


async def _by_model(
    lyrics: Lyrics, change: editor.Change, *, language: str, writing: writer.Writing, model: LanguageModel
) -> tuple[Line, ...]:
    section = lyrics.sections[change.section]
    places = range(len(section.lines)) if change.line is None else [change.line]
    wanted = [_wanted(section, place, change, writing) for place in places]
    question = draft.question_lines(wanted, theme=change.theme, language=language, seed=change.seed)
    texts = draft.lines_from(await model.answer(question), len(wanted))
    for text, one in zip(texts, wanted, strict=True):
        if wrong := draft.unsingable(text, writing) or draft.wrong_length(text, one.syllables, writing):
            raise NoAnswer(f"a line {wrong}")
        english = language.split("-", maxsplit=1)[0].lower() == "en"
        if english and one.rhymes_with and not rhymes(last_word(text), one.rhymes_with, writing.sounds):
            raise NoAnswer(f"a line does not rhyme with {one.rhymes_with!r}")
    return tuple(scanned(text, writing.metre) for text in texts)


def _wanted(section: LyricSection, place: int, change: editor.Change, writing: writer.Writing) -> draft.Wanted:
    old = section.lines[place]
    # Where all lines are new, what they rhyme with is not there yet.
    word = change.rhyme_with.lower() or editor.partner(section, place, writing) if change.line is not None else ""
    return draft.Wanted(old.text, change.syllables or old.syllables, word)
