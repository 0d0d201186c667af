"""The newest records of all jobs, from the consumer that the gateway has declared for this round.

A round that missed a record would remove what a song needs. So all of them are counted: the first message is number one
of its consumer, none is missing, and the last has none behind it. Otherwise there is no answer but Unavailable.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta

import nats.errors
from nats.aio.msg import Msg
from nats.js.api import StreamInfo
from nats.js.errors import APIError

from harmonia_artifacts.garbage import Reach
from harmonia_chassis.errors import FailedPrecondition, Reason, Unavailable
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.lanes import COLLECTOR, IMPORTED_API, JOBS

_REQUEST = f"{IMPORTED_API}.CONSUMER.MSG.NEXT.{JOBS}.{COLLECTOR}"
_BATCH = 256
_WAIT_S = 5.0


async def read_reach(jobs: JobStream, *, now: Callable[[], datetime]) -> Reach:
    """Raises Unavailable for less than everything."""
    since = now()
    info = await _info(jobs)
    reach = Reach(since=since, born=info.created or since)
    if info.state.messages:
        async with _subscribed(jobs) as (inbox, arrived):
            await _read_all(jobs, inbox, arrived, reach)
    await asyncio.to_thread(reach.settle)
    return reach


async def _info(jobs: JobStream) -> StreamInfo:
    try:
        async with asyncio.timeout(_WAIT_S):
            return await jobs.js.stream_info(JOBS)
    except (nats.errors.Error, APIError, TimeoutError) as exc:
        jobs.connection.raise_if_refused()
        raise _unavailable("the stream of jobs does not answer") from exc


async def _read_all(jobs: JobStream, inbox: str, arrived: "asyncio.Queue[Msg]", reach: Reach) -> None:
    while True:
        batch = await _batch(jobs, inbox, arrived)
        if not batch and not reach.records:
            told = "the records of jobs do not come: the gateway declares a consumer for each round, and there is none"
            raise FailedPrecondition(told, reason=Reason.WRONG_STATE)
        if not batch:
            raise _unavailable("the records of jobs have stopped coming")
        for message in batch:
            _, _, _, tenant, job_id, *_ = message.subject.split(".")
            reach.take(tenant, job_id, message.data)
            if message.metadata.sequence.consumer != reach.records:
                raise _unavailable("records are missing: another round has begun, or the connection broke")
        if batch[-1].metadata.num_pending == 0:
            return


async def _batch(jobs: JobStream, inbox: str, arrived: "asyncio.Queue[Msg]") -> list[Msg]:
    body = json.dumps({"batch": _BATCH, "no_wait": True}).encode()
    await jobs.connection.nc.publish(_REQUEST, body, reply=inbox)
    found: list[Msg] = []
    while len(found) < _BATCH:
        try:
            async with asyncio.timeout(_WAIT_S):
                message = await arrived.get()
        except TimeoutError:
            jobs.connection.raise_if_refused()
            break
        if not message.reply.startswith("$JS.ACK."):  # a status: there is no more to come
            break
        found.append(message)
    return found


@asynccontextmanager
async def _subscribed(jobs: JobStream) -> "AsyncIterator[tuple[str, asyncio.Queue[Msg]]]":
    inbox = jobs.connection.nc.new_inbox()
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await jobs.connection.nc.subscribe(inbox, cb=arrived.put)
    try:
        yield inbox, arrived
    finally:
        with suppress(nats.errors.Error):
            await subscription.unsubscribe()


def _unavailable(message: str) -> Unavailable:
    return Unavailable(message, reason=Reason.NOT_READY, retry_after=timedelta(minutes=1))
