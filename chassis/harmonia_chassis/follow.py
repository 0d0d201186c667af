"""Follows a stream in order for as long as it takes: through restarts of the server and lost messages.

nats-py's own ordered consumer stays silent for 10 to 20 s after a restart of the server; this one makes
its consumer anew after three seconds without a heartbeat.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, ReplayPolicy
from nats.js.errors import APIError, NotFoundError

from harmonia_chassis.job_stream import JobStream

log = structlog.get_logger()

_HEARTBEAT_S = 1.0
_SILENCE_S = 3.0
_BATCH = 512


async def follow(
    jobs: JobStream, stream: str, subjects: str, *, after: int, last_per_subject: bool = False
) -> AsyncIterator[list[Msg]]:
    """Batches of messages behind sequence `after`, in order and without a gap; an empty batch says
    that all there was has been delivered. With `last_per_subject` the past is thinned to the newest of each subject.

    Raises NotFoundError when there is no such stream."""
    while True:
        try:
            async for batch in _follow_once(jobs, stream, subjects, after, last_per_subject):
                if batch:
                    after = batch[-1].metadata.sequence.stream
                yield batch
        except NotFoundError:
            raise
        except (nats.errors.Error, APIError, TimeoutError) as error:
            log.info("following anew", stream=stream, after=after, error=type(error).__name__)
            await asyncio.sleep(0.1)


async def _follow_once(
    jobs: JobStream, stream: str, subjects: str, after: int, last_per_subject: bool
) -> AsyncIterator[list[Msg]]:
    nc = jobs.connection.nc
    inbox = nc.new_inbox()
    # Not next_msg(): it waits by asyncio.wait_for, which before Python 3.12 can swallow a cancellation.
    arrived: asyncio.Queue[Msg] = asyncio.Queue()
    subscription = await nc.subscribe(inbox, cb=arrived.put)
    try:
        config = ConsumerConfig(
            deliver_subject=inbox,
            deliver_policy=_deliver_policy(after, last_per_subject),
            opt_start_seq=after + 1 if after else None,
            filter_subject=subjects,
            ack_policy=AckPolicy.NONE,
            replay_policy=ReplayPolicy.INSTANT,
            flow_control=True,
            idle_heartbeat=_HEARTBEAT_S,
            inactive_threshold=30,
            mem_storage=True,
            num_replicas=1,
        )
        info = await jobs.js.add_consumer(stream, config)
        if not info.num_pending:
            yield []
        expected = itertools.count(1)
        while True:
            batch = [await _next(arrived)]
            while not arrived.empty() and len(batch) < _BATCH:
                batch.append(arrived.get_nowait())
            data = [message for message in batch if not _is_control(message)]
            for message in data:
                if message.metadata.sequence.consumer != next(expected):
                    raise nats.errors.Error("gap in delivery")
            if data:
                yield data
                if data[-1].metadata.num_pending == 0:
                    yield []
            for message in batch:
                if _is_control(message) and message.reply:
                    await nc.publish(message.reply)  # flow control: everything before it is handled
    finally:
        await subscription.unsubscribe()


async def _next(arrived: "asyncio.Queue[Msg]") -> Msg:
    async with asyncio.timeout(_SILENCE_S):
        return await arrived.get()


def _deliver_policy(after: int, last_per_subject: bool) -> DeliverPolicy:
    if after:
        return DeliverPolicy.BY_START_SEQUENCE
    return DeliverPolicy.LAST_PER_SUBJECT if last_per_subject else DeliverPolicy.ALL


def _is_control(message: Msg) -> bool:
    return not message.data and (message.headers or {}).get("Status") == "100"
