"""HM_JOBS: the records of all jobs, read from the leader and written by compare-and-set.

Every call lasts until the server has answered; callers that cannot wait bound it with asyncio.timeout.
This module owns the retries between a service and NATS.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import nats.errors
import structlog
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RawStreamMsg,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, BadRequestError, NotFoundError
from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

from harmonia.job.v1 import job_pb2 as pb
from harmonia_chassis import lanes
from harmonia_chassis.errors import Internal, QuotaExceeded, Reason, Unavailable
from harmonia_chassis.jobs import Outcome, advance
from harmonia_chassis.nats_connection import Connection, Credentials
from harmonia_chassis.settings import ServiceSettings

log = structlog.get_logger()

# The longest prompts and labels, eight takes and everything their stages made come to 51 KiB.
RECORD_BYTES = 64 * 1024
OLDEST_SERVER = (2, 11)

_ANSWER_S = 2.0
_WRONG_LAST_SEQUENCE = {10071, 10164}
_STREAM_NAME_IN_USE = 10058
_NO_MESSAGE_FOUND = 10037
_LAST_DECLARED = f"KV_{lanes.HEARTBEATS}"
_STORE_FULL = {10077, 10047}
_TROUBLE = (nats.errors.Error, APIError, TimeoutError)
_T = TypeVar("_T")


class Refused(Exception):
    """Somebody else wrote this job first."""


class Unreadable(Exception):
    """A record that does not parse: permissions cannot keep a worker from writing nonsense in its own lanes."""


@dataclass(frozen=True, slots=True)
class Stored:
    seq: int
    job: pb.Job


class JobStream:
    """Reads and writes of records, for one service."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.js: JetStreamContext = connection.nc.jetstream(
            prefix=lanes.api_prefix(connection.service), timeout=_ANSWER_S
        )

    @property
    def connected_since(self) -> float:
        """Wall clock of the newest (re)connect, seconds: older evidence about others proves nothing."""
        return self.connection.connected_since

    async def close(self) -> None:
        await self.connection.close()

    async def create(self, job: pb.Job) -> Stored:
        """Raises Refused when a job of that id exists, QuotaExceeded when the stream is full."""
        return Stored(await self.write(0, job), job)

    async def read(self, tenant: str, job_id: str) -> Stored | None:
        return await self._message(lambda: self.js.get_last_msg(lanes.JOBS, lanes.subjects_of(tenant, job_id)))

    async def history(self, tenant: str, job_id: str, *, after: int = 0) -> list[Stored]:
        """Every record of the job behind sequence `after`, in order."""
        found: list[Stored] = []
        while record := await self._next(tenant, job_id, after):
            found.append(record)
            after = record.seq
        return found

    async def write(self, expected: int, job: pb.Job) -> int:
        """Appends `job` if `expected` is still the sequence of its last record; returns the new sequence.

        Raises Refused. A write that timed out may still land, so the same tx goes out with the same
        expectation until the server answers; a refusal is then final, and the record behind `expected`
        tells whose write it was.
        """
        job.tx = uuid.uuid4().hex
        body = job.SerializeToString()
        if len(body) > RECORD_BYTES:
            raise Internal(f"record of {len(body)} bytes, at most {RECORD_BYTES}", reason=Reason.TOO_LARGE)
        try:
            return await self.until_answered(lambda: self._publish(expected, job, body))
        except _ExpectationFailed:
            first = await self._next(job.tenant, job.id, expected)
            if first is not None and first.job.tx == job.tx:
                return first.seq
            raise Refused(job.id) from None

    async def change(
        self, tenant: str, job_id: str, decide: Callable[[Stored], Outcome | None], *, now: Callable[[], datetime]
    ) -> Stored | None:
        """Reads, decides, writes; again when somebody else was faster. None: no such job, or nothing to do."""
        while True:
            current = await self.read(tenant, job_id)
            outcome = decide(current) if current else None
            if current is None or outcome is None:
                return None
            new = advance(current.job, outcome, now())
            try:
                return Stored(await self.write(current.seq, new), new)
            except Refused:
                continue

    async def heartbeat(self, job: pb.Job) -> pb.Heartbeat | None:
        """The newest heartbeat of the job's present holder; another epoch's does not count."""
        raw = await self._raw(lambda: self.js.get_last_msg(f"KV_{lanes.HEARTBEATS}", lanes.heartbeat_key(job)))
        if raw is None or not raw.data:
            return None
        beat = pb.Heartbeat.FromString(raw.data)
        return beat if beat.epoch == job.epoch else None

    async def send_heartbeat(self, job: pb.Job, worker: str, now: datetime) -> None:
        beat = pb.Heartbeat(epoch=job.epoch, worker=worker)
        beat.at.FromDatetime(now)
        await self.connection.nc.publish(lanes.heartbeat_key(job), beat.SerializeToString())

    async def send_progress(self, tenant: str, job_id: str, progress: pb.Progress) -> None:
        await self.connection.nc.publish(lanes.progress_subject(tenant, job_id), progress.SerializeToString())

    async def purge_before(self, tenant: str, job_id: str, seq: int) -> None:
        """Removes the records before `seq`."""
        subjects = lanes.subjects_of(tenant, job_id)
        await self.until_answered(lambda: self.js.purge_stream(lanes.JOBS, seq=seq, subject=subjects))

    async def fullness(self) -> float:
        """Share of the stream's bytes in use, 0 to 1."""
        info = await self.until_answered(lambda: self.js.stream_info(lanes.JOBS))
        return info.state.bytes / (info.config.max_bytes or 1)

    async def delivered(self, lane: str) -> int:
        """Stream sequence up to which the lane has handed out its items."""
        info = await self.until_answered(lambda: self.js.consumer_info(lanes.JOBS, lane))
        return int(info.delivered.stream_seq) if info.delivered else 0

    async def wait_until_declared(self) -> None:
        """Returns once the gateway has declared everything: the stream of heartbeats is declared last."""
        while True:
            try:
                await self.js.get_last_msg(_LAST_DECLARED, f"$KV.{lanes.HEARTBEATS}.none.none.none")
            except NotFoundError as error:
                if error.err_code == _NO_MESSAGE_FOUND:
                    return
            except _TROUBLE:
                self.connection.raise_if_refused()
            await asyncio.sleep(0.05)

    async def declare(self, *, lease: timedelta, max_bytes: int, replicas: int = 1) -> None:
        """Brings streams and lane consumers to what jobs.md says. Raises Unavailable below nats-server 2.11."""
        self._refuse_old_server()
        for name, subjects, size in _durable_streams(max_bytes):
            await self.until_answered(partial(self._declare_stream, _durable(name, subjects, size, replicas)))
        await self.declare_progress(replicas=replicas)
        for lane in lanes.all_lanes():
            consumer = ConsumerConfig(
                durable_name=lane,
                filter_subject=lanes.queued_subject(lane),
                deliver_policy=DeliverPolicy.ALL,
                ack_policy=AckPolicy.EXPLICIT,
                ack_wait=lease.total_seconds(),
                max_deliver=-1,
                max_ack_pending=-1,
            )
            await self.until_answered(partial(self.js.add_consumer, lanes.JOBS, consumer))
        await self.until_answered(partial(self._declare_stream, _heartbeats(lease, replicas)))

    async def declare_progress(self, *, replicas: int = 1) -> None:
        """In memory, and so gone after a restart of a lone server: whoever follows it declares it again."""
        await self.until_answered(partial(self._declare_stream, _progress(replicas)))

    def _refuse_old_server(self) -> None:
        version = self.connection.nc.connected_server_version
        if (version.major, version.minor) < OLDEST_SERVER:
            raise Unavailable(f"{version} is too old: 2.11 or newer is needed", reason=Reason.NOT_READY)

    async def _declare_stream(self, config: StreamConfig) -> None:
        try:
            await self.js.add_stream(config)
        except BadRequestError as error:
            if error.err_code != _STREAM_NAME_IN_USE:
                raise
            await self.js.update_stream(config)

    async def _publish(self, expected: int, job: pb.Job, body: bytes) -> int:
        headers = {
            "Nats-Expected-Last-Subject-Sequence": str(expected),
            "Nats-Expected-Last-Subject-Sequence-Subject": lanes.subjects_of(job.tenant, job.id),
        }
        try:
            return int((await self.js.publish(lanes.subject(job), body, headers=headers)).seq)
        except APIError as error:
            if error.err_code in _WRONG_LAST_SEQUENCE:
                raise _ExpectationFailed from error
            if error.err_code in _STORE_FULL and expected == 0:
                message = "the job store is full: delete songs, or give it more space"
                raise QuotaExceeded(message, reason=Reason.STORE_FULL) from error
            raise

    async def _next(self, tenant: str, job_id: str, after: int) -> Stored | None:
        subjects = lanes.subjects_of(tenant, job_id)
        return await self._message(lambda: self.js.get_msg(lanes.JOBS, seq=after + 1, subject=subjects, next=True))

    async def _message(self, call: Callable[[], Awaitable[RawStreamMsg]]) -> Stored | None:
        raw = await self._raw(call)
        if raw is None or raw.seq is None:
            return None
        return _stored(raw.seq, raw.data or b"")

    async def _raw(self, call: Callable[[], Awaitable[RawStreamMsg]]) -> RawStreamMsg | None:
        try:
            return await self.until_answered(call)
        except NotFoundError:
            return None

    async def until_answered(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Repeats `call` until the server has said yes or no. Only for calls that may be repeated."""
        try:
            return await call()  # before the retrying is set up, which costs as much as the call itself
        except _TROUBLE as error:
            if not self._no_answer(error):
                raise
        async for attempt in AsyncRetrying(
            retry=retry_if_exception(self._no_answer), wait=wait_random_exponential(0.05, max=0.5), reraise=True
        ):
            with attempt:
                return await call()
        raise AssertionError("unreachable: AsyncRetrying ends by an answer or an exception")

    def _no_answer(self, error: BaseException) -> bool:
        self.connection.raise_if_refused()
        if isinstance(error, NotFoundError | BadRequestError):
            return False
        return isinstance(error, _TROUBLE)


class _ExpectationFailed(Exception):
    pass


async def open_job_stream(settings: ServiceSettings, service: str) -> JobStream:
    credentials = Credentials(settings.tls_cert, settings.tls_key, settings.tls_ca)
    connection = Connection(service, credentials)
    await connection.open(settings.nats_url)
    return JobStream(connection)


def stored(message: Msg) -> Stored:
    """A record as a consumer delivered it. Raises Unreadable."""
    return _stored(message.metadata.sequence.stream, message.data)


def _stored(seq: int, body: bytes) -> Stored:
    try:
        return Stored(seq, pb.Job.FromString(body))
    except DecodeError as error:
        raise Unreadable(f"record {seq}") from error


def _durable_streams(max_bytes: int) -> list[tuple[str, str, int]]:
    return [(lanes.JOBS, lanes.JOB_SUBJECTS, max_bytes), (lanes.ENTITIES, lanes.ENTITY_SUBJECTS, max_bytes // 4)]


def _progress(replicas: int) -> StreamConfig:
    return StreamConfig(
        name=lanes.PROGRESS,
        subjects=[f"{lanes.PROGRESS_SUBJECTS}.>"],
        storage=StorageType.MEMORY,
        max_age=3600,
        max_bytes=64 << 20,
        max_msgs_per_subject=256,
        discard=DiscardPolicy.OLD,
        num_replicas=replicas,
    )


def _heartbeats(lease: timedelta, replicas: int) -> StreamConfig:
    kept_s = 3 * lease.total_seconds()
    return StreamConfig(
        name=_LAST_DECLARED,
        subjects=[f"$KV.{lanes.HEARTBEATS}.>"],
        max_msgs_per_subject=1,
        max_age=kept_s,
        duplicate_window=min(kept_s, 100),
        num_replicas=replicas,
        allow_direct=False,
    )


def _durable(name: str, subjects: str, max_bytes: int, replicas: int) -> StreamConfig:
    return StreamConfig(
        name=name,
        subjects=[f"{subjects}.>"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.LIMITS,
        discard=DiscardPolicy.NEW,
        max_bytes=max_bytes,
        num_replicas=replicas,
        # Reads must come from the leader: a follower may lag behind an acknowledged write.
        allow_direct=False,
    )
