"""PURE: what each field of SongSpec may be, whichever engine plays it.

A rule raises InvalidInput with the path of the field, what is allowed and the way out. Which fields an
engine takes is not decided here but in songs.py, from the engine's own capabilities.
"""

import math
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet

from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_gateway import limits

FORMATS = ("wav", "wav16", "wav32f", "flac", "mp3", "opus", "ogg")
TIME_SIGNATURES = ("4/4", "3/4", "2/4", "6/8", "12/8", "5/4", "7/8")
MODES = ("major", "minor", "dorian", "phrygian", "lydian", "mixolydian", "locrian")

_KEY = re.compile(rf"([A-Ga-g])([#b♯♭]?)\s+({'|'.join(MODES)})", re.IGNORECASE)
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_SONG_OR_ARTIFACT = re.compile(r"songs/[0-9a-f]{32}|artifacts/[0-9a-f]{64}")
_PROJECT = re.compile(r"projects/[0-9a-f]{32}")
_WEBHOOK = re.compile(r"https://[!-~]{1,1992}")
_ARTIFACT = re.compile(r"artifacts/[0-9a-f]{64}")

# A value of a protobuf field: which type it has is the descriptor's business, and each rule knows its own.
Value = Any


@dataclass(frozen=True, slots=True)
class Setting:
    """One field somebody set."""

    path: str  # as rules and capabilities name it: "sections.bars"
    shown: str  # as the user finds it: "spec.sections[1].bars"
    value: Value
    field: FieldDescriptor


@dataclass(frozen=True, slots=True)
class Planned:
    """A field of a later release: refused by name unless it is set to `nothing`."""

    instead: str
    nothing: Value = None


Rule = Callable[[Setting, datetime], None]


def refuse(setting: Setting, why: str, reason: Reason, *, allowed: str = "", **metadata: str) -> InvalidInput:
    told = {"allowed": allowed, **metadata} if allowed else metadata
    return InvalidInput(f"{setting.shown} {why}", reason=reason, field=setting.shown, retry_after=None, **told)


def number(low: float, high: float, unit: str = "") -> Rule:
    allowed = f"from {low:g} to {high:g}{' ' + unit if unit else ''}"

    def check(setting: Setting, _now: datetime) -> None:
        if not math.isfinite(setting.value):
            raise refuse(
                setting, f"is {setting.value}: it must be a number {allowed}", Reason.MALFORMED, allowed=allowed
            )
        if not low <= setting.value <= high:
            raise refuse(setting, f"is {setting.value:g}: it must be {allowed}", Reason.OUT_OF_RANGE, allowed=allowed)

    return check


def prose(characters: int) -> Rule:
    return _text(characters, allowed_controls="\n\r\t")


def line(characters: int) -> Rule:
    return _text(characters, allowed_controls="")


def _text(characters: int, *, allowed_controls: str) -> Rule:
    def check(setting: Setting, _now: datetime) -> None:
        check_text(setting.value, characters, shown=setting.shown, allowed_controls=allowed_controls)

    return check


def check_text(text: str, characters: int, *, shown: str, allowed_controls: str = "\n\r\t") -> None:
    """Raises InvalidInput on the field `shown`."""
    if len(text) > characters:
        message = f"{shown} has {len(text)} characters: at most {characters} are taken"
        raise InvalidInput(message, reason=Reason.TOO_LONG, field=shown)
    control = next((c for c in text if unicodedata.category(c) == "Cc" and c not in allowed_controls), None)
    if control is not None:
        message = f"{shown} holds the control character U+{ord(control):04X}: take it out"
        raise InvalidInput(message, reason=Reason.MALFORMED, field=shown)


def too_many(setting: Setting, most: int, unit: str) -> InvalidInput:
    why = f"has {len(setting.value)} {unit}: at most {most} are taken"
    return refuse(setting, why, Reason.OUT_OF_RANGE, allowed=f"{most} {unit}")


def pattern(expression: re.Pattern[str], form: str) -> Rule:
    def check(setting: Setting, _now: datetime) -> None:
        if not expression.fullmatch(setting.value):
            raise refuse(setting, f"is not of the form {form}", Reason.MALFORMED, allowed=form)

    return check


def items(most: int, each: int = limits.NAME_CHARACTERS) -> Rule:
    def check(setting: Setting, _now: datetime) -> None:
        if len(setting.value) > most:
            raise too_many(setting, most, "entries")
        for entry in setting.value:
            check_text(entry, each, shown=setting.shown, allowed_controls="")
        if len({entry.casefold() for entry in setting.value}) < len(setting.value):
            raise refuse(setting, "names the same thing twice: name each once", Reason.MALFORMED)

    return check


def messages(most: int) -> Rule:
    def check(setting: Setting, _now: datetime) -> None:
        if len(setting.value) > most:
            raise too_many(setting, most, "entries")

    return check


def choice(setting: Setting, _now: datetime) -> None:
    """Of an enum: a number the contract knows."""
    assert setting.field.enum_type is not None
    known = setting.field.enum_type.values_by_number
    if setting.value not in known:
        names = ", ".join(value.name for value in known.values() if value.number)
        raise refuse(setting, f"is {setting.value}: it must be one of {names}", Reason.UNKNOWN_VALUE, allowed=names)


def one_of(known: Collection[str]) -> Rule:
    """Of a string or strings the contract lists, whatever the engine then makes of them."""
    allowed = ", ".join(known)

    def check(setting: Setting, _now: datetime) -> None:
        for value in [setting.value] if isinstance(setting.value, str) else setting.value:
            if value.casefold() not in known:
                raise refuse(setting, f"is {value!r}: known are {allowed}", Reason.UNKNOWN_VALUE, allowed=allowed)

    return check


def anything(_setting: Setting, _now: datetime) -> None:
    """Every value its type can hold."""


def key(setting: Setting, _now: datetime) -> None:
    canonical_key(setting.value, setting)


def canonical_key(name: str, setting: Setting | None = None) -> str:
    """'a♭  Minor' is 'Ab minor'."""
    match = _KEY.fullmatch(name.strip())
    if match is None:
        form = f"a note and a mode, like 'A minor' or 'F# major'; modes are {', '.join(MODES)}"
        message = f"{setting.shown if setting else 'key'} is {name[:40]!r}: it must be {form}"
        raise InvalidInput(message, reason=Reason.MALFORMED, field=setting.shown if setting else "key", allowed=form)
    note, accidental, mode = match.groups()
    return f"{note.upper()}{accidental.replace('♯', '#').replace('♭', 'b')} {mode.lower()}"


def deadline(setting: Setting, now: datetime) -> None:
    moment = to_datetime(setting)
    if moment <= now:
        raise refuse(
            setting,
            f"is {moment:%Y-%m-%dT%H:%M:%SZ}, which has passed: give a later time, or none",
            Reason.OUT_OF_RANGE,
        )
    if moment > now + limits.LONGEST_LIFE:
        raise refuse(setting, f"is {moment:%Y-%m-%dT%H:%M:%SZ}: at most 7 days from now", Reason.OUT_OF_RANGE)


def to_datetime(setting: Setting) -> datetime:
    stamp: Timestamp = setting.value
    if not 0 <= stamp.nanos <= 999_999_999 or not -62_135_596_800 <= stamp.seconds <= 253_402_300_799:
        raise refuse(setting, "is no time between the years 1 and 9999", Reason.MALFORMED)
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=stamp.seconds, microseconds=stamp.nanos // 1000)


def labels(setting: Setting, _now: datetime) -> None:
    if len(setting.value) > limits.LABELS:
        raise too_many(setting, limits.LABELS, "labels")
    for name, value in setting.value.items():
        if not name.strip():
            raise refuse(setting, "has a label without a name: give it one", Reason.MALFORMED)
        for text in (name, value):
            check_text(text, limits.LABEL_CHARACTERS, shown=setting.shown, allowed_controls="")


def stored_text(setting: Setting, _now: datetime) -> None:
    ref: type_pb2.ArtifactRef = setting.value
    if not _DIGEST.fullmatch(ref.sha256):
        raise refuse(setting, "must name a stored text by the 64 hex digits of its SHA-256", Reason.MALFORMED)
    if not 0 <= ref.size_bytes <= 4 * limits.LYRICS_CHARACTERS:
        raise refuse(setting, f"has {ref.size_bytes} bytes: at most {4 * limits.LYRICS_CHARACTERS}", Reason.TOO_LONG)


RULES: Mapping[str, Rule | Planned] = {
    "prompt": prose(limits.PROMPT_CHARACTERS),
    "negative_prompt": prose(limits.PROMPT_CHARACTERS),
    "kind": choice,
    "title": line(limits.TITLE_CHARACTERS),
    "lyrics.mode": choice,
    "lyrics.text": prose(limits.LYRICS_CHARACTERS),
    "lyrics.text_artifact": stored_text,
    "language": pattern(_LANGUAGE, "a BCP 47 tag, like 'en' or 'pt-BR'"),
    "genre": line(limits.NAME_CHARACTERS),
    "moods": items(limits.MOODS),
    "instruments": items(limits.INSTRUMENTS),
    "complexity": number(0, 1),
    "bpm": number(40, 240, "beats per minute"),
    "key": key,
    "time_signature": one_of(TIME_SIGNATURES),
    "duration_seconds": number(*limits.DURATION_S, "seconds"),
    "bars": number(1, 8, "bars"),
    "sections": messages(limits.SECTIONS),
    "sections.name": line(limits.NAME_CHARACTERS),
    "sections.bars": number(1, 64, "bars"),
    "sections.intensity": number(0, 1),
    "sections.seed": anything,
    "engine": pattern(_NAME, "a name of lower-case letters, digits, '.', '_' and '-'"),
    "model": pattern(_NAME, "a name of lower-case letters, digits, '.', '_' and '-'"),
    "seed": anything,
    "variations": number(1, limits.VARIATIONS),
    "vocals": choice,
    "conditioning.continue_from": pattern(_SONG_OR_ARTIFACT, "songs/{id} or artifacts/{sha256}"),
    "conditioning.melody": pattern(_ARTIFACT, "artifacts/{sha256}"),
    "conditioning.strength": number(0, 1),
    "conditioning.start_seconds": number(1, limits.DURATION_S[1] - 1, "seconds"),
    "sampling.temperature": number(0, 2),
    "sampling.top_k": number(1, 2048),
    "sampling.guidance": number(1, 10),
    "sampling.stride_seconds": number(5, 25, "seconds"),
    "mastering.preset": choice,
    "mastering.target_lufs": number(-30, -8, "LUFS"),
    "mastering.ceiling_dbtp": number(-9, 0, "dBTP"),
    "mastering.intensity": number(0, 1),
    "outputs.formats": one_of(FORMATS),
    "outputs.stems": anything,
    "outputs.midi": anything,
    "outputs.dawproject": anything,
    "outputs.ardour": anything,
    "labels": labels,
    "project": pattern(_PROJECT, "projects/{id}"),
    "deadline": deadline,
    "batch": anything,
    "webhook": pattern(_WEBHOOK, "https://host/…, at most 2000 characters"),
}


def settings_of(message: Message, path: str = "", shown: str = "spec") -> Iterator[Setting]:
    """Every field that is set, in the order of the contract, down to those that have a rule."""
    for field, value in message.ListFields():
        here, there = f"{path}{field.name}", f"{shown}.{field.name}"
        if here in RULES or field.message_type is None:
            yield Setting(here, there, value, field)
        if here in RULES and not (field.is_repeated and field.message_type and not _is_map(field)):
            continue
        if field.is_repeated:
            for index, item in enumerate(value):
                yield from settings_of(item, f"{here}.", f"{there}[{index}]")
        elif field.message_type is not None:
            yield from settings_of(value, f"{here}.", there)


def paths_of(descriptor: Any, path: str = "") -> Iterator[str]:
    """Every path that needs a rule."""
    for field in descriptor.fields:
        here = f"{path}{field.name}"
        nested = field.message_type
        if nested is None or _is_map(field) or nested.full_name in _LEAVES:
            yield here
            continue
        if field.is_repeated:
            yield here
        yield from paths_of(nested, f"{here}.")


_LEAVES = (Timestamp.DESCRIPTOR.full_name, type_pb2.ArtifactRef.DESCRIPTOR.full_name)


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def refuse_unknown_fields(message: Message, shown: str = "") -> None:
    """A field this version does not know would be ignored, and nothing set is ever ignored."""
    unknown_fields = UnknownFieldSet(message)
    if len(unknown_fields):
        number = unknown_fields[0].field_number
        raise InvalidInput(
            f"{shown or 'the request'} has a field number {number} that this version does not know: "
            "leave it out, or ask a newer mesh",
            reason=Reason.UNKNOWN_FIELD,
            field=shown,
            retry_after=None,
            number=str(number),
        )
    for field, value in message.ListFields():
        if field.message_type is None or _is_map(field):
            continue
        place = f"{shown}.{field.name}" if shown else field.name
        for index, item in enumerate(value) if field.is_repeated else [(None, value)]:
            refuse_unknown_fields(item, place if index is None else f"{place}[{index}]")
