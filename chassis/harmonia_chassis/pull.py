"""Pulls work items of one lane. A request never outlives its answer, so no more is handed out than was asked for."""

import itertools
import json
import time

import nats.errors
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from harmonia_chassis import lanes
from harmonia_chassis.job_stream import JobStream

# A pull that stands while the server is killed is lost without a word: this is the recovery time.
WAIT_S = 0.9
_ANSWER_S = 0.3


class Pull:
    """One standing subscription: a delivery that comes too late for its request still reaches its worker."""

    def __init__(self, jobs: JobStream, subscription: Subscription, inbox: str) -> None:
        self._jobs = jobs
        self._subscription = subscription
        self._inbox = inbox
        self._numbers = itertools.count(1)

    @classmethod
    async def open(cls, jobs: JobStream) -> "Pull":
        nc = jobs.connection.nc
        inbox = nc.new_inbox()
        return cls(jobs, await nc.subscribe(f"{inbox}.*"), inbox)

    async def close(self) -> None:
        await self._subscription.unsubscribe()

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
            return await self._subscription.next_msg(timeout=max(until - time.monotonic(), 0.001))
        except (TimeoutError, nats.errors.TimeoutError):
            self._jobs.connection.raise_if_refused()
            return None
