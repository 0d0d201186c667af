"""Writes openapi.json from the contracts, http_rules.yaml and streams.yaml; part of `make proto`.

OpenAPI 3.1, which protoc-gen-openapiv2 cannot write; no Go is needed. What comments say of messages and fields becomes
their description. Needs buf on PATH. See docs/decisions/0035.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

Json = dict[str, Any]

REST = Path(__file__).parent
METHODS = ("get", "post", "delete")
ID = "^[0-9a-f]{32}$"
COLLECTIONS = {
    "songs": "song",
    "artifacts": "artifact",
    "keys": "key",
    "models": "model",
    "projects": "project",
    "shares": "share",
    "uploads": "upload",
    "webhooks": "webhook",
}
SHAPES = {"artifact": "^[0-9a-f]{64}$", "key": "^[0-9a-f]{16}$", "model": "^[a-z0-9._-]{1,64}$"}
# What only services say to each other, in words that the public contracts use too.
INTERNAL = ("composer", "job", "lyricist", "mastering", "store")

_FIELD = FieldDescriptorProto
_ERROR = {"$ref": "#/components/schemas/Error"}
_INTEGER_IN_TEXT = {"type": ["string", "integer"], "pattern": "^-?[0-9]+$"}
_SCALARS: dict[int, Json] = {
    _FIELD.TYPE_STRING: {"type": "string"},
    _FIELD.TYPE_BOOL: {"type": "boolean"},
    _FIELD.TYPE_DOUBLE: {"type": "number"},
    _FIELD.TYPE_FLOAT: {"type": "number"},
    _FIELD.TYPE_INT32: {"type": "integer", "format": "int32"},
    _FIELD.TYPE_BYTES: {"type": "string", "contentEncoding": "base64"},
    # 64 bits are text in protobuf's JSON, because JavaScript has 53; as numbers they are taken too.
    _FIELD.TYPE_INT64: _INTEGER_IN_TEXT | {"format": "int64"},
    _FIELD.TYPE_UINT64: _INTEGER_IN_TEXT | {"format": "uint64", "pattern": "^[0-9]+$"},
}
_WELL_KNOWN: dict[str, Json] = {
    ".google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    ".google.protobuf.Duration": {
        "type": "string",
        "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$",
        "description": 'Seconds: "1.5s"',
    },
}


def main() -> None:
    (REST / "openapi.json").write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n")


def document() -> Json:
    contracts = Contracts(_descriptors())
    paths: dict[str, Json] = {}
    for rule in yaml.safe_load((REST / "http_rules.yaml").read_text())["http"]["rules"]:
        verb = next(method for method in METHODS if method in rule)
        template, bound = _template(rule[verb])
        paths.setdefault(template, {})[verb] = contracts.operation(rule, verb, bound)
    for template, operations in yaml.safe_load((REST / "streams.yaml").read_text()).items():
        for operation in operations.values():
            operation["responses"]["default"] = {"$ref": "#/components/responses/Error"}
            contracts.need_all(operation)
        paths[template] = {**paths.get(template, {}), **operations}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Harmonia",
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": (REST / "intro.md").read_text(),
        },
        "security": [{"token": []}, {"session": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "harmonia"},
            },
            "parameters": _parameters(),
            "responses": {
                "Error": {"description": "Refused", "content": _json({"$ref": "#/components/schemas/Error"})}
            },
            "schemas": dict(sorted((contracts.schemas() | {"Error": _error()}).items())),
        },
    }


class Contracts:
    """Messages by full name, their comments, and those that the document needs."""

    def __init__(self, files: FileDescriptorSet) -> None:
        self._messages: dict[str, DescriptorProto] = {}
        self._enums: dict[str, EnumDescriptorProto] = {}
        self._methods: dict[str, MethodDescriptorProto] = {}
        self._comments: dict[tuple[str, str], str] = {}
        self._needed: dict[str, str] = {}
        for file in files.file:
            self._read(file)

    def operation(self, rule: Json, verb: str, bound: str) -> Json:
        method = self._methods[rule["selector"]]
        request = self._messages[method.input_type]
        operation: Json = {
            "operationId": method.name,
            "x-rpc": rule["selector"],
            "x-pattern": rule[verb],
            "tags": [rule["selector"].split(".")[-2]],
            "description": self._comments.get((rule["selector"], ""), ""),
            "parameters": [{"$ref": f"#/components/parameters/{bound}"}] if bound else [],
            "responses": {
                "200": {"description": "OK", "content": _json(self._reference(method.output_type))},
                "default": {"$ref": "#/components/responses/Error"},
            },
        }
        if method.output_type.endswith(".Song") and verb == "post":
            operation["responses"]["202"] = operation["responses"]["200"] | {"description": "Still to be made"}
        if "body" in rule:
            schema = self._schema(method.input_type, without=frozenset({"name"} if bound else ()))
            operation["requestBody"] = {"required": True, "content": _json(schema)}
        else:
            operation["parameters"] += [
                self._query(method.input_type, field)
                for field in request.field
                if field.name != "name" and f"{{{field.name}}}" not in rule[verb]
            ]
        operation["parameters"] += [_bound(field) for field in re.findall(r"\{(\w+)\}", rule[verb])]
        if method.name == "CreateSong":
            operation["parameters"].append({"$ref": "#/components/parameters/idempotency_key"})
        return operation

    def need_all(self, part: object) -> None:
        """Every schema that a hand-written operation refers to."""
        for name in re.findall(r"#/components/schemas/(\w+)", json.dumps(part)):
            public = (one for one in self._messages if one.split(".")[2] not in INTERNAL)
            full = next((one for one in public if _short(one) == name), None)
            if full is not None:
                self._reference(full)

    def schemas(self) -> dict[str, Json]:
        made: dict[str, Json] = {}
        while missing := [name for name in self._needed if name not in made]:
            for name in missing:
                made[name] = self._schema(self._needed[name])
        return made

    def _read(self, file: FileDescriptorProto) -> None:
        prefix = f".{file.package}"
        comments = {tuple(at.path): at.leading_comments for at in file.source_code_info.location}
        for index, message in enumerate(file.message_type):
            self._read_message(message, f"{prefix}.{message.name}", (4, index), comments)
        for service_index, service in enumerate(file.service):
            for index, method in enumerate(service.method):
                selector = f"{file.package}.{service.name}.{method.name}"
                self._methods[selector] = method
                self._comments[selector, ""] = _text(comments.get((6, service_index, 2, index), ""))

    def _read_message(
        self, message: DescriptorProto, name: str, path: tuple[int, ...], comments: dict[tuple[int, ...], str]
    ) -> None:
        self._messages[name] = message
        self._comments[name, ""] = _text(comments.get(path, ""))
        for index, field in enumerate(message.field):
            self._comments[name, field.name] = _text(comments.get((*path, 2, index), ""))
        for index, enum in enumerate(message.enum_type):
            self._enums[f"{name}.{enum.name}"] = enum
            for number, value in enumerate(enum.value):
                self._comments[f"{name}.{enum.name}", value.name] = _text(
                    comments.get((*path, 4, index, 2, number), "")
                )
        for index, nested in enumerate(message.nested_type):
            self._read_message(nested, f"{name}.{nested.name}", (*path, 3, index), comments)

    def _query(self, message: str, field: FieldDescriptorProto) -> Json:
        schema = self._value(message, field)
        told = schema.pop("description", "")
        return {"name": field.name, "in": "query", "schema": schema, "description": told}

    def _reference(self, message: str) -> Json:
        if message in _WELL_KNOWN:
            return dict(_WELL_KNOWN[message])
        return {"$ref": f"#/components/schemas/{self._name(message)}"}

    def _name(self, message: str) -> str:
        """Model, and ModelModel for another message that is called so too."""
        short = _short(message)
        if self._needed.setdefault(short, message) == message:
            return short
        area = message.split(".")[2].capitalize()
        self._needed[area + short] = message
        return area + short

    def _schema(self, message: str, *, without: frozenset[str] = frozenset()) -> Json:
        fields = [field for field in self._messages[message].field if field.name not in without]
        schema: Json = {
            "type": "object",
            "properties": {field.name: self._field(message, field) for field in fields},
            "additionalProperties": False,
        }
        told = self._comments.get((message, ""))
        return schema | ({"description": told} if told else {})

    def _field(self, message: str, field: FieldDescriptorProto) -> Json:
        if field.label != _FIELD.LABEL_REPEATED:
            return self._value(message, field)
        told = self._comments.get((message, field.name), "")
        entry = self._messages.get(field.type_name)
        if entry is not None and entry.options.map_entry:
            schema: Json = {"type": "object", "additionalProperties": self._bare(entry.field[1])}
        else:
            schema = {"type": "array", "items": self._bare(field)}
        return schema | ({"description": told} if told else {})

    def _value(self, message: str, field: FieldDescriptorProto) -> Json:
        told = self._comments.get((message, field.name), "")
        schema = self._bare(field)
        parts = [part for part in (told, schema.pop("description", "")) if part]
        return schema | ({"description": " ".join(parts)} if parts else {})

    def _bare(self, field: FieldDescriptorProto) -> Json:
        if field.type == _FIELD.TYPE_ENUM:
            return self._enum(field.type_name)
        if field.type == _FIELD.TYPE_MESSAGE:
            return self._reference(field.type_name)
        return dict(_SCALARS[field.type])

    def _enum(self, name: str) -> Json:
        values = [value.name for value in self._enums[name].value if value.number]
        told = [f"{value}: {comment}" for value in values if (comment := self._comments.get((name, value)))]
        return {"type": "string", "enum": values} | ({"description": " ".join(told)} if told else {})


def _descriptors() -> FileDescriptorSet:
    built = subprocess.run(["buf", "build", "-o", "-"], cwd=REST.parent, check=True, capture_output=True)
    return FileDescriptorSet.FromString(built.stdout)


def _template(pattern: str) -> tuple[str, str]:
    """OpenAPI's way to write a route, and the parameter in it: "/v1/{name=songs/*}:cancel" has "song"."""
    found = re.search(r"\{name=(\w+)/\*\}", pattern)
    if found is None:
        return pattern, ""
    bound = COLLECTIONS[found[1]]
    return pattern.replace(found[0], f"{found[1]}/{{{bound}}}"), bound


def _parameters() -> Json:
    paths = {name: _path_parameter(name) for name in COLLECTIONS.values()}
    return paths | {
        "range": {
            "name": "Range",
            "in": "header",
            "schema": {"type": "string"},
            "description": "RFC 9110: `bytes=0-65535`",
        },
        "idempotency_key": {
            "name": "Idempotency-Key",
            "in": "header",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
            "description": "Becomes request_id: the same key with the same spec gives the same song.",
        },
    }


def _path_parameter(name: str) -> Json:
    schema = {"type": "string", "pattern": SHAPES.get(name, ID)}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _bound(field: str) -> Json:
    """A part of the path that is a field of the request and no name."""
    return {"name": field, "in": "path", "required": True, "schema": {"type": "string"}}


def _error() -> Json:
    told = {
        "code": "Canonical status code by name",
        "reason": "What programs compare: one of docs/errors.md",
        "field": "Path of the field at fault; empty when no field is",
        "message": "For people: what is wrong and the way out",
        "request_id": "Leads to the log lines",
    }
    problem = {
        "type": "object",
        "properties": {name: {"type": "string", "description": text} for name, text in told.items()},
        "required": list(told),
        "additionalProperties": False,
    }
    return {"type": "object", "properties": {"error": problem}, "required": ["error"], "additionalProperties": False}


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _short(message: str) -> str:
    """ ".harmonia.song.v1.SongEvent.Heartbeat" is SongEvent_Heartbeat."""
    return "_".join(_upper_parts(message))


def _upper_parts(message: str) -> Iterator[str]:
    return (part for part in message.split(".") if part[:1].isupper())


def _text(comment: str) -> str:
    return " ".join(comment.split())


if __name__ == "__main__":
    main()
