"""What may go: by class and age, and by what the records of jobs refer to.

    output      while a record refers to it, and 48 h after its newest Put
    upload      while a record refers to it, and 7 days after its newest Put
    checkpoint  until its job has ended, and 24 h
    preview     24 h

An object put as several classes stays as long as the longest of them. Nothing goes in one step. A round condemns what
it finds; a later one removes it, if no record has come to refer to it, nobody has asked for it and nobody has put it
again. So whoever finds an object has an hour to write the record that refers to it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial

from google.protobuf.message import DecodeError

from harmonia.job.v1 import job_pb2
from harmonia_artifacts.store import Artifact, Kept, Store, Stray
from harmonia_chassis.jobs import TERMINAL

AGES = {
    Kept.OUTPUT: timedelta(hours=48),
    Kept.UPLOAD: timedelta(days=7),
    Kept.CHECKPOINT: timedelta(hours=24),
    Kept.PREVIEW: timedelta(hours=24),
}
STRAY_AGE = timedelta(hours=48)
CHECKPOINT_AFTER_END = timedelta(hours=24)
# Less than the hour between two rounds. No call and no stage finds an object and refers to it so much later.
GRACE = timedelta(minutes=50)
# Overlapping, so that what happens to stand before a digest cannot hide it.
_DIGEST = re.compile(rb"(?=([0-9a-f]{64}))")
_ENDED = TERMINAL | {job_pb2.Job.DELETED}
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Mentions:
    """What one record refers to. Checkpoints are needed until a time, the rest as long as there is the record."""

    held: frozenset[bytes] = frozenset()
    checkpoints: frozenset[bytes] = frozenset()
    until: datetime = _NEVER


def mentions(record: bytes) -> Mentions:
    """Every SHA-256 in a record counts, in whatever field: also in those of a later release, which this one carries
    without knowing them, and in records that do not parse."""
    try:
        job = job_pb2.Job.FromString(record)
    except DecodeError:
        return Mentions(held=_digests(record))
    if job.state == job_pb2.Job.PURGED:
        return Mentions()
    checkpoints = frozenset(
        bytes.fromhex(stage.checkpoint.sha256)
        for stage in job.stages
        if _DIGEST.match(stage.checkpoint.sha256.encode())
    )
    for stage in job.stages:
        stage.ClearField("checkpoint")
    ended = job.update_time.ToDatetime(UTC) + CHECKPOINT_AFTER_END if job.state in _ENDED else _NEVER
    return Mentions(_digests(job.SerializeToString()), checkpoints, ended)


def _digests(record: bytes) -> frozenset[bytes]:
    return frozenset(bytes.fromhex(found.group(1).decode()) for found in _DIGEST.finditer(record))


@dataclass(slots=True)
class Reach:
    """What the newest records of all jobs refer to, tenant by tenant.

    since: a time before the first was read. born: when their stream was made; it cannot speak for what is older, whose
    records may be lost with an earlier stream."""

    since: datetime
    born: datetime
    records: int = 0
    _of_jobs: dict[tuple[str, str], Mentions] = field(default_factory=dict)
    _held: dict[str, set[bytes]] = field(default_factory=dict)

    def take(self, tenant: str, job_id: str, record: bytes) -> None:
        """In the order of the stream: a later record of a job replaces the earlier one."""
        self.records += 1
        self._of_jobs[tenant, job_id] = mentions(record)

    def settle(self) -> None:
        """All records are there."""
        for (tenant, _), found in self._of_jobs.items():
            held = self._held.setdefault(tenant, set())
            held |= found.held
            if self.since < found.until:
                held |= found.checkpoints
        self._of_jobs.clear()

    def holds(self, tenant: str, sha256: str) -> bool:
        return bytes.fromhex(sha256) in self._held.get(tenant, ())


def is_stale(artifact: Artifact, now: datetime) -> bool:
    return all(now - when > AGES[kept] for kept, when in artifact.puts.items())


class Fate(StrEnum):
    FOUND = "found"
    CONDEMNED = "condemned"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Garbage:
    what: Artifact | Stray
    fate: Fate


def collected(store: Store, reach: Reach, *, dry_run: bool, grace: timedelta = GRACE) -> Iterator[Garbage]:
    """One round; blocks."""
    for tenant in store.tenants():
        for each in store.survey(tenant, passed_over=partial(reach.holds, tenant)):
            fate = _fate_of_stray(store, each, reach, dry_run) if isinstance(each, Stray) else None
            fate = _fate_of(store, each, reach, dry_run, grace) if isinstance(each, Artifact) else fate
            if fate:
                yield Garbage(each, fate)


def _fate_of_stray(store: Store, found: Stray, reach: Reach, dry_run: bool) -> Fate | None:
    if reach.since - found.modified <= STRAY_AGE:
        return None
    return Fate.FOUND if dry_run else _done(store.clear(found), Fate.REMOVED)


def _fate_of(store: Store, found: Artifact, reach: Reach, dry_run: bool, grace: timedelta) -> Fate | None:
    if found.created < reach.born or not is_stale(found, reach.since):
        return None
    if dry_run:
        return Fate.FOUND
    if found.condemned is None:
        return _done(store.condemn(found), Fate.CONDEMNED)
    return _done(store.remove(found), Fate.REMOVED) if found.condemned + grace <= reach.since else None


def _done(happened: bool, fate: Fate) -> Fate | None:
    return fate if happened else None
