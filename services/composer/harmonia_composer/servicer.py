"""ComposerService: the call door, for drafts of at most 15 seconds, and what the engines can do."""

# ruff: noqa: ARG002 - gRPC names the methods and passes the context
import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc.aio

from harmonia.composer.v1 import composer_pb2 as pb
from harmonia.composer.v1 import composer_pb2_grpc as rpc
from harmonia_chassis.access import GRANT, current_grant
from harmonia_chassis.errors import FailedPrecondition, Reason
from harmonia_chassis.slots import Slots
from harmonia_chassis.worker import Work
from harmonia_composer import wire
from harmonia_composer.compose import Composer

DRAFT_SECONDS = 15.0
# Four a second are as many as anybody looks at.
PROGRESS_EVERY_S = 0.25

Context = grpc.aio.ServicerContext[Any, Any]


class ComposerServicer(rpc.ComposerServiceServicer):
    def __init__(self, composer: Composer, slots: Mapping[str, Slots]) -> None:
        self._composer = composer
        self._slots = slots

    async def Compose(self, request: pb.ComposeRequest, context: Context) -> AsyncIterator[pb.ComposeEvent]:
        asked = request.brief.duration_seconds * request.variations
        if asked > DRAFT_SECONDS:
            raise FailedPrecondition(
                f"{asked:g} s of music is more than a draft of {DRAFT_SECONDS:g} s: create a song instead",
                reason=Reason.TOO_LARGE,
                field="brief.duration_seconds",
            )
        events: asyncio.Queue[pb.ComposeEvent | None] = asyncio.Queue()
        work = _work(events, dict(context.invocation_metadata() or ()))
        composing = asyncio.ensure_future(self._composed(request, work))
        composing.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            yield pb.ComposeEvent(result=await composing)
        finally:
            # The caller has gone, or it is done: nobody composes on for nobody.
            composing.cancel()
            await asyncio.wait([composing])

    async def GetCapabilities(self, request: pb.GetCapabilitiesRequest, context: Context) -> pb.GetCapabilitiesResponse:
        engines = self._composer.engines.values()
        return pb.GetCapabilitiesResponse(engines=[wire.capabilities_to_proto(engine) for engine in engines])

    async def _composed(self, request: pb.ComposeRequest, work: Work) -> pb.ComposeResult:
        async with self._slots[self._composer.engine(request.engine).name]:
            done = await self._composer.perform(request, work)
        return done.compose


def _work(events: asyncio.Queue[pb.ComposeEvent | None], metadata: dict[str, Any]) -> Work:
    """Work whose progress, told from any thread, goes to the caller."""
    grant, loop = current_grant(), asyncio.get_running_loop()
    last = 0.0

    def tell(fraction: float, message: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_EVERY_S:
            last = now
            event = pb.ComposeEvent(progress=pb.ComposeEvent.Progress(fraction=fraction, message=message))
            loop.call_soon_threadsafe(events.put_nowait, event)

    def hear(preview: pb.ComposeEvent.Preview) -> None:
        loop.call_soon_threadsafe(events.put_nowait, pb.ComposeEvent(preview=preview))

    return Work(
        job=grant.subject,
        tenant=grant.tenant,
        owner=grant.owner,
        grant=str(metadata.get(GRANT, "")),
        on_progress=tell,
        on_preview=hear,
    )
