"""PURE: which weights a song may be drawn from: one that is named, there, and licensed for what its owner does."""

from harmonia.capability.v1 import capability_pb2
from harmonia.song.v1 import spec_pb2
from harmonia_chassis.errors import InvalidInput, PermissionDenied, Reason
from harmonia_gateway.offer import Offer, offers

# SPDX: Creative Commons without commercial use, and what nobody has stated.
_NOT_FOR_SALE = ("CC-BY-NC", "LicenseRef-not-stated")


def refuse_without(spec: spec_pb2.SongSpec, offer: Offer, shown: str) -> None:
    """An engine that has models never chooses one itself: which licence a song carries is its owner's decision."""
    engine = offer.engine
    if not engine.how_to_get_a_model or _chosen(spec, offer):
        return
    names = ", ".join(f"{model.name} ({model.licence})" for model in engine.models)
    there = f"this mesh has {names}" if names else f"this mesh has none: {engine.how_to_get_a_model}"
    if not spec.model:
        message = f"{shown}.model is missing: the engine {engine.name} plays one that you name; {there}"
        raise InvalidInput(message, reason=Reason.MISSING, field=f"{shown}.model", allowed=names)
    message = f"{shown}.model is {spec.model[:64]!r}: {there}"
    raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field=f"{shown}.model", allowed=names)


def refuse_unlicensed(spec: spec_pb2.SongSpec, offer: Offer, shown: str, *, commercial: bool) -> None:
    chosen = _chosen(spec, offer)
    if not commercial or chosen is None or may_be_sold(chosen.licence):
        return
    allowed = ", ".join(sorted(_allowed(offer)))
    message = (
        f"{shown}.model is {chosen.name!r}, whose weights are {chosen.licence}: a commercial tenant may not use them; "
        f"it may use {allowed}"
    )
    field, reason = f"{shown}.model", Reason.LICENCE_REFUSED
    raise PermissionDenied(message, reason=reason, field=field, licence=chosen.licence, allowed=allowed)


def may_be_sold(licence: str) -> bool:
    """`licence`: an SPDX expression; all that it joins must allow it."""
    return not any(each.startswith(_NOT_FOR_SALE) for each in licence.split(" AND "))


def _chosen(spec: spec_pb2.SongSpec, offer: Offer) -> capability_pb2.Model | None:
    return next((model for model in offer.engine.models if model.name == spec.model), None)


def _allowed(offer: Offer) -> list[str]:
    """Engines that need no model, and models of the others."""
    engines = [other.engine for other in offers(offer.capabilities)]
    plain = [f"the engine {engine.name}" for engine in engines if not engine.how_to_get_a_model]
    return plain + [f"{engine.name} with {model.name}" for engine in engines if engine.how_to_get_a_model
                    for model in engine.models if may_be_sold(model.licence)]  # fmt: skip
