"""PURE: AIP-160 filters, orders and page tokens over songs, as SQL with parameters.

No text of the user becomes SQL: columns come from a table, values and label names are parameters.
Refuses everything else by its position in the filter.
"""

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harmonia.song.v1 import song_pb2
from harmonia_chassis.errors import InvalidInput, Reason

LONGEST = 2000
_DEEPEST = 20
_MOST_TERMS = 50


@dataclass(frozen=True, slots=True)
class Condition:
    """SQL of a WHERE clause, and the values for its question marks."""

    where: str
    params: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


_LEXER = re.compile(
    r"""(?P<space>\s+)
      |(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      |(?P<comparator><=|>=|!=|=|<|>|:)
      |(?P<open>\()|(?P<close>\))|(?P<minus>-(?=[(A-Za-z]))
      |(?P<word>[^\s"'<>=!:()]+)""",
    re.VERBOSE,
)
_KEYWORDS = ("AND", "OR", "NOT")
_COLUMNS = {
    "state": "state",
    "create_time": "time",
    "update_time": "time",
    "title": "text",
    "genre": "text",
    "engine": "text",
    "batch": "bool",
}
_COMPARATORS = {"=": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_EQUALITY = ("=", "!=")


def parse_filter(text: str) -> Condition:
    """The empty filter lets every song through. Raises InvalidInput on field `filter`."""
    if len(text) > LONGEST:
        message = f"filter has {len(text)} characters: at most {LONGEST}"
        raise InvalidInput(message, reason=Reason.TOO_LONG, field="filter")
    tokens = _tokens(text)
    if not tokens:
        return Condition("1", ())
    parser = _Parser(tokens, end=len(text))
    condition = parser.expression(0)
    parser.expect_end()
    return condition


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text):
        match = _LEXER.match(text, at)
        if match is None:
            raise _refused(at, f"{text[at]!r} does not belong here")
        kind = str(match.lastgroup)
        if kind == "word" and match.group() in _KEYWORDS:
            kind = match.group()
        if kind != "space":
            tokens.append(_Token(kind, match.group(), at))
        at = match.end()
    return tokens


def _refused(at: int, why: str, reason: Reason = Reason.MALFORMED) -> InvalidInput:
    message = f"filter, character {at + 1}: {why}"
    return InvalidInput(message, reason=reason, field="filter", position=str(at + 1), retry_after=None)


class _Parser:
    """Recursive descent: expression = sequence of AND; AIP-160 binds OR tighter than AND."""

    def __init__(self, tokens: Sequence[_Token], *, end: int) -> None:
        self._tokens = list(tokens)
        self._end = end
        self._terms = 0

    def expression(self, depth: int) -> Condition:
        parts = [self._alternatives(depth)]
        while self._peek() not in ("", "close"):
            if self._peek() == "AND":
                self._take()
            parts.append(self._alternatives(depth))
        return _joined(parts, " AND ")

    def expect_end(self) -> None:
        if self._tokens:
            raise _refused(self._tokens[0].at, f"{self._tokens[0].text!r} does not belong here")

    def _alternatives(self, depth: int) -> Condition:
        parts = [self._term(depth)]
        while self._peek() == "OR":
            self._take()
            parts.append(self._term(depth))
        return _joined(parts, " OR ")

    def _term(self, depth: int) -> Condition:
        if self._peek() in ("NOT", "minus"):
            self._take()
            inner = self._simple(depth)
            return Condition(f"(NOT {inner.where})", inner.params)
        return self._simple(depth)

    def _simple(self, depth: int) -> Condition:
        if self._peek() != "open":
            return self._restriction()
        opened = self._take()
        if depth >= _DEEPEST:
            raise _refused(opened.at, f"parentheses go at most {_DEEPEST} deep")
        inner = self.expression(depth + 1)
        if self._peek() != "close":
            raise _refused(opened.at, "this parenthesis is not closed")
        self._take()
        return inner

    def _restriction(self) -> Condition:
        name = self._take("word", expected="a field")
        self._terms += 1
        if self._terms > _MOST_TERMS:
            raise _refused(name.at, f"a filter has at most {_MOST_TERMS} comparisons", Reason.TOO_LONG)
        key = self._label_key(name)
        comparator = self._take("comparator", expected=f"=, !=, <, <=, >, >= or : after {name.text!r}")
        if name.text == "labels" and key is None:
            return _has_label(self._value(), comparator)
        if key is not None:
            return _label(key, comparator, self._value())
        return _comparison(name, comparator, self._value())

    def _label_key(self, name: _Token) -> str | None:
        if name.text.startswith("labels.") and len(name.text) > len("labels."):
            return name.text.removeprefix("labels.")
        if name.text == "labels.":
            return _unquoted(self._take("string", expected="the name of a label"))
        return None

    def _value(self) -> _Token:
        if self._peek() == "comparator" and self._tokens[0].text == ":":
            raise _refused(self._tokens[0].at, "a value that holds ':' must stand in quotes")
        value = self._take("word", "string", expected="a value")
        # A time has colons and needs no quotes.
        while value.kind == "word" and self._peek() == "comparator" and self._tokens[0].text == ":":
            colon = self._take()
            rest = self._take("word", expected="the rest of the value")
            value = _Token("word", f"{value.text}{colon.text}{rest.text}", value.at)
        return value

    def _peek(self) -> str:
        return self._tokens[0].kind if self._tokens else ""

    def _take(self, *kinds: str, expected: str = "") -> _Token:
        if not self._tokens:
            raise _refused(self._end, f"{expected or 'something'} is missing")
        if kinds and self._tokens[0].kind not in kinds:
            raise _refused(self._tokens[0].at, f"{self._tokens[0].text!r} stands where {expected} belongs")
        return self._tokens.pop(0)


def _joined(parts: Sequence[Condition], operator: str) -> Condition:
    if len(parts) == 1:
        return parts[0]
    return Condition(
        f"({operator.join(part.where for part in parts)})", tuple(value for part in parts for value in part.params)
    )


def _comparison(name: _Token, comparator: _Token, value: _Token) -> Condition:
    if name.text not in _COLUMNS:
        known = ", ".join((*_COLUMNS, "labels.KEY"))
        raise _refused(name.at, f"there is no field {name.text[:40]!r}: there are {known}", Reason.UNKNOWN_VALUE)
    kind = _COLUMNS[name.text]
    if comparator.text == ":":
        return _has(name, kind, comparator, value)
    if kind in ("state", "bool") and comparator.text not in _EQUALITY:
        raise _refused(comparator.at, f"{name.text} is compared by = or !=")
    converted = _CONVERT[kind](value)
    return Condition(f"({name.text} {_COMPARATORS[comparator.text]} ?)", (converted,))


def _has(name: _Token, kind: str, comparator: _Token, value: _Token) -> Condition:
    if _unquoted(value) == "*" and kind == "text":
        return Condition(f"({name.text} != '')", ())
    if kind == "text":
        return Condition(f"(instr(lower({name.text}), lower(?)) > 0)", (_unquoted(value),))
    return _comparison(name, _Token("comparator", "=", comparator.at), value)


def _label(key: str, comparator: _Token, value: _Token) -> Condition:
    """A song without the label is neither equal to anything nor unequal."""
    wanted = _unquoted(value)
    if comparator.text == ":" and wanted == "*":
        return Condition(f"{_LABEL_EXISTS})", (key,))
    operator = "=" if comparator.text == ":" else _COMPARATORS[comparator.text]
    return Condition(f"{_LABEL_EXISTS} AND value {operator} ?)", (key, wanted))


def _has_label(value: _Token, comparator: _Token) -> Condition:
    if comparator.text != ":":
        raise _refused(comparator.at, 'labels are asked for by labels:KEY or labels.KEY = "value"')
    return Condition(f"{_LABEL_EXISTS})", (_unquoted(value),))


# Not json_extract with a path: the path would be made of the user's text.
_LABEL_EXISTS = "EXISTS (SELECT 1 FROM json_each(labels) WHERE key = ?"


def _unquoted(token: _Token) -> str:
    if token.kind != "string":
        return token.text
    return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)


def _state(value: _Token) -> str:
    name = _unquoted(value).upper()
    states = [state for state in song_pb2.Song.State.keys() if state != "UNSPECIFIED"]  # noqa: SIM118  an enum, not a dict
    if name not in states:
        raise _refused(
            value.at, f"there is no state {name[:40]!r}: there are {', '.join(states)}", Reason.UNKNOWN_VALUE
        )
    return name


def _bool(value: _Token) -> int:
    name = _unquoted(value).lower()
    if name not in ("true", "false"):
        raise _refused(value.at, f"{name[:40]!r} is neither true nor false")
    return int(name == "true")


def _time(value: _Token) -> float:
    """RFC 3339, or a date alone: midnight UTC."""
    try:
        moment = datetime.fromisoformat(_unquoted(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise _refused(value.at, f"{_unquoted(value)[:40]!r} is no time like 2026-11-21T12:00:00Z") from None


_CONVERT = {"state": _state, "bool": _bool, "time": _time, "text": _unquoted}

_ORDERS = ("create_time", "update_time", "title")


def parse_order(text: str) -> str:
    """SQL of an ORDER BY clause; newest first by default."""
    terms = [term.split() for term in text.split(",")] if text.strip() else [["create_time", "desc"]]
    if len(terms) > len(_ORDERS):
        raise _order_refused(text)
    return ", ".join(_ordered(term, text) for term in terms)


def _ordered(term: list[str], text: str) -> str:
    name, *direction = term or [""]
    if name not in _ORDERS or direction not in ([], ["asc"], ["desc"]):
        raise _order_refused(text)
    collation = " COLLATE NOCASE" if name == "title" else ""
    return f"{name}{collation} {'DESC' if direction == ['desc'] else 'ASC'}"


def _order_refused(text: str) -> InvalidInput:
    allowed = ", ".join(_ORDERS)
    message = f"order_by is {text[:60]!r}: it must be of {allowed}, each with ' desc' or without"
    return InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="order_by", retry_after=None, allowed=allowed)


def page_token(offset: int, *bound_to: object) -> str:
    """Opaque, and of use only with the request it was given for."""
    return place_token([offset], *bound_to)


def parse_page_token(token: str, *bound_to: object) -> int:
    """The offset; 0 for no token. Raises InvalidInput."""
    (offset,) = parse_place(token, (int,), *bound_to) or (0,)
    if not 0 <= offset < 2**40:
        raise _no_token()
    return int(offset)


def place_token(place: Sequence[object], *bound_to: object) -> str:
    """Opaque, and of use only with the request it was given for."""
    return base64.urlsafe_b64encode(json.dumps([*place, _binding(bound_to)]).encode()).decode()


def parse_place(token: str, kinds: Sequence[type], *bound_to: object) -> tuple[Any, ...] | None:
    """What place_token was given: Any, but of these kinds. None for no token. Raises InvalidInput."""
    if not token:
        return None
    try:
        *place, binding = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError):
        raise _no_token() from None
    if binding != _binding(bound_to) or [type(one) for one in place] != list(kinds):
        raise _no_token()
    return tuple(place)


def _no_token() -> InvalidInput:
    message = "page_token is not one that was given for this filter, order and owner: start without it"
    return InvalidInput(message, reason=Reason.MALFORMED, field="page_token")


def _binding(bound_to: Sequence[object]) -> str:
    return hashlib.sha256(repr(bound_to).encode()).hexdigest()[:16]
