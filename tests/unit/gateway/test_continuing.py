"""What is decided of a recording that a song goes on from before anybody has heard it."""

import pytest

from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import spec_pb2
from harmonia_chassis.errors import InvalidInput, PermissionDenied, Reason
from harmonia_gateway.continuing import fix_length, obey_licence, sounds

SONG = "songs/" + "a" * 32


def specs(**fields: float) -> tuple[spec_pb2.SongSpec, spec_pb2.SongSpec]:
    """As asked, and as resolved before."""
    spec = spec_pb2.SongSpec(duration_seconds=fields.get("duration_seconds"))
    spec.conditioning.continue_from = SONG
    if "start_seconds" in fields:
        spec.conditioning.start_seconds = fields["start_seconds"]
    return spec, spec_pb2.SongSpec(duration_seconds=fields.get("duration_seconds", 60.0))


@pytest.mark.parametrize(
    ("asked", "whole_s", "expected"),
    [
        ({}, 60.0, 90.0),
        ({"start_seconds": 45.5}, 60.0, 75.5),
        ({"start_seconds": 45.5}, None, 75.5),
        ({}, 590.0, 600.0),
        ({}, None, 60.0),  # of an upload nobody knows yet
        ({"duration_seconds": 61.0}, 60.0, 61.0),
    ],
)
def test_a_song_of_no_length_is_half_a_minute_longer_than_what_it_begins_with(asked, whole_s, expected):
    spec, resolved = specs(**asked)
    fix_length(spec, resolved, whole_s)

    assert resolved.duration_seconds == expected


@pytest.mark.parametrize(
    ("asked", "whole_s", "field", "numbers"),
    [
        (
            {"start_seconds": 60.5},
            60.0,
            "conditioning.start_seconds",
            r"is 60.5, and songs/a+ is 60.0 s long: give less",
        ),
        ({"duration_seconds": 60.5}, 60.0, "duration_seconds", r"is 60.5, .* 60.0 s of songs/a+: give at least 61.0"),
        ({"duration_seconds": 20.0, "start_seconds": 20.0}, None, "duration_seconds", r"is 20, .* at least 21.0"),
        ({}, 599.5, "duration_seconds", r"is 600, .* at least 600.5, or go on from an earlier place"),
    ],
)
def test_a_length_that_leaves_nothing_to_draw_is_refused_with_its_numbers(asked, whole_s, field, numbers):
    with pytest.raises(InvalidInput, match=numbers) as refused:
        fix_length(*specs(**asked), whole_s)
    assert refused.value.field == f"spec.{field}"


def made_under(licence: str) -> job_pb2.Job:
    job = job_pb2.Job(id="a" * 32)
    job.stages.add(name="compose").result.compose.licence = licence
    return job


def test_the_licence_of_what_a_song_begins_with_holds_for_it_too():
    of_metas, of_the_arrangers = job_pb2.Job(), job_pb2.Job()
    obey_licence(made_under("CC-BY-NC-4.0"), of_metas, commercial=False)
    obey_licence(made_under("Apache-2.0"), of_the_arrangers, commercial=True)

    assert "weights that are CC-BY-NC-4.0, which holds for this song too" in of_metas.warnings[0]
    assert not of_the_arrangers.warnings
    assert (of_metas.continue_licence, of_the_arrangers.continue_licence) == ("CC-BY-NC-4.0", "Apache-2.0")


def test_a_commercial_tenant_does_not_go_on_from_what_it_may_not_sell():
    with pytest.raises(PermissionDenied, match=r"weights that are MIT AND CC-BY-NC-4.0: a comm") as refused:
        obey_licence(made_under("MIT AND CC-BY-NC-4.0"), job_pb2.Job(), commercial=True)

    assert refused.value.reason == Reason.LICENCE_REFUSED


def test_of_a_song_its_pre_master_is_heard_or_else_a_lossless_master_of_the_same_take():
    job = job_pb2.Job()
    composed, mastered = job.stages.add(name="compose"), job.stages.add(name="master")
    for take in ("1", "2"):
        composed.result.compose.takes.add().premaster.sha256 = take * 64
        files = mastered.result.master.takes.add().files
        for media_type, digest in (("audio/mpeg", "3"), ("audio/flac", f"4{take}"), ("audio/wav", f"5{take}")):
            ref = files.add(role="master").ref
            ref.media_type, ref.sha256 = media_type, digest
        files.add(role="preview").ref.media_type = "audio/flac"

    assert [ref.sha256 for ref in sounds(job)] == ["1" * 64, "41", "51"]


def test_a_song_without_a_result_has_no_sound():
    job = job_pb2.Job()
    job.stages.add(name="compose")

    assert list(sounds(job)) == []
