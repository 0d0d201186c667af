"""The store as the other services use it: bytes in, a reference out; a reference in, bytes out.

Digests are checked both ways. This is the one place that retries the store's calls, for 60 s in all: a Put
of what is there already changes nothing, and a Get that broke goes on where it stopped.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import grpc
from tenacity import AsyncRetrying, retry_if_exception, stop_after_delay, wait_random_exponential

from harmonia.store.v1 import store_pb2 as pb
from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia.type.v1 import type_pb2
from harmonia_chassis.access import GRANT
from harmonia_chassis.errors import HarmoniaError, Internal, Reason
from harmonia_chassis.status import rpc_errors

CHUNK = 256 * 1024
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
        sha256, size = await _digest(source)
        header = pb.PutRequest.Header(
            sha256=sha256, media_type=media_type, size_bytes=size, storage_class=storage_class
        )

        async def attempt() -> type_pb2.ArtifactRef:
            with rpc_errors():
                answer = await self._stub.Put(
                    _requests(header, source), metadata=((GRANT, grant),), timeout=_timeout_s(size)
                )
            return answer.ref

        ref = await self._retried(attempt)
        if ref.sha256 != sha256:
            raise Internal(f"the store kept {ref.sha256}, not {sha256}", reason=Reason.DIGEST_MISMATCH)
        return ref

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
            with rpc_errors():
                async for response in call:
                    if response.chunk:
                        await asyncio.to_thread(arrived.take, response.chunk, write)

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

    def take(self, chunk: bytes, write: Callable[[bytes], object]) -> None:
        write(chunk)
        self.sha256.update(chunk)
        self.size += len(chunk)


async def _digest(source: bytes | Path) -> tuple[str, int]:
    if isinstance(source, bytes):
        return (await asyncio.to_thread(hashlib.sha256, source)).hexdigest(), len(source)
    return await asyncio.to_thread(_digest_of_file, source)


def _digest_of_file(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


async def _requests(header: pb.PutRequest.Header, source: bytes | Path) -> AsyncIterator[pb.PutRequest]:
    yield pb.PutRequest(header=header)
    async for chunk in _chunks(source):
        yield pb.PutRequest(chunk=chunk)


async def _chunks(source: bytes | Path) -> AsyncIterator[bytes]:
    if isinstance(source, bytes):
        for start in range(0, len(source), CHUNK):
            yield source[start : start + CHUNK]
        return
    file: BinaryIO
    with await asyncio.to_thread(source.open, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK):
            yield chunk


def _timeout_s(size: int) -> float:
    return ATTEMPT.total_seconds() + size / 2**20
