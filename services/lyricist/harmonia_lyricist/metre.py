"""Syllables and stresses of English words: the dictionary's, and rules for what it has not. PURE."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harmonia_lyricist.brief import Line
from harmonia_lyricist.pronunciation import Dictionary, stress_of
from harmonia_lyricist.tokens import fold

_GROUPS = re.compile(r"[aeiouy]+")
_SPLIT = re.compile(r"(?:i[aou](?!n$|ns$|us|$)|eo|ua(?!r)|uo|[aeou]ing$|ying$|io$|ia$)")
_SILENT = re.compile(r"(?:[^aeiouylr]e|[aeiouy][lr]e|[aeiouy]l?re)$|(?:[^aeiouytd])ed$|(?:[^aeiouysxzcgh]|[^cs]h)es$")
_FUNCTION_WORDS = frozenset(
    {
        *(
            "a",
            "an",
            "the",
            "and",
            "or",
            "but",
            "of",
            "in",
            "on",
            "at",
            "to",
            "for",
            "from",
            "with",
            "by",
            "as",
            "is",
            "are",
            "was",
        ),
        *(
            "i",
            "you",
            "he",
            "she",
            "it",
            "we",
            "they",
            "me",
            "my",
            "your",
            "his",
            "her",
            "our",
            "their",
            "that",
            "i'm",
            "i'll",
        ),
        *(
            "be",
            "been",
            "am",
            "were",
            "will",
            "would",
            "can",
            "could",
            "had",
            "has",
            "have",
            "we'll",
            "you'll",
            "than",
            "so",
            "us",
        ),
    }
)
_LATE = re.compile(r"(?:tion|sion|cian|ic|ical|ity)s?$")


@dataclass(frozen=True, slots=True)
class Metre:
    """`sung`: syllables of words that are sung shorter than they are said, "fire" on one note."""

    sung: Mapping[str, int]
    dictionary: Dictionary


def syllables(word: str, metre: Metre) -> int:
    """At least 1; a figure counts one a digit, an unspaced script one a letter."""
    if word in metre.sung:
        return metre.sung[word]
    if said := metre.dictionary.said(word):
        return len(stress_of(said[0]))
    if not word.isascii() or word.isdigit():
        return max(1, len(word) if word.isdigit() or not _GROUPS.search(word) else len(_GROUPS.findall(word)))
    if word.endswith("'s"):
        return syllables(word[:-2], metre) + (word[-3:-2] in "sxz")
    count = len(_GROUPS.findall(word)) + len(_SPLIT.findall(word))
    return max(1, count - bool(_SILENT.search(word)))


def stresses(word: str, metre: Metre) -> str:
    """ "010" for "remember"; one figure a syllable."""
    count = syllables(word, metre)
    if count == 1:
        return "0" if word in _FUNCTION_WORDS else "1"
    said = metre.dictionary.said(word)
    if said and len(stress_of(said[0])) == count:
        return stress_of(said[0])
    strong = max(0, count - 2 - word.endswith(("ical", "ity"))) if _LATE.search(word) else 0
    return "".join(
        "1" if i == strong or (i > strong + 1 and (i - strong) % 2 == 0 and i == count - 1) else "0"
        for i in range(count)
    )


def words(line: str) -> list[str]:
    return [token.word for token in fold(line).tokens if token.word[0].isalnum()]


def line_syllables(line: str, metre: Metre) -> int:
    return sum(syllables(word, metre) for word in words(line))


def scanned(text: str, metre: Metre) -> Line:
    figures = [figures_of(word, metre) for word in words(text)]
    return Line(text, sum(map(len, figures)), " ".join(figures))


def figures_of(word: str, metre: Metre) -> str:
    """One for each syllable that is counted, whatever the table of stresses holds."""
    count = syllables(word, metre)
    return stresses(word, metre)[:count].ljust(count, "0")


def line_stresses(line: str, metre: Metre) -> str:
    return "".join(stresses(word, metre) for word in words(line))


def clashes(pattern: str) -> int:
    """How often two stresses stand side by side, or three weak syllables."""
    return pattern.count("11") + pattern.count("000")
