"""The weights of a mesh: what there is, and, for an operator, what comes and goes."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import grpc

from harmonia.model.v1 import model_pb2 as pb
from harmonia.model.v1 import model_pb2_grpc as rpc
from harmonia_chassis.status import rpc_errors

_CALL_S = 20.0
# Ten gigabytes are read again, or come over a slow line.
_VERIFY_S, _IMPORT_S = 310.0, 4 * 3600.0


class AsyncModels:
    """`client.models`; importing, verifying and evicting ask for an operator's token."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._calls: rpc.ModelServiceAsyncStub = rpc.ModelServiceStub(channel)

    async def list(self) -> Sequence[pb.Model]:
        with rpc_errors():
            return (await self._calls.ListModels(pb.ListModelsRequest(), timeout=_CALL_S)).models

    async def get(self, name: str) -> pb.Model:
        with rpc_errors():
            return await self._calls.GetModel(pb.GetModelRequest(name=model_name(name)), timeout=_CALL_S)

    async def bring(
        self, *, folder: Path | None = None, repository: str = "", prefix: str = "", name: str = "", licence: str = ""
    ) -> AsyncGenerator[pb.ModelEvent, None]:
        """Progress, then the model. From a folder, by its whole path, on the machine of the mesh; or from a repository,
        as in "facebook/musicgen-small@main"; or from the mesh's S3, as in "s3://bucket/models/small". licence: SPDX
        id, where the source states none.
        """
        request = pb.ImportModelRequest(name=name, licence=licence)
        if folder is not None:
            request.folder = str(folder)
        elif prefix:
            request.prefix = prefix
        else:
            request.repository = repository
        call = self._calls.ImportModel(request, timeout=_IMPORT_S)
        try:
            with rpc_errors():
                async for event in call:
                    yield event
        finally:
            call.cancel()

    async def verify(self, name: str) -> pb.Model:
        """Raises FailedPrecondition with the first file that is not what the inventory says."""
        with rpc_errors():
            return await self._calls.VerifyModel(pb.VerifyModelRequest(name=model_name(name)), timeout=_VERIFY_S)

    async def evict(self, name: str) -> pb.Model:
        with rpc_errors():
            return await self._calls.EvictModel(pb.EvictModelRequest(name=model_name(name)), timeout=_CALL_S)


def model_name(text: str) -> str:
    """From what people write: with or without "models/"."""
    return text if text.startswith("models/") else f"models/{text}"
