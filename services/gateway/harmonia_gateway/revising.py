"""PURE: everything ReviseSong decides: what the new song's spec is, which stages are done anew, what is taken over.

What is not changed stays as it was made: the base of the new spec is every choice of the old song, seed included. A new
prompt is read anew, so there the base is what the user asked for, and the seed.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import Message

from harmonia.composer.v1 import composer_pb2
from harmonia.job.v1 import job_pb2
from harmonia.lyricist.v1 import lyricist_pb2
from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, Reason
from harmonia_chassis.jobs import TERMINAL
from harmonia_gateway import rules, wire

STAGES = ("write", "compose", "master")
WRITE, COMPOSE, MASTER = range(3)

Spec = spec_pb2.SongSpec

# What only mastering hears of, or nobody.
_MASTERED = ("mastering", "outputs.formats", "labels", "project", "webhook", "deadline", "batch")
# What the brief says to the composer in so many words, and what goes to the composer beside the brief.
_IN_THE_BRIEF = (
    *("title", "genre", "moods", "instruments", "complexity", "bpm", "key", "time_signature", "duration_seconds"),
    "sections",
)
_BESIDE_THE_BRIEF = ("seed", "variations", "model", "sampling", "outputs", "vocals", "conditioning")
# With another of these the prompt is read anew, and what it was taken to mean before does not bind.
_READ_ANEW = ("prompt", "negative_prompt", "engine", "language")


@dataclass(frozen=True, slots=True)
class Change:
    """One field that is to be different: to what `changes` holds, or, `anew`, to whatever is chosen."""

    path: str
    anew: bool = False

    @property
    def stage(self) -> int:
        if _within(self.path, _MASTERED):
            return MASTER
        if _within(self.path, _BESIDE_THE_BRIEF) or (not self.anew and _within(self.path, _IN_THE_BRIEF)):
            return COMPOSE
        return WRITE


@dataclass(frozen=True, slots=True)
class Revision:
    """`spec` is of the new song, as if it had been asked for; `stage` the first that is done anew."""

    spec: Spec
    stage: int
    changes: tuple[Change, ...]


def revision(request: song_pb2.ReviseSongRequest, source: job_pb2.Job) -> Revision:
    """Raises InvalidInput for changes that say nothing or contradict themselves, FailedPrecondition for a song that
    cannot be revised, or not from that stage."""
    changes = tuple(changes_of(request))
    stage = _stage(request.from_stage, changes, source)
    return Revision(_merged(request.changes, changes, source), stage, changes)


def check_request(request: song_pb2.ReviseSongRequest) -> None:
    rules.refuse_unknown_fields(request)
    if request.from_stage not in ("", *STAGES):
        allowed = ", ".join(STAGES)
        message = f"from_stage is {request.from_stage[:40]!r}: it must be one of {allowed}"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="from_stage")
    if not (list(changes_of(request)) or request.from_stage):
        message = "changes is empty: say what is to be different, or from which stage the song is to be made again"
        raise InvalidInput(message, reason=Reason.MISSING, field="changes")


def digest(request: song_pb2.ReviseSongRequest) -> str:
    """Of what decides which song comes out."""
    asked = song_pb2.ReviseSongRequest()
    asked.CopyFrom(request)
    for aside in ("request_id", "validate_only", "wait"):
        asked.ClearField(aside)
    return hashlib.sha256(b"revise" + asked.SerializeToString(deterministic=True)).hexdigest()


def changes_of(request: song_pb2.ReviseSongRequest) -> Iterator[Change]:
    """Raises InvalidInput for a field that is not one, and for a change that `fields` leaves out."""
    given = list(dict.fromkeys(_unit(setting.path) for setting in rules.settings_of(request.changes)))
    if not request.fields:
        yield from (Change(path) for path in given)
        return
    known = _paths()
    for index, name in enumerate(request.fields):
        if name not in known:
            message = f"fields[{index}] is {name[:60]!r}, which is no field of a song"
            raise InvalidInput(message, reason=Reason.UNKNOWN_FIELD, field=f"fields[{index}]")
    for path in given:
        if not _within(path, request.fields):
            message = f"changes.{path} is set and not among fields: name it there, or leave it out"
            raise InvalidInput(message, reason=Reason.CONTRADICTORY, field=f"changes.{path}")
    for name in dict.fromkeys(request.fields):
        inside = [path for path in given if _within(path, (name,))]
        yield from (Change(path) for path in inside)
        if not inside:
            yield Change(name, anew=True)


def _unit(path: str) -> str:
    """What is changed as a whole: a list with all of its entries, the words with what they are for."""
    first = path.partition(".")[0]
    return first if first in ("sections", "lyrics", "labels") else path


def _paths() -> frozenset[str]:
    leaves = {_unit(path) for path in rules.RULES}
    return frozenset(leaves | {path.partition(".")[0] for path in leaves})


def _within(path: str, groups: Sequence[str]) -> bool:
    return any(path == group or path.startswith(f"{group}.") for group in groups)


def _stage(asked: str, changes: Sequence[Change], source: job_pb2.Job) -> int:
    if source.state not in TERMINAL:
        state = job_pb2.Job.State.Name(source.state)
        way_out = (
            "undelete it first" if source.state == job_pb2.Job.DELETED else "wait until it has ended, or cancel it"
        )
        message = f"songs/{source.id} is {state}: {way_out}"
        raise FailedPrecondition(message, reason=Reason.WRONG_STATE, retry_after=None, state=state)
    needed = min((change.stage for change in changes), default=MASTER)
    made = next((n for n, stage in enumerate(source.stages) if stage.state != job_pb2.Job.SUCCEEDED), MASTER)
    if not asked:
        return min(needed, made)
    stage = STAGES.index(asked)
    if stage > needed:
        late = min(changes, key=lambda change: change.stage)
        message = f"from_stage {asked} comes too late for changes.{late.path}: leave it out, or say {STAGES[needed]}"
        raise InvalidInput(message, reason=Reason.CONTRADICTORY, field="from_stage")
    if stage > made:
        message = f"songs/{source.id} did not get as far as {asked}: leave from_stage out, or say {STAGES[made]}"
        raise FailedPrecondition(message, reason=Reason.WRONG_STATE)
    return stage


def _merged(given: Spec, changes: Sequence[Change], source: job_pb2.Job) -> Spec:
    spec = _base(changes, source)
    for change in changes:
        _clear(spec, change.path)
        if not change.anew:
            _take(spec, given, change.path)
    changed = {change.path for change in changes}
    if "mastering.preset" in changed:
        for implied in {"target_lufs", "ceiling_dbtp"} - {path.rpartition(".")[2] for path in changed}:
            _clear(spec, f"mastering.{implied}")
    if changed & {"kind", "bars"}:
        other = "duration_seconds" if spec.kind == Spec.LOOP else "bars"
        if other not in changed:
            _clear(spec, other)
    return spec


def _base(changes: Sequence[Change], source: job_pb2.Job) -> Spec:
    asked, spec = source.spec, Spec()
    if any(_within(change.path, _READ_ANEW) for change in changes):
        spec.CopyFrom(asked)
        spec.seed = source.resolved.seed
    else:
        spec.CopyFrom(wire.resolved(source))
        spec.project, spec.webhook = asked.project, asked.webhook
        # As asked: what a preset implies is not to bind when the preset is another.
        for part in ("mastering", "outputs"):
            spec.ClearField(part)
            if asked.HasField(part):
                getattr(spec, part).CopyFrom(getattr(asked, part))
    spec.ClearField("deadline")
    return spec


def _clear(spec: Message, path: str) -> None:
    parent, _, name = path.rpartition(".")
    _part(spec, parent).ClearField(name)


def _part(message: Message, name: str) -> Message:
    """The message itself for no name."""
    part: Message = getattr(message, name) if name else message
    return part


def _take(spec: Spec, given: Spec, path: str) -> None:
    """The value at `path`, whatever its type."""
    part = Spec()
    parent, _, name = path.rpartition(".")
    source, target = _part(given, parent), _part(part, parent)
    field = source.DESCRIPTOR.fields_by_name[name]
    if field.is_repeated or field.message_type is not None:
        getattr(target, name).MergeFrom(getattr(source, name))
    else:
        setattr(target, name, getattr(source, name))
    spec.MergeFrom(part)


def carry_over(job: job_pb2.Job, revised: Revision, source: job_pb2.Job) -> None:
    """Turns the plan of a song like any other into one of a song that begins where the old one is left."""
    job.revised_from = f"songs/{source.id}"
    for stage, done in zip(job.stages[: revised.stage], source.stages, strict=False):
        stage.state = job_pb2.Job.SUCCEEDED
        stage.result.CopyFrom(done.result)
        stage.result.cpu_seconds = stage.result.gpu_seconds = 0.0
        stage.ClearField("queue_time")
    first = job.stages[revised.stage]
    first.state = job_pb2.Job.QUEUED
    first.queue_time.CopyFrom(job.create_time)
    if revised.stage == COMPOSE:
        _rewrite(job.stages[WRITE].result.write, revised, job.resolved)
    if revised.stage < MASTER:
        job.reusable.extend(_stems(source))
    elif source.HasField("continue_from"):
        job.continue_from.CopyFrom(source.continue_from)


def _rewrite(written: lyricist_pb2.WriteResult, revised: Revision, resolved: Spec) -> None:
    """The brief with what was changed in it; what the prompt was once taken to mean there is no longer so."""
    changed = {change.path for change in revised.changes if change.path in _IN_THE_BRIEF}
    brief: Message = written.brief
    for name in changed:
        brief.ClearField(name)
        if brief.DESCRIPTOR.fields_by_name[name].is_repeated:
            getattr(brief, name).MergeFrom(getattr(resolved, name))
        else:
            setattr(brief, name, getattr(resolved, name))
    if "instruments" in changed:
        wanted, excluded = set(written.brief.instruments), written.brief.excluded_instruments
        excluded[:] = [name for name in excluded if name not in wanted]
    kept = [one for one in written.understood if one.field not in changed]
    del written.understood[:]
    written.understood.extend(kept)


def _stems(source: job_pb2.Job) -> list[composer_pb2.ComposeResult.Stem]:
    takes = next((stage.result.compose.takes for stage in source.stages if stage.name == "compose"), ())
    by_recipe = {stem.recipe: stem for take in takes for stem in take.stems if stem.recipe}
    return list(by_recipe.values())
