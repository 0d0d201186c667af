"""The whole story of a job: `advance` says what the record is after something happened to it.

Pure: no clock, no network, no randomness. The record is the protobuf message itself and not a
dataclass, because an old worker must carry the fields of a newer record through a rewrite.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from harmonia.job.v1 import job_pb2 as pb
from harmonia.type.v1 import type_pb2

ATTEMPTS = 5

_State = pb.Job.State
QUEUED, RUNNING, CANCELLING = pb.Job.QUEUED, pb.Job.RUNNING, pb.Job.CANCELLING
TERMINAL = frozenset({pb.Job.SUCCEEDED, pb.Job.FAILED, pb.Job.CANCELLED, pb.Job.EXPIRED})
UNFINISHED = frozenset({QUEUED, RUNNING, CANCELLING})


class Impossible(Exception):
    """This cannot happen to a job in that state."""


@dataclass(frozen=True, slots=True)
class Claim:
    item_seq: int
    worker: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    ref: type_pb2.ArtifactRef


@dataclass(frozen=True, slots=True)
class Done:
    result: pb.StageResult


@dataclass(frozen=True, slots=True)
class Retryable:
    problem: type_pb2.Problem
    not_before: datetime


@dataclass(frozen=True, slots=True)
class HandBack:
    """A draining worker gives the stage back; the try does not count."""


@dataclass(frozen=True, slots=True)
class Permanent:
    problem: type_pb2.Problem


@dataclass(frozen=True, slots=True)
class Exhausted:
    problem: type_pb2.Problem


@dataclass(frozen=True, slots=True)
class Cancel:
    pass


@dataclass(frozen=True, slots=True)
class Stopped:
    """The holder, or the sweeper in its place, says that a cancelled stage runs no more."""


@dataclass(frozen=True, slots=True)
class Swept:
    """Nobody holds it: into the queue again."""


@dataclass(frozen=True, slots=True)
class DeadlinePassed:
    pass


@dataclass(frozen=True, slots=True)
class Retry:
    deadline: datetime
    grant: str


@dataclass(frozen=True, slots=True)
class Delete:
    pass


@dataclass(frozen=True, slots=True)
class Undelete:
    pass


@dataclass(frozen=True, slots=True)
class Purge:
    pass


Outcome = (
    Claim
    | Checkpoint
    | Done
    | Retryable
    | HandBack
    | Permanent
    | Exhausted
    | Cancel
    | Stopped
    | Swept
    | DeadlinePassed
    | Retry
    | Delete
    | Undelete
    | Purge
)


def stage_of(job: pb.Job) -> pb.Stage:
    """The stage the job is at: the first that has not succeeded, or the last."""
    return next((stage for stage in job.stages if stage.state != pb.Job.SUCCEEDED), job.stages[-1])


def advance(job: pb.Job, outcome: Outcome, now: datetime) -> pb.Job:
    """The record after `outcome` happened to `job`. Raises Impossible where it cannot happen."""
    why, states, tell = _STORY[type(outcome)]
    if job.state not in states:
        raise Impossible(f"{pb.Job.Cause.Name(why)} of a job that is {_State.Name(job.state)}")
    new = pb.Job()
    new.CopyFrom(job)
    new.why = why
    new.update_time.FromDatetime(now)
    tell(new, stage_of(new), outcome, now)
    if new.state == QUEUED:
        new.item_seq = 0  # a queued message is its own item: the record cannot know its own sequence
    return new


def _claim(job: pb.Job, stage: pb.Stage, outcome: Claim, now: datetime) -> None:
    job.state = stage.state = RUNNING
    job.epoch += 1
    job.item_seq = outcome.item_seq
    stage.attempt += 1
    stage.worker = outcome.worker
    stage.start_time.FromDatetime(now)


def _checkpoint(_job: pb.Job, stage: pb.Stage, outcome: Checkpoint, _now: datetime) -> None:
    stage.checkpoint.CopyFrom(outcome.ref)


def _done(job: pb.Job, stage: pb.Stage, outcome: Done, now: datetime) -> None:
    stage.state = pb.Job.SUCCEEDED
    stage.result.CopyFrom(outcome.result)
    stage.end_time.FromDatetime(now)
    stage.ClearField("checkpoint")
    stage.ClearField("last_error")
    following = stage_of(job)
    if following.state == pb.Job.SUCCEEDED:
        job.state = pb.Job.SUCCEEDED
        return
    job.state = following.state = QUEUED
    following.queue_time.FromDatetime(now)


def _queue(job: pb.Job, stage: pb.Stage, now: datetime) -> None:
    job.state = stage.state = QUEUED
    stage.queue_time.FromDatetime(now)


def _retryable(job: pb.Job, stage: pb.Stage, outcome: Retryable, now: datetime) -> None:
    _queue(job, stage, now)
    stage.not_before.FromDatetime(outcome.not_before)
    stage.last_error.CopyFrom(outcome.problem)


def _hand_back(job: pb.Job, stage: pb.Stage, _outcome: HandBack, now: datetime) -> None:
    _queue(job, stage, now)
    stage.attempt -= 1


def _end(job: pb.Job, stage: pb.Stage, state: "pb.Job.State.ValueType", now: datetime) -> None:
    job.state = stage.state = state
    stage.end_time.FromDatetime(now)


def _fail(job: pb.Job, stage: pb.Stage, outcome: Permanent | Exhausted, now: datetime) -> None:
    _end(job, stage, pb.Job.FAILED, now)
    job.error.CopyFrom(outcome.problem)


def _cancel(job: pb.Job, stage: pb.Stage, _outcome: Cancel, now: datetime) -> None:
    if job.state == QUEUED:
        _end(job, stage, pb.Job.CANCELLED, now)
    else:
        job.state = CANCELLING


def _stopped(job: pb.Job, stage: pb.Stage, _outcome: Stopped, now: datetime) -> None:
    _end(job, stage, pb.Job.CANCELLED, now)


def _swept(job: pb.Job, stage: pb.Stage, _outcome: Swept, now: datetime) -> None:
    _queue(job, stage, now)


def _deadline_passed(job: pb.Job, stage: pb.Stage, _outcome: DeadlinePassed, now: datetime) -> None:
    _end(job, stage, pb.Job.EXPIRED, now)


def _retry(job: pb.Job, stage: pb.Stage, outcome: Retry, now: datetime) -> None:
    _queue(job, stage, now)
    job.drive += 1
    job.drive_epoch = job.epoch
    job.deadline.FromDatetime(outcome.deadline)
    job.grant = outcome.grant
    job.ClearField("error")
    stage.attempt = 0
    for field in ("not_before", "last_error", "end_time"):
        stage.ClearField(field)


def _delete(job: pb.Job, _stage: pb.Stage, _outcome: Delete, now: datetime) -> None:
    if job.state in {RUNNING, CANCELLING}:
        job.state = CANCELLING
        job.delete_requested = True
        return
    job.delete_requested = False
    job.state_before_delete = job.state
    job.state = pb.Job.DELETED
    job.delete_time.FromDatetime(now)


def _undelete(job: pb.Job, stage: pb.Stage, _outcome: Undelete, now: datetime) -> None:
    job.state = job.state_before_delete
    job.state_before_delete = pb.Job.UNSPECIFIED
    job.ClearField("delete_time")
    if job.state == QUEUED:
        _queue(job, stage, now)


def _purge(job: pb.Job, stage: pb.Stage, _outcome: Purge, now: datetime) -> None:
    tombstone = pb.Job(id=job.id, tenant=job.tenant, owner=job.owner, state=pb.Job.PURGED, why=pb.Job.PURGE)
    tombstone.stages.add(name=stage.name, lane=stage.lane)
    tombstone.update_time.FromDatetime(now)
    job.CopyFrom(tombstone)


_STORY: dict[type[Outcome], tuple["pb.Job.Cause.ValueType", frozenset[int], Callable[..., None]]] = {
    Claim: (pb.Job.CLAIM, frozenset({QUEUED, RUNNING}), _claim),
    Checkpoint: (pb.Job.CHECKPOINT, frozenset({RUNNING}), _checkpoint),
    Done: (pb.Job.ADVANCE, frozenset({RUNNING}), _done),
    Retryable: (pb.Job.RETRYABLE, frozenset({RUNNING}), _retryable),
    HandBack: (pb.Job.HANDBACK, frozenset({RUNNING}), _hand_back),
    Permanent: (pb.Job.PERMANENT, frozenset({RUNNING}), _fail),
    Exhausted: (pb.Job.EXHAUSTED, frozenset({QUEUED, RUNNING}), _fail),
    Cancel: (pb.Job.CANCEL, frozenset({QUEUED, RUNNING}), _cancel),
    Stopped: (pb.Job.STOPPED, frozenset({CANCELLING}), _stopped),
    Swept: (pb.Job.SWEPT, frozenset({QUEUED, RUNNING}), _swept),
    DeadlinePassed: (pb.Job.DEADLINE, UNFINISHED, _deadline_passed),
    Retry: (pb.Job.RETRY, TERMINAL - {pb.Job.SUCCEEDED}, _retry),
    Delete: (pb.Job.DELETE, UNFINISHED | TERMINAL, _delete),
    Undelete: (pb.Job.UNDELETE, frozenset({pb.Job.DELETED}), _undelete),
    Purge: (pb.Job.PURGE, frozenset({pb.Job.DELETED}), _purge),
}
