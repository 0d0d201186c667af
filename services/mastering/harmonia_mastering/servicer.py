"""MasteringService: the call door. Progress as it comes; the work dies with the caller."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from harmonia.mastering.v1 import mastering_pb2 as pb
from harmonia.mastering.v1 import mastering_pb2_grpc as rpc
from harmonia_chassis.access import GRANT, current_grant, current_request_id
from harmonia_chassis.slots import Slots
from harmonia_chassis.worker import Work
from harmonia_mastering import wire
from harmonia_mastering.stage import MasterStage

Context = grpc.aio.ServicerContext[Any, Any]


class MasteringServicer(rpc.MasteringServiceServicer):
    def __init__(self, stage: MasterStage, slots: Slots) -> None:
        self._stage = stage
        self._slots = slots

    async def Master(self, request: pb.MasterRequest, context: Context) -> AsyncIterator[pb.MasterEvent]:
        events: asyncio.Queue[pb.MasterEvent] = asyncio.Queue()
        work = _work(context, events)
        async with self._slots:
            task = asyncio.ensure_future(self._master(request, work, events))
            try:
                while not (event := await _next(events, task)).HasField("result"):
                    yield event
                yield event
            finally:
                work.stop()
                task.cancel()
                await asyncio.wait([task])

    async def Analyze(self, request: pb.AnalyzeRequest, context: Context) -> pb.AnalyzeResponse:
        async with self._slots:
            return pb.AnalyzeResponse(analysis=await self._stage.analyze(request, _grant(context)))

    async def GetCapabilities(
        self,
        request: pb.GetCapabilitiesRequest,  # noqa: ARG002 - gRPC names the methods and passes the context
        context: Context,  # noqa: ARG002
    ) -> pb.GetCapabilitiesResponse:
        return wire.capabilities_to_proto()

    async def _master(self, request: pb.MasterRequest, work: Work, events: asyncio.Queue[pb.MasterEvent]) -> None:
        result = await self._stage.perform(request, work)
        events.put_nowait(pb.MasterEvent(result=result.master))


async def _next(events: asyncio.Queue[pb.MasterEvent], task: asyncio.Future[None]) -> pb.MasterEvent:
    """The next event; raises what the work raised."""
    getting = asyncio.ensure_future(events.get())
    waiting: list[asyncio.Future[Any]] = [getting, task]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            await task
        return await getting
    finally:
        getting.cancel()


def _work(context: Context, events: asyncio.Queue[pb.MasterEvent]) -> Work:
    loop, grant = asyncio.get_running_loop(), current_grant()

    def tell(fraction: float, message: str = "") -> None:
        event = pb.MasterEvent(progress=pb.MasterEvent.Progress(fraction=fraction, message=message))
        loop.call_soon_threadsafe(events.put_nowait, event)

    return Work(
        job=current_request_id(), tenant=grant.tenant, owner=grant.owner, grant=_grant(context), on_progress=tell
    )


def _grant(context: Context) -> str:
    metadata = dict(context.invocation_metadata() or ())
    return str(metadata.get(GRANT, ""))
