"""What an editor of lyrics asks: how lines scan, what rhymes with a word, another line in place of one. PURE."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from harmonia_lyricist import writer
from harmonia_lyricist.brief import Line, Lyrics, LyricSection
from harmonia_lyricist.metre import scanned
from harmonia_lyricist.pronunciation import stress_of
from harmonia_lyricist.rhyme import last_word, rhymes, rhyming_part, scheme
from harmonia_lyricist.writer import Writing

# Syllables by which a new line may differ from what was asked for, nearest first.
_SLACK = (0, 1, -1, 2, -2)
_METRE = (8, 6)


class NoLine(Exception):
    """The text says what there is no line for."""


@dataclass(frozen=True, slots=True)
class Change:
    """`section` and `line` count from 0; a line of None: the whole section. `syllables` None: as the old line has."""

    section: int
    line: int | None
    theme: str = ""
    syllables: int | None = None
    rhyme_with: str = ""
    seed: int = 0


def letters(section: LyricSection, writing: Writing) -> str:
    return scheme([line.text for line in section.lines], writing.sounds)


def rhymes_of(word: str, writing: Writing) -> list[tuple[str, int]]:
    """(word, syllables), the shortest first; none for a word that the dictionary lacks."""
    dictionary = writing.sounds.dictionary
    if not dictionary.said(word):
        return []
    part = rhyming_part(word, writing.sounds)
    found = {
        other: len(stress_of(phones))
        for other, phones in dictionary.rhyming(part)
        if rhymes(word, other, writing.sounds)
    }
    clean = ((other, count) for other, count in found.items() if writer.is_clean(other, writing))
    return sorted(clean, key=lambda entry: (entry[1], len(entry[0]), entry[0]))


def new_lines(lyrics: Lyrics, change: Change, writing: Writing) -> tuple[Line, ...]:
    """One line, or as many as the section has. Raises NoLine."""
    section = lyrics.sections[change.section]
    if change.line is None:
        return _new_section(section, change, writing)
    return (scanned(_new_line(section, change.line, change, writing), writing.metre),)


def put(lyrics: Lyrics, change: Change, lines: Sequence[Line]) -> Lyrics:
    """With the new lines in their place, in every section that was word for word the same."""
    old = lyrics.sections[change.section]
    new = tuple(lines)
    if change.line is not None:
        new = (*old.lines[: change.line], *lines, *old.lines[change.line + 1 :])
    return Lyrics(tuple(replace(one, lines=new) if one == old else one for one in lyrics.sections))


def sheet(lyrics: Lyrics) -> str:
    return "\n\n".join(
        "\n".join([f"[{section.name}]", *(line.text for line in section.lines)]) for section in lyrics.sections
    )


def partner(section: LyricSection, place: int, writing: Writing) -> str:
    """The last word of a line that this one rhymes with; empty when it rhymes with none."""
    marks = letters(section, writing)
    others = [at for at, letter in enumerate(marks) if letter == marks[place] and at != place]
    return last_word(section.lines[others[0]].text) if others else ""


def _new_line(section: LyricSection, place: int, change: Change, writing: Writing) -> str:
    wanted = change.syllables or section.lines[place].syllables
    word = change.rhyme_with.lower() or partner(section, place, writing)
    others = [line.text for at, line in enumerate(section.lines) if at != place]
    for away in _SLACK:
        with suppress(writer.NoRhyme):
            return writer.line(
                change.theme,
                syllables=wanted + away,
                rhymes_with=word,
                apart_from=[*others, section.lines[place].text],
                seed=change.seed,
                writing=writing,
            )
    rhyme = f" that rhymes with {word!r}" if word else ""
    raise NoLine(f"the built-in writer has no line of {wanted} syllables{rhyme}")


def _new_section(section: LyricSection, change: Change, writing: Writing) -> tuple[Line, ...]:
    marks = _paired(letters(section, writing))
    wanted = [change.syllables or line.syllables for line in section.lines]
    try:
        return writer.stanza(change.theme, scheme=marks, syllables=wanted, seed=change.seed, writing=writing)
    except writer.NoRhyme:
        usual = [_METRE[at % 2] for at in range(len(marks))]
        return writer.stanza(change.theme, scheme=marks, syllables=usual, seed=change.seed, writing=writing)


def _paired(marks: str) -> str:
    """At most two lines share a letter: of four that rhyme the first two and the last two do."""
    seen: Counter[str] = Counter()
    found = []
    for letter in marks:
        found.append(f"{letter}{seen[letter] // 2}")
        seen[letter] += 1
    names = {name: chr(ord("A") + number) for number, name in enumerate(dict.fromkeys(found))}
    return "".join(names[name] for name in found)
