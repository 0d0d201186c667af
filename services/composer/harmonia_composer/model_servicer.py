"""ModelStoreService: what lies on the disk of this composer."""

# ruff: noqa: ARG002 - gRPC names the methods and passes the context
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio

from harmonia.model.v1 import model_pb2 as pb
from harmonia.model.v1 import model_pb2_grpc as rpc
from harmonia_chassis.errors import InvalidInput, NotFound, Reason
from harmonia_composer.importing import Importer
from harmonia_composer.models import Inventory, Model, Models

Context = grpc.aio.ServicerContext[Any, Any]


class ModelServicer(rpc.ModelStoreServiceServicer):
    def __init__(self, models: Models, importer: Importer) -> None:
        self._models = models
        self._importer = importer

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        found = await asyncio.to_thread(self._models.list)
        return pb.ListModelsResponse(models=[model_to_proto(model) for model in found])

    async def GetModel(self, request: pb.GetModelRequest, context: Context) -> pb.Model:
        name = name_of(request.name)
        found = await asyncio.to_thread(self._models.list)
        for model in found:
            if model.inventory.name == name:
                return model_to_proto(model)
        return inventory_to_proto(await asyncio.to_thread(self._models.get, name))

    async def ImportModel(self, request: pb.ImportModelRequest, context: Context) -> AsyncIterator[pb.ModelEvent]:
        events: asyncio.Queue[pb.ModelEvent | None] = asyncio.Queue()

        def tell(fraction: float, message: str) -> None:
            events.put_nowait(pb.ModelEvent(progress=pb.ModelEvent.Progress(fraction=fraction, message=message)))

        bringing = asyncio.ensure_future(self._imported(request, tell))
        bringing.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            yield pb.ModelEvent(model=inventory_to_proto(await bringing))
        finally:
            bringing.cancel()
            await asyncio.wait([bringing])

    async def VerifyModel(self, request: pb.VerifyModelRequest, context: Context) -> pb.Model:
        return inventory_to_proto(await asyncio.to_thread(self._models.verify, name_of(request.name)))

    async def EvictModel(self, request: pb.EvictModelRequest, context: Context) -> pb.Model:
        return inventory_to_proto(await asyncio.to_thread(self._models.evict, name_of(request.name)))

    async def _imported(self, request: pb.ImportModelRequest, tell: Any) -> Inventory:
        source = request.WhichOneof("source")
        if source == "folder":
            return await self._importer.from_folder(
                Path(request.folder), name=request.name, licence=request.licence, tell=tell
            )
        if source == "repository":
            return await self._importer.from_repository(
                request.repository, name=request.name, licence=request.licence, tell=tell
            )
        if source == "prefix":
            return await self._importer.from_prefix(
                request.prefix, name=request.name, licence=request.licence, tell=tell
            )
        raise InvalidInput("say where from: folder, repository or prefix", reason=Reason.MISSING, field="source")


def name_of(name: str) -> str:
    collection, _, model = name.partition("/")
    if collection != "models" or not model:
        message = f"{name[:80]!r} names no model: names are models/ and what ListModels tells"
        raise NotFound(message, reason=Reason.MODEL_NOT_FOUND, field="name")
    return model


def model_to_proto(model: Model) -> pb.Model:
    told = inventory_to_proto(model.inventory)
    told.resident = model.resident
    return told


def inventory_to_proto(inventory: Inventory) -> pb.Model:
    told = pb.Model(
        name=f"models/{inventory.name}",
        licence=inventory.licence,
        origin=inventory.origin,
        revision=inventory.revision,
        digest=inventory.digest,
        bytes=inventory.bytes,
        files=[pb.Model.File(path=file.path, bytes=file.bytes, sha256=file.sha256) for file in inventory.files],
    )
    told.import_time.FromJsonString(inventory.imported_at)
    return told
