"""What garbage collection may take: by age, by class, and by what records say."""

from datetime import UTC, datetime, timedelta

import pytest

from harmonia.job.v1 import job_pb2
from harmonia_artifacts.garbage import Reach, is_stale, mentions
from harmonia_artifacts.store import Artifact, Kept

NOW = datetime(2026, 1, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
PREMASTER, STEM, CHECKPOINT, LYRICS, TUNE, LATER = (f"{n:x}" * 64 for n in range(1, 7))


def song(state: "job_pb2.Job.State.ValueType" = job_pb2.Job.RUNNING, *, ended: datetime = NOW) -> job_pb2.Job:
    job = job_pb2.Job(id="j", tenant="acme", state=state)
    job.spec.lyrics.text_artifact.sha256 = LYRICS
    job.spec.conditioning.melody = f"artifacts/{TUNE}"
    stage = job.stages.add(name="compose", lane="compose-arranger")
    stage.checkpoint.sha256 = CHECKPOINT
    take = stage.result.compose.takes.add()
    take.premaster.sha256 = PREMASTER
    take.stems.add(role="drums").ref.sha256 = STEM
    job.update_time.FromDatetime(ended)
    return job


def reach_of(*records: bytes) -> Reach:
    reach = Reach(since=NOW, born=NOW - timedelta(days=100))
    for number, record in enumerate(records):
        reach.take("acme", str(number), record)
    reach.settle()
    return reach


def held(reach: Reach, *digests: str) -> list[bool]:
    return [reach.holds("acme", digest) for digest in digests]


def test_every_reference_of_a_record_counts_wherever_it_stands() -> None:
    reach = reach_of(song().SerializeToString())

    assert held(reach, PREMASTER, STEM, LYRICS, TUNE, CHECKPOINT, LATER) == [True] * 5 + [False]
    assert not reach.holds("emca", PREMASTER)


def test_a_reference_in_a_field_of_a_later_release_counts() -> None:
    field_1007 = b"\xfa\x3e\x42" + b"\x0a\x40" + LATER.encode()

    assert held(reach_of(song().SerializeToString() + field_1007), LATER, PREMASTER, CHECKPOINT) == [True] * 3


def test_references_of_a_record_that_does_not_parse_count() -> None:
    assert held(reach_of(b"\xff\xff nonsense " + STEM.encode() + b"\xff"), STEM) == [True]


def test_digits_around_a_digest_do_not_hide_it() -> None:
    assert held(reach_of(b"\xffabc" + STEM.encode() + b"def"), STEM) == [True]


@pytest.mark.parametrize("state", [job_pb2.Job.SUCCEEDED, job_pb2.Job.FAILED, job_pb2.Job.DELETED])
def test_a_checkpoint_is_needed_until_a_day_after_the_end_and_outputs_until_the_purge(
    state: "job_pb2.Job.State.ValueType",
) -> None:
    fresh = reach_of(song(state, ended=NOW - 23 * HOUR).SerializeToString())
    old = reach_of(song(state, ended=NOW - 25 * HOUR).SerializeToString())

    assert held(fresh, CHECKPOINT, PREMASTER, STEM) == [True, True, True]
    assert held(old, CHECKPOINT, PREMASTER, STEM) == [False, True, True]


def test_what_is_a_checkpoint_and_an_output_is_an_output() -> None:
    job = song(job_pb2.Job.SUCCEEDED, ended=NOW - 25 * HOUR)
    job.stages[0].checkpoint.sha256 = STEM

    assert held(reach_of(job.SerializeToString()), STEM) == [True]


def test_a_purged_song_refers_to_nothing() -> None:
    assert mentions(song(job_pb2.Job.PURGED).SerializeToString()).held == frozenset()


def test_a_later_record_of_a_job_replaces_the_earlier_one() -> None:
    reach = Reach(since=NOW, born=NOW)
    reach.take("acme", "j", song().SerializeToString())
    reach.take("acme", "j", song(job_pb2.Job.PURGED).SerializeToString())
    reach.settle()

    assert reach.records == 2
    assert held(reach, PREMASTER, CHECKPOINT) == [False, False]


@pytest.mark.parametrize(
    ("kept", "age"),
    [
        (Kept.OUTPUT, 48 * HOUR),
        (Kept.UPLOAD, 7 * 24 * HOUR),
        (Kept.CHECKPOINT, 24 * HOUR),
        (Kept.PREVIEW, 24 * HOUR),
    ],
)
def test_each_class_has_its_age(kept: Kept, age: timedelta) -> None:
    assert not is_stale(artifact({kept: NOW - age}), NOW)
    assert is_stale(artifact({kept: NOW - age - timedelta(seconds=1)}), NOW)


def test_the_longest_claim_decides() -> None:
    uploaded_and_made = artifact({Kept.UPLOAD: NOW - 72 * HOUR, Kept.OUTPUT: NOW - 72 * HOUR})

    assert not is_stale(uploaded_and_made, NOW)
    assert is_stale(uploaded_and_made, NOW + 5 * 24 * HOUR)


def artifact(puts: dict[Kept, datetime]) -> Artifact:
    return Artifact("acme", STEM, 1, "audio/flac", frozenset({"ann"}), NOW - 30 * 24 * HOUR, puts)
