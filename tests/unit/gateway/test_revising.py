"""What a revision changes, which stages it does anew, and what it takes over."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from google.protobuf import json_format

from harmonia.capability.v1 import capability_pb2
from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia_chassis import jobs
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, Reason
from harmonia_gateway import revising, songs, wire

COMPOSED = {
    "engine": "anything",
    "takes": [
        {
            "seed": 7,
            "premaster": {"sha256": "a" * 64},
            "stems": [
                {"role": "drums", "recipe": "d" * 64, "ref": {"sha256": "1" * 64}},
                {"role": "bass", "recipe": "b" * 64, "ref": {"sha256": "2" * 64}},
                {"role": "rain", "ref": {"sha256": "3" * 64}},
            ],
        }
    ],
}
WRITTEN = {
    "brief": {
        "title": "Rain", "genre": "techno", "bpm": 130, "key": "A minor", "instruments": ["bass"],
        "excluded_instruments": ["tuba"], "duration_seconds": 60, "complexity": 0.5, "time_signature": "4/4",
    },
    "understood": [
        {"text": "fast", "field": "bpm", "value": "130"}, {"text": "sad", "field": "key", "value": "A minor"},
    ],
}  # fmt: skip


def planned(spec: spec_pb2.SongSpec, capabilities: capability_pb2.Capabilities, now: datetime) -> job_pb2.Job:
    return songs.plan(
        spec,
        songs.resolve(spec, capabilities, draw_seed=lambda: 99),
        songs.Requester("local", "user"),
        id="e" * 32,
        spec_digest="",
        grant="g",
        capabilities=capabilities,
        warnings=songs.validate(spec, capabilities, now),
        now=now,
    )


@pytest.fixture
def source(capabilities: capability_pb2.Capabilities, now: datetime) -> job_pb2.Job:
    """A song that has succeeded."""
    asked = {"prompt": "fast and sad", "engine": "anything", "seed": "7", "mastering": {"preset": "PODCAST"}}
    job = planned(json_format.ParseDict(asked, spec_pb2.SongSpec()), capabilities, now)
    results: Sequence[dict[str, Any]] = ({"write": WRITTEN}, {"compose": COMPOSED, "cpu_seconds": 9.0}, {"master": {}})
    for result in results:
        job = jobs.advance(job, jobs.Claim(1, "w"), now)
        job = jobs.advance(job, jobs.Done(json_format.ParseDict(result, job_pb2.StageResult())), now)
    return job


def request(changes: dict[str, Any], fields: Sequence[str] = (), from_stage: str = "") -> song_pb2.ReviseSongRequest:
    spec = json_format.ParseDict(changes, spec_pb2.SongSpec())
    return song_pb2.ReviseSongRequest(name="songs/1", changes=spec, fields=fields, from_stage=from_stage)


def revised(
    asked: song_pb2.ReviseSongRequest, source: job_pb2.Job, capabilities: capability_pb2.Capabilities, now: datetime
) -> job_pb2.Job:
    revision = revising.revision(asked, source)
    job = planned(revision.spec, capabilities, now)
    revising.carry_over(job, revision, source)
    return job


@pytest.mark.parametrize(
    ("changes", "fields", "stage"),
    [
        ({"mastering": {"preset": "LOUD"}}, (), "master"),
        ({"outputs": {"formats": ["mp3"]}}, (), "master"),
        ({"labels": {"album": "rain"}}, (), "master"),
        ({"key": "D minor"}, (), "compose"),
        ({"bpm": 90}, (), "compose"),
        ({"instruments": ["tuba"]}, (), "compose"),
        ({"seed": "8"}, (), "compose"),
        ({}, ("seed",), "compose"),
        ({"outputs": {"stems": False}}, (), "compose"),
        ({"conditioning": {"start_seconds": 3}}, (), "compose"),
        ({"sections": [{"name": "verse", "bars": 8}]}, (), "compose"),
        ({"lyrics": {"text": "la la"}}, (), "write"),
        ({"prompt": "slow"}, (), "write"),
        ({}, ("key",), "write"),
        ({"kind": "BEAT"}, (), "write"),
        ({"mastering": {"preset": "LOUD"}, "key": "D minor"}, (), "compose"),
    ],
)
def test_the_last_stage_that_brings_every_change_about_is_the_first_done_anew(changes, fields, stage, source):
    assert revising.STAGES[revising.revision(request(changes, fields), source).stage] == stage


def test_stages_before_it_are_over_with_the_old_results_and_cost_nothing(source, capabilities, now):
    job = revised(request({"mastering": {"preset": "LOUD"}}), source, capabilities, now)
    write, compose, master = job.stages

    assert job.revised_from == f"songs/{source.id}"
    assert [stage.state for stage in job.stages] == [job_pb2.Job.SUCCEEDED, job_pb2.Job.SUCCEEDED, job_pb2.Job.QUEUED]
    assert write.result.write == source.stages[0].result.write
    assert compose.result.compose == source.stages[1].result.compose
    assert compose.result.cpu_seconds == 0
    assert jobs.stage_of(job) is not compose
    assert jobs.stage_of(job).lane == master.lane
    assert not job.reusable


def test_another_preset_brings_its_own_target_along(source, capabilities, now):
    job = revised(request({"mastering": {"preset": "LOUD"}}), source, capabilities, now)

    assert source.resolved.mastering.target_lufs == -16
    assert job.resolved.mastering.target_lufs == -9


def test_another_target_leaves_the_preset(source, capabilities, now):
    mastering = revised(request({"mastering": {"target_lufs": -20}}), source, capabilities, now).resolved.mastering

    assert (mastering.preset, mastering.target_lufs) == (spec_pb2.Mastering.PODCAST, -20)


def test_a_changed_key_stands_in_the_brief_and_all_else_stays_as_it_was_made(source, capabilities, now):
    job = revised(request({"key": "d  Minor"}), source, capabilities, now)
    written = job.stages[0].result.write

    assert written.brief.key == "D minor"
    assert (written.brief.bpm, written.brief.genre, written.brief.title) == (130, "techno", "Rain")
    assert [one.field for one in written.understood] == ["bpm"]
    assert job.resolved.seed == 7
    assert source.stages[0].result.write.brief.key == "A minor"


def test_stems_with_a_recipe_are_offered_for_reuse(source, capabilities, now):
    job = revised(request({"key": "D minor"}), source, capabilities, now)

    assert [(stem.role, stem.ref.sha256) for stem in job.reusable] == [("drums", "1" * 64), ("bass", "2" * 64)]


def test_an_instrument_that_was_kept_out_is_let_in_again(source, capabilities, now):
    brief = revised(request({"instruments": ["tuba"]}), source, capabilities, now).stages[0].result.write.brief

    assert list(brief.instruments) == ["tuba"]
    assert not brief.excluded_instruments


def test_a_new_prompt_is_read_anew_with_what_was_asked_for_and_the_old_seed(source):
    spec = revising.revision(request({"prompt": "slow and glad"}), source).spec

    assert (spec.prompt, spec.seed) == ("slow and glad", 7)
    assert not spec.key
    assert not spec.HasField("bpm")


def test_new_words_leave_every_other_choice(source):
    spec = revising.revision(request({"lyrics": {"text": "la la"}}), source).spec

    assert (spec.key, spec.bpm, spec.genre, spec.title) == ("A minor", 130, "techno", "Rain")
    assert spec.lyrics == spec_pb2.LyricsSpec(text="la la")


def test_a_named_field_that_is_not_set_is_chosen_anew(source):
    spec = revising.revision(request({"bpm": 90}, ("bpm", "key")), source).spec

    assert spec.bpm == 90
    assert not spec.key


def test_the_deadline_of_the_old_song_does_not_bind_the_new_one(source):
    source.spec.deadline.FromJsonString("2026-11-21T12:00:01Z")

    assert not revising.revision(request({"key": "D minor"}), source).spec.HasField("deadline")


@pytest.mark.parametrize(("changes", "kept"), [({"mastering": {"preset": "LOUD"}}, True), ({"seed": "8"}, False)])
def test_what_a_song_went_on_from_is_kept_where_it_is_not_heard_again(changes, kept, source, capabilities, now):
    source.continue_from.sha256 = "d" * 64

    assert revised(request(changes), source, capabilities, now).HasField("continue_from") == kept


@pytest.mark.parametrize(
    ("asked", "field", "reason"),
    [
        (request({}), "changes", Reason.MISSING),
        (request({"bpm": 90}, from_stage="mix"), "from_stage", Reason.UNKNOWN_VALUE),
    ],
)
def test_a_request_that_says_nothing_is_refused_by_field(asked, field, reason):
    with pytest.raises(InvalidInput) as refusal:
        revising.check_request(asked)

    assert (refusal.value.field, refusal.value.reason) == (field, reason)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (request({}, ("tempo",)), "fields[0]"),
        (request({"bpm": 90}, ("key",)), "changes.bpm"),
        (request({"bpm": 90}, from_stage="master"), "from_stage"),
    ],
)
def test_a_change_that_would_be_lost_is_refused_by_field(asked, field, source):
    with pytest.raises(InvalidInput) as refusal:
        revising.revision(asked, source)

    assert refusal.value.field == field


@pytest.mark.parametrize(
    "state", [job_pb2.Job.QUEUED, job_pb2.Job.RUNNING, job_pb2.Job.CANCELLING, job_pb2.Job.DELETED]
)
def test_a_song_that_has_not_ended_or_is_deleted_cannot_be_revised(state, source):
    source.state = state

    with pytest.raises(FailedPrecondition, match=r"wait until|undelete"):
        revising.revision(request({"bpm": 90}), source)


def test_a_failed_song_is_revised_from_the_stage_that_it_did_not_finish(source):
    source.state = source.stages[1].state = job_pb2.Job.FAILED
    source.stages[2].state = job_pb2.Job.UNSPECIFIED

    assert revising.revision(request({"mastering": {"preset": "LOUD"}}), source).stage == revising.COMPOSE
    with pytest.raises(FailedPrecondition, match="did not get as far as master"):
        revising.revision(request({"mastering": {"preset": "LOUD"}}, from_stage="master"), source)


def test_the_same_request_has_the_same_digest_whatever_it_waits_for():
    waiting = request({"bpm": 90})
    waiting.wait.seconds = 3

    assert revising.digest(waiting) == revising.digest(request({"bpm": 90})) != revising.digest(request({"bpm": 91}))


def test_what_is_left_of_a_revised_song_is_foretold_from_its_own_work(source, capabilities, now):
    job = revised(request({"key": "D minor"}), source, capabilities, now)
    job = jobs.advance(job, jobs.Claim(1, "w"), now)
    progress = job_pb2.Progress(epoch=job.epoch, stage="compose", fraction=0.5)
    shown = wire.song(job, 5, now=now.replace(second=10), progress=progress)

    assert shown.revised_from == f"songs/{source.id}"
    assert shown.eta.ToTimedelta().total_seconds() == pytest.approx(10 * (0.95 - 0.275) / 0.275, rel=1e-6)
