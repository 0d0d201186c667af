"""What decides whether a repeated request is the same one, and what names are."""

import re
import time

import pytest
from google.protobuf.duration_pb2 import Duration

from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2
from harmonia_chassis.errors import Conflict, InvalidInput, NotFound
from harmonia_chassis.job_stream import Stored
from harmonia_gateway.chance import uuid7
from harmonia_gateway.intake import check_request, same_or_conflict
from harmonia_gateway.names import artifact_digest, song_id

ID = "0123456789abcdef" * 2
NO_NAMES = ["", "songs/", f"songs/{ID[:-1]}", f"songs/{ID}0", f"songs/{ID.upper()}", f"song/{ID}", f"songs/{ID}\n"]
WAITS = [Duration(seconds=61), Duration(seconds=-1), Duration(seconds=2**62), Duration(nanos=-1)]


def earlier(state: "job_pb2.Job.State.ValueType" = job_pb2.Job.QUEUED) -> Stored:
    return Stored(5, job_pb2.Job(id=ID, spec_digest="d1", state=state))


@pytest.mark.parametrize("state", [job_pb2.Job.QUEUED, job_pb2.Job.SUCCEEDED, job_pb2.Job.DELETED])
def test_the_same_spec_again_is_the_song_there_is_whatever_became_of_it(state):
    assert same_or_conflict(earlier(state), "d1") == earlier(state)


def test_another_spec_under_the_same_request_id_is_refused_and_names_the_song():
    with pytest.raises(Conflict, match=f"songs/{ID}") as caught:
        same_or_conflict(earlier(), "d2")

    assert (caught.value.reason, caught.value.field) == ("REQUEST_ID_REUSED", "request_id")


def test_the_request_id_of_a_purged_song_is_used_up():
    with pytest.raises(Conflict, match="purged") as caught:
        same_or_conflict(earlier(job_pb2.Job.PURGED), "d1")

    assert caught.value.reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize("wait", WAITS)
def test_a_wait_is_at_most_a_minute(wait):
    with pytest.raises(InvalidInput, match="from 0 to 60 s") as caught:
        check_request(song_pb2.CreateSongRequest(wait=wait))

    assert caught.value.field == "wait"


def test_a_request_with_an_unknown_field_is_refused():
    request = song_pb2.CreateSongRequest()
    request.MergeFromString(b"\xf8\x06\x01")

    with pytest.raises(InvalidInput, match="the request has a field number 111"):
        check_request(request)


@pytest.mark.parametrize("name", NO_NAMES)
def test_other_forms_name_no_song(name):
    with pytest.raises(NotFound, match="32 hex digits"):
        song_id(name)


def test_names_carry_their_ids():
    assert song_id(f"songs/{ID}") == ID
    assert artifact_digest(f"artifacts/{ID}{ID}") == ID * 2
    with pytest.raises(NotFound, match="64 hex digits"):
        artifact_digest(f"artifacts/{ID}")


def test_ids_are_version_7_uuids_that_sort_by_time():
    first = second = uuid7()
    while second[:12] == first[:12]:  # two ids of one millisecond sort at random
        second = uuid7()

    assert first < second
    assert re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", first)
    assert abs(int(first[:12], 16) / 1000 - time.time()) < 60
