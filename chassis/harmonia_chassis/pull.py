"""Pulls work items of one lane. A request never outlives its answer, so no more is handed out than was asked for."""

import asyncio
import itertools
import json
import time

from nats.aio.msg import Msg

from harmonia_chassis import lanes
from harmonia_chassis.job_stream import JobStream

# A pull that stands while the server is killed is lost without a word: this is the recovery time.
WAIT_S = 0.9
_ANSWER_S = 0.3


class Pull:
    """One standing subscription: a delivery that comes too late for its request still reaches its worker."""

    def __init__(self, jobs: JobStream, inbox: str) -> None:
        self._jobs = jobs
        self._inbox = inbox
        # Not next_msg(): it waits by asyncio.wait_for, which before Python 3.12 can swallow a cancellation.
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self._numbers = itertools.count(1)

    @classmethod
    async def open(cls, jobs: JobStream) -> "Pull":
        pull = cls(jobs, jobs.connection.nc.new_inbox())
        await jobs.connection.nc.subscribe(f"{pull._inbox}.*", cb=pull._arrived.put)
        return pull

    async def waiting(self, lane: str, most: int) -> list[Msg]:
        """What waits in the lane now, at most `most`."""
        return await self._request(lane, {"batch": most, "no_wait": True}, most, _ANSWER_S)

    async def next(self, lane: str) -> list[Msg]:
        """The next item of the lane, or nothing after 0.9 s."""
        return await self._request(lane, {"batch": 1, "expires": int(WAIT_S * 1e9)}, 1, WAIT_S + _ANSWER_S)

    async def _request(self, lane: str, body: dict[str, object], most: int, answer_s: float) -> list[Msg]:
        reply = f"{self._inbox}.{next(self._numbers)}"
        prefix = lanes.api_prefix(self._jobs.connection.service)
        request = f"{prefix}.CONSUMER.MSG.NEXT.{lanes.JOBS}.{lane}"
        await self._jobs.connection.nc.publish(request, json.dumps(body).encode(), reply=reply)
        found: list[Msg] = []
        until = time.monotonic() + answer_s
        while len(found) < most and (message := await self._message(until)):
            if message.reply.startswith("$JS.ACK."):
                found.append(message)
            elif message.subject == reply:  # a status: there is no more to come
                break
        return found

    async def _message(self, until: float) -> Msg | None:
        try:
            async with asyncio.timeout(max(until - time.monotonic(), 0)):
                return await self._arrived.get()
        except TimeoutError:
            self._jobs.connection.raise_if_refused()
            return None
