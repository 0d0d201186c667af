"""Words from a language model: what it is asked for, and what of its answer can be sung. PURE.

An answer is cleaned of markdown and chatter and judged line by line: has it the syllables its place asks for, does
it rhyme where the stanza does, is it clean. What fails is asked for once more, line by line; what fails again gives
way to the built-in writer, stanza by stanza.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from harmonia_lyricist.brief import Lyrics, LyricSection
from harmonia_lyricist.llm import NoAnswer, Question, Task, at
from harmonia_lyricist.metre import line_syllables, scanned
from harmonia_lyricist.rhyme import last_word, rhymes
from harmonia_lyricist.writer import Writing, is_clean, mentions

LINES = 4
SLACK = 2
"""Syllables more or less that a melody still takes in its stride."""
_TARGETS = {"chorus": (7, 6, 7, 6), "bridge": (8, 6, 8, 6)}
_VERSE = (8, 7, 8, 7)
_LONGEST_LINE = 80
_MARKS = re.compile(r"^\s*(?:[-*•#>]+|\d+[.):]|\(?[a-dA-D][.)])\s*|[*_`~]+|\[[^\]]*\]|^\s*\"|\"\s*$")
_CHATTER = re.compile(
    r"^(?:sure|certainly|of course|okay|here(?:'s| is| are)|let me know|i hope|as an ai|i'm sorry|i cannot|note:)\b"
    r"|\b(?:json|lyrics|verse \d|chorus \d|language model|instructions?)\b",
    re.IGNORECASE,
)
_INSTRUCTIONS = (
    "You write song lyrics that can be sung. `stanzas` lists what is wanted, in order: each has four lines of about so "
    "many syllables, and its second line rhymes with its fourth. The chorus has the title in its first line. Write in "
    "the language named, and mention nothing of `avoid`. Plain words and pictures; no headings, numbers, quotation "
    "marks or comments; nothing obscene."
)
_AGAIN = (
    "You repair single lines of song lyrics. For each entry of `lines` write one line in its place, in the language "
    "named: `wrong` says what was wrong with it; it must rhyme with the word of `rhymes_with`, if any, and not "
    "repeat it."
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The stanzas of the song in order; a chorus is written once. `unsaid`: words to do without."""

    theme: str
    title: str
    language: str
    form: tuple[str, ...]
    unsaid: tuple[str, ...] = ()

    @property
    def written(self) -> tuple[str, ...]:
        return tuple(name for at, name in enumerate(self.form) if name != "chorus" or "chorus" not in self.form[:at])

    @property
    def in_english(self) -> bool:
        return self.language.split("-")[0].lower() == "en"


@dataclass(frozen=True, slots=True)
class Fault:
    stanza: int
    line: int
    wrong: str
    rhymes_with: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line in place of another."""

    old: str
    syllables: int
    rhymes_with: str = ""
    wrong: str = "another one is wanted"


Stanzas = tuple[tuple[str, ...], ...]


def targets(name: str) -> tuple[int, ...]:
    return _TARGETS.get(name, _VERSE)


def question(plan: Plan, *, seed: int) -> Question:
    stanza = {"type": "array", "minItems": LINES, "maxItems": LINES, "items": _line_schema()}
    count = len(plan.written)
    return Question(
        Task.LYRICS,
        _INSTRUCTIONS,
        {
            "theme": plan.theme,
            "title": plan.title,
            "language": plan.language,
            "avoid": list(plan.unsaid),
            "stanzas": [{"name": name, "syllables": list(targets(name))} for name in plan.written],
        },
        _object({"stanzas": {"type": "array", "minItems": count, "maxItems": count, "items": stanza}}),
        seed,
        200 + 120 * count,
    )


def question_again(plan: Plan, stanzas: Stanzas, faults: Sequence[Fault], *, seed: int) -> Question:
    wanted = [
        Wanted(
            stanzas[fault.stanza][fault.line],
            targets(plan.written[fault.stanza])[fault.line],
            fault.rhymes_with,
            fault.wrong,
        )
        for fault in faults
    ]
    return question_lines(wanted, theme=plan.theme, language=plan.language, seed=seed)


def question_lines(wanted: Sequence[Wanted], *, theme: str, language: str, seed: int) -> Question:
    lines = [
        {"line": one.old, "wrong": one.wrong, "syllables": one.syllables, "rhymes_with": one.rhymes_with}
        for one in wanted
    ]
    count = len(lines)
    return Question(
        Task.LYRICS,
        _AGAIN,
        {"theme": theme, "language": language, "lines": lines},
        _object({"lines": {"type": "array", "minItems": count, "maxItems": count, "items": _line_schema()}}),
        seed,
        200 + 40 * count,
    )


def lines_from(answer: object, count: int) -> tuple[str, ...]:
    """Cleaned. Raises NoAnswer when there are not as many."""
    return _lines(at(answer, "lines"), count)


def stanzas_from(answer: object, plan: Plan) -> Stanzas:
    """Raises NoAnswer when the shape is not what was asked for."""
    rows = at(answer, "stanzas")
    if not isinstance(rows, list) or len(rows) != len(plan.written):
        raise NoAnswer("its answer has not the stanzas that were asked for")
    return tuple(_lines(row, LINES) for row in rows)


def repaired(stanzas: Stanzas, faults: Sequence[Fault], answer: object) -> Stanzas:
    lines = lines_from(answer, len(faults))
    found = [list(stanza) for stanza in stanzas]
    for fault, line in zip(faults, lines, strict=True):
        found[fault.stanza][fault.line] = line
    return tuple(tuple(stanza) for stanza in found)


def cleaned(line: str) -> str:
    plain = "".join(letter if letter.isprintable() else " " for letter in line)
    return " ".join(_MARKS.sub(" ", plain).split()).strip(" \"'“”")


def faults_of(stanzas: Stanzas, plan: Plan, writing: Writing) -> list[Fault]:
    seen: set[str] = set()
    found = []
    for number, (name, stanza) in enumerate(zip(plan.written, stanzas, strict=True)):
        for place, line in enumerate(stanza):
            if wrong := _wrong(line, name, place, plan, writing) or ("repeats a line" if line.lower() in seen else ""):
                found.append(Fault(number, place, wrong))
            elif name != "chorus":
                seen.add(line.lower())
        if plan.in_english and not any(fault.stanza == number and fault.line in (1, 3) for fault in found):
            found += _unrhymed(number, stanza, writing)
    return found


def song(plan: Plan, stanzas: Stanzas, spare: Lyrics, *, bad: frozenset[int], writing: Writing) -> Lyrics:
    """In order, each chorus the same; a bad stanza is the spare's of that name, or left out where there is none."""
    whole: dict[int, tuple[str, ...]] = {}
    for number, name in enumerate(plan.written):
        whole[number] = stanzas[number]
        if number in bad:
            own = [section for section in spare.sections if section.name == name]
            earlier = plan.written[:number].count(name)
            whole[number] = tuple(line.text for line in own[min(earlier, len(own) - 1)].lines) if own else ()
    sections, others = [], iter(number for number, name in enumerate(plan.written) if name != "chorus")
    for name in plan.form:
        lines = whole[plan.written.index("chorus") if name == "chorus" else next(others)]
        if lines:
            sections.append(LyricSection(name, tuple(scanned(text, writing.metre) for text in lines)))
    return Lyrics(tuple(sections))


def titled(stanzas: Stanzas, plan: Plan) -> Stanzas:
    """The chorus opens with the title, whatever the model made of that."""
    if "chorus" not in plan.written or not plan.title:
        return stanzas
    at_chorus = plan.written.index("chorus")
    chorus = stanzas[at_chorus]
    if any(plan.title.lower() in line.lower() for line in chorus):
        return stanzas
    return tuple((plan.title, *stanza[1:]) if number == at_chorus else stanza for number, stanza in enumerate(stanzas))


def _wrong(line: str, name: str, place: int, plan: Plan, writing: Writing) -> str:
    if said := unsingable(line, writing):
        return said
    if mentions(line, plan.unsaid):
        return f"mentions {', '.join(plan.unsaid)}"
    if plan.title and plan.title.lower() in line.lower():
        return ""
    return wrong_length(line, targets(name)[place], writing)


def wrong_length(line: str, asked: int, writing: Writing) -> str:
    has = line_syllables(line, writing.metre)
    return "" if abs(has - asked) <= SLACK else f"has {has} syllables, should have {asked}"


def unsingable(line: str, writing: Writing) -> str:
    letters = sum(letter.isalpha() or letter in " '’-" for letter in line)
    if letters < 0.8 * len(line) or not any(letter.isalpha() for letter in line):
        return "is not words"
    if len(line) > _LONGEST_LINE or _CHATTER.search(line):
        return "is not a line of a song"
    if not is_clean(line, writing):
        return "is not clean"
    return ""


def _unrhymed(number: int, stanza: tuple[str, ...], writing: Writing) -> list[Fault]:
    second, fourth = last_word(stanza[1]), last_word(stanza[3])
    if rhymes(second, fourth, writing.sounds):
        return []
    return [Fault(number, 3, f"does not rhyme with {second!r}", second)]


def _lines(row: object, count: int) -> tuple[str, ...]:
    if not isinstance(row, list) or len(row) != count or not all(isinstance(line, str) for line in row):
        raise NoAnswer("its answer has not the lines that were asked for")
    return tuple(cleaned(line) for line in row)


def _line_schema() -> dict[str, object]:
    return {"type": "string", "minLength": 3, "maxLength": _LONGEST_LINE}


def _object(properties: dict[str, object]) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
