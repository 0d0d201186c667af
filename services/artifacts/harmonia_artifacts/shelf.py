"""ShelfService: folders of weights on the mesh's S3, for the composer, which holds no keys of it. Only reads."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from harmonia.model.v1 import model_pb2 as pb
from harmonia.model.v1 import model_pb2_grpc as rpc
from harmonia_chassis.errors import FailedPrecondition, Reason

if TYPE_CHECKING:
    from harmonia_artifacts.s3_shelf import Shelf

# Models come one at a time; a thread waits for S3.
_THREADS = 4


class ShelfServicer(rpc.ShelfServiceServicer):
    """None: this mesh keeps its objects in a folder, and there is no S3."""

    def __init__(self, shelf: "Shelf | None") -> None:
        self._shelf = shelf
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="shelf")

    async def ListWeights(self, request: pb.ListWeightsRequest, _context: object) -> pb.ListWeightsResponse:
        loop = asyncio.get_running_loop()
        files = await loop.run_in_executor(self._threads, self._there().files, request.bucket, request.folder)
        return pb.ListWeightsResponse(files=files)

    async def ReadWeights(
        self, request: pb.ReadWeightsRequest, _context: object
    ) -> AsyncIterator[pb.ReadWeightsResponse]:
        loop, chunks = asyncio.get_running_loop(), self._there().chunks(request)
        try:
            while chunk := await loop.run_in_executor(self._threads, next, chunks, b""):
                yield pb.ReadWeightsResponse(chunk=chunk)
        finally:
            # Behind whatever the thread still does with it.
            await asyncio.shield(loop.run_in_executor(self._threads, _closed, chunks))

    def _there(self) -> "Shelf":
        if self._shelf is None:
            message = "this mesh keeps its objects in a folder and reads no S3: import the model from a folder"
            raise FailedPrecondition(message, reason=Reason.NOT_SUPPORTED, field="prefix")
        return self._shelf


def _closed(chunks: Iterator[bytes]) -> None:
    chunks.close()  # type: ignore[attr-defined]  # a generator
