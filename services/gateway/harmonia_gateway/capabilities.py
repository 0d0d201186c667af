"""What the mesh can do: asked of its services again and again, kept as an entity for when they are away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import grpc
import structlog
from google.protobuf.message import Message

from harmonia.capability.v1 import capability_pb2 as pb
from harmonia.composer.v1 import composer_pb2, composer_pb2_grpc
from harmonia.lyricist.v1 import lyricist_pb2, lyricist_pb2_grpc
from harmonia.mastering.v1 import mastering_pb2, mastering_pb2_grpc
from harmonia_chassis.entities import Entities
from harmonia_chassis.errors import HarmoniaError, Reason, Unavailable
from harmonia_gateway import limits

log = structlog.get_logger()

KIND, ID = "capabilities", "mesh"
_UNTIL_KNOWN_S = 0.5
_AGAIN_S = 30.0
_ANSWER_S = 5.0
# A mesh that has just started answers a create a moment later instead of refusing it; after that a client's own
# retries must get their answer within its deadline.
_PATIENCE_S = 5.0

Channel = Callable[[str], grpc.aio.Channel]
Answer = TypeVar("Answer")


class Capabilities:
    """The newest that is known. One background task asks; everybody reads."""

    def __init__(self, entities: Entities, channel: Channel) -> None:
        self._entities = entities
        self._channel = channel
        self._known = asyncio.Event()
        self._patient_until = time.monotonic() + _PATIENCE_S
        self._current = pb.Capabilities()

    async def current(self) -> pb.Capabilities:
        """Raises Unavailable when no engine has said anything yet."""
        try:
            async with asyncio.timeout(max(self._patient_until - time.monotonic(), 0)):
                await self._known.wait()
        except TimeoutError:
            raise Unavailable(
                "no engine has said yet what it can do: try again when the composer is up",
                reason=Reason.CAPABILITIES_UNKNOWN,
                retry_after=timedelta(seconds=2),
            ) from None
        return self._current

    async def run(self, ready: Callable[[], None]) -> None:
        if stored := await self._entities.get(KIND, ID):
            self._take(pb.Capabilities.FromString(stored[1]))
        ready()
        while True:
            answered = await self.ask()
            await asyncio.sleep(_AGAIN_S if answered else _UNTIL_KNOWN_S)

    async def ask(self) -> bool:
        """True when all have answered; what one does not say stays as it was known."""
        composer = composer_pb2_grpc.ComposerServiceStub(self._channel("composer"))
        lyricist = lyricist_pb2_grpc.LyricistServiceStub(self._channel("lyricist"))
        mastering = mastering_pb2_grpc.MasteringServiceStub(self._channel("mastering"))
        engines, languages, levels = await asyncio.gather(
            _answer(composer.GetCapabilities, composer_pb2.GetCapabilitiesRequest()),
            _answer(lyricist.GetCapabilities, lyricist_pb2.GetCapabilitiesRequest()),
            _answer(mastering.GetCapabilities, mastering_pb2.GetCapabilitiesRequest()),
        )
        if engines is None or languages is None or levels is None:
            return False
        told = merged(engines.engines, languages.languages, levels)
        if told.engines:
            await self._keep(told)
        return bool(told.engines)

    async def _keep(self, told: pb.Capabilities) -> None:
        changed = _undated(told) != _undated(self._current)
        told.update_time.FromDatetime(datetime.now(UTC))
        self._take(told)
        if changed:
            log.info("capabilities", engines=[engine.name for engine in told.engines])
            await self._entities.put(KIND, ID, told.SerializeToString())

    def _take(self, told: pb.Capabilities) -> None:
        self._current = told
        self._known.set()


def merged(
    engines: Sequence[pb.Engine], languages: Sequence[str], levels: mastering_pb2.GetCapabilitiesResponse
) -> pb.Capabilities:
    """One answer of three. Which languages there are is the lyricist's to say, unless the engine takes none."""
    told = pb.Capabilities(engines=engines, presets=levels.presets, formats=levels.formats, limits=LIMITS)
    for engine in told.engines:
        if all(field.field != "language" for field in engine.fields):
            engine.fields.add(field="language", support=pb.FieldSupport.EXACT)
        for field in engine.fields:
            if field.field == "language" and field.support == pb.FieldSupport.EXACT:
                field.values[:] = languages
    return told


LIMITS = pb.Limits(
    prompt_characters=limits.PROMPT_CHARACTERS,
    lyrics_characters=limits.LYRICS_CHARACTERS,
    min_duration_seconds=limits.DURATION_S[0],
    max_duration_seconds=limits.DURATION_S[1],
    variations=limits.VARIATIONS,
    batch_size=limits.BATCH_SIZE,
    upload_bytes=limits.UPLOAD_BYTES,
    upload_seconds=limits.UPLOAD_SECONDS,
)


def _undated(told: pb.Capabilities) -> pb.Capabilities:
    copy = pb.Capabilities()
    copy.CopyFrom(told)
    copy.ClearField("update_time")
    return copy


async def _answer(call: Callable[..., Awaitable[Answer]], request: Message) -> Answer | None:
    try:
        return await call(request, timeout=_ANSWER_S)
    except (grpc.aio.AioRpcError, HarmoniaError) as error:  # the latter: no token for the call yet
        log.debug("no capabilities yet", error=type(error).__name__)
        return None
