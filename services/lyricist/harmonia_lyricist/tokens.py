"""Text made comparable, place by place: what is found in the folded text can be quoted as the user wrote it."""

import re
import unicodedata
from dataclasses import dataclass

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\s\w]")
# fmt: off
_PLAIN = str.maketrans({
    "’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "–": "-", "—": "-",
    "‐": "-", "‑": "-", "−": "-", "♯": "#", "♭": "b",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Token:
    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Text:
    """`raw` and `folded` (lower case, no accents, plain quotes and digits) have the same length."""

    raw: str
    folded: str
    tokens: tuple[Token, ...]

    def quote(self, start: int, end: int) -> str:
        return self.raw[start:end].strip()


def fold(prompt: str) -> Text:
    raw = unicodedata.normalize("NFC", prompt)
    if not raw.isprintable():
        raw = "".join(c if c.isprintable() or c == "\n" else " " for c in raw)
    folded = raw.lower() if raw.isascii() else "".join(map(_fold_character, raw.translate(_PLAIN)))
    tokens = tuple(Token(m[0] if m[0] not in "&+" else "and", *m.span()) for m in _WORD.finditer(folded))
    return Text(raw, folded, tokens)


def _fold_character(character: str) -> str:
    if character.isascii():
        return character.lower()
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return str(digit)
    return (unicodedata.normalize("NFKD", character)[0].lower() or " ")[0]


def phrase(text: str) -> tuple[str, ...]:
    """The words of a lexicon entry, as tokens of a prompt would spell them."""
    return tuple(token.word for token in fold(text).tokens if token.word != "-")
