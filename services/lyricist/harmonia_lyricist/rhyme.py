"""What rhymes: the last stressed vowel and what follows, as the dictionary says it, else as it is spelled. PURE."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from harmonia_lyricist.pronunciation import Dictionary, rhyming_part_of
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
    said = sounds.dictionary.said(word)
    return rhyming_part_of(said[0]) if said else _spelled_part(word, sounds)


def _spelled_part(word: str, sounds: Sounds) -> str:
    for length in range(len(word), 0, -1):
        if word[-length:] in sounds.endings:
            return sounds.endings[word[-length:]]
    tail = _TAIL.search(word)
    return tail[0] if tail else ""


def rhymes(one: str, other: str, sounds: Sounds) -> bool:
    """Same rhyming part, and not the same word nor the same word inside it: "long" does not rhyme with "along"."""
    return bool(_parts(one, other, sounds) & _parts(other, one, sounds)) and not same_word(one, other)


def _parts(word: str, other: str, sounds: Sounds) -> set[str]:
    """By the dictionary where it has both words: a spelling and a sound cannot be compared."""
    if sounds.dictionary.said(other) and (said := sounds.dictionary.said(word)):
        return {rhyming_part_of(phones) for phones in said} - {""}
    return {_spelled_part(word, sounds)} - {""}


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
