"""PURE: everything CreateSong decides: may it be made, what is fixed now, which way it goes.

`validate` refuses or warns and never changes anything; `resolve` makes the choices that cost nothing;
`plan` writes the job. No clock, no randomness, no network: time, seeds and ids are passed in.
"""

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from harmonia.capability.v1 import capability_pb2
from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_chassis.lanes import batch_twin
from harmonia_gateway import limits, rules, weights
from harmonia_gateway.offer import SUPPORTED, Offer, offer_for, offers
from harmonia_gateway.rules import Planned, Setting

DEFAULT_FORMATS = ("wav", "flac", "mp3")
DEFAULT_CEILING_DBTP = -1.0
DEFAULT_INTENSITY = 0.5

Spec = spec_pb2.SongSpec
Lyrics = spec_pb2.LyricsSpec
Preset = spec_pb2.Mastering.Preset
Support = capability_pb2.FieldSupport

# What reading the prompt tells of a song, by its field.
BRIEFED = ("genre", "moods", "instruments", "complexity", "bpm", "key", "time_signature", "language")
# Set, and yet nothing is asked for: no engine needs to be able to do it.
_NOTHING_ASKED: dict[str, Any] = {
    "kind": Spec.SONG,
    "vocals": Spec.OFF,
    "variations": 1,
    "outputs.stems": False,
    "outputs.midi": False,
    "outputs.dawproject": False,
    "outputs.ardour": False,
}


@dataclass(frozen=True, slots=True)
class Requester:
    """Whose song it is and how it was asked for."""

    tenant: str
    owner: str
    request_id: str = ""
    traceparent: str = ""


def validate(
    spec: Spec,
    capabilities: capability_pb2.Capabilities,
    now: datetime,
    *,
    shown: str = "spec",
    commercial: bool = False,
) -> tuple[str, ...]:
    """Warnings about what will only be leaned towards. Raises InvalidInput at the first field that cannot be, and
    PermissionDenied when a `commercial` tenant asks for weights whose licence does not allow that."""
    rules.refuse_unknown_fields(spec, shown)
    offer = offer_for(spec.engine, capabilities)
    weights.refuse_without(spec, offer, shown)
    weights.refuse_unlicensed(spec, offer, shown, commercial=commercial)
    warnings = []
    for setting in rules.settings_of(spec, shown=shown):
        warnings += _check(setting, offer, now)
    _refuse_contradictions(spec, shown)
    _refuse_nothing_to_go_on(spec, shown)
    return tuple(warnings)


def _check(setting: Setting, offer: Offer, now: datetime) -> list[str]:
    rule = rules.RULES[setting.path]
    if isinstance(rule, Planned):
        if rule.nothing is None or setting.value != rule.nothing:
            raise _not_yet(setting, f"comes with a later release: leave it out and {rule.instead}")
        return []
    if setting.path in _NOTHING_ASKED and setting.value == _NOTHING_ASKED[setting.path]:
        return []
    support = offer.support(setting.path)
    _refuse_unsupported(setting, support, offer)
    rule(setting, now)
    for value in _names(setting):
        _refuse_unoffered(setting, value, offer)
    if support == Support.HINT:
        return [f"{setting.shown}: the engine {offer.engine.name} leans towards it and does not promise it"]
    return []


def _refuse_unsupported(setting: Setting, support: "Support.Support.ValueType", offer: Offer) -> None:
    if support in SUPPORTED:
        return
    if support == Support.LATER:
        raise _not_yet(setting, f"comes with a later release of the engine {offer.engine.name}: leave it out")
    able = [other for other in offers(offer.capabilities) if other.support(setting.path) in SUPPORTED]
    raise _not_supported(setting, f"is not taken by the engine {offer.engine.name}", offer, able)


def _not_yet(setting: Setting, why: str) -> InvalidInput:
    return rules.refuse(setting, why, Reason.NOT_YET_SUPPORTED)


def _not_supported(setting: Setting, why: str, offer: Offer, able: Sequence[Offer]) -> InvalidInput:
    names = ", ".join(other.engine.name for other in able)
    way_out = f"choose an engine that can: {names}" if able else "no engine of this mesh can, so leave it out"
    engine = offer.engine.name
    return rules.refuse(setting, f"{why}: {way_out}", Reason.NOT_SUPPORTED, engine=engine, engines=names)


def _names(setting: Setting) -> list[str]:
    """The values of a field that is a choice by name; none for a field that is not."""
    if setting.field.enum_type is not None:
        return [setting.field.enum_type.values_by_number[setting.value].name]
    if setting.path == "key":
        return [rules.canonical_key(setting.value)]
    if setting.path in ("genre", "moods", "instruments", "time_signature", "language", "model", "outputs.formats"):
        return [setting.value] if isinstance(setting.value, str) else list(setting.value)
    return []


# Choices of the contract itself: a value that no engine offers today is a matter of time, not a slip of the pen.
_OF_THE_CONTRACT = ("kind", "vocals", "time_signature", "language", "key", "outputs.formats", "mastering.preset")


def _refuse_unoffered(setting: Setting, value: str, offer: Offer) -> None:
    if offer.takes(setting.path, value):
        return
    engine = offer.engine.name
    able = [other for other in offers(offer.capabilities) if other.takes(setting.path, value)]
    if able:
        raise _not_supported(setting, f"{value!r} is not offered by the engine {engine}", offer, able)
    allowed = ", ".join(offer.choices(setting.path))
    reason = Reason.NOT_YET_SUPPORTED if setting.path in _OF_THE_CONTRACT else Reason.UNKNOWN_VALUE
    why = f"is {value!r}: the engine {engine} offers {allowed}"
    raise rules.refuse(setting, why, reason, engine=engine, allowed=allowed)


def _refuse_contradictions(spec: Spec, shown: str) -> None:
    has_words = bool(spec.lyrics.text) or spec.lyrics.HasField("text_artifact")
    looping = spec.kind == Spec.LOOP
    found = (
        (has_words and spec.lyrics.mode in (Lyrics.INSTRUMENTAL, Lyrics.WRITE),
         "lyrics.mode", "leaves no place for lyrics.text: use mode TEXT, or leave the text out"),
        (bool(spec.lyrics.text) and spec.lyrics.HasField("text_artifact"),
         "lyrics.text_artifact", "and lyrics.text are both set: keep one"),
        (spec.lyrics.mode == Lyrics.TEXT and not has_words,
         "lyrics.text", "is missing: mode TEXT sings the words given there"),
        (looping and spec.HasField("duration_seconds"),
         "duration_seconds", "is not for a LOOP, whose length is bars: leave one out"),
        (spec.HasField("bars") and not looping, "bars", "is only for kind LOOP: use duration_seconds"),
        (spec.vocals == Spec.GUIDE and spec.lyrics.mode == Lyrics.INSTRUMENTAL,
         "vocals", "is GUIDE, and lyrics.mode is INSTRUMENTAL: there is nothing to sing"),
        (spec.mastering.preset == Preset.NONE and spec.mastering.HasField("target_lufs"),
         "mastering.target_lufs", "is set, and the preset NONE has no target: choose another preset, or none"),
        (spec.conditioning.HasField("strength") and not _has_source(spec),
         "conditioning.strength", "is set without continue_from or melody: give one of them"),
        (spec.conditioning.HasField("start_seconds") and not spec.conditioning.continue_from,
         "conditioning.start_seconds", "is set without continue_from: say what to go on from"),
    )  # fmt: skip
    for contradicts, path, why in found:
        if contradicts:
            raise InvalidInput(f"{shown}.{path} {why}", reason=Reason.CONTRADICTORY, field=f"{shown}.{path}")


def _has_source(spec: Spec) -> bool:
    return bool(spec.conditioning.continue_from or spec.conditioning.melody)


def _refuse_nothing_to_go_on(spec: Spec, shown: str) -> None:
    has_words = bool(spec.lyrics.text.strip()) or spec.lyrics.HasField("text_artifact")
    if not (spec.prompt.strip() or has_words or spec.genre):
        raise InvalidInput(
            f"{shown}.prompt is empty: say what the song should be, or give lyrics.text or a genre",
            reason=Reason.MISSING,
            field=f"{shown}.prompt",
        )


def resolve(spec: Spec, capabilities: capability_pb2.Capabilities, *, draw_seed: Callable[[], int]) -> Spec:
    """A valid spec with every choice made that costs nothing; what does not sound stays in the spec as asked."""
    resolved = Spec()
    resolved.CopyFrom(spec)
    for aside in ("prompt", "negative_prompt", "labels", "project", "webhook", "deadline"):
        resolved.ClearField(aside)
    offer = offer_for(spec.engine, capabilities)
    _fix_names(resolved, offer)
    resolved.engine = offer.engine.name
    resolved.kind = spec.kind or Spec.SONG
    resolved.vocals = spec.vocals or Spec.OFF
    resolved.lyrics.mode = Lyrics.TEXT if _has_words(spec) else spec.lyrics.mode or Lyrics.AUTO
    resolved.seed = spec.seed if spec.HasField("seed") else draw_seed()
    resolved.variations = spec.variations if spec.HasField("variations") else 1
    _fix_length(resolved)
    fix_mastering(resolved.mastering, capabilities)
    _fix_outputs(resolved.outputs, offer)
    return resolved


def _has_words(spec: Spec) -> bool:
    return bool(spec.lyrics.text) or spec.lyrics.HasField("text_artifact")


def _fix_names(resolved: Spec, offer: Offer) -> None:
    for name in ("genre", "language", "time_signature"):
        if getattr(resolved, name):
            setattr(resolved, name, offer.spelled(name, getattr(resolved, name)))
    for listed in ("moods", "instruments"):
        entries = getattr(resolved, listed)
        entries[:] = [offer.spelled(listed, entry) for entry in entries]
    if resolved.key:
        resolved.key = rules.canonical_key(resolved.key)


def _fix_length(resolved: Spec) -> None:
    if resolved.kind == Spec.LOOP:
        resolved.bars = resolved.bars if resolved.HasField("bars") else 4
    elif not resolved.HasField("duration_seconds"):
        resolved.duration_seconds = limits.DEFAULT_DURATION_S


def fix_mastering(mastering: spec_pb2.Mastering, capabilities: capability_pb2.Capabilities) -> None:
    mastering.preset = mastering.preset or Preset.STREAMING
    name = Preset.Name(mastering.preset).casefold()
    preset = next((p for p in capabilities.presets if p.name.casefold() == name), None)
    if preset and mastering.preset != Preset.NONE and not mastering.HasField("target_lufs"):
        mastering.target_lufs = preset.target_lufs
    if not mastering.HasField("ceiling_dbtp"):
        mastering.ceiling_dbtp = preset.ceiling_dbtp if preset else DEFAULT_CEILING_DBTP
    if not mastering.HasField("intensity"):
        mastering.intensity = 0.0 if mastering.preset == Preset.NONE else DEFAULT_INTENSITY


def _fix_outputs(outputs: spec_pb2.Outputs, offer: Offer) -> None:
    asked = [name.casefold() for name in outputs.formats] or DEFAULT_FORMATS
    del outputs.formats[:]
    outputs.formats.extend(dict.fromkeys(asked))
    if not outputs.HasField("stems"):
        outputs.stems = offer.support("outputs.stems") == Support.EXACT
    if not outputs.HasField("midi"):
        outputs.midi = offer.support("outputs.midi") == Support.EXACT


def song_id(requester: Requester, *, new_id: Callable[[], str]) -> str:
    """The same request of the same owner gives the same id, so that a repeated create meets its first."""
    if not requester.request_id:
        return new_id()
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, f"harmonia:{requester.tenant}")
    return uuid.uuid5(uuid.uuid5(namespace, requester.owner), requester.request_id).hex


def digest(spec: Spec) -> str:
    """Of the spec as sent. Deterministic within one language and version, which is all a retry needs."""
    return hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest()


def check_request_id(request_id: str, *, shown: str = "request_id") -> None:
    if len(request_id) > limits.REQUEST_ID_CHARACTERS:
        raise InvalidInput(
            f"{shown} has {len(request_id)} characters: at most {limits.REQUEST_ID_CHARACTERS}",
            reason=Reason.TOO_LONG,
            field=shown,
        )


def plan(
    spec: Spec,
    resolved: Spec,
    requester: Requester,
    *,
    id: str,  # noqa: A002  # the job's own word for it
    spec_digest: str,
    grant: str,
    capabilities: capability_pb2.Capabilities,
    warnings: Sequence[str],
    now: datetime,
) -> job_pb2.Job:
    """The job a song is until it ends. `spec_digest` is of the spec as sent, before long texts became references."""
    job = job_pb2.Job(
        id=id,
        kind="song",
        tenant=requester.tenant,
        owner=requester.owner,
        spec=spec,
        resolved=resolved,
        grant=grant,
        stages=_stages(resolved),
        state=job_pb2.Job.QUEUED,
        why=job_pb2.Job.CREATE,
        drive=1,
        request_id=requester.request_id,
        traceparent=requester.traceparent,
        spec_digest=spec_digest,
        batch=spec.batch,
        warnings=warnings,
        palette=palette(offer_for(resolved.engine, capabilities)),
        deadline=timestamp(deadline_of(spec, now)),
        create_time=timestamp(now),
        update_time=timestamp(now),
    )
    job.stages[0].state = job_pb2.Job.QUEUED
    job.stages[0].queue_time.CopyFrom(job.create_time)
    return job


def timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def deadline_of(spec: Spec, now: datetime) -> datetime:
    if not spec.HasField("deadline"):
        return now + limits.DEFAULT_LIFE
    return spec.deadline.ToDatetime(tzinfo=UTC)


def new_deadline(job: job_pb2.Job, now: datetime) -> datetime:
    """Of a retry: as long from now as the song was given at first."""
    if not job.spec.HasField("deadline"):
        return now + limits.DEFAULT_LIFE
    return now + (job.spec.deadline.ToDatetime(UTC) - job.create_time.ToDatetime(UTC))


def lanes_of(resolved: Spec) -> tuple[str, str, str]:
    """Of the stages write, compose and master."""
    write, compose, master = "write", f"compose-{resolved.engine}", "master"
    if resolved.batch:
        return batch_twin(write), batch_twin(compose), batch_twin(master)
    return write, compose, master


def _stages(resolved: Spec) -> list[job_pb2.Stage]:
    names = ("write", "compose", "master")
    return [job_pb2.Stage(name=name, lane=lane) for name, lane in zip(names, lanes_of(resolved), strict=True)]


def palette(offer: Offer) -> job_pb2.Palette:
    engine = offer.engine
    return job_pb2.Palette(
        genres=engine.genres,
        moods=engine.moods,
        instruments=engine.instruments,
        time_signatures=offer.choices("time_signature"),
        kinds=offer.choices("kind"),
        not_taken=[field for field in BRIEFED if offer.support(field) not in SUPPORTED],
    )


# Measured on the arranger's songs: what reading a prompt costs, and mastering a second of audio.
_WRITE_CPU_S = 0.1
_MASTER_CPU_S_PER_S = 0.035
_BYTES_PER_S = {
    "wav": 288_000,
    "wav16": 192_000,
    "wav32f": 384_000,
    "flac": 170_000,
    "mp3": 40_000,
    "opus": 24_000,
    "ogg": 29_000,
}
_STEM_BYTES_PER_S = 100_000


def estimate(resolved: Spec, capabilities: capability_pb2.Capabilities, *, ahead: int) -> song_pb2.Estimate:
    """`ahead`: songs before it in its lane, taken to be like it."""
    engine = offer_for(resolved.engine, capabilities).engine
    seconds = resolved.duration_seconds * resolved.variations
    composing = engine.cpu_seconds_per_second * seconds
    cpu_seconds = _WRITE_CPU_S + composing + _MASTER_CPU_S_PER_S * seconds
    gpu_seconds = engine.gpu_seconds_per_second * seconds
    work = cpu_seconds + gpu_seconds
    stems = len(engine.roles) * _STEM_BYTES_PER_S if resolved.outputs.stems else 0
    rate = stems + sum(_BYTES_PER_S[name] for name in resolved.outputs.formats)
    return song_pb2.Estimate(
        cpu_seconds=cpu_seconds,
        gpu_seconds=gpu_seconds,
        queue_seconds=ahead * work,
        wall_seconds=(ahead + 1) * work,
        bytes=int(seconds * rate),
        engine=engine.name,
    )
