"""Garbage collection, once an hour and when an operator asks: here its consumer is declared, artifacts does the rest.

Several gateways may do it at once: a round that another cut short removes nothing it should not, and comes again.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from datetime import timedelta

import grpc
import structlog
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, ReplayPolicy
from nats.js.errors import NotFoundError

from harmonia.store.v1 import store_pb2 as pb
from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia_chassis import lanes
from harmonia_chassis.errors import HarmoniaError
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.status import rpc_errors

log = structlog.get_logger()

# A mesh that is often started for a short while is to be cleaned too.
_FIRST = timedelta(minutes=5)
_ROUND_S = 3000.0


class Collector:
    def __init__(self, jobs: JobStream, artifacts: grpc.aio.Channel, *, every: timedelta) -> None:
        self._jobs = jobs
        self._store = rpc.StoreServiceStub(artifacts)
        self._every = every

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        wait = min(_FIRST, self._every)
        while True:
            await asyncio.sleep(wait.total_seconds() * random.uniform(0.9, 1))  # noqa: S311 - spreads the replicas
            wait = self._every
            try:
                async for part in self.collect(dry_run=False):
                    if part.HasField("summary"):
                        log.info("garbage collected", removed=part.summary.removed, bytes=part.summary.removed_bytes)
            except HarmoniaError as error:
                log.warning("garbage not collected", error=type(error).__name__, reason=error.reason)

    async def collect(self, *, dry_run: bool) -> AsyncGenerator[pb.CollectResponse, None]:
        """What is found and done, as it happens; the summary last."""
        await self._jobs.until_answered(self._declare)
        call = self._store.Collect(pb.CollectRequest(dry_run=dry_run), timeout=_ROUND_S)
        try:
            with rpc_errors():
                async for part in call:
                    yield part
        finally:
            call.cancel()

    async def _declare(self) -> None:
        """Anew: a round reads all of its consumer, or it is none."""
        with suppress(NotFoundError):
            await self._jobs.js.delete_consumer(lanes.JOBS, lanes.COLLECTOR)
        config = ConsumerConfig(
            durable_name=lanes.COLLECTOR,
            filter_subject=f"{lanes.JOB_SUBJECTS}.>",
            deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
            replay_policy=ReplayPolicy.INSTANT,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=600,
            mem_storage=True,
            num_replicas=1,
        )
        await self._jobs.js.add_consumer(lanes.JOBS, config)
