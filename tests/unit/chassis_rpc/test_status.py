"""Errors keep their class, reason and details on the way over the wire."""

from datetime import timedelta

import pytest
from google.rpc import code_pb2, error_details_pb2  # type: ignore[import-untyped]  # ships no types

from harmonia_chassis import errors
from harmonia_chassis.errors import MEANINGS, HarmoniaError, Reason
from harmonia_chassis.status import from_problem, from_status, to_problem, to_status

KINDS: list[tuple[type[HarmoniaError], Reason]] = [
    (errors.InvalidInput, Reason.OUT_OF_RANGE),
    (errors.NotFound, Reason.SONG_NOT_FOUND),
    (errors.Conflict, Reason.REQUEST_ID_REUSED),
    (errors.FailedPrecondition, Reason.WRONG_STATE),
    (errors.PermissionDenied, Reason.SCOPE_MISSING),
    (errors.Unauthenticated, Reason.TOKEN_EXPIRED),
    (errors.QuotaExceeded, Reason.TENANT_UNFINISHED),
    (errors.Overloaded, Reason.NO_FREE_SLOT),
    (errors.Unavailable, Reason.NOT_READY),
    (errors.DeadlineExceeded, Reason.DEADLINE),
    (errors.Cancelled, Reason.CANCELLED),
    (errors.Internal, Reason.ENGINE_FAILED),
]
each_kind = pytest.mark.parametrize(("kind", "reason"), KINDS, ids=lambda value: getattr(value, "__name__", value))


def full(kind: type[HarmoniaError], reason: Reason) -> HarmoniaError:
    return kind(
        "bpm is 300; allowed: 40 to 240 🎵",
        reason=reason,
        field="spec.bpm",
        retry_after=timedelta(seconds=1.5),
        engine="arranger",
    )


def parts(error: HarmoniaError) -> tuple[object, ...]:
    return (type(error), error.reason, error.message, error.field, error.metadata)


def test_every_class_of_the_tree_is_in_this_table() -> None:
    assert {kind for kind, _ in KINDS} == set(HarmoniaError.__subclasses__())


def test_exactly_overloaded_unavailable_and_deadline_are_retryable() -> None:
    retryable = {kind.__name__ for kind, _ in KINDS if kind.retryable}

    assert retryable == {"Overloaded", "Unavailable", "DeadlineExceeded"}


def test_every_reason_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Reason)


@each_kind
def test_an_error_survives_a_status(kind: type[HarmoniaError], reason: Reason) -> None:
    error = full(kind, reason)

    arrived = from_status(to_status(error, "request-1"))

    assert parts(arrived) == parts(error)
    assert (arrived.retry_after, arrived.request_id) == (timedelta(seconds=1.5), "request-1")


@each_kind
def test_an_error_survives_a_problem(kind: type[HarmoniaError], reason: Reason) -> None:
    error = full(kind, reason)

    assert parts(from_problem(to_problem(error))) == parts(error)


@each_kind
def test_the_status_number_is_the_one_google_gives_the_code(kind: type[HarmoniaError], reason: Reason) -> None:
    assert to_status(full(kind, reason)).code == code_pb2.Code.Value(kind.code)


def test_details_are_those_aip_193_names() -> None:
    status = to_status(full(errors.QuotaExceeded, Reason.RATE_LIMITED), "r")

    names = [detail.type_url.rpartition(".")[2] for detail in status.details]
    assert names == ["ErrorInfo", "BadRequest", "RetryInfo", "QuotaFailure", "RequestInfo"]
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert (info.reason, info.domain, dict(info.metadata)) == ("RATE_LIMITED", "harmonia", {"engine": "arranger"})


def test_a_reason_of_a_newer_server_keeps_its_class_and_is_told() -> None:
    status = to_status(errors.NotFound("gone", reason=Reason.SONG_NOT_FOUND))
    status.details[0].Pack(error_details_pb2.ErrorInfo(reason="CHOIR_NOT_FOUND", domain="harmonia"))

    arrived = from_status(status)

    assert isinstance(arrived, errors.NotFound)
    assert arrived.metadata == {"unknown_reason": "CHOIR_NOT_FOUND"}


def test_a_message_too_long_for_a_header_is_cut() -> None:
    status = to_status(errors.InvalidInput("x" * 100_000, reason=Reason.TOO_LONG, field="spec.prompt"))

    assert status.ByteSize() < 8 * 1024
    assert status.message.endswith("…")
