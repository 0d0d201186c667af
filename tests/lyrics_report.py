"""Writes docs/lyrics.md: `make lyrics-report`, two minutes.

Twenty songs, seeds 1 to 20, of the first twenty prompts of tests/unit/lyricist/prompts_300.toml that want words;
nobody chose among them. Each is written, set to a tune by the arranger and marked: rhymes, stresses, what is sung.
"""

import asyncio
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bench.voice
from bench.table import Row
from harmonia_composer import wire as composer_wire
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.score import Score, Syllable
from harmonia_lyricist import wire
from harmonia_lyricist.brief import Asked, Brief, Kind, LyricSection, Palette
from harmonia_lyricist.metre import line_stresses
from harmonia_lyricist.rhyme import last_word, rhyming_part, scheme
from harmonia_lyricist.write import Tables, Written, load, write
from tests.palette import arrangers

PAGE = Path(__file__).parent.parent / "docs" / "lyrics.md"
PROMPTS = Path(__file__).parent / "unit" / "lyricist" / "prompts_300.toml"
SEEDS = range(1, 21)
SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Marks:
    """Counts over one song. `sung`: lines the form had time for; `on_beats`: of `stressed` syllables."""

    lines: int
    sung: int
    fitting: int
    stressed: int
    on_beats: int
    rhymes: int
    true_rhymes: int
    same_words: int
    choruses_alike: bool
    title_in_chorus: bool


@dataclass(frozen=True, slots=True)
class Song:
    seed: int
    prompt: str
    written: Written
    marks: Marks


def prompts() -> list[str]:
    rows = tomllib.loads(PROMPTS.read_text(encoding="utf-8"))["prompt"]
    return [row["text"] for row in rows if row["expect"].get("words")][: len(SEEDS)]


def songs(seeds: Sequence[int] = SEEDS) -> list[Song]:
    tables, palette = load(), arrangers()
    return [song(seed, prompts()[seed - SEEDS[0]], tables, palette) for seed in seeds]


def song(seed: int, prompt: str, tables: Tables, palette: Palette) -> Song:
    asked = Asked(seed=seed, duration_seconds=SECONDS, kind=Kind.SONG)
    written = write(prompt, asked, palette, tables=tables)
    return Song(seed, prompt, written, marks(written.brief, arranged(written.brief, seed), tables))


def arranged(brief: Brief, seed: int) -> Score:
    """What the composer makes of it, over the same messages as in the mesh."""
    message = wire.brief_to_proto(brief)
    return arrange(composer_wire.brief_from_proto(message, message.lyrics), seed)


def marks(brief: Brief, score: Score, tables: Tables) -> Marks:
    sections = brief.lyrics.sections
    lines = [line for section in sections for line in section.lines]
    sung = by_line(score)
    stressed = [one for one in score.syllables if one.stress == 1]
    pairs = [pair for section in sections for pair in rhyming_pairs(section, tables)]
    parts = [(rhyming_part(a, tables.writing.sounds), rhyming_part(b, tables.writing.sounds)) for a, b in pairs]
    choruses = [section.lines for section in sections if section.name == "chorus"]
    return Marks(
        lines=len(lines),
        sung=len(sung),
        fitting=sum(len(notes) == lines[number].syllables for number, notes in sung.items()),
        stressed=len(stressed),
        on_beats=sum(is_on_beat(one, score) for one in stressed),
        rhymes=len(pairs),
        true_rhymes=sum(bool(one) and one == other for one, other in parts),
        same_words=sum(a == b for a, b in pairs),
        choruses_alike=all(chorus == choruses[0] for chorus in choruses),
        title_in_chorus=any(brief.title.lower() in line.text.lower() for line in choruses[0]) if choruses else True,
    )


def by_line(score: Score) -> dict[int, list[Syllable]]:
    found: dict[int, list[Syllable]] = {}
    for one in score.syllables:
        found.setdefault(one.line, []).append(one)
    return found


def is_on_beat(one: Syllable, score: Score) -> bool:
    """A beat of the metre, as one taps it."""
    section = score.section_at(one.tick)
    sixteenth = (one.tick - section.tick) % score.metre.ticks / (score.metre.ticks / score.metre.steps)
    return round(sixteenth) in score.metre.pulse_starts


def rhyming_pairs(section: LyricSection, tables: Tables) -> list[tuple[str, str]]:
    """The last words of the lines that the stanza's scheme says rhyme."""
    texts = [line.text for line in section.lines]
    letters = scheme(texts, tables.writing.sounds)
    return [
        (last_word(texts[first]), last_word(texts[second]))
        for second in range(len(texts))
        for first in range(second)
        if letters[first] == letters[second] and first == letters.index(letters[second])
    ]


def total(found: Sequence[Song]) -> str:
    def over(part: str, whole: str) -> str:
        had, asked = (sum(getattr(one.marks, name) for one in found) for name in (part, whole))
        return f"{had} of {asked} ({100 * had / asked:.1f} %)"

    rows = [
        ("V1 lines sung with a note for each syllable", over("fitting", "sung"), "100 %"),
        ("lines the form has time to sing", over("sung", "lines"), ""),
        ("V1 rhymes of the scheme that rhyme by the CMU dictionary", over("true_rhymes", "rhymes"), "100 %"),
        ("V1 words that rhyme with themselves", f"{sum(one.marks.same_words for one in found)}", "0"),
        ("V2 stressed syllables on a beat", over("on_beats", "stressed"), "≥ 90 %"),
        ("V2 choruses word for word the same", f"{sum(one.marks.choruses_alike for one in found)} songs", "all"),
        ("V2 the title in the chorus", f"{sum(one.marks.title_in_chorus for one in found)} songs", "all"),
    ]
    table = "\n".join(f"| {what} | {had} | {goal} |" for what, had, goal in rows)
    return f"| | measured | asked for |\n|---|---|---|\n{table}"


def page(found: Sequence[Song], tables: Tables, voice: Sequence[Row]) -> str:
    head = (
        "# Words, as the built-in writer writes them\n\n"
        "Made by `make lyrics-report`: seeds 1 to 20 of the first twenty prompts in\n"
        f"tests/unit/lyricist/prompts_300.toml that want words, {SECONDS:g} s each, none left out.\n"
        "The letters are the rhyme scheme, the figures the stresses as they are sung (1 stressed).\n"
    )
    return "\n".join([head, total(found), "", *sung(voice), *(sheet(one, tables) for one in found)])


def sung(voice: Sequence[Row]) -> list[str]:
    return [
        "## The guide voice",
        "",
        f"`python -m bench voice`: songs of {bench.voice.SECONDS:g} s in {', '.join(bench.voice.SONGS)}.",
        "How each is had is in bench/voice.py and tests/singing.py: pitch by a tracker that had no part in making it,",
        "times by aligning it with the same line as Flite speaks it, in settings that were chosen on four of these",
        "songs.",
        "",
        "| | measured | asked for |",
        "|---|---|---|",
        *(f"| {row.what} | {row.measured} | {row.goal} |" for row in voice),
        "",
    ]


def sheet(one: Song, tables: Tables) -> str:
    brief, own = one.written.brief, one.marks
    said = f"{brief.genre}, {brief.bpm:g} bpm, {brief.time_signature}"
    counts = f"{own.sung} of {own.lines} lines sung, {own.on_beats} of {own.stressed} stresses on a beat"
    rows = [f"## {one.seed}. {brief.title}", "", f"`{one.prompt}` · {said} · {counts}", "", "```"]
    seen: set[tuple[str, ...]] = set()
    for section in brief.lyrics.sections:
        texts = tuple(line.text for line in section.lines)
        letters = scheme(list(texts), tables.writing.sounds)
        rows.append(f"[{section.name}]" + ("  as before" if texts in seen else ""))
        if texts not in seen:
            rows += [
                f"{letters[at]}  {line_stresses(text, tables.writing.metre):12} {text}" for at, text in enumerate(texts)
            ]
        seen.add(texts)
    return "\n".join([*rows, "```", ""])


def main() -> None:
    voice, found = asyncio.run(bench.voice.rows()), songs()
    PAGE.write_text(page(found, load(), voice), encoding="utf-8")
    print(total(found), *sung(voice), sep="\n")


if __name__ == "__main__":
    main()
