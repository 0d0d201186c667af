"""Artifacts that keep nothing, as the ceiling of what a store behind gRPC can do: same doors, same framing, no store.

A Put is read to its end and answered with the digest that the client computed; a Get brings the last object again,
which the benchmark made of one MiB repeated.
"""

from collections.abc import AsyncIterator
from typing import Any

from harmonia.store.v1 import store_pb2 as pb
from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia.type.v1 import type_pb2
from harmonia_artifacts import wire
from harmonia_artifacts.framing import add_to_server
from harmonia_artifacts.settings import Settings
from harmonia_chassis.chunks import chunk_message
from harmonia_chassis.node import Node, run_service


class Blank(rpc.StoreServiceServicer):
    def __init__(self) -> None:
        self._size = 0
        self._chunk = b""

    async def Put(self, requests: AsyncIterator[wire.PutPart], _context: Any) -> pb.PutResponse:
        self._size, self._chunk, sha256 = 0, b"", ""
        async for request in requests:
            if wire.is_trailer(request):
                sha256 = request.trailer.sha256
            elif isinstance(request, memoryview):
                self._size += len(request)
                self._chunk = self._chunk or bytes(request)
        return pb.PutResponse(ref=type_pb2.ArtifactRef(sha256=sha256, size_bytes=self._size))

    async def Get(  # type: ignore[override]  # bytes are messages that are made already
        self, request: pb.GetRequest, _context: Any
    ) -> AsyncIterator[pb.GetResponse | bytes]:
        yield pb.GetResponse(object=pb.Object())
        for _ in range(self._size // len(self._chunk)):
            yield chunk_message(pb.GetResponse.CHUNK_FIELD_NUMBER, self._chunk)


async def start(node: Node[Settings]) -> None:
    node.serve(add_to_server, Blank())  # type: ignore[abstract]  # the other methods answer UNIMPLEMENTED


if __name__ == "__main__":
    run_service("artifacts", Settings, start)
