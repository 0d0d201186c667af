"""PURE: what one engine of this mesh takes, field by field and choice by choice, with what the mesh adds to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harmonia.capability.v1 import capability_pb2 as pb
from harmonia_chassis.errors import InvalidInput, Reason

DEFAULT_ENGINE = "arranger"
SUPPORTED = (pb.FieldSupport.EXACT, pb.FieldSupport.HINT)

# What the mesh does whichever engine plays: the lyricist reads, mastering masters, the gateway keeps.
_OF_THE_MESH: dict[str, "pb.FieldSupport.Support.ValueType"] = {
    "prompt": pb.FieldSupport.EXACT,
    "negative_prompt": pb.FieldSupport.HINT,
    "title": pb.FieldSupport.EXACT,
    "lyrics": pb.FieldSupport.EXACT,
    "language": pb.FieldSupport.EXACT,
    "labels": pb.FieldSupport.EXACT,
    "project": pb.FieldSupport.EXACT,
    "webhook": pb.FieldSupport.EXACT,
    "deadline": pb.FieldSupport.EXACT,
    "batch": pb.FieldSupport.EXACT,
    "engine": pb.FieldSupport.EXACT,
    "seed": pb.FieldSupport.EXACT,
    "outputs.formats": pb.FieldSupport.EXACT,
    "mastering": pb.FieldSupport.EXACT,
}
# An engine that a composer offers only where it is installed.
_TO_HAVE = {
    "musicgen": "; install the engine where its composer runs, by `make musicgen` or "
    "pip install 'harmonia-composer[musicgen]', start the mesh anew, and bring a model (docs/musicgen.md)"
}
# Fields that have no values but those that are listed.
_CLOSED = ("genre", "moods", "instruments", "model", "outputs.formats")


@dataclass(frozen=True, slots=True)
class Offer:
    engine: pb.Engine
    capabilities: pb.Capabilities
    said: Mapping[str, pb.FieldSupport]

    @classmethod
    def of(cls, engine: pb.Engine, capabilities: pb.Capabilities) -> "Offer":
        return cls(engine, capabilities, {field.field: field for field in engine.fields})

    def support(self, path: str) -> "pb.FieldSupport.Support.ValueType":
        """What the engine says of the field or of the message around it; what neither it nor the mesh names is NO."""
        while path:
            if path in self.said:
                return self.said[path].support
            if path in _OF_THE_MESH:
                return _OF_THE_MESH[path]
            path = path.rpartition(".")[0]
        return pb.FieldSupport.NO

    def choices(self, path: str) -> Sequence[str]:
        """What the field may be; empty: anything in range, unless the field is one of closed lists."""
        if path in ("genre", "moods", "instruments"):
            listed: Sequence[str] = getattr(self.engine, "genres" if path == "genre" else path)
            return listed
        if path == "model":
            return [model.name for model in self.engine.models]
        if path == "outputs.formats":
            return self.capabilities.formats
        if path == "mastering.preset":
            return [preset.name for preset in self.capabilities.presets]
        return self.said[path].values if path in self.said else ()

    def takes(self, path: str, value: str) -> bool:
        choices = self.choices(path)
        if not choices and path not in _CLOSED:
            return self.support(path) in SUPPORTED
        return pick(path, value, choices) is not None

    def spelled(self, path: str, value: str) -> str:
        """As the engine spells it, where it is one of its own."""
        return pick(path, value, self.choices(path)) or value


def offers(capabilities: pb.Capabilities) -> list[Offer]:
    return [Offer.of(engine, capabilities) for engine in capabilities.engines]


def offer_for(name: str, capabilities: pb.Capabilities) -> Offer:
    """Of the engine asked for, or of the default. Raises InvalidInput."""
    wanted = name or DEFAULT_ENGINE
    for engine in capabilities.engines:
        if engine.name == wanted:
            return Offer.of(engine, capabilities)
    allowed = ", ".join(engine.name for engine in capabilities.engines)
    raise InvalidInput(
        f"spec.engine is {wanted[:64]!r}, which this mesh does not have: it has {allowed}{_TO_HAVE.get(wanted, '')}",
        reason=Reason.UNKNOWN_VALUE,
        field="spec.engine",
        retry_after=None,
        allowed=allowed,
    )


def pick(path: str, value: str, offered: Sequence[str]) -> str | None:
    """The offered spelling of a value: 'en' for 'en-GB'; 'D dorian' itself where the mode is offered."""
    by_folded = {name.casefold(): name for name in offered}
    folded = value.strip().casefold()
    if folded in by_folded:
        return by_folded[folded]
    if path == "language":
        return by_folded.get(folded.split("-")[0])
    if path == "key" and folded.split()[-1] in by_folded:
        return value
    return None
