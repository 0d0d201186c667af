"""A SongSpec out of what people write: keywords, JSON in both spellings, `a.b=c`. The fields come from the descriptors.

Knows types and names only; what is in range, and what an engine can do, the mesh says. Refuses a field it does not
know by name: nothing that was set may get lost.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from math import isfinite
from typing import TypeVar, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from harmonia.song.v1 import spec_pb2 as pb
from harmonia_sdk.errors import InvalidInput, Reason

T = TypeVar("T")

# A gRPC message of the mesh is at most 4 MiB; the rest of a request needs little.
LARGEST_BYTES = 4 * 1024 * 1024 - 16 * 1024
INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def song_spec(prompt: str, fields: Mapping[str, object]) -> pb.SongSpec:
    """fields: by proto name, nested as mappings: bpm=84, mastering={"preset": "LOUD"}."""
    spec = pb.SongSpec()
    fill(spec, {"prompt": prompt, **fields})
    return checked_size(spec)


def spec_from_json(text: bytes) -> pb.SongSpec:
    """A SongSpec, or the `resolved` of a saved song.json: the same song again."""
    value = _json(text)
    if not isinstance(value, dict):
        raise InvalidInput("a spec is a JSON object", reason=Reason.MALFORMED, field="spec")
    spec = pb.SongSpec()
    if "name" in value and ("spec" in value or "resolved" in value):
        fill(spec, _resolved(value))
        spec.ClearField("deadline")  # was counted from the day it was made
        return checked_size(spec)
    fill(spec, value)
    return checked_size(spec)


def fill(message: Message, values: Mapping[str, object], path: str = "spec") -> None:
    """Sets what `values` names; null means absent, as in protobuf JSON."""
    named: set[str] = set()
    for name, value in values.items():
        field = _field(message, name, path)
        if field.name in named:
            raise InvalidInput(f"{path}.{name} is set twice", reason=Reason.MALFORMED, field=f"{path}.{field.name}")
        named.add(field.name)
        if value is not None:
            _assign(message, field, value, f"{path}.{field.name}")


def set_text(spec: pb.SongSpec, path: str, texts: Sequence[str]) -> None:
    """`sampling.temperature`, ["0.8"]: text becomes what the field is; a list takes every text."""
    message: Message = spec
    walked = "spec"
    *parents, last = path.removeprefix("spec.").split(".")
    for n, name in enumerate(parents):
        field = _field(message, name, walked)
        walked = f"{walked}.{field.name}"
        if _is_map(field):
            key = ".".join([*parents[n + 1 :], last])
            return _assign(message, field, {key: texts[-1]}, walked)
        if field.message_type is None or field.is_repeated:
            raise InvalidInput(f"{walked} has no parts", reason=Reason.UNKNOWN_FIELD, field=walked)
        message = getattr(message, field.name)
    field = _field(message, last, walked)
    message.ClearField(field.name)
    for text in texts:
        _assign(message, field, _from_text(field, text, f"{walked}.{field.name}"), f"{walked}.{field.name}")
    return None


def paths_of(spec: pb.SongSpec) -> list[str]:
    """Of all that is set: "key", "mastering.preset"; lists, labels and the words as wholes."""
    paths = []
    for field, value in spec.ListFields():
        if field.message_type is None or field.is_repeated or field.name in ("lyrics", "deadline"):
            paths.append(field.name)
        else:
            paths += [f"{field.name}.{inner.name}" for inner, _ in value.ListFields()] or [field.name]
    return paths


def checked_size(spec: pb.SongSpec) -> pb.SongSpec:
    size = spec.ByteSize()
    if size <= LARGEST_BYTES:
        return spec
    largest = max(spec.ListFields(), key=lambda pair: len(str(pair[1])))[0].name
    message = f"spec.{largest} is too long: a spec is at most 4 MiB, this one has {size / 2**20:.1f} MiB"
    raise InvalidInput(message, reason=Reason.TOO_LONG, field=f"spec.{largest}")


def checked_text(value: object, path: str) -> str:
    """Text that can go on a wire: no half surrogates, which is what bytes that are not UTF-8 become."""
    text = _typed(value, str, "text", path)
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidInput(f"{path} is not valid Unicode", reason=Reason.MALFORMED, field=path) from exc
    return text


def _json(text: bytes) -> object:
    if len(text) > 4 * LARGEST_BYTES:
        raise InvalidInput("a spec is at most 4 MiB", reason=Reason.TOO_LONG, field="spec")
    try:
        return cast(object, json.loads(text, object_pairs_hook=_once))
    except (ValueError, RecursionError) as exc:
        raise InvalidInput(f"this is not JSON: {exc}", reason=Reason.MALFORMED, field="spec") from exc


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return values


def _resolved(song: Mapping[str, object]) -> Mapping[str, object]:
    resolved = song.get("resolved")
    if not isinstance(resolved, dict) or not resolved:
        message = f"{song['name']} never got as far as a resolved spec; give it a spec of its own"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="spec.resolved")
    return resolved


def _field(message: Message, name: str, path: str) -> FieldDescriptor:
    fields = message.DESCRIPTOR.fields
    for field in fields:
        if name in (field.name, field.json_name):
            return cast(FieldDescriptor, field)
    near = get_close_matches(name, [field.name for field in fields], n=1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(field.name for field in fields)}"
    where = f"{path}.{name}"
    raise InvalidInput(f"{_short(where)} is no field of a song: {hint}", reason=Reason.UNKNOWN_FIELD, field=where)


def _assign(message: Message, field: FieldDescriptor, value: object, path: str) -> None:
    if _is_map(field):
        for key, entry in _typed(value, dict, "an object", path).items():
            getattr(message, field.name)[checked_text(key, path)] = checked_text(entry, f"{path}.{key}")
    elif field.is_repeated:
        _extend(getattr(message, field.name), field, value, path)
    elif field.message_type is not None:
        _fill_part(getattr(message, field.name), value, path)
    else:
        setattr(message, field.name, _scalar(field, value, path))


def _extend(target: object, field: FieldDescriptor, value: object, path: str) -> None:
    for n, entry in enumerate(_typed(value, list, "a list", path)):
        where = f"{path}[{n}]"
        if field.message_type is None:
            target.append(_scalar(field, entry, where))  # type: ignore[attr-defined]  # the repeated field behind getattr
        else:
            _fill_part(target.add(), entry, where)  # type: ignore[attr-defined]  # the same


def _fill_part(part: Message, value: object, path: str) -> None:
    part.SetInParent()
    if isinstance(part, Timestamp):
        _set_time(part, value, path)
    elif isinstance(value, Message):
        part.CopyFrom(value)
    else:
        fill(part, _typed(value, dict, "an object", path), path)


def _set_time(part: Timestamp, value: object, path: str) -> None:
    try:
        if isinstance(value, datetime):
            part.FromDatetime(value.astimezone(UTC))
        else:
            part.FromJsonString(checked_text(value, path))
    except ValueError as exc:
        message = f'{path} is a time as in "2030-01-31T12:00:00Z", not {_short(value)}'
        raise InvalidInput(message, reason=Reason.MALFORMED, field=path) from exc


def _scalar(field: FieldDescriptor, value: object, path: str) -> object:
    if field.enum_type is not None:
        return _choice(field, value, path)
    if field.cpp_type in INTEGERS:
        return _integer(value, path, *INTEGERS[field.cpp_type])
    return SCALARS[field.cpp_type](value, path)


def _choice(field: FieldDescriptor, value: object, path: str) -> int:
    assert field.enum_type is not None
    names = {entry.name: entry.number for entry in field.enum_type.values}
    if isinstance(value, str) and value.upper() in names:
        return names[value.upper()]
    if isinstance(value, int) and not isinstance(value, bool) and value in names.values():
        return value
    allowed = ", ".join(name for name, number in names.items() if number)
    raise InvalidInput(f"{path} is one of {allowed}, not {_short(value)}", reason=Reason.UNKNOWN_VALUE, field=path)


def _integer(value: object, path: str, lowest: int, highest: int) -> int:
    number: object = value
    if isinstance(value, str):
        try:
            number = int(value)
        except ValueError:
            number = None
    elif isinstance(value, float) and isfinite(value) and value == int(value):
        number = int(value)
    if isinstance(number, bool) or not isinstance(number, int):
        message = f"{path} is a whole number, not {_short(value)}"
        raise InvalidInput(message, reason=Reason.MALFORMED, field=path)
    if not lowest <= number <= highest:
        message = f"{path} is a whole number from {lowest} to {highest}, not {_short(value)}"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field=path)
    return number


def _number(value: object, path: str) -> float:
    try:
        if not isinstance(value, bool) and isinstance(value, int | float | str):
            return float(value)
    except (ValueError, OverflowError):
        pass  # said below, with the other wrong ones
    raise InvalidInput(f"{path} is a number, not {_short(value)}", reason=Reason.MALFORMED, field=path)


def _bool(value: object, path: str) -> bool:
    return _typed(value, bool, "true or false", path)


SCALARS: Mapping[int, Callable[[object, str], object]] = {
    FieldDescriptor.CPPTYPE_DOUBLE: _number,
    FieldDescriptor.CPPTYPE_BOOL: _bool,
    FieldDescriptor.CPPTYPE_STRING: checked_text,
}


def _typed(value: object, kind: type[T], called: str, path: str) -> T:
    if not isinstance(value, kind):
        raise InvalidInput(f"{path} is {called}, not {_short(value)}", reason=Reason.MALFORMED, field=path)
    return value


def _from_text(field: FieldDescriptor, text: str, path: str) -> object:
    if field.is_repeated and field.message_type is None and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return {"true": True, "false": False}.get(text.lower(), text)
    if field.is_repeated or (field.message_type is not None and field.message_type.name != "Timestamp"):
        try:
            return cast(object, json.loads(text))
        except (ValueError, RecursionError) as exc:
            raise InvalidInput(f"{path} is given as JSON: {exc}", reason=Reason.MALFORMED, field=path) from exc
    return text


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    shown = ascii(text) if any(not char.isprintable() for char in text) else f"{text!r}" if value is text else text
    return shown if len(shown) <= 60 else shown[:57] + "..."
