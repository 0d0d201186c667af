"""What nobody said, chosen: by genre, moods and seed; the same seed chooses the same. PURE."""

import random
from collections.abc import Sequence

from harmonia_lyricist.lexicon import Genre, Lexicon


def moods(genre_moods: Sequence[str], avoided: Sequence[str], *, seed: int) -> tuple[str, ...]:
    """The genre's first mood and one other of it."""
    usual = [mood for mood in genre_moods if mood not in avoided]
    if len(usual) < 3:
        return tuple(usual)
    return usual[0], _dice(seed, "moods", usual[0]).choice(usual[1:])


def bpm(low: float, high: float, *, level: float | None, energy: float, seed: int, genre: str) -> float:
    """A whole number of beats per minute; `level` is where in the range (0..1) the prompt put it, else energy does."""
    dice = _dice(seed, "bpm", genre)
    if level is None:
        level = min(max(0.5 + 0.3 * energy + dice.uniform(-0.2, 0.2), 0.0), 1.0)
    else:
        level += dice.uniform(-0.05, 0.05)
    return float(min(max(round(low + level * (high - low)), 40), 240))


def mode(genre: Genre, valence: float, *, seed: int) -> str:
    if abs(valence) > 0.15:
        return "minor" if valence < 0 else "major"
    return "minor" if _dice(seed, "mode", genre.name).random() < genre.minor else "major"


def tonic(genre: Genre, *, seed: int) -> str:
    return _dice(seed, "tonic", genre.name).choice(genre.tonics)


def nearest_mood(mood: str, offered: Sequence[str], lexicon: Lexicon) -> str:
    """By valence and energy; empty when the engine offers no mood the lexicon can place."""
    place = lexicon.moods[mood]
    known = [lexicon.moods[name] for name in offered if name in lexicon.moods]
    if not known:
        return ""
    return min(known, key=lambda m: ((m.valence - place.valence) ** 2 + (m.energy - place.energy) ** 2, m.name)).name


def nearest_genre(genre: str, offered: Sequence[str], lexicon: Lexicon) -> str:
    """The genre itself, else the nearest the engine has, widening from neighbour to neighbour."""
    if not offered or genre in offered:
        return genre
    seen, ring = {genre}, [genre]
    while ring:
        wider = [near for name in ring for near in lexicon.genres[name].near if near not in seen]
        for near in wider:
            if near in offered:
                return near
        seen.update(wider)
        ring = wider
    return offered[0]


def nearest_instrument(name: str, offered: Sequence[str], usual: Sequence[str], lexicon: Lexicon) -> str:
    """Empty when the engine has nothing like it."""
    if not offered or name in offered:
        return name
    known = lexicon.instruments.get(name)
    if known is None:
        return ""
    near = [other for other in known.near if other in offered]
    kin = [
        other for other in offered if other in lexicon.instruments and lexicon.instruments[other].family == known.family
    ]
    return next(iter([*(n for n in near if n in usual), *near, *kin]), "")


def nearest_metre(metre: str, offered: Sequence[str]) -> str:
    """Three stays near three and two near two, as far as the engine has it."""
    if not offered or metre in offered:
        return metre
    beats = int(metre.partition("/")[0])
    kin = [other for other in offered if (int(other.partition("/")[0]) % 3 == 0) == (beats % 3 == 0)]
    return next(iter([*kin, *(other for other in offered if other == "4/4"), offered[0]]))


def _dice(seed: int, *purpose: str) -> random.Random:
    return random.Random(f"{seed}:{':'.join(purpose)}")  # noqa: S311  # repeatable, not secret
