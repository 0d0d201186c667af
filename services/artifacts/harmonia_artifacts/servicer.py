"""StoreService: streams in and out of a store that blocks, for the tenant and owner of the grant only.

Chunks move between the stream and a thread by the MiB, so the loop stays free and one call holds a few MiB at most.
"""

# ruff: noqa: ARG002 - gRPC names the methods and passes the context
import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any, ParamSpec, TypeVar

import grpc.aio
import structlog

from harmonia.store.v1 import store_pb2 as pb
from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia_artifacts import wire
from harmonia_artifacts.blocks import stored_digest
from harmonia_artifacts.garbage import GRACE, Reach, collected
from harmonia_artifacts.media import SNIFFED_BYTES, uploaded_type
from harmonia_artifacts.store import Arrival, Artifact, Kept, Spool, Store, absent
from harmonia_artifacts.uploads import PIECE_BYTES, Upload, Uploads, check_offset
from harmonia_artifacts.usage import Usage
from harmonia_chassis.access import current_grant
from harmonia_chassis.chunks import Chunk, chunk_message
from harmonia_chassis.errors import InvalidInput, Overloaded, Reason
from harmonia_chassis.identity import Grant
from harmonia_chassis.overlap import Overlap
from harmonia_chassis.testing import Failpoint, never, reach

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

# A thread waits for one disk or S3 call of one stream; more streams than this queue up.
_THREADS = 16
# A hop to a thread costs 0.1 ms, hashing and writing a MiB about 1 ms.
_WORTH_A_HOP_BYTES = 1 << 20
_GARBAGE_AT_ONCE = 4


class StoreServicer(rpc.StoreServiceServicer):
    def __init__(
        self,
        store: Store,
        read_reach: Callable[[], Awaitable[Reach]],
        *,
        now: Callable[[], datetime],
        most_bytes: int,
        grace: timedelta = GRACE,
        failpoint: Failpoint = never,
    ) -> None:
        self._store = store
        self._read_reach = read_reach
        self._usage = Usage(store, most_bytes)
        self._uploads = Uploads(store, now=now)
        self._grace = grace
        self._collecting = asyncio.Lock()
        self._failpoint = failpoint
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")

    async def Put(
        self, request_iterator: AsyncIterator[wire.PutPart], context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.PutResponse:
        requests = aiter(request_iterator)
        announced = wire.announced_from_proto(await anext(requests, pb.PutRequest()))
        with self._store.spool() as spool:
            promised = await self._receive(requests, spool, announced.limit_bytes)
            arrival = await self._run(_checked, announced, promised, spool, current_grant())
            await reach(self._failpoint, "before_put_commit", "")
            artifact = await self._run(self._keep, spool, arrival)
        await reach(self._failpoint, "after_put_commit", "")
        return pb.PutResponse(ref=wire.artifact_to_ref(artifact))

    async def BeginUpload(
        self, request: pb.BeginUploadRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.Upload:
        size_bytes, grant = wire.upload_size_from_proto(request), current_grant()
        await self._run(self._usage.check, grant.tenant, size_bytes)
        upload = await self._run(
            self._uploads.begin,
            grant.tenant,
            owner=grant.owner,
            media_type=request.media_type,
            size_bytes=size_bytes,
            sha256=request.sha256,
        )
        return wire.upload_to_proto(upload)

    async def StatUpload(self, request: pb.StatUploadRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.Upload:
        grant = current_grant()
        upload = await self._run(self._uploads.find, grant.tenant, grant.owner, request.id)
        return wire.upload_to_proto(upload, await self._become(upload) if upload.kept_sha256 else None)

    async def WriteUpload(
        self, request_iterator: AsyncIterator[wire.WritePart], context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.Upload:
        requests, grant = aiter(request_iterator), current_grant()
        header = wire.upload_header_from_proto(await anext(requests, pb.WriteUploadRequest()))
        upload = await self._run(self._uploads.find, grant.tenant, grant.owner, header.id)
        check_offset(upload, header.offset)
        received_bytes = await self._receive_pieces(requests, upload)
        await reach(self._failpoint, "after_upload_pieces", "")
        upload = replace(upload, received_bytes=received_bytes)
        if received_bytes < upload.size_bytes:
            return wire.upload_to_proto(upload)
        return wire.upload_to_proto(upload, await self._become(upload))

    async def Get(  # type: ignore[override]  # bytes are messages that are made already
        self, request: pb.GetRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.GetResponse | bytes]:
        artifact = await self._own(request.sha256)
        async with aclosing(self._served(artifact, request.offset, wire.length_from_proto(request))) as parts:
            async for part in parts:
                yield part

    async def OpenLink(  # type: ignore[override]  # as Get
        self, request: pb.OpenLinkRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.GetResponse | bytes]:
        artifact = await self._run(self._store.linked, request.token)
        async with aclosing(self._served(artifact, request.offset, wire.length_from_proto(request))) as parts:
            async for part in parts:
                yield part

    async def Stat(self, request: pb.StatRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.StatResponse:
        return pb.StatResponse(object=wire.artifact_to_proto(await self._own(request.sha256)))

    async def Verify(self, request: pb.VerifyRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.VerifyResponse:
        artifact = await self._own(request.sha256)
        stored_sha256 = await self._run(stored_digest, self._store, artifact)
        return pb.VerifyResponse(intact=stored_sha256 == artifact.sha256, stored_sha256=stored_sha256)

    async def Link(self, request: pb.LinkRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.LinkResponse:
        valid_for = wire.valid_for_from_proto(request)
        artifact = await self._own(request.sha256)
        link = await self._run(self._store.link, artifact, current_grant().owner, valid_for=valid_for)
        return wire.link_to_proto(link)

    async def List(self, request: pb.ListRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.ListResponse:
        size, after, grant = wire.page_size_from_proto(request), wire.page_token_from_proto(request), current_grant()
        listed = self._store.artifacts(grant.tenant, after=after)
        page = await self._run(_owned, listed, grant.owner, size + 1)
        next_page_token = page[size - 1].sha256 if len(page) > size else ""
        return pb.ListResponse(objects=map(wire.artifact_to_proto, page[:size]), next_page_token=next_page_token)

    async def Usage(self, request: pb.UsageRequest, context: grpc.aio.ServicerContext[Any, Any]) -> pb.UsageResponse:
        used_bytes = await self._run(self._usage.used_bytes, current_grant().tenant)
        return pb.UsageResponse(used_bytes=used_bytes, quota_bytes=self._usage.most_bytes)

    async def Collect(
        self, request: pb.CollectRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[pb.CollectResponse]:
        if self._collecting.locked():
            raise Overloaded(
                "a round of collection is under way", reason=Reason.NO_FREE_SLOT, retry_after=timedelta(minutes=1)
            )
        async with self._collecting:
            reach = await self._read_reach()
            summary = pb.CollectResponse.Summary(records=reach.records)
            garbage = collected(self._store, reach, dry_run=request.dry_run, grace=self._grace)
            async with aclosing(self._batches(garbage, _GARBAGE_AT_ONCE)) as batches:
                async for batch in batches:
                    for each in batch:
                        wire.add_up(summary, each)
                        yield pb.CollectResponse(garbage=wire.garbage_to_proto(each))
            if not request.dry_run:
                self._usage.count_anew()
                await self._run(self._uploads.sweep)
            log.info("garbage collected", dry_run=request.dry_run, **wire.summary_fields(summary))
            yield pb.CollectResponse(summary=summary)

    async def _served(
        self, artifact: Artifact, offset: int, length: int | None
    ) -> AsyncGenerator[pb.GetResponse | bytes, None]:
        chunks = self._store.read(artifact, offset, length)
        messages = (chunk_message(pb.GetResponse.CHUNK_FIELD_NUMBER, chunk) for chunk in chunks)
        async with aclosing(self._batches(messages, 1)) as batches:
            # Before anything is said: an offset outside the object is refused here.
            first: list[bytes] = await anext(batches, [])
            yield pb.GetResponse(object=wire.artifact_to_proto(artifact))
            for message in first:
                yield message
            async for batch in batches:
                for message in batch:
                    yield message

    async def _receive_pieces(self, requests: AsyncIterator[wire.WritePart], upload: Upload) -> int:
        """Each piece is on disk before the next is complete. How many bytes of it all are there."""
        received_bytes, piece = upload.received_bytes, bytearray()
        async for request in requests:
            piece += wire.piece_from_proto(request)
            if received_bytes + len(piece) > upload.size_bytes:
                message = f"more than the {upload.size_bytes} bytes came that were announced"
                raise InvalidInput(message, reason=Reason.TOO_LARGE, field="chunk")
            if len(piece) >= PIECE_BYTES:
                await self._run(self._uploads.write, upload, received_bytes, bytes(piece))
                received_bytes, piece = received_bytes + len(piece), bytearray()
        if piece:
            await self._run(self._uploads.write, upload, received_bytes, bytes(piece))
        return received_bytes + len(piece)

    async def _become(self, upload: Upload) -> Artifact:
        """The object that a complete upload is, or now becomes."""
        if upload.kept_sha256:
            return await self._own(upload.kept_sha256)
        with self._store.spool() as spool:
            await self._run(self._uploads.gathered, upload, spool)
            media_type = await self._run(_sniffed, upload.media_type, spool)
            arrival = Arrival(upload.tenant, upload.owner, media_type, Kept.UPLOAD)
            artifact = await self._run(self._keep, spool, arrival)
        await reach(self._failpoint, "before_upload_done", "")
        await self._run(self._uploads.complete, upload, artifact.sha256)
        return artifact

    async def _receive(self, requests: AsyncIterator[wire.PutPart], spool: Spool, limit_bytes: int) -> str:
        """Hashed and written as it comes. The digest that its trailer promises, or nothing."""
        batch: list[Chunk] = []
        received_bytes, waiting_bytes, promised = 0, 0, ""
        async with Overlap() as writing:
            async for request in requests:
                if wire.is_trailer(request):
                    promised = request.trailer.sha256
                    break
                batch.append(wire.chunk_from_proto(request))
                waiting_bytes += len(batch[-1])
                received_bytes += len(batch[-1])
                if received_bytes > limit_bytes:
                    message = f"more than {limit_bytes} bytes came"
                    raise InvalidInput(message, reason=Reason.TOO_LARGE, field="header.size_bytes")
                if waiting_bytes >= _WORTH_A_HOP_BYTES:
                    await writing.then(partial(self._run, spool.write, batch))
                    batch, waiting_bytes = [], 0
            await writing.then(partial(self._run, spool.write, batch))
        return promised

    def _keep(self, spool: Spool, arrival: Arrival) -> Artifact:
        with self._usage.taken(arrival.tenant, spool.sha256, spool.size_bytes, arrival.kept):
            return self._store.keep(spool, arrival)

    async def _own(self, sha256: str) -> Artifact:
        grant = current_grant()
        artifact = await self._run(self._store.find, grant.tenant, sha256)
        if grant.owner not in artifact.owners:
            raise absent(sha256)
        return artifact

    async def _batches(self, found: Iterator[T], count: int) -> AsyncGenerator[list[T], None]:
        """The next is fetched while the caller sends the one before."""
        fetch = partial(self._run, _taken, found, count)
        ahead = asyncio.ensure_future(fetch())
        try:
            while batch := await asyncio.shield(ahead):
                ahead = asyncio.ensure_future(fetch())
                yield batch
        finally:
            await asyncio.wait([ahead])
            ahead.exception()

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """In a thread. A cancelled call waits for it: nothing may close a file that is being read or written."""
        running = asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise


def _taken(found: Iterator[T], count: int) -> list[T]:
    return list(islice(found, count))


def _owned(artifacts: Iterator[Artifact], owner: str, count: int) -> list[Artifact]:
    return list(islice((artifact for artifact in artifacts if owner in artifact.owners), count))


def _checked(announced: wire.Announced, promised: str, spool: Spool, grant: Grant) -> Arrival:
    if announced.size_bytes and announced.size_bytes != spool.size_bytes:
        message = f"{spool.size_bytes} bytes came, {announced.size_bytes} were announced"
        raise InvalidInput(message, reason=Reason.DIGEST_MISMATCH, field="header.size_bytes")
    if announced.sha256 and announced.sha256 != spool.sha256:
        message = f"the bytes that came are {spool.sha256}, not {announced.sha256}"
        raise InvalidInput(message, reason=Reason.DIGEST_MISMATCH, field="header.sha256")
    if promised and promised != spool.sha256:
        message = f"the bytes that came are {spool.sha256}, not {promised}"
        raise InvalidInput(message, reason=Reason.DIGEST_MISMATCH, field="trailer.sha256")
    media_type = announced.media_type
    if announced.kept is Kept.UPLOAD:
        media_type = _sniffed(media_type, spool)
    return Arrival(tenant=grant.tenant, owner=grant.owner, media_type=media_type, kept=announced.kept)


def _sniffed(media_type: str, spool: Spool) -> str:
    return uploaded_type(media_type, spool.start(SNIFFED_BYTES))
