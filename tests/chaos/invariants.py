"""What must be true of every job, whatever was killed. Pure: raw history in, violations out."""

from collections import Counter
from datetime import UTC
from itertools import pairwise

from harmonia.job.v1 import job_pb2 as pb
from harmonia.type.v1 import type_pb2
from harmonia_chassis import jobs as story
from harmonia_chassis.job_stream import Stored

_CAUSE, _STATE = pb.Job.Cause, pb.Job.State


def violations(history: list[Stored], *, cancelled_by_user: bool) -> list[str]:
    records = [stored.job for stored in history]
    return [
        *_of_epochs(records),
        *_of_ends(records, cancelled_by_user=cancelled_by_user),
        *_of_items(history),
        *_of_stages(records),
        *_of_steps(records),
    ]


def outputs(job: pb.Job) -> list[type_pb2.ArtifactRef]:
    """Every object that a succeeded song names."""
    found: list[type_pb2.ArtifactRef] = []
    for stage in job.stages:
        for take in stage.result.compose.takes:
            optional = (take.midi, take.lyrics_text, take.lyrics_lrc)
            found += [take.premaster, *(stem.ref for stem in take.stems), *(ref for ref in optional if ref.sha256)]
        for mastered in stage.result.master.takes:
            found += [file.ref for file in mastered.files]
    return found


def _of_epochs(records: list[pb.Job]) -> list[str]:
    claims = [record.epoch for record in records if record.why == _CAUSE.Value("CLAIM")]
    found = [] if claims == list(range(1, len(claims) + 1)) else [f"epochs of claims {claims}"]
    if any(after.epoch < before.epoch for before, after in pairwise(records)):
        found.append("an older epoch was written after a newer one")
    if len({record.tx for record in records}) != len(records):
        found.append("one write landed twice")
    return found


def _of_ends(records: list[pb.Job], *, cancelled_by_user: bool) -> list[str]:
    ends = Counter(
        record.drive for record in records if record.state in story.TERMINAL and record.why != pb.Job.UNDELETE
    )
    last = records[-1]
    found = []
    if last.state not in story.TERMINAL | {pb.Job.DELETED}:
        found.append(f"has not ended: {pb.Job.State.Name(last.state)}")
    if last.state in story.TERMINAL and (set(ends) != set(range(1, last.drive + 1)) or set(ends.values()) != {1}):
        found.append(f"ends by drive {dict(ends)}")
    if last.state == pb.Job.CANCELLED and not cancelled_by_user:
        found.append("cancelled by nobody")
    return found


def _of_items(history: list[Stored]) -> list[str]:
    items = {stored.seq for stored in history if stored.job.state == pb.Job.QUEUED}
    running = (stored.job for stored in history if stored.job.state == pb.Job.RUNNING)
    return ["running for an item that never was"] if any(job.item_seq not in items for job in running) else []


def _of_stages(records: list[pb.Job]) -> list[str]:
    found = []
    queued = Counter(
        story.stage_of(record).name
        for record in records
        if record.state == pb.Job.QUEUED and record.why in {pb.Job.CREATE, pb.Job.ADVANCE}
    )
    for before, stage in zip([None, *records[-1].stages], records[-1].stages, strict=False):
        reached = before is None or before.state == pb.Job.SUCCEEDED
        if queued[stage.name] != int(reached):
            found.append(f"{stage.name} queued {queued[stage.name]} times by its turn")
        if stage.attempt > story.ATTEMPTS:
            found.append(f"{stage.name} tried {stage.attempt} times")
    if records[-1].state == pb.Job.SUCCEEDED and any(s.state != pb.Job.SUCCEEDED for s in records[-1].stages):
        found.append("succeeded with an open stage")
    return found


def _of_steps(records: list[pb.Job]) -> list[str]:
    """No transition lost or invented: each record is `advance` of the one before."""
    return [
        f"{_STATE.Name(before.state)} -{_CAUSE.Name(after.why)}-> {_STATE.Name(after.state)} is not advance()"
        for before, after in pairwise(records)
        if not _follows(before, after)
    ]


def _follows(before: pb.Job, after: pb.Job) -> bool:
    at = after.update_time.ToDatetime(UTC)
    try:
        expected = story.advance(before, _outcome(before, after), at)
    except story.Impossible:
        return False
    expected.tx = after.tx
    return expected == after


def _outcome(before: pb.Job, after: pb.Job) -> story.Outcome:
    """The outcome that `after` claims to be the result of."""
    name = story.stage_of(before).name
    stage = next(stage for stage in after.stages if stage.name == name)
    plain: dict[int, story.Outcome] = {
        pb.Job.HANDBACK: story.HandBack(),
        pb.Job.CANCEL: story.Cancel(),
        pb.Job.STOPPED: story.Stopped(),
        pb.Job.SWEPT: story.Swept(),
        pb.Job.DEADLINE: story.DeadlinePassed(),
        pb.Job.DELETE: story.Delete(),
        pb.Job.UNDELETE: story.Undelete(),
        pb.Job.PURGE: story.Purge(),
        pb.Job.CLAIM: story.Claim(after.item_seq, stage.worker),
        pb.Job.CHECKPOINT: story.Checkpoint(stage.checkpoint),
        pb.Job.ADVANCE: story.Done(stage.result),
        pb.Job.RETRYABLE: story.Retryable(stage.last_error, stage.not_before.ToDatetime(UTC)),
        pb.Job.PERMANENT: story.Permanent(after.error),
        pb.Job.EXHAUSTED: story.Exhausted(after.error),
        pb.Job.RETRY: story.Retry(after.deadline.ToDatetime(UTC), after.grant),
    }
    return plain[after.why]
