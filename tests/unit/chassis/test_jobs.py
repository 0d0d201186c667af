"""The story of a job, told by `advance` alone."""

from datetime import UTC, datetime, timedelta

import pytest

from harmonia.job.v1 import job_pb2 as pb
from harmonia.lyricist.v1 import lyricist_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis import jobs

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
RESULT = pb.StageResult(write=lyricist_pb2.WriteResult(warnings=["made up"]))
PROBLEM = type_pb2.Problem(code="INTERNAL", reason="ENGINE_FAILED", message="out of notes")


def new_job() -> pb.Job:
    job = pb.Job(id="a" * 32, tenant="t", owner="o", state=pb.Job.QUEUED, drive=1)
    for name, lane in (("write", "write"), ("compose", "compose-arranger"), ("master", "master")):
        job.stages.add(name=name, lane=lane, state=pb.Job.QUEUED)
    return job


def claimed(job: pb.Job, item: int = 7) -> pb.Job:
    return jobs.advance(job, jobs.Claim(item, "worker-1"), NOW)


def test_a_job_walks_through_its_stages_and_succeeds() -> None:
    job = new_job()
    seen = []
    while job.state != pb.Job.SUCCEEDED:
        seen.append(jobs.stage_of(job).lane)
        job = jobs.advance(claimed(job), jobs.Done(RESULT), NOW)

    assert seen == ["write", "compose-arranger", "master"]
    assert job.epoch == 3
    assert [stage.attempt for stage in job.stages] == [1, 1, 1]


def test_the_record_given_is_left_as_it_was() -> None:
    job = new_job()
    before = job.SerializeToString(deterministic=True)

    claimed(job)

    assert job.SerializeToString(deterministic=True) == before


def test_epochs_grow_over_retries_while_attempts_start_again() -> None:
    job = jobs.advance(claimed(new_job()), jobs.Permanent(PROBLEM), NOW)
    job = jobs.advance(job, jobs.Retry(LATER, "grant-2"), NOW)

    assert (job.state, job.epoch, job.drive, job.grant) == (pb.Job.QUEUED, 1, 2, "grant-2")
    assert jobs.stage_of(job).attempt == 0
    assert job.deadline.ToDatetime(UTC) == LATER
    assert not job.HasField("error")
    assert claimed(job).epoch == 2


def test_a_retry_goes_on_at_the_stage_that_did_not_finish() -> None:
    job = jobs.advance(claimed(new_job()), jobs.Done(RESULT), NOW)
    job = jobs.advance(claimed(job), jobs.Permanent(PROBLEM), NOW)
    job = jobs.advance(job, jobs.Retry(LATER, ""), NOW)

    assert jobs.stage_of(job).name == "compose"
    assert job.stages[0].result == RESULT


def test_a_hand_back_does_not_count_as_a_try() -> None:
    job = jobs.advance(claimed(new_job()), jobs.HandBack(), NOW)

    assert jobs.stage_of(job).attempt == 0
    assert job.state == pb.Job.QUEUED


def test_a_retryable_failure_keeps_the_count_and_waits() -> None:
    job = jobs.advance(claimed(new_job()), jobs.Retryable(PROBLEM, LATER), NOW)

    assert jobs.stage_of(job).attempt == 1
    assert jobs.stage_of(job).not_before.ToDatetime(UTC) == LATER
    assert jobs.stage_of(job).last_error == PROBLEM


def test_a_queued_record_names_no_item_because_it_is_the_item() -> None:
    job = claimed(new_job(), item=41)

    assert job.item_seq == 41
    assert jobs.advance(job, jobs.Swept(), NOW).item_seq == 0


def test_cancel_ends_a_queued_job_at_once_and_asks_a_running_one_to_stop() -> None:
    queued = jobs.advance(new_job(), jobs.Cancel(), NOW)
    running = jobs.advance(claimed(new_job()), jobs.Cancel(), NOW)

    assert queued.state == pb.Job.CANCELLED
    assert running.state == pb.Job.CANCELLING
    assert jobs.advance(running, jobs.Stopped(), NOW).state == pb.Job.CANCELLED


def test_delete_of_a_running_job_waits_for_its_end() -> None:
    job = jobs.advance(claimed(new_job()), jobs.Delete(), NOW)
    stopped = jobs.advance(job, jobs.Stopped(), NOW)
    deleted = jobs.advance(stopped, jobs.Delete(), NOW)

    assert (job.state, job.delete_requested) == (pb.Job.CANCELLING, True)
    assert (deleted.state, deleted.delete_requested) == (pb.Job.DELETED, False)


@pytest.mark.parametrize("state", [pb.Job.QUEUED, pb.Job.SUCCEEDED, pb.Job.FAILED, pb.Job.CANCELLED, pb.Job.EXPIRED])
def test_undelete_gives_back_the_state_before(state: "pb.Job.State.ValueType") -> None:
    job = new_job()
    job.state = state

    deleted = jobs.advance(job, jobs.Delete(), NOW)

    assert deleted.state == pb.Job.DELETED
    assert jobs.advance(deleted, jobs.Undelete(), NOW).state == state


def test_a_tombstone_keeps_nothing_but_the_name() -> None:
    job = new_job()
    job.spec.prompt = "private"

    tombstone = jobs.advance(jobs.advance(job, jobs.Delete(), NOW), jobs.Purge(), NOW)

    assert tombstone.state == pb.Job.PURGED
    assert b"private" not in tombstone.SerializeToString()
    assert (tombstone.id, tombstone.tenant, tombstone.stages[0].lane) == (job.id, job.tenant, "write")


@pytest.mark.parametrize("state", sorted(set(pb.Job.State.values()) - {pb.Job.UNSPECIFIED}))
@pytest.mark.parametrize(
    "outcome",
    [
        jobs.Claim(1, "w"),
        jobs.Checkpoint(type_pb2.ArtifactRef(sha256="0" * 64)),
        jobs.Done(RESULT),
        jobs.Retryable(PROBLEM, LATER),
        jobs.HandBack(),
        jobs.Permanent(PROBLEM),
        jobs.Exhausted(PROBLEM),
        jobs.Cancel(),
        jobs.Stopped(),
        jobs.Swept(),
        jobs.DeadlinePassed(),
        jobs.Retry(LATER, ""),
        jobs.Delete(),
        jobs.Undelete(),
        jobs.Purge(),
    ],
    ids=lambda outcome: type(outcome).__name__,
)
def test_nothing_happens_to_a_job_that_has_ended_but_retry_and_removal(
    state: "pb.Job.State.ValueType", outcome: jobs.Outcome
) -> None:
    """jobs.md, "The other writers": what each state lets happen."""
    allowed = {
        pb.Job.QUEUED: {"Claim", "Exhausted", "Cancel", "Swept", "DeadlinePassed", "Delete"},
        pb.Job.RUNNING: {
            *("Claim", "Checkpoint", "Done", "Retryable", "HandBack", "Permanent", "Exhausted"),
            *("Cancel", "Swept", "DeadlinePassed", "Delete"),
        },
        pb.Job.CANCELLING: {"Stopped", "DeadlinePassed", "Delete"},
        pb.Job.SUCCEEDED: {"Delete"},
        pb.Job.FAILED: {"Retry", "Delete"},
        pb.Job.CANCELLED: {"Retry", "Delete"},
        pb.Job.EXPIRED: {"Retry", "Delete"},
        pb.Job.DELETED: {"Undelete", "Purge"},
        pb.Job.PURGED: set(),
    }
    job = new_job()
    job.state = state

    if type(outcome).__name__ in allowed[state]:
        assert jobs.advance(job, outcome, NOW).update_time.ToDatetime(UTC) == NOW
    else:
        with pytest.raises(jobs.Impossible, match=pb.Job.State.Name(state)):
            jobs.advance(job, outcome, NOW)


def test_a_field_of_a_newer_release_survives_every_rewrite() -> None:
    # Field 1000, length-delimited, as a newer worker would write it into the job and into a stage.
    newer = b"\xc2\x3e\x05newer"
    job = pb.Job.FromString(new_job().SerializeToString() + newer)
    job.stages[0].MergeFromString(newer)

    for _ in range(3):
        job = jobs.advance(claimed(job), jobs.Done(RESULT), NOW)

    body = job.SerializeToString()
    assert body.count(newer) == 2
