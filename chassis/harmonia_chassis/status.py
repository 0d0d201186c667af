"""Errors to gRPC status and back, both ways, nowhere else.

On the wire an error is a google.rpc.Status in the trailers (grpc-status-details-bin) with ErrorInfo and,
where they apply, BadRequest, RetryInfo, QuotaFailure and RequestInfo. Inside messages it is a Problem.
"""

from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn, TypeVar, cast

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # ships no types

from harmonia.type.v1 import type_pb2
from harmonia_chassis import errors
from harmonia_chassis.errors import HarmoniaError, Internal, Overloaded, QuotaExceeded, Reason

DOMAIN = "harmonia"
DETAILS = "grpc-status-details-bin"
LONGEST_MESSAGE = 1000
Request = TypeVar("Request")
T = TypeVar("T")

# AIP-193: an aborted transaction and an existing resource are both "somebody was first".
_CLASSES: dict[str, type[HarmoniaError]] = {
    "INVALID_ARGUMENT": errors.InvalidInput,
    "OUT_OF_RANGE": errors.InvalidInput,
    "NOT_FOUND": errors.NotFound,
    "UNIMPLEMENTED": errors.NotFound,
    "ALREADY_EXISTS": errors.Conflict,
    "ABORTED": errors.Conflict,
    "FAILED_PRECONDITION": errors.FailedPrecondition,
    "PERMISSION_DENIED": errors.PermissionDenied,
    "UNAUTHENTICATED": errors.Unauthenticated,
    "UNAVAILABLE": errors.Unavailable,
    "DEADLINE_EXCEEDED": errors.DeadlineExceeded,
    "CANCELLED": errors.Cancelled,
}
# What a status means that was not written by us: the transport's own.
_PLAIN_REASONS = {
    "INVALID_ARGUMENT": Reason.MALFORMED,
    "OUT_OF_RANGE": Reason.OUT_OF_RANGE,
    "NOT_FOUND": Reason.METHOD_NOT_FOUND,
    "UNIMPLEMENTED": Reason.METHOD_NOT_FOUND,
    "FAILED_PRECONDITION": Reason.WRONG_STATE,
    "PERMISSION_DENIED": Reason.CALLER_REFUSED,
    "UNAUTHENTICATED": Reason.TOKEN_INVALID,
    "UNAVAILABLE": Reason.UNREACHABLE,
    "DEADLINE_EXCEEDED": Reason.DEADLINE,
    "CANCELLED": Reason.CANCELLED,
}
_QUOTAS = {Reason.TENANT_UNFINISHED, Reason.RATE_LIMITED, Reason.STORAGE_QUOTA}


def to_problem(error: HarmoniaError) -> type_pb2.Problem:
    return type_pb2.Problem(
        code=error.code,
        reason=error.reason.value,
        message=error.message,
        field=error.field,
        metadata=error.metadata,
    )


def from_problem(problem: type_pb2.Problem) -> HarmoniaError:
    return _error(problem.code, problem.reason, problem.message, problem.field, metadata=dict(problem.metadata))


def to_status(error: HarmoniaError, request_id: str = "") -> status_pb2.Status:
    status = status_pb2.Status(code=_number(error.code), message=_short(error.message))
    for detail in _details(error, request_id):
        packed = Any()
        packed.Pack(detail)
        status.details.append(packed)
    return status


def from_status(status: status_pb2.Status) -> HarmoniaError:
    info, violation = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, request = error_details_pb2.RetryInfo(), error_details_pb2.RequestInfo()
    for packed in status.details:
        for detail in (info, violation, retry, request):
            packed.Unpack(detail)
    error = _error(
        _name(status.code),
        info.reason,
        status.message,
        violation.field_violations[0].field if violation.field_violations else "",
        retry_after=retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None,
        metadata=dict(info.metadata),
    )
    error.request_id = request.request_id
    return error


async def abort(context: "grpc.aio.ServicerContext[Message, Message]", error: HarmoniaError) -> NoReturn:
    """Ends the call at the server with the error."""
    await abort_with_request_id(context, error, request_id=error.request_id)


async def abort_with_request_id(
    context: "grpc.aio.ServicerContext[Message, Message]", error: HarmoniaError, *, request_id: str
) -> NoReturn:
    status = to_status(error, request_id)
    code = getattr(grpc.StatusCode, error.code)
    await context.abort(code, status.message, ((DETAILS, status.SerializeToString()),))


# What grpc.aio makes of a request stream that ends while it is written to: a connection that broke, or a server
# that answered before it had read all (a full store's, mostly).
_CONNECTION_BROKE = "Internal error from Core"


def from_rpc_error(failure: grpc.aio.AioRpcError) -> HarmoniaError:
    """The error the server raised; for a failure of the transport, the class that fits it."""
    details = dict(failure.trailing_metadata() or ()).get(DETAILS)
    if isinstance(details, bytes):
        try:
            return from_status(status_pb2.Status.FromString(details))
        except DecodeError:  # a proxy's trailers: what is left is the plain status
            pass
    return _plain(failure.code().name, failure.details() or "")


@contextmanager
def rpc_errors() -> Iterator[None]:
    """Inside, a failed call raises the error that the server raised."""
    try:
        yield
    except grpc.aio.AioRpcError as failure:
        raise from_rpc_error(failure) from failure


async def answered(call: "grpc.aio.StreamUnaryCall[Request, T]") -> T:
    """The answer to a stream of requests, or what the server refused it with.

    grpc.aio 1.85 puts the failure of the last write over a status that came while it was written: the status is kept
    here when it comes, before that.
    """
    said: list[grpc.aio.AioRpcError] = []
    call.add_done_callback(lambda ended: said.append(_failure_of(ended)))
    try:
        return await call
    except grpc.aio.AioRpcError as failure:
        for first in said:
            if first.details() != _CONNECTION_BROKE:
                raise first from failure
        raise


def _failure_of(ended: "grpc.aio.Call") -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        _known(ended.code()),
        _known(ended.initial_metadata()),
        _known(ended.trailing_metadata()),
        _known(ended.details()),
    )


def _known(value: Coroutine[object, object, T]) -> T:
    """Of a call that has ended: there is nothing to wait for."""
    try:
        value.send(None)
    except StopIteration as there:
        return cast(T, there.value)
    raise Internal("the call has not ended", reason=Reason.INTERNAL)


def _plain(code: str, message: str) -> HarmoniaError:
    if code == "RESOURCE_EXHAUSTED" and "larger than max" in message.lower():
        return errors.InvalidInput(message, reason=Reason.MESSAGE_TOO_LARGE)
    if code == "RESOURCE_EXHAUSTED":
        return Overloaded(message, reason=Reason.TOO_MANY_CALLS)
    if code == "INTERNAL" and message == _CONNECTION_BROKE:
        return errors.Unavailable("the call ended before all was sent", reason=Reason.UNREACHABLE)
    return _CLASSES.get(code, Internal)(message, reason=_PLAIN_REASONS.get(code, Reason.INTERNAL))


def _error(
    code: str,
    reason: str,
    message: str,
    field: str,
    *,
    retry_after: timedelta | None = None,
    metadata: dict[str, str],
) -> HarmoniaError:
    # A newer peer may send a reason that this build does not know: the class still says what to do.
    known = Reason(reason) if reason in Reason.__members__ else _PLAIN_REASONS.get(code, Reason.INTERNAL)
    if known.value != reason:
        metadata = metadata | {"unknown_reason": reason}
    if code == "RESOURCE_EXHAUSTED":
        kind: type[HarmoniaError] = QuotaExceeded if known in _QUOTAS else Overloaded
    else:
        kind = _CLASSES.get(code, Internal)
    error = kind(message, reason=known, field=field, retry_after=retry_after)
    error.metadata = metadata
    return error


def _details(error: HarmoniaError, request_id: str) -> Iterator[Message]:
    yield error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN, metadata=error.metadata)
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=error.field, description=_short(error.message), reason=error.reason.value
        )
        yield error_details_pb2.BadRequest(field_violations=[violation])
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        yield retry
    if isinstance(error, QuotaExceeded):
        quota = error_details_pb2.QuotaFailure.Violation(subject=error.reason.value, description=_short(error.message))
        yield error_details_pb2.QuotaFailure(violations=[quota])
    if request_id:
        yield error_details_pb2.RequestInfo(request_id=request_id)


def _short(message: str) -> str:
    """Status travels in headers, of which peers take 8 KiB and less."""
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 1] + "…"


def _number(code: str) -> int:
    return cast("int", getattr(grpc.StatusCode, code).value[0])


def _name(number: int) -> str:
    return next((code.name for code in grpc.StatusCode if code.value[0] == number), "UNKNOWN")
