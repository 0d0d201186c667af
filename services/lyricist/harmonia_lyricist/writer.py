"""The built-in writer: English verses and choruses from whole phrases with typed rhyme slots.

PURE: the same theme, title, form and seed give the same words.

A line is an opening and a closing of the same kind ("I keep on walking" + "down the road"); closings are chosen
in rhyming pairs, openings so that the lines of a stanza have the syllables its metre asks for. It writes no
other language and repeats no word it would not say in front of children.
"""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from harmonia_lyricist import pronunciation
from harmonia_lyricist.brief import Line, Lyrics, LyricSection
from harmonia_lyricist.lexicon import table
from harmonia_lyricist.metre import Metre, clashes, line_stresses, line_syllables, scanned, words
from harmonia_lyricist.pronunciation import Rhyme
from harmonia_lyricist.rhyme import Sounds, last_word, rhyme, rhymes, rhyming_parts
from harmonia_lyricist.title import fit, title_case

_BARS_A_STANZA = 8
_KINDS = ("where", "what", "do", "how")
WORDLESS = frozenset({"intro", "outro", "solo", "instrumental", "interlude", "drop", "breakdown", "break"})
# Syllables a line, by rhyme scheme: a ballad's, and even lines.
_METRES = {
    "ABCB": ((8, 6, 8, 6), (8, 7, 8, 7)),
    "AABB": ((8, 8, 8, 8), (7, 7, 7, 7)),
    "ABAB": ((8, 8, 8, 8), (8, 6, 8, 6)),
}


class NoRhyme(LookupError):
    """The tables have no phrases for such lines; for the writer's own metres they have several."""


@dataclass(frozen=True, slots=True)
class Phrase:
    text: str
    topics: frozenset[str]
    syllables: int
    word: str
    kind: str
    # Of the last word, as it is usually said, and the rhyming part of every way to say it.
    rhyme: Rhyme
    parts: frozenset[str]


@dataclass(frozen=True, slots=True)
class Writing:
    """The writer's phrases, and how they sound."""

    openings: Mapping[str, tuple[Phrase, ...]]
    closings: Mapping[str, tuple[Phrase, ...]]
    theme_lines: tuple[str, ...]
    hooks: tuple[str, ...]
    topics: Mapping[str, frozenset[str]]
    unclean: tuple[str, ...]
    sounds: Sounds
    metre: Metre


@dataclass(frozen=True, slots=True)
class Written:
    """`schemes` has a rhyme scheme for each section of the lyrics."""

    lyrics: Lyrics
    schemes: tuple[str, ...]


def load() -> Writing:
    """Reads the tables; once per process."""
    rows, spoken = table("writing"), table("sounds")
    dictionary = pronunciation.load()
    metre, sounds = Metre(spoken["sung"], dictionary), Sounds(spoken["endings"], dictionary)
    openings = rows["openings"]
    return Writing(
        openings={kind: tuple(_phrase(t, metre, sounds, kind=kind) for t in openings[kind]) for kind in _KINDS},
        closings={
            sound: tuple(_phrase(t, metre, sounds, kind=kind) for kind, texts in kinds.items() for t in texts)
            for sound, kinds in rows["closings"].items()
        },
        theme_lines=tuple(openings["theme"]),
        hooks=tuple(openings["hook"]),
        topics={topic: frozenset(triggers) for topic, triggers in rows["topics"].items()},
        unclean=tuple(rows["clean"]["stems"]),
        sounds=sounds,
        metre=metre,
    )


def _phrase(marked: str, metre: Metre, sounds: Sounds, *, kind: str) -> Phrase:
    text, *topics = (part.strip() for part in marked.split("#"))
    word = last_word(text)
    return Phrase(
        text,
        frozenset(topics),
        line_syllables(text, metre),
        word,
        kind,
        rhyme(word, sounds),
        rhyming_parts(word, sounds),
    )


def form_for(bars: float) -> tuple[str, ...]:
    """Stanzas of eight bars that fit, an intro and an ending left free."""
    stanzas = round((bars - 4) / _BARS_A_STANZA)
    if stanzas <= 1:
        return ("chorus",)
    forms = {
        2: "verse chorus",
        3: "verse chorus chorus",
        4: "verse chorus verse chorus",
        5: "verse chorus verse chorus chorus",
        6: "verse chorus verse chorus bridge chorus",
        7: "verse verse chorus verse chorus bridge chorus",
    }
    return tuple(forms.get(stanzas, "verse verse chorus verse verse chorus bridge chorus chorus").split())


def is_clean(text: str, writing: Writing) -> bool:
    return not any(stem in word for word in words(text) for stem in writing.unclean)


def mentions(text: str, unsaid: Sequence[str]) -> bool:
    """Also in another form: "loving" and "lovers" for "love"."""
    stems = [re.sub(r"(?:es|e|s)$", "", word) for word in unsaid]
    return any(
        word == own or (len(stem) > 2 and word.startswith(stem))
        for word in words(text)
        for own, stem in zip(unsaid, stems, strict=True)
    )


def without(writing: Writing, unsaid: Sequence[str]) -> Writing:
    """The phrases that mention none of these, and are not about them."""
    topics = _topics(" ".join(unsaid), "", writing)

    def spared(phrases: tuple[Phrase, ...]) -> tuple[Phrase, ...]:
        return tuple(p for p in phrases if not p.topics & topics and not mentions(p.text, unsaid))

    return replace(
        writing,
        openings={kind: spared(phrases) for kind, phrases in writing.openings.items()},
        closings={sound: spared(phrases) for sound, phrases in writing.closings.items()},
    )


def write(
    theme: str, *, title: str, form: Sequence[str], seed: int, writing: Writing, unsaid: Sequence[str] = ()
) -> Written:
    """A stanza for each section of the form that has words; every chorus the same. A theme that mentions what is to be
    `unsaid` lends no line its words."""
    pen = _Pen(writing, random.Random(f"{seed}:words"), _topics(theme, title, writing))  # noqa: S311  # repeatable, not secret
    title = title if title.strip() and is_clean(title, writing) and words(title) else pen.title()
    theme = theme if is_clean(theme, writing) and 0 < line_syllables(theme, writing.metre) <= 9 else ""
    theme = "" if mentions(theme, unsaid) else theme
    pen.used.add(last_word(theme))
    named = [name for name in form if name not in WORDLESS] or ["chorus"]
    verse_scheme = pen.dice.choice(["ABCB", "ABCB", "AABB", "ABAB"])
    verse_metre = pen.dice.choice(_METRES[verse_scheme])
    chorus, chorus_scheme = pen.chorus(fit(title))
    sections, schemes = [], []
    for at, name in enumerate(named):
        if name == "chorus":
            lines, scheme = chorus, chorus_scheme
        elif name == "bridge":
            lines, scheme = pen.stanza("ABCB", (8, 6, 8, 6), about=theme), "ABCB"
        else:
            first = at == 0 and verse_scheme == "ABCB"
            lines, scheme = pen.stanza(verse_scheme, verse_metre, about=theme if first else ""), verse_scheme
        sections.append(LyricSection(name, lines))
        schemes.append(scheme)
    return Written(Lyrics(tuple(sections)), tuple(schemes))


def line(
    theme: str, *, syllables: int, rhymes_with: str, apart_from: Sequence[str], seed: int, writing: Writing
) -> str:
    """Raises NoRhyme when no phrase has that sound and length. Without a word to rhyme with it rhymes with none of
    `apart_from`."""
    pen = _Pen(writing, random.Random(f"{seed}:line"), _topics(theme, "", writing))  # noqa: S311  # repeatable, not secret
    pen.used.update(last_word(text) for text in apart_from)
    return pen.rhyming(syllables, rhymes_with) if rhymes_with else pen.alone(syllables, apart_from)


def stanza(theme: str, *, scheme: str, syllables: Sequence[int], seed: int, writing: Writing) -> tuple[Line, ...]:
    """As many lines as the scheme has letters, of which no more than two may be the same."""
    pen = _Pen(writing, random.Random(f"{seed}:stanza"), _topics(theme, "", writing))  # noqa: S311  # repeatable, not secret
    return pen.stanza(scheme, tuple(syllables))


def _topics(theme: str, title: str, writing: Writing) -> frozenset[str]:
    said = {*words(theme), *words(title)}
    return frozenset(topic for topic, triggers in writing.topics.items() if said & triggers)


_ADDRESS = re.compile(r"\b(?:me|my|i)\b")


@dataclass(slots=True)
class _Pen:
    """Remembers what it has used, so that no rhyme word and no opening comes twice while there are others."""

    writing: Writing
    dice: random.Random
    topics: frozenset[str]
    used: set[str] = field(default_factory=set)
    fitting: dict[tuple[str, int], list[Phrase]] = field(default_factory=dict)

    def title(self) -> str:
        sounds = [rows for rows in self.writing.closings.values() if any(p.kind == "where" for p in rows)]
        if not sounds:
            raise NoRhyme("no closing names a place")
        sound = self.dice.choice(sounds)
        return title_case(self.dice.choice([p.text for p in sound if p.kind == "where"]).split())

    def chorus(self, title: str) -> tuple[tuple[Line, ...], str]:
        """The title is its hook."""
        length = line_syllables(title, self.writing.metre)
        scheme = self.dice.choice(["ABCB", "AABB", "ABAB"]) if length <= 4 else "ABCB"
        if scheme == "ABCB":
            short = length <= 3
            hook = self.dice.choice([h for h in self.writing.hooks if short or h.count("{title}") == 1]).format(
                title=title
            )
            second, fourth = self.pair((6, 6), apart_from=[hook])
            return tuple(self.line(text) for text in (hook, second, hook, fourth)), scheme
        lines = self.stanza(scheme, (8, 8, 8, 8), hook=f"{title},")
        return lines, scheme

    def stanza(self, scheme: str, targets: tuple[int, ...], *, about: str = "", hook: str = "") -> tuple[Line, ...]:
        texts = [""] * len(scheme)
        if about:
            texts[0] = self.dice.choice(self.writing.theme_lines).format(theme=about)
        for letter in dict.fromkeys(scheme):
            places = [at for at, own in enumerate(scheme) if own == letter]
            if len(places) == 1:
                texts[places[0]] = texts[places[0]] or self.alone(targets[places[0]], texts)
            else:
                opening = hook if places[0] == 0 else ""
                texts[places[0]], texts[places[1]] = self.pair(
                    (targets[places[0]], targets[places[1]]), apart_from=texts, hook=opening
                )
        return tuple(self.line(text) for text in texts)

    def line(self, text: str) -> Line:
        return scanned(text, self.writing.metre)

    def pair(self, targets: tuple[int, int], *, apart_from: Sequence[str], hook: str = "") -> tuple[str, str]:
        """Two lines that rhyme with each other and with none of the stanza's others."""
        pairs = self._pairs(targets, taken=self._parts(apart_from), hook=hook)
        first, second = max(pairs, key=lambda pair: self._liking(*pair))
        return self._finish(first, targets[0], hook=hook), self._finish(second, targets[1])

    def _parts(self, lines: Sequence[str]) -> set[str]:
        return {part for text in lines if text for part in rhyming_parts(last_word(text), self.writing.sounds)}

    def _pairs(self, targets: tuple[int, int], *, taken: set[str], hook: str) -> list[tuple[Phrase, Phrase]]:
        hooked = line_syllables(hook, self.writing.metre) if hook else 0
        for reused in (False, True):
            found = []
            for rows in self.writing.closings.values():
                fresh = [p for p in rows if (reused or p.word not in self.used) and p.parts.isdisjoint(taken)]
                firsts = [p for p in fresh if (p.kind == "where" if hook else self._opens(p, targets[0]))]
                firsts = [p for p in firsts if not hook or abs(hooked + p.syllables - targets[0]) <= 1]
                seconds = [p for p in fresh if self._opens(p, targets[1])]
                pairs = [(a, b) for a in firsts for b in seconds if a.rhyme.goes_with(b.rhyme)]
                if pairs:
                    self.dice.shuffle(pairs)
                    found.append(max(pairs, key=lambda pair: self._fit(*pair)))
            if found:
                return found
        raise NoRhyme(f"no two closings rhyme in lines of {targets[0]} and {targets[1]} syllables")

    def _liking(self, *phrases: Phrase) -> float:
        return self._fit(*phrases) + self.dice.random() * 2.5

    def _fit(self, *phrases: Phrase) -> float:
        """Of the song's own topics rather than of none, and of none rather than of others."""
        return sum(2.0 if p.topics & self.topics else -1.5 if p.topics else 0.0 for p in phrases)

    def _opens(self, closing: Phrase, target: int) -> bool:
        return bool(self._openings(closing.kind, target - closing.syllables))

    def _openings(self, kind: str, length: int) -> list[Phrase]:
        if (kind, length) not in self.fitting:
            own = (p for p in self.writing.openings[kind] if not p.topics or p.topics & self.topics)
            self.fitting[kind, length] = [p for p in own if p.syllables == length]
        return self.fitting[kind, length]

    def _finish(self, closing: Phrase, target: int, *, hook: str = "") -> str:
        self.used.add(closing.word)
        if hook:
            return f"{hook} {closing.text}"
        openings = self._openings(closing.kind, target - closing.syllables)
        fresh = [p for p in openings if p.text not in self.used] or openings
        opening = max(fresh, key=lambda p: self._scan(p, closing) + self.dice.random())
        self.used.add(opening.text)
        return f"{opening.text} {closing.text}"

    def _scan(self, opening: Phrase, closing: Phrase) -> float:
        flow = clashes(line_stresses(f"{opening.text} {closing.text}", self.writing.metre))
        echo = 1 if _ADDRESS.search(opening.text.lower()) and _ADDRESS.search(closing.text.lower()) else 0
        own = 2 if opening.topics else 0
        return own - flow - echo

    def alone(self, target: int, others: Sequence[str]) -> str:
        """A line that rhymes with none of the stanza."""
        spoken = self._parts(others)
        closings = [
            p
            for rows in self.writing.closings.values()
            for p in rows
            if p.word not in self.used and p.parts.isdisjoint(spoken) and self._opens(p, target)
        ]
        if not closings:
            closings = [p for rows in self.writing.closings.values() for p in rows if self._opens(p, target)]
        if not closings:
            raise NoRhyme(f"no closing fits a line of {target} syllables")
        return self._finish(max(closings, key=self._liking), target)

    def rhyming(self, target: int, word: str) -> str:
        """A line that rhymes with a word."""
        closings = [
            p
            for rows in self.writing.closings.values()
            for p in rows
            if rhymes(p.word, word, self.writing.sounds) and p.word not in self.used and self._opens(p, target)
        ]
        if not closings:
            raise NoRhyme(f"nothing of {target} syllables rhymes with {word!r}")
        return self._finish(max(closings, key=self._liking), target)
