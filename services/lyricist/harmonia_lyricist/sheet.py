"""Lyrics as a user wrote them, with [verse] and [chorus] on lines of their own, read into sections. PURE.

Nothing is refused: what is too long is cut or folded, and said in a warning.
"""

import re

from harmonia_lyricist.brief import Lyrics, LyricSection
from harmonia_lyricist.metre import Metre, scanned

LONGEST_TEXT = 8000
_LONGEST_LINE = 160
_TAG = re.compile(
    r"^\s*[\[({<]\s*([^\W\d_][\w '’/-]{0,40}?)\s*(?:#?\d+)?\s*(?:[:|,–-].*)?(?:x\s*\d+)?\s*[\])}>]\s*:?\s*$"
)
_PLAIN_TAG = re.compile(r"^\s*(verse|chorus|bridge|pre-?chorus|intro|outro|hook|refrain)\s*\d*\s*:\s*$", re.IGNORECASE)
_NAMES = {
    "refrain": "chorus",
    "hook": "chorus",
    "estribillo": "chorus",
    "refrão": "chorus",
    "strophe": "verse",
    "prechorus": "pre-chorus",
    "pre chorus": "pre-chorus",
}
_SPACES = re.compile(r"\s+")


def read_sheet(text: str, metre: Metre) -> tuple[Lyrics, tuple[str, ...]]:
    """Sections and warnings. A tag without lines repeats the section of that name; lines before any tag are a verse."""
    warnings = []
    if len(text) > LONGEST_TEXT:
        warnings.append(f"lyrics.text: only the first {LONGEST_TEXT} characters are used")
        text = text[:LONGEST_TEXT]
    blocks = _blocks(text)
    sections: list[LyricSection] = []
    for name, lines in blocks:
        folded = [part for line in lines for part in _fold_line(line)]
        if len(folded) > len(lines):
            warnings.append(f"lyrics.text: lines over {_LONGEST_LINE} characters are sung as several")
        if not folded:
            folded = next(([line.text for line in s.lines] for s in reversed(sections) if s.name == name), [])
        if folded:
            sections.append(LyricSection(name, tuple(scanned(line, metre) for line in folded)))
    if not sections:
        warnings.append("lyrics.text: there are no words in it; the song is instrumental")
    return Lyrics(tuple(sections)), tuple(dict.fromkeys(warnings))


def _blocks(text: str) -> list[tuple[str, list[str]]]:
    """By tag; without any tag, a verse for each paragraph."""
    lines = [_clean(line) for line in text.splitlines()]
    tagged = any(_tag(line) for line in lines)
    blocks: list[tuple[str, list[str]]] = []
    fresh = True
    for line in lines:
        name = _tag(line)
        if name:
            blocks.append((name, []))
            fresh = False
        elif not line:
            fresh = fresh or not tagged
        else:
            if fresh or not blocks:
                blocks.append(("verse", []))
                fresh = False
            blocks[-1][1].append(line)
    return blocks


def _tag(line: str) -> str:
    match = _TAG.match(line) or _PLAIN_TAG.match(line)
    if match is None:
        return ""
    name = _SPACES.sub(" ", match[1]).strip().lower()
    return _NAMES.get(name, name)


def _clean(line: str) -> str:
    return _SPACES.sub(" ", "".join(c if c.isprintable() else " " for c in line)).strip()


def _fold_line(line: str) -> list[str]:
    parts = []
    while len(line) > _LONGEST_LINE:
        cut = line.rfind(" ", 1, _LONGEST_LINE)
        cut = cut if cut > 0 else _LONGEST_LINE
        parts.append(line[:cut].strip())
        line = line[cut:].strip()
    return [*parts, line] if line else parts
