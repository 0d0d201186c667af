"""The store as the other services use it: bytes in, a reference out; a reference in, bytes out.

Digests are checked both ways. This is the one place that retries the store's calls, for 60 s in all: a Put
of what is there already changes nothing, and a Get that broke goes on where it stopped.
"""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from harmonia.store.v1 import store_pb2 as pb
from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia.type.v1 import type_pb2
from harmonia_chassis.access import GRANT
from harmonia_chassis.errors import HarmoniaError, Internal, Reason
from harmonia_chassis.overlap import Overlap
from harmonia_chassis.status import answered, rpc_errors

CHUNK = 256 * 1024
# 1 MiB at a time goes to a thread: a hop costs 0.1 ms, hashing and writing that much about 1 ms.
BATCH_CHUNKS = 4
RETRY_FOR = timedelta(seconds=60)
# One attempt: this, and a second for each MiB.
ATTEMPT = timedelta(seconds=20)
T = TypeVar("T")
OUTPUT = pb.StorageClass.OUTPUT


class StoreClient:
    def __init__(self, channel: grpc.aio.Channel, *, retry_for: timedelta = RETRY_FOR) -> None:
        self._stub = rpc.StoreServiceStub(channel)
        self._retry_for = retry_for

    async def put(
        self,
        source: bytes | Path,
        media_type: str,
        grant: str,
        *,
        storage_class: pb.StorageClass.Class.ValueType = OUTPUT,
    ) -> type_pb2.ArtifactRef:
        """Keeps the bytes; when it returns they are on disk. Putting them again is harmless."""
        size = len(source) if isinstance(source, bytes) else (await asyncio.to_thread(source.stat)).st_size
        header = pb.PutRequest.Header(media_type=media_type, size_bytes=size, storage_class=storage_class)

        async def attempt() -> type_pb2.ArtifactRef:
            sent = hashlib.sha256()
            with rpc_errors():
                requests = _requests(header, source, sent)
                call = self._stub.Put(requests, metadata=((GRANT, grant),), timeout=_timeout_s(size))
                answer = await answered(call)
            if answer.ref.sha256 != sent.hexdigest():
                message = f"the store kept {answer.ref.sha256}, not {sent.hexdigest()}"
                raise Internal(message, reason=Reason.DIGEST_MISMATCH)
            return answer.ref

        return await self._retried(attempt)

    async def get(self, ref: type_pb2.ArtifactRef, grant: str) -> bytes:
        received = bytearray()
        await self._receive(ref, grant, received.extend)
        return bytes(received)

    async def fetch(self, ref: type_pb2.ArtifactRef, grant: str, to: Path) -> None:
        """Into a file, which is there only when it is whole."""
        part = to.with_name(f".{to.name}.part")
        try:
            with await asyncio.to_thread(part.open, "wb") as file:
                await self._receive(ref, grant, file.write)
            await asyncio.to_thread(part.replace, to)
        finally:
            part.unlink(missing_ok=True)

    async def _receive(self, ref: type_pb2.ArtifactRef, grant: str, write: Callable[[bytes], object]) -> None:
        arrived = _Arrived()

        async def attempt() -> None:
            request = pb.GetRequest(sha256=ref.sha256, offset=arrived.size)
            call = self._stub.Get(request, metadata=((GRANT, grant),), timeout=_timeout_s(ref.size_bytes))
            batch: list[bytes] = []
            with rpc_errors():
                async with Overlap() as writing:
                    try:
                        async for response in call:
                            batch.append(response.chunk)
                            if len(batch) == BATCH_CHUNKS:
                                await writing.then(partial(asyncio.to_thread, arrived.take, batch, write))
                                batch = []
                    finally:
                        # Also what came before it broke: the next attempt goes on behind it.
                        await writing.then(partial(asyncio.to_thread, arrived.take, batch, write))

        await self._retried(attempt)
        if arrived.sha256.hexdigest() != ref.sha256:
            raise Internal(f"what came is not {ref.sha256}", reason=Reason.DIGEST_MISMATCH, sha256=ref.sha256)

    async def _retried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, HarmoniaError) and error.retryable),
            stop=stop_after_delay(self._retry_for),
            wait=wait_random_exponential(multiplier=0.1, max=5),
            reraise=True,
        )
        return await retrying(attempt)


@dataclass(slots=True)
class _Arrived:
    """The bytes of an object that have come so far, over all attempts."""

    size: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)

    def take(self, chunks: Iterable[bytes], write: Callable[[bytes], object]) -> None:
        for chunk in chunks:
            write(chunk)
            self.sha256.update(chunk)
            self.size += len(chunk)


async def _requests(
    header: pb.PutRequest.Header, source: bytes | Path, sent: "hashlib._Hash"
) -> AsyncIterator[pb.PutRequest]:
    """The digest comes last: the bytes are read once, and hashed as they go."""
    yield pb.PutRequest(header=header)
    reading = _read(source, sent)
    ahead = asyncio.ensure_future(asyncio.to_thread(next, reading, b""))
    try:
        while block := await asyncio.shield(ahead):
            ahead = asyncio.ensure_future(asyncio.to_thread(next, reading, b""))
            for start in range(0, len(block), CHUNK):
                yield pb.PutRequest(chunk=block[start : start + CHUNK])
    finally:
        await asyncio.wait([ahead])
    yield pb.PutRequest(trailer=pb.PutRequest.Trailer(sha256=sent.hexdigest()))


def _read(source: bytes | Path, sent: "hashlib._Hash") -> Iterator[bytes]:
    with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
        while block := file.read(CHUNK * BATCH_CHUNKS):
            sent.update(block)
            yield block


def _timeout_s(size: int) -> float:
    return ATTEMPT.total_seconds() + size / 2**20
