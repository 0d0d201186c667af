"""How English words are said: the CMU Pronouncing Dictionary (lexicon/cmudict.dict.gz, its licence beside it).

Only the data is taken over. Its phones are ARPAbet; a vowel ends in its stress: 1 main, 2 secondary, 0 none.
"""

import gzip
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

# Where the dictionary writes one sound in two ways: "here" is HH IY1 R and "near" N IH1 R.
_SAME = (("IY R", "IH R"), ("OW R", "AO R"))
_SHORTEST_PART = 3

Phones = tuple[str, ...]


class Dictionary:
    """`rows` are the dictionary's lines in the order of their bytes; 135,000 of them, found by bisection."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self._rows = rows
        self.said = lru_cache(8192)(self._said)

    def __repr__(self) -> str:
        return f"Dictionary({len(self._rows)} rows)"

    def _said(self, word: str) -> tuple[Phones, ...]:
        """Every way to say it, the usual one first; a compound like its parts; empty for what it does not know."""
        return self._listed(word) or self._compound(word)

    def rhyming(self, part: str) -> Iterator[tuple[str, Phones]]:
        """Every word with that rhyming part, as it is usually said; reads the whole dictionary, some 0.5 s."""
        for row in self._rows:
            word, *phones = row.split(b"#")[0].decode().split()
            if word.isalpha() and rhyme_of(tuple(phones)).part == part:
                yield word, tuple(phones)

    def _listed(self, word: str) -> tuple[Phones, ...]:
        if not re.fullmatch(r"[a-z'.-]+", word):
            return ()
        key, found = word.encode(), []
        for start in (key + b" ", *(key + b"(%d) " % number for number in range(2, 6))):
            at = bisect_left(self._rows, start)
            if at < len(self._rows) and self._rows[at].startswith(start):
                found.append(tuple(self._rows[at].split(b"#")[0].decode().split()[1:]))
        return tuple(found)

    def _compound(self, word: str) -> tuple[Phones, ...]:
        for cut in range(len(word) - _SHORTEST_PART, _SHORTEST_PART - 1, -1):
            first, second = self._listed(word[:cut].rstrip("-")), self._listed(word[cut:])
            if first and second:
                return (first[0] + tuple(phone.replace("1", "2") for phone in second[0]),)
        return ()


def load() -> Dictionary:
    """Some 50 ms and 15 MB; once per process."""
    data = gzip.decompress(files(__package__).joinpath("lexicon/cmudict.dict.gz").read_bytes())
    return Dictionary(sorted(data.splitlines()))


def stress_of(phones: Phones) -> str:
    """ "010" for "remember". A secondary stress counts where no main one stands beside it."""
    marks = [phone[-1] for phone in phones if phone[-1].isdigit()]
    return "".join(
        "1" if mark == "1" or (mark == "2" and "1" not in marks[max(0, at - 1) : at + 2]) else "0"
        for at, mark in enumerate(marks)
    )


@dataclass(frozen=True, slots=True)
class Rhyme:
    """A word's end: `part` from the last stressed vowel on, `onset` the consonants just before it.

    Words rhyme whose parts are equal and whose onsets are not: "rain" and "train" do, "long" and "along" do not.
    """

    onset: Phones
    part: str

    def goes_with(self, other: "Rhyme") -> bool:
        return self.part == other.part != "" and self.onset != other.onset


NO_RHYME = Rhyme((), "")


def rhyme_of(phones: Phones) -> Rhyme:
    """After two weak syllables a song leans on the last one: "melody" ends in IY."""
    vowels = [at for at, phone in enumerate(phones) if phone[-1].isdigit()]
    if not vowels:
        return NO_RHYME
    stressed = [at for at in vowels if phones[at][-1] in "12"] or vowels[-1:]
    start = vowels[-1] if len([at for at in vowels if at > stressed[-1]]) >= 2 else stressed[-1]
    before = max((at + 1 for at in vowels if at < start), default=0)
    part = " ".join(phone.rstrip("012") for phone in phones[start:])
    for one, other in _SAME:
        part = part.replace(one, other) if part.startswith(one) else part
    return Rhyme(phones[before:start], part)
