"""ModelService at the public door, through the composer, where the weights lie."""

from collections.abc import AsyncIterator

import grpc

from harmonia.model.v1 import model_pb2 as pb
from harmonia.model.v1 import model_pb2_grpc as rpc
from harmonia_chassis.access import current_principal
from harmonia_gateway import rules
from harmonia_gateway.capabilities import Capabilities
from harmonia_gateway.quotas import Quotas

_ANSWER_S = 10.0
# Reading ten gigabytes again, and bringing them over a line of 10 Mbit/s.
_VERIFY_S, _IMPORT_S = 300.0, 4 * 3600.0


class ModelServicer(rpc.ModelServiceServicer):
    """What the composer offers has changed when a model came or went: capabilities are asked for again at once."""

    def __init__(self, *, composer: grpc.aio.Channel, capabilities: Capabilities, quotas: Quotas) -> None:
        self._composer = rpc.ModelStoreServiceStub(composer)
        self._capabilities = capabilities
        self._quotas = quotas

    async def ListModels(self, request: pb.ListModelsRequest, _context: object) -> pb.ListModelsResponse:
        self._quotas.reads.take(current_principal().tenant)
        return await self._composer.ListModels(request, timeout=_ANSWER_S)

    async def GetModel(self, request: pb.GetModelRequest, _context: object) -> pb.Model:
        self._quotas.reads.take(current_principal().tenant)
        return await self._composer.GetModel(request, timeout=_ANSWER_S)

    async def ImportModel(self, request: pb.ImportModelRequest, _context: object) -> AsyncIterator[pb.ModelEvent]:
        rules.refuse_unknown_fields(request)
        call = self._composer.ImportModel(request, timeout=_IMPORT_S)
        try:
            async for event in call:
                if event.HasField("model"):
                    await self._capabilities.ask()
                yield event
        finally:
            call.cancel()

    async def VerifyModel(self, request: pb.VerifyModelRequest, _context: object) -> pb.Model:
        return await self._composer.VerifyModel(request, timeout=_VERIFY_S)

    async def EvictModel(self, request: pb.EvictModelRequest, _context: object) -> pb.Model:
        evicted = await self._composer.EvictModel(request, timeout=_ANSWER_S)
        await self._capabilities.ask()
        return evicted
