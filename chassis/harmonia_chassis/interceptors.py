"""What happens around every RPC, once for the server and once for the client.

Server, from the outside in: request id, span, log line and metrics, admission, access, deadline, errors.
The handlers are wrapped when they are registered, not by grpc.aio's interceptors, which would build every
handler anew for every call. Response streams are written by us instead of being returned as generators:
grpc.aio leaves a cancelled generator to the garbage collector, and its `finally` with it.

Client: deadline, trace, request id and service token.
"""

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, TypeAlias, cast

import grpc
import structlog
from google.protobuf.message import DecodeError
from opentelemetry.trace import Span, SpanKind, use_span

from harmonia_chassis.access import AUTHORIZATION, Admit, Door, Rule, current_request_id, enter, let_in, rule_of
from harmonia_chassis.errors import (
    DeadlineExceeded,
    HarmoniaError,
    Internal,
    InvalidInput,
    Overloaded,
    Reason,
    Unavailable,
)
from harmonia_chassis.identity import TokenSource
from harmonia_chassis.status import abort_with_request_id, from_rpc_error
from harmonia_chassis.telemetry import (
    RPC_METHOD,
    RPC_STATUS,
    RPC_SYSTEM,
    TRACEPARENT,
    Metrics,
    fail,
    traceparent_of,
)
from harmonia_chassis.telemetry import start_span as begin_span

REQUEST_ID = "x-request-id"
FORWARDED = "x-forwarded-for"
# Without a deadline from anywhere a unary call to another service ends after this.
DEFAULT_TIMEOUT = timedelta(seconds=30)

_ID = re.compile(r"^[A-Za-z0-9._-]{1,64}$")
# Another service refusing our own credentials is our defect, not the caller's.
_OURS = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
# What an operator need not look at, though the caller did not get what it wanted.
_FINE = {
    "OK",
    "CANCELLED",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "FAILED_PRECONDITION",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
}

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Callable[[Any, Context], Any]
MethodHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Details = grpc.aio.ClientCallDetails
Continuation = Callable[[Details, Any], Awaitable[Any]]

_GARBLED = object()  # stands for a request that does not parse, until it can be refused like any other

_log = structlog.get_logger()
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


def time_remaining_s() -> float | None:
    """What is left of the time of the RPC being served; None: it has no deadline."""
    deadline = _deadline.get()
    return None if deadline is None else deadline - time.monotonic()


@contextmanager
def deadline_in(limit: timedelta) -> Iterator[None]:
    """Calls made inside end by then, for work that no RPC asked for."""
    before = time_remaining_s()
    left = limit.total_seconds() if before is None else min(before, limit.total_seconds())
    token = _deadline.set(time.monotonic() + left)
    try:
        yield
    finally:
        _deadline.reset(token)


class Streams:
    """The response streams a door has open, so that a drain can end them: a stream that has been silent
    for a while at once, every other when its time is over. The client reads UNAVAILABLE and resumes
    elsewhere."""

    def __init__(self) -> None:
        self._last: dict[asyncio.Task[object], float] = {}
        self._ended: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._last)

    @contextmanager
    def opened(self) -> Iterator[Callable[[], None]]:
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._last[task] = time.monotonic()

        def spoke() -> None:
            self._last[task] = time.monotonic()

        try:
            yield spoke
        except asyncio.CancelledError:
            if task not in self._ended:
                raise
            task.uncancel()
            raise Unavailable("the service is going down: resume", reason=Reason.RESTARTING) from None
        finally:
            self._ended.discard(task)
            del self._last[task]

    def end(self, *, silent_for: timedelta = timedelta(0)) -> None:
        """Ends those that have sent nothing for so long."""
        now = time.monotonic()
        for task, last in list(self._last.items()):
            if now - last >= silent_for.total_seconds() and task not in self._ended:
                self._ended.add(task)
                task.cancel()


class ServerChain:
    """Wraps the handlers of one door."""

    def __init__(self, door: Door, admit: Admit, metrics: Metrics, *, calls_at_once: int) -> None:
        self._door = door
        self._admit = admit
        self._metrics = metrics
        self._open = 0
        self._open_calls = metrics.open_calls.labels(door.value)
        self._calls_at_once = calls_at_once
        self.streams = Streams()

    def wrap(self, path: str, rule: Rule, handler: MethodHandler) -> MethodHandler:
        kind = _kind(handler)
        read = _each_readable if handler.request_streaming else _readable
        behaviour = _reading(read, getattr(handler, kind))
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        surround = self._streaming if handler.response_streaming else self._unary
        wrapped = surround(path, rule, behaviour)
        made = make(wrapped, _decoder(handler.request_deserializer), handler.response_serializer)
        return cast("MethodHandler", made)

    def _unary(self, path: str, rule: Rule, behaviour: Handler) -> Handler:
        async def unary(request: Any, context: Context) -> Any:
            async with self._serving(path, rule, context):
                return await behaviour(request, context)

        return unary

    def _streaming(self, path: str, rule: Rule, behaviour: Handler) -> Handler:
        async def stream(request: Any, context: Context) -> None:
            async with self._serving(path, rule, context):
                with self.streams.opened() as spoke:
                    async with aclosing(behaviour(request, context)) as responses:
                        async for response in responses:
                            await context.write(response)
                            spoke()

        return stream

    @asynccontextmanager
    async def _serving(self, path: str, rule: Rule, context: Context) -> AsyncIterator[None]:
        metadata = _metadata(context)
        request_id = _request_id(metadata)
        enter(request_id, peer=context.peer() or "", forwarded=metadata.get(FORWARDED, ""))
        _deadline.set(_deadline_of(context))
        with self._report(path, metadata) as report:
            try:
                self._refuse_overload()
                admitted = await self._admit(rule, metadata, context.auth_context())
                let_in(admitted)
                report.caller = admitted.principal.name
                yield
            except asyncio.CancelledError:
                report.code = "DEADLINE_EXCEEDED" if (time_remaining_s() or 1) <= 0 else "CANCELLED"
                raise
            except grpc.aio.AbortError:
                report.code = "ABORTED"
                raise
            except Exception as failure:
                error = _known(failure)
                report.code, report.reason = error.code, error.reason.value
                await abort_with_request_id(context, error, request_id=request_id)

    @contextmanager
    def _report(self, path: str, metadata: dict[str, str]) -> Iterator["_Report"]:
        report = _Report()
        attributes: dict[str, str | int | float | bool] = {RPC_SYSTEM: "grpc", RPC_METHOD: path[1:]}
        serving = begin_span(path[1:], parent=metadata.get(TRACEPARENT), kind=SpanKind.SERVER, attributes=attributes)
        started = time.perf_counter()
        self._count(1)
        try:
            with use_span(serving, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield report
                report.code = "OK"
        finally:
            self._count(-1)
            seconds = time.perf_counter() - started
            self._metrics.server_calls.labels(path[1:], report.code).observe(seconds)
            serving.set_attribute(RPC_STATUS, report.code)
            if report.code not in _FINE:
                fail(serving, report.reason or report.code)
            serving.end()
            self._log_line(path, report, seconds, traceparent_of(serving))

    def _count(self, change: int) -> None:
        self._open += change
        self._open_calls.set(self._open)

    def _log_line(self, path: str, report: "_Report", seconds: float, trace: str) -> None:
        _log.info(
            "rpc",
            method=path[1:],
            door=self._door.value,
            caller=report.caller,
            code=report.code,
            reason=report.reason,
            ms=round(seconds * 1000, 2),
            request_id=current_request_id(),
            trace_id=trace[3:35],
        )

    def _refuse_overload(self) -> None:
        if self._open > self._calls_at_once:
            raise Overloaded(
                f"{self._calls_at_once} calls are open", reason=Reason.TOO_MANY_CALLS, retry_after=timedelta(seconds=1)
            )


class _Report:
    """What the log line of an RPC says at its end."""

    def __init__(self) -> None:
        self.code = "UNKNOWN"
        self.reason = ""
        self.caller = ""


class _ClientChain:
    """What a call takes along. grpc.aio files an interceptor under the first kind it is an instance of,
    so each kind of call has a class of its own below."""

    def __init__(self, audience: str, tokens: TokenSource, metrics: Metrics) -> None:
        self._audience = audience
        self._tokens = tokens
        self._metrics = metrics

    async def prepare(self, details: grpc.aio.ClientCallDetails, traced: Span, default: float | None) -> Details:
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        metadata[TRACEPARENT] = traceparent_of(traced)
        if current_request_id():
            metadata[REQUEST_ID] = current_request_id()
        if not rule_of(_path(details)).certificate_only:
            metadata[AUTHORIZATION] = f"Bearer {await self._tokens.token(self._audience)}"
        timeout = _sooner(details.timeout, time_remaining_s(), default)
        return grpc.aio.ClientCallDetails(
            details.method, timeout, metadata, details.credentials, details.wait_for_ready
        )

    async def single(self, continuation: Continuation, details: Details, request: Any) -> Any:
        path = _path(details)
        started = time.perf_counter()
        traced = _client_span(path)
        code = "CANCELLED"
        try:
            call = await continuation(await self.prepare(details, traced, DEFAULT_TIMEOUT.total_seconds()), request)
            code = (await _finished(call)).name
        except HarmoniaError as error:
            code = error.code
            raise
        finally:
            self._metrics.client_calls.labels(path[1:], code).observe(time.perf_counter() - started)
            _end(traced, code)
        return call

    async def streamed(self, continuation: Continuation, details: Details, request: Any) -> Any:
        traced = _client_span(_path(details))
        try:
            call = await continuation(await self.prepare(details, traced, None), request)
        except BaseException:
            _end(traced, "CANCELLED")
            raise
        call.add_done_callback(lambda _call: traced.end())
        return call


class _UnaryUnary(_ClientChain, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self.single(continuation, client_call_details, request)


class _UnaryStream(_ClientChain, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await self.streamed(continuation, client_call_details, request)


class _StreamUnary(_ClientChain, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self.streamed(continuation, client_call_details, request_iterator)


class _StreamStream(_ClientChain, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        return await self.streamed(continuation, client_call_details, request_iterator)


def client_chain(audience: str, tokens: TokenSource, metrics: Metrics) -> list[grpc.aio.ClientInterceptor]:
    return [kind(audience, tokens, metrics) for kind in (_UnaryUnary, _UnaryStream, _StreamUnary, _StreamStream)]


async def _finished(call: Any) -> grpc.StatusCode:
    try:
        return cast("grpc.StatusCode", await call.code())
    except asyncio.CancelledError:
        call.cancel()  # the task that waits is not the call
        raise


def _client_span(path: str) -> Span:
    return begin_span(path[1:], kind=SpanKind.CLIENT, attributes={RPC_SYSTEM: "grpc", RPC_METHOD: path[1:]})


def _end(traced: Span, code: str) -> None:
    traced.set_attribute(RPC_STATUS, code)
    if code != "OK":
        fail(traced, code)
    traced.end()


def _sooner(*timeouts: float | None) -> float | None:
    """The shortest; a default, last, counts only where no other is given."""
    *asked, default = timeouts
    given = [timeout for timeout in asked if timeout is not None]
    if given and min(given) <= 0:  # grpc.aio takes 0 for "no deadline"
        raise DeadlineExceeded("no time is left for the call", reason=Reason.DEADLINE)
    return min(given) if given else default


def _path(details: Details) -> str:
    method = details.method
    return method.decode() if isinstance(method, bytes) else method


def _known(failure: Exception) -> HarmoniaError:
    if isinstance(failure, HarmoniaError):
        return failure
    if isinstance(failure, grpc.aio.AioRpcError):
        error = from_rpc_error(failure)
        if error.code not in _OURS:
            return error
    _log.error("unexpected error", exc_info=failure, request_id=current_request_id())
    return Internal("internal error; the request id leads to the log line", reason=Reason.INTERNAL)


def _request_id(metadata: dict[str, str]) -> str:
    given = metadata.get(REQUEST_ID, "")
    return given if _ID.match(given) else uuid.uuid4().hex


def _deadline_of(context: Context) -> float | None:
    remaining = context.time_remaining()
    return None if remaining is None else time.monotonic() + remaining


def _decoder(decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    """grpc.aio would tell the caller of a failed decoder UNKNOWN and the Python behind it, and log a traceback."""
    assert decode is not None, "generated code has a decoder for every method"

    def decoded(message: bytes) -> Any:
        try:
            return decode(message)
        except DecodeError:
            return _GARBLED

    return decoded


def _reading(read: Callable[[Any], Any], behaviour: Handler) -> Handler:
    return lambda request, context: behaviour(read(request), context)


def _readable(request: Any) -> Any:
    if request is _GARBLED:
        raise InvalidInput("the bytes are no message of this method", reason=Reason.MALFORMED)
    return request


async def _each_readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _readable(request)


def _kind(handler: MethodHandler) -> str:
    request = "stream" if handler.request_streaming else "unary"
    return f"{request}_{'stream' if handler.response_streaming else 'unary'}"


def _metadata(context: Context) -> dict[str, str]:
    """Keys that come several times are joined as HTTP joins them, so that no guard sees one of two tokens."""
    joined: dict[str, str] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            joined[key] = f"{joined[key]},{value}" if key in joined else value
    return joined
