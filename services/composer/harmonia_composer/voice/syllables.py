"""Which phones of a spoken line are sung to which note. Pure.

A note is sung on a vowel and begins with it; the consonants before it come before the beat, those at the end of the
words close the note.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from harmonia_composer.voice.speech import Phone

VOWELS = frozenset(
    ["aa", "ae", "ah", "ao", "aw", "ax", "axr", "ay", "eh", "er", "ey", "ih", "iy", "ow", "oy", "uh", "uw"]
)
PAUSE = "pau"


@dataclass(frozen=True, slots=True)
class Nucleus:
    """What one note is sung on: from `start_s` to `end_s` of the speech; `before` and `after` are consonants."""

    start_s: float
    end_s: float
    phone: str
    before: tuple[Phone, ...] = ()
    after: tuple[Phone, ...] = ()


def nuclei(phones: Sequence[Phone]) -> list[Nucleus]:
    """Every vowel, with the consonants that lead to it; the last one with those that follow."""
    found: list[Nucleus] = []
    waiting: list[Phone] = []
    for phone in phones:
        if phone.name in VOWELS:
            found.append(Nucleus(phone.start_s, phone.end_s, phone.name, tuple(waiting)))
            waiting = []
        elif phone.name != PAUSE:
            waiting.append(phone)
    if found:
        last = found[-1]
        found[-1] = Nucleus(last.start_s, last.end_s, last.phone, last.before, tuple(waiting))
    return found


def fitted(found: Sequence[Nucleus], spoken: Sequence[int], sung: Sequence[int]) -> list[Nucleus]:
    """One nucleus a note. `spoken` and `sung`: vowels and notes of each word.

    A word with more vowels than notes has some on one note; one with fewer holds its vowel over several.
    """
    if sum(spoken) != len(found):
        return shared(found, sum(sung))
    notes: list[Nucleus] = []
    at = 0
    for vowels, wanted in zip(spoken, sung, strict=True):
        notes += shared(found[at : at + vowels], wanted) if vowels else held(notes, found, at, wanted)
        at += vowels
    return notes


def held(notes: Sequence[Nucleus], found: Sequence[Nucleus], at: int, wanted: int) -> list[Nucleus]:
    """A word without a vowel of its own ('s) is sung on the vowel before it, else on the next."""
    near = notes[-1] if notes else found[min(at, len(found) - 1)]
    return [Nucleus(near.start_s, near.end_s, near.phone)] * wanted


def shared(found: Sequence[Nucleus], wanted: int) -> list[Nucleus]:
    if not wanted or not found:
        return []
    if len(found) >= wanted:
        edges = [len(found) * number // wanted for number in range(wanted + 1)]
        return [joined(found[start:end]) for start, end in pairwise(edges)]
    notes: list[Nucleus] = []
    for number, one in enumerate(found):
        times = wanted * (number + 1) // len(found) - wanted * number // len(found)
        notes += pieces(one, max(1, times))
    return notes


def joined(several: Sequence[Nucleus]) -> Nucleus:
    first, last = several[0], several[-1]
    return Nucleus(first.start_s, last.end_s, first.phone, first.before, last.after)


def pieces(one: Nucleus, times: int) -> list[Nucleus]:
    """One vowel over several notes: all of it on the first, its middle on those that follow."""
    if times == 1:
        return [one]
    middle = one.start_s + 0.4 * (one.end_s - one.start_s)
    first = Nucleus(one.start_s, middle, one.phone, one.before)
    inner = Nucleus(middle, middle + 0.02, one.phone)
    last = Nucleus(middle, one.end_s, one.phone, (), one.after)
    return [first, *[inner] * (times - 2), last]
