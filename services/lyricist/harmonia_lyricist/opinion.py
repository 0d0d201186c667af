"""What a language model makes of a prompt, where the parser found nothing to go by. PURE.

The parser stays in charge: what the prompt says in so many words, and what the user set, is never given away. The
model fills the rest, and only with what the engine offers; anything else it says is dropped without a word.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from harmonia_lyricist.brief import Asked, Palette, Reading, Understood, Words
from harmonia_lyricist.llm import Question, Task, at

_KEY = re.compile(r"[A-G][#b]? (major|minor|dorian|phrygian|lydian|mixolydian|locrian)")
_OPEN = ("genre", "moods", "bpm", "key", "lyrics")
_MOST_MOODS = 3
_LONGEST_THEME = 120
_INSTRUCTIONS = (
    "You plan a piece of music from a listener's prompt. Choose what a good producer would: genre and moods from the "
    "lists, a tempo in beats per minute, a key such as 'A minor'. `theme` is what words should be about, or an empty "
    "text when the music should have no words."
)


@dataclass(frozen=True, slots=True)
class Opinion:
    """What of an answer holds. `theme` is None where the model was not to judge it."""

    asked: Asked
    understood: tuple[Understood, ...]
    theme: str | None = None


def left_open(reading: Reading, asked: Asked) -> tuple[str, ...]:
    """The fields that neither the user nor the prompt decided."""
    guessed = {one.field for one in reading.understood if not one.text}
    settled = {"genre": asked.genre, "moods": asked.moods, "bpm": asked.bpm, "key": asked.key}
    settled["lyrics"] = asked.words is not Words.AUTO
    said = {one.field for one in reading.understood if one.text}
    return tuple(
        name for name in _OPEN if not settled[name] and name not in said and (name in guessed or name != "lyrics")
    )


def question(prompt: str, fields: tuple[str, ...], palette: Palette, *, seed: int) -> Question:
    offered = {
        "genre": {"enum": list(palette.genres)} if palette.genres else {"type": "string", "maxLength": 40},
        "moods": {
            "type": "array",
            "maxItems": _MOST_MOODS,
            "items": {"enum": list(palette.moods)} if palette.moods else {"type": "string", "maxLength": 40},
        },
        "bpm": {"type": "integer", "minimum": 40, "maximum": 240},
        "key": {"type": "string", "maxLength": 12},
        "lyrics": {"type": "string", "maxLength": _LONGEST_THEME},
    }
    properties = {"theme" if name == "lyrics" else name: offered[name] for name in fields}
    return Question(
        Task.BRIEF,
        _INSTRUCTIONS,
        {"prompt": prompt},
        {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False},
        seed,
        400,
    )


def opinion(answer: object, fields: tuple[str, ...], asked: Asked, palette: Palette) -> Opinion:
    found: dict[str, object] = {}
    theme: str | None = None
    for name in fields:
        value = at(answer, "theme" if name == "lyrics" else name)
        if name == "lyrics":
            theme = _theme(value)
        elif (sane := _SANE[name](value, palette)) is not None:
            found[name] = sane
    understood = tuple(Understood("", name, _said(value)) for name, value in found.items())
    return Opinion(_with(asked, found), understood, theme)


def judged(reading: Reading, seen: Opinion, *, by: str) -> Reading:
    """The parser's reading of the prompt with the opinion in it, and who had that opinion."""
    theirs = {one.field for one in seen.understood}
    kept = tuple(one for one in reading.understood if one.text or one.field not in theirs)
    told = (*seen.understood, Understood("", "read_by", by))
    if seen.theme:
        told = (*told, Understood("", "lyrics", f"about {seen.theme}"))
        kept = tuple(one for one in kept if one.field != "lyrics")
    return replace(reading, understood=(*kept, *told), theme=seen.theme or reading.theme)


def _with(asked: Asked, found: Mapping[str, object]) -> Asked:
    return replace(asked, **found)  # type: ignore[arg-type]  # each value comes from its own _SANE


def _theme(value: object) -> str | None:
    text = " ".join(value.split()) if isinstance(value, str) else ""
    return text[:_LONGEST_THEME] if any(letter.isalpha() for letter in text) else None


def _genre(value: object, palette: Palette) -> str | None:
    return value if isinstance(value, str) and value in palette.genres else None


def _moods(value: object, palette: Palette) -> tuple[str, ...] | None:
    named = value if isinstance(value, list) else []
    return tuple(dict.fromkeys(mood for mood in palette.moods if mood in named))[:_MOST_MOODS] or None


def _bpm(value: object, _palette: Palette) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(round(value)) if 40 <= value <= 240 else None


def _key(value: object, _palette: Palette) -> str | None:
    return value if isinstance(value, str) and _KEY.fullmatch(value) else None


_SANE = {"genre": _genre, "moods": _moods, "bpm": _bpm, "key": _key}


def _said(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
