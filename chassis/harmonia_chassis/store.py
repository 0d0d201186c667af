"""The store as the other services use it: bytes in, a reference out; a reference in, bytes out.

Digests are checked both ways. This is the one place that retries the store's calls, for 60 s in all: a Put
of what is there already changes nothing, and a Get that broke goes on where it stopped.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc

from harmonia.store.v1 import store_pb2 as pb
from harmonia.type.v1 import type_pb2
from harmonia_chassis.access import GRANT
from harmonia_chassis.chunks import Chunk, chunk_in, chunk_message
from harmonia_chassis.errors import Internal, Reason
from harmonia_chassis.overlap import Overlap
from harmonia_chassis.retry import retried
from harmonia_chassis.status import answered, rpc_errors

# Also what goes to a thread at a time: a hop costs 0.1 ms, hashing and writing that much about 1 ms.
CHUNK = 1 << 20
RETRY_FOR = timedelta(seconds=60)
# One attempt: this, and a second for each MiB.
ATTEMPT = timedelta(seconds=20)
T = TypeVar("T")
# A chunk, and how many bytes come before it.
Write = Callable[[Chunk, int], object]
OUTPUT = pb.StorageClass.OUTPUT
_SERVICE = "/harmonia.store.v1.StoreService"


class StoreClient:
    def __init__(self, channel: grpc.aio.Channel, *, retry_for: timedelta = RETRY_FOR) -> None:
        # Not the generated stub, because of the chunks.
        self._put = channel.stream_unary(f"{_SERVICE}/Put", _put_request, pb.PutResponse.FromString)
        self._get = channel.unary_stream(f"{_SERVICE}/Get", pb.GetRequest.SerializeToString, _get_response)
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
                call = self._put(requests, metadata=((GRANT, grant),), timeout=_timeout_s(size))
                answer: pb.PutResponse = await answered(call)
            if answer.ref.sha256 != sent.hexdigest():
                message = f"the store kept {answer.ref.sha256}, not {sent.hexdigest()}"
                raise Internal(message, reason=Reason.DIGEST_MISMATCH)
            return answer.ref

        return await retried(attempt, within=self._retry_for)

    async def get(self, ref: type_pb2.ArtifactRef, grant: str) -> bytes:
        received: list[Chunk] = []
        await self._receive(ref, grant, lambda chunk, _at: received.append(chunk))
        return b"".join(received)

    async def fetch(self, ref: type_pb2.ArtifactRef, grant: str, to: Path) -> None:
        """Into a file, which is there only when it is whole."""
        part = to.with_name(f".{to.name}.part")
        try:
            with await asyncio.to_thread(part.open, "wb", buffering=0) as file:
                await self._receive(ref, grant, partial(_write, file.fileno()))
            await asyncio.to_thread(part.replace, to)
        finally:
            part.unlink(missing_ok=True)

    async def _receive(self, ref: type_pb2.ArtifactRef, grant: str, write: Write) -> None:
        arrived = _Arrived()

        async def attempt() -> None:
            request = pb.GetRequest(sha256=ref.sha256, offset=arrived.size)
            call = self._get(request, metadata=((GRANT, grant),), timeout=_timeout_s(ref.size_bytes))
            with rpc_errors():
                # What came before it broke is kept: the next attempt goes on behind it.
                async with Overlap() as writing:
                    async for chunk in call:
                        await writing.then(partial(asyncio.to_thread, arrived.take, chunk, write))

        await retried(attempt, within=self._retry_for)
        if arrived.sha256.hexdigest() != ref.sha256:
            raise Internal(f"what came is not {ref.sha256}", reason=Reason.DIGEST_MISMATCH, sha256=ref.sha256)


@dataclass(slots=True)
class _Arrived:
    """The bytes of an object that have come so far, over all attempts."""

    size: int = 0
    sha256: Any = field(default_factory=hashlib.sha256)

    def take(self, chunk: Chunk, write: Write) -> None:
        write(chunk, self.size)
        self.sha256.update(chunk)
        self.size += len(chunk)


async def _requests(
    header: pb.PutRequest.Header, source: bytes | Path, sent: "hashlib._Hash"
) -> AsyncIterator[pb.PutRequest | bytes]:
    """The digest comes last: the bytes are read once, and hashed as they go."""
    yield pb.PutRequest(header=header)
    reading = _read(source, sent)
    ahead = asyncio.ensure_future(asyncio.to_thread(next, reading, b""))
    try:
        while request := await asyncio.shield(ahead):
            ahead = asyncio.ensure_future(asyncio.to_thread(next, reading, b""))
            yield request
    finally:
        await asyncio.wait([ahead])
    yield pb.PutRequest(trailer=pb.PutRequest.Trailer(sha256=sent.hexdigest()))


def _read(source: bytes | Path, sent: "hashlib._Hash") -> Iterator[bytes]:
    for chunk in _sliced(source) if isinstance(source, bytes) else _chunks(source):
        sent.update(chunk)
        yield chunk_message(pb.PutRequest.CHUNK_FIELD_NUMBER, chunk)


def _sliced(source: bytes) -> Iterator[Chunk]:
    whole = memoryview(source)
    yield from (whole[at : at + CHUNK] for at in range(0, len(whole), CHUNK))


def _chunks(source: Path) -> Iterator[Chunk]:
    with source.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _put_request(request: pb.PutRequest | bytes) -> bytes:
    return request if isinstance(request, bytes) else request.SerializeToString()


def _get_response(message: bytes) -> Chunk:
    """The first response, which says what the object is, has no bytes."""
    chunk = chunk_in(message, pb.GetResponse.CHUNK_FIELD_NUMBER)
    return pb.GetResponse.FromString(message).chunk if chunk is None else chunk


def _write(descriptor: int, chunk: Chunk, at: int) -> None:
    """At its place: what an attempt that broke off has half written is written over."""
    rest = memoryview(chunk)
    while rest:
        written = os.pwrite(descriptor, rest, at)
        rest, at = rest[written:], at + written


def _timeout_s(size: int) -> float:
    return ATTEMPT.total_seconds() + size / 2**20
