"""What rhymes: the last stressed vowel and what follows, as the dictionary says it, else as it is spelled. PURE."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harmonia_lyricist.pronunciation import Dictionary, Rhyme, rhyme_of
from harmonia_lyricist.tokens import fold

_VOWELS = "aeiouy"
_TAIL = re.compile(r"[aeiouy]+[^aeiouy]*e?$")


@dataclass(frozen=True, slots=True)
class Sounds:
    """`endings`: the sound of a spelling, for words that are in no dictionary."""

    endings: Mapping[str, str]
    dictionary: Dictionary


def last_word(line: str) -> str:
    words = [token.word for token in fold(line).tokens if token.word[0].isalnum()]
    return words[-1] if words else ""


def rhyming_part(word: str, sounds: Sounds) -> str:
    """Empty for what has no vowel to rhyme on."""
    return rhyme(word, sounds).part


def rhyming_parts(word: str, sounds: Sounds) -> frozenset[str]:
    """Of every way to say it: "around" also goes with "down"."""
    said = sounds.dictionary.said(word)
    return frozenset(rhyme_of(one).part for one in said) if said else frozenset({_spelled_part(word, sounds)})


def rhyme(word: str, sounds: Sounds) -> Rhyme:
    """As the word is usually said; of a word that is in no dictionary the letters stand for its onset."""
    said = sounds.dictionary.said(word)
    return rhyme_of(said[0]) if said else Rhyme((word,), _spelled_part(word, sounds))


def rhymes(one: str, other: str, sounds: Sounds) -> bool:
    """By the dictionary where it has both words, else by their spelling: a sound and a spelling cannot be compared."""
    ones, others = sounds.dictionary.said(one), sounds.dictionary.said(other)
    if ones and others:
        return one != other and any(rhyme_of(a).goes_with(rhyme_of(b)) for a in ones for b in others)
    part = _spelled_part(one, sounds)
    return bool(part) and part == _spelled_part(other, sounds) and not same_word(one, other)


def _spelled_part(word: str, sounds: Sounds) -> str:
    for length in range(len(word), 0, -1):
        if word[-length:] in sounds.endings:
            return sounds.endings[word[-length:]]
    tail = _TAIL.search(word)
    return tail[0] if tail else ""


def same_word(one: str, other: str) -> bool:
    """Also when one only puts something before the other, its first sound included."""
    short, long = sorted((one, other), key=len)
    return long.endswith(short) and (short[0] not in _VOWELS or short == long)


def scheme(lines: list[str], sounds: Sounds) -> str:
    """ "ABCB" for four lines of which the second and the fourth rhyme."""
    letters: list[str] = []
    words = [last_word(line) for line in lines]
    for at, word in enumerate(words):
        earlier = next((i for i in range(at) if rhymes(words[i], word, sounds)), None)
        letters.append(letters[earlier] if earlier is not None else chr(ord("A") + len(set(letters))))
    return "".join(letters)
