"""What a prompt says in figures: tempo, length, metre, key; found by their form, in digits or in words.

PURE. Knows no genre: a lone "at 120" is a tempo because a tempo could be 120, not because of the music around it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harmonia_lyricist.tokens import Text

# fmt: off
_NUMBER_WORDS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50,
    "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90, "hundred": 100,
}
# fmt: on

_W = "(?:" + "|".join(sorted(_NUMBER_WORDS, key=len, reverse=True)) + ")"
_SPOKEN = rf"(?:a[ -]hundred|{_W})(?:[ -](?:and[ -])?{_W}){{0,4}}"
_N = rf"(?:\d{{1,4}}(?:[.,]\d{{1,3}})?|{_SPOKEN})"
_NEARLY = (
    r"(?:at |of |is |to |be |should |set |around |about |approx(?:imately|\.)? ?|roughly |circa |ca\.? ?|exactly "
    r"|~ ?|: ?|= ?)"
)
_BPM = r"(?:bpm|b\.p\.m\.?|beats? (?:per|a) minute|beats-per-minute)(?![^\W_])"
_MINUTES = r"(?:minutes?|minuten|minutos?|minuti|minuto|mins?(?:\b|(?=\d))\.?)"
_SECONDS = r"(?:seconds?|sekunden|segundos?|secondi|secondes?|secs?\b\.?)"


@dataclass(frozen=True, slots=True)
class Quantity:
    """field: "bpm", "duration_seconds", "bars", "time_signature", "key", "tonic", "mode" or "era"."""

    field: str
    value: str
    start: int
    end: int
    number: float = 0.0


def number(text: str) -> float:
    """The value of digits or English number words: "84", "ninety", "one-twenty", "a hundred and ten"."""
    if text[0].isdigit():
        return float(text.replace(",", "."))
    total = 0
    for word in re.split(r"[ -]+", text):
        value = _NUMBER_WORDS.get(word, 0)
        if word == "a":
            total = 1
        elif word == "hundred":
            total = max(total, 1) * 100
        elif 0 < total < 10 <= value:
            total = total * 100 + value  # "one twenty" is 120
        else:
            total += value
    return float(total)


def quantities(text: Text) -> list[Quantity]:
    """In order of place; none overlaps another."""
    found: list[Quantity] = []
    for finder in _FINDERS:
        for quantity in finder(text):
            if all(quantity.end <= other.start or quantity.start >= other.end for other in found):
                found.append(quantity)
    return sorted(found, key=lambda quantity: quantity.start)


_RANGE_BPM = re.compile(
    rf"(?<![\w.])(?:(?P<a>{_N})(?: ?bpm)?(?: ?- ?| to | or )(?P<b>{_N})"
    rf"|between (?P<c>{_N})(?: ?bpm)? and (?P<d>{_N}))[ -]?{_BPM}"
)
_N_BPM = re.compile(rf"(?<![\w.])({_N})[ -]{{0,2}}{_BPM}")
_BPM_N = re.compile(rf"\b(?:bpm|tempo|speed) ?{_NEARLY}{{0,4}}({_N})(?![^\W_])(?! ?(?:{_MINUTES}|{_SECONDS}|%))")
_EQUALS = re.compile(r"[♩♪] ?= ?(\d{2,3})(?![\w.])")
_AT_N = re.compile(
    rf"\bat (?:around |about |roughly |~ ?)?(\d{{2,3}}(?:\.\d+)?|{_SPOKEN})(?![\w:/%'])(?!\.\d)"
    r"(?! ?(?:%|percent|am\b|pm\b|a\.m|p\.m|hz|khz|db|km|kph"
    r"|mph|miles|degrees|o'clock|minutes?|seconds?|secs?|years?|bars?|in the morning|at night))"
)
_LONE_N = re.compile(r"(?:^|[,;\n]) *(\d{2,3}) *(?=[,;\n]|$)")


def _tempi(text: Text) -> Iterator[Quantity]:
    for match in _RANGE_BPM.finditer(text.folded):
        middle = (number(match["a"] or match["c"]) + number(match["b"] or match["d"])) / 2
        yield Quantity("bpm", f"{middle:g}", *match.span(), middle)
    for pattern in (_N_BPM, _BPM_N, _EQUALS):
        for match in pattern.finditer(text.folded):
            value = number(match[1])
            yield Quantity("bpm", f"{value:g}", *match.span(), value)
    for pattern in (_AT_N, _LONE_N):
        for match in pattern.finditer(text.folded):
            value = number(match[1])
            if 40 <= value <= 240:
                yield Quantity("bpm", f"{value:g}", *match.span(1), value)


_HALF = re.compile(
    rf"\b(?:(a|one|{_N}) minutes? and a half|({_N}) and a half {_MINUTES}|(half (?:a |an )?|half-|1/2 (?:a )?)minute)"
)
_MINUTES_SECONDS = re.compile(
    rf"(?<![\w./])({_N}) ?-?(?:{_MINUTES}|m(?=\s?\d))(?:,? ?(?:and )?({_N}) ?-?(?:{_SECONDS}|s\b)?)?(?![^\W_])"
)
_A_MINUTE = re.compile(r"\b(?:a|one) (?:full )?minute\b")
_SECONDS_ONLY = re.compile(rf"(?<![\w.])({_N}) ?-?{_SECONDS}(?![^\W_])")
_CLOCK = re.compile(r"(?<![\w:.])(\d{1,2}):([0-5]\d)(?![\w:])(?! ?(?:am\b|pm\b|a\.m|p\.m|in the|o'clock))")
_HOURS = re.compile(rf"\b(an?|half an|{_N})[ -]hours?\b")
_BARS = re.compile(
    rf"(?<![\w.])({_N})[ -]?(?:bars?|measures?)\b(?! (?:blues|intro|verse|chorus|bridge|outro|drop|phrase))"
)
_ERA = re.compile(r"(?:'|19|20)?\b(?<!\d)(\d0)'?s\b|(?:19|20)(\d0)'?s\b")
# 808, 909 and 303 are machines.
_PLAIN_SECONDS = re.compile(r"(?<![\w.])(?!808|909|303|707|606)(\d{1,3}) ?s\b")
_ERA_WORDS = re.compile(r"\b(twenties|thirties|forties|fifties|sixties|seventies|eighties|nineties)\b")
# fmt: off
_ERA_NAMES = {
    "twenties": "20s", "thirties": "30s", "forties": "40s", "fifties": "50s", "sixties": "60s", "seventies": "70s",
    "eighties": "80s", "nineties": "90s",
}
# fmt: on


def _lengths(text: Text) -> Iterator[Quantity]:
    for match in _HALF.finditer(text.folded):
        count = 0.0 if match[3] else number(match[2] or match[1]) if (match[2] or match[1]) != "a" else 1.0
        yield _length(match, (count + 0.5) * 60)
    for match in _MINUTES_SECONDS.finditer(text.folded):
        yield _length(match, number(match[1]) * 60 + (number(match[2]) if match[2] else 0))
    for match in _SECONDS_ONLY.finditer(text.folded):
        yield _length(match, number(match[1]))
    for match in _CLOCK.finditer(text.folded):
        if not text.folded[: match.start()].endswith("at "):
            yield _length(match, int(match[1]) * 60 + int(match[2]))
    for match in _HOURS.finditer(text.folded):
        hours = {"a": 1.0, "an": 1.0, "half an": 0.5}.get(match[1]) or number(match[1])
        yield _length(match, hours * 3600)
    for match in _A_MINUTE.finditer(text.folded):
        yield _length(match, 60)


def _length(match: re.Match[str], seconds: float) -> Quantity:
    return Quantity("duration_seconds", f"{seconds:g}", *match.span(), seconds)


def _bars(text: Text) -> Iterator[Quantity]:
    for match in _BARS.finditer(text.folded):
        yield Quantity("bars", f"{number(match[1]):g}", *match.span(), number(match[1]))


_LASTS = re.compile(r"(?:for|lasts?|lasting|length|duration|long)[ :=]*$")
_ALONE = re.compile(r"(?:^|[,;:\n(]) *$")
_DECADE_BEFORE = re.compile(r"(?:the|early|late|mid|roaring|swinging)[ -]$")


def _eras(text: Text) -> Iterator[Quantity]:
    """ "80s" is a decade, "30s" is half a minute; the words around decide."""
    for match in _ERA.finditer(text.folded):
        decade = match[1] or match[2]
        before, after = text.folded[: match.start()], text.folded[match.end() :]
        if _is_length(match[0], decade, before, after):
            yield _length(match, float(decade))
        else:
            yield Quantity("era", f"{decade}s", *match.span())
    for match in _ERA_WORDS.finditer(text.folded):
        yield Quantity("era", _ERA_NAMES[match[1]], *match.span())
    for match in _PLAIN_SECONDS.finditer(text.folded):
        yield _length(match, float(match[1]))


def _is_length(written: str, decade: str, before: str, after: str) -> bool:
    if _LASTS.search(before) or after.startswith(" long"):
        return True
    if not written[0].isdigit() or len(written) > 3 or _DECADE_BEFORE.search(before):
        return False
    alone = bool(before.strip()) and bool(_ALONE.search(before)) and not after.lstrip(" ")[:1].isalnum()
    return alone or decade in ("10", "20", "30", "40")


_METRE = re.compile(r"(?<![\w/.])(\d{1,2}) ?/ ?(2|4|8|16)(?![\w/])")


def _metres(text: Text) -> Iterator[Quantity]:
    for match in _METRE.finditer(text.folded):
        if 1 < int(match[1]) <= 16:
            yield Quantity("time_signature", f"{match[1]}/{match[2]}", *match.span())


# fmt: off
_MODES = {
    "major": "major", "maj": "major", "dur": "major", "mayor": "major", "maggiore": "major", "majeur": "major",
    "ionian": "major", "minor": "minor", "min": "minor", "moll": "minor", "menor": "minor", "minore": "minor",
    "mineur": "minor", "aeolian": "minor", "maior": "major", "dorian": "dorian", "phrygian": "phrygian",
    "lydian": "lydian", "mixolydian": "mixolydian", "locrian": "locrian",
}
# fmt: on
_MODE = r"(?:(?:natural|harmonic|melodic)[ -])?(" + "|".join(sorted(_MODES, key=len, reverse=True)) + r")\b\.?"
_SIGN = r"( ?#|b(?![a-z])| ?-?sharp| ?-?flat| ?-?bemolle?| ?-?diesis| ?-?sostenido| ?-?diese)?"
_NOTE = r"(do|re|mi|fa|sol|la|si|[a-h]is|[adeg]e?s|[a-h])"
_KEYED = r"((?:in|key(?: of| is)?[ :=]*|scale of|tonality of|en|in the key of|auf)[ :]+(?:the key of )?)?"
_KEY = re.compile(rf"(?<![\w#']){_KEYED}(?<![\w#']){_NOTE}{_SIGN}[ -]{{0,3}}{_MODE}")
_SHORT_KEY = re.compile(r"(?<![\w#'])(?:[Kk]ey:? |[Ii]n |[Kk]ey of )?([A-G])(#|b|♯|♭)?(m(?:in|aj)?)(?![\w'#])")
_TONIC = re.compile(
    r"\b(?:[Ii]n|[Kk]ey of|[Kk]ey[:=]|[Ii]n the key of) ?([A-G])(#|b|♯|♭| sharp| flat|-sharp|-flat)?"
    r"(?=\s*(?:$|[,.;:!?)\n]|and\b|at\b|with\b|for\b))"
)
_MODE_ONLY = re.compile(
    r"\b(?:in a |in |a )?(major|minor|dorian|phrygian|lydian|mixolydian|locrian)"
    r" (?:key|mode|scale|tonality|chords|feel)\b"
    r"|\bin (?:a )?(minor|major)\b"
    r"|\b(dorian|phrygian|lydian|mixolydian|locrian)\b"
)
_SOLFEGE = {"do": "C", "re": "D", "mi": "E", "fa": "F", "sol": "G", "la": "A", "si": "B"}
_GERMAN = {"as": "Ab", "es": "Eb", "aes": "Ab", "ees": "Eb", "des": "Db", "ges": "Gb"}
# Spelled so that every key has a name in use.
_RESPELLED = {"E#": "F", "B#": "C", "Cb": "B", "Fb": "E"}
# "a minor detail" and "a major hit" speak of size, unless what follows ends the phrase.
_ENDS_KEY = re.compile(
    r"\s*(?:$|[,.;:!?)\n/|-]|and\b|at\b|with\b|for\b|in\b|key\b|scale\b|chords?\b|mode\b|tonality\b|feel\b|tempo\b|\d)"
)


def _keys(text: Text) -> Iterator[Quantity]:
    for match in _KEY.finditer(text.folded):
        article = text.raw[match.start(2) : match.end(2)] == "a" or not text.folded[: match.start(2)].strip()
        if (
            match[2] == "a"
            and not match[1]
            and not match[3]
            and article
            and not _ENDS_KEY.match(text.folded, match.end())
        ):
            continue
        tonic = _tonic(match[2], match[3] or "", german=match[4] in ("moll", "dur"))
        if tonic:
            yield Quantity("key", f"{tonic} {_MODES[match[4]]}", match.start(2), match.end())
    for match in _SHORT_KEY.finditer(text.raw):
        tonic = _tonic(match[1].lower(), match[2] or "", german=False)
        yield Quantity("key", f"{tonic} {'major' if match[3] == 'maj' else 'minor'}", match.start(1), match.end())
    for match in _TONIC.finditer(text.raw):
        yield Quantity("tonic", _tonic(match[1].lower(), match[2] or "", german=False), match.start(1), match.end())
    for match in _MODE_ONLY.finditer(text.folded):
        yield Quantity("mode", match[1] or match[2] or match[3], *match.span())


def _tonic(note: str, sign: str, *, german: bool) -> str:
    """Empty when it names no pitch."""
    if german and note in ("h", "b", *_GERMAN):
        return {"h": "B", "b": "Bb", **_GERMAN}[note]
    if len(note) == 3 and note.endswith("is") and german:
        return _RESPELLED.get(f"{note[0].upper()}#", f"{note[0].upper()}#").replace("H#", "C")
    letter = _SOLFEGE.get(note) or (note.upper() if note in "abcdefg" else "")
    if not letter:
        return ""
    sign = sign.strip(" -")
    mark = "#" if sign[:1] in ("#", "♯", "s") or sign.startswith("dies") else "b" if sign else ""
    return _RESPELLED.get(letter + mark, letter + mark)


_FINDERS: tuple[Callable[[Text], Iterator[Quantity]], ...] = (_tempi, _metres, _lengths, _bars, _eras, _keys)
