"""ArtifactService at the public door: the store, as far as the caller's grant reaches.

Bytes pass through chunk by chunk: gRPC's flow control holds back whichever side is faster.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import grpc

from harmonia.artifact.v1 import artifact_pb2 as pb
from harmonia.artifact.v1 import artifact_pb2_grpc as rpc
from harmonia.store.v1 import store_pb2, store_pb2_grpc
from harmonia_chassis.access import GRANT, current_principal
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_chassis.identity import TokenSigner
from harmonia_chassis.status import answered
from harmonia_gateway import limits, rules
from harmonia_gateway.collector import Collector
from harmonia_gateway.grants import call_grant
from harmonia_gateway.names import artifact_digest, upload_id
from harmonia_gateway.quotas import Quotas

_DEFAULT_PAGE_SIZE = 100
_PAGE_SIZE = 1000
_LINK_S = (120, 300)
# No transfer takes longer: 200 MiB over 3 Mbit/s.
_LONGEST_S = 600.0


class ArtifactServicer(rpc.ArtifactServiceServicer):
    def __init__(
        self, *, artifacts: grpc.aio.Channel, signer: TokenSigner, quotas: Quotas, collector: Collector
    ) -> None:
        self._collector = collector
        self._store = store_pb2_grpc.StoreServiceStub(artifacts)
        self._signer = signer
        self._quotas = quotas

    async def UploadArtifact(
        self, request_iterator: AsyncIterator[pb.UploadArtifactRequest], _context: object
    ) -> pb.Artifact:
        metadata = self._admitted()
        requests = aiter(request_iterator)
        parts = _Parts(_header(await anext(requests, pb.UploadArtifactRequest())), requests)
        try:
            put = await answered(self._store.Put(parts.checked(), metadata=metadata, timeout=_LONGEST_S))
        except (grpc.aio.AioRpcError, asyncio.CancelledError):
            # gRPC cancels a call whose requests raise, and does not say why.
            if parts.refused is not None:
                raise parts.refused from None
            raise
        return await self._stat(put.ref.sha256, metadata)

    async def CreateUpload(self, request: pb.CreateUploadRequest, _context: object) -> pb.Upload:
        rules.refuse_unknown_fields(request)
        begin = store_pb2.BeginUploadRequest(
            media_type=request.media_type, size_bytes=request.size_bytes, sha256=request.sha256
        )
        return _upload(await self._store.BeginUpload(begin, metadata=self._admitted()))

    async def GetUpload(self, request: pb.GetUploadRequest, _context: object) -> pb.Upload:
        rules.refuse_unknown_fields(request)
        stat, metadata = store_pb2.StatUploadRequest(id=upload_id(request.name)), self._admitted()
        return await self._with_artifact(await self._store.StatUpload(stat, metadata=metadata), metadata)

    async def WriteUpload(self, request_iterator: AsyncIterator[pb.WriteUploadRequest], _context: object) -> pb.Upload:
        metadata, requests = self._admitted(), aiter(request_iterator)
        first = await anext(requests, pb.WriteUploadRequest())
        rules.refuse_unknown_fields(first)
        header = store_pb2.WriteUploadRequest.Header(
            id=upload_id(first.header.name, field="header.name"), offset=first.header.offset
        )

        async def parts() -> AsyncIterator[store_pb2.WriteUploadRequest]:
            yield store_pb2.WriteUploadRequest(header=header)
            async for request in requests:
                yield store_pb2.WriteUploadRequest(chunk=request.chunk)

        call = self._store.WriteUpload(parts(), metadata=metadata, timeout=_LONGEST_S)
        return await self._with_artifact(await answered(call), metadata)

    async def DownloadArtifact(
        self, request: pb.DownloadArtifactRequest, _context: object
    ) -> AsyncIterator[pb.DownloadArtifactResponse]:
        rules.refuse_unknown_fields(request)
        if request.offset < 0:
            message = f"offset is {request.offset}: it must be the number of bytes to skip"
            raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="offset")
        if request.length < 0:
            message = f"length is {request.length}: it must be the number of bytes to send, or 0 for all"
            raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="length")
        get = store_pb2.GetRequest(sha256=artifact_digest(request.name), offset=request.offset, length=request.length)
        call = self._store.Get(get, metadata=self._admitted(), timeout=_LONGEST_S)
        try:
            async for part in call:
                if part.HasField("object"):
                    yield pb.DownloadArtifactResponse(artifact=_artifact(part.object))
                else:
                    for chunk in _public_chunks(part.chunk):
                        yield pb.DownloadArtifactResponse(chunk=chunk)
        finally:
            call.cancel()

    async def GetArtifact(self, request: pb.GetArtifactRequest, _context: object) -> pb.Artifact:
        rules.refuse_unknown_fields(request)
        return await self._stat(artifact_digest(request.name), self._admitted())

    async def CreateArtifactLink(self, request: pb.CreateArtifactLinkRequest, _context: object) -> pb.ArtifactLink:
        rules.refuse_unknown_fields(request)
        link = store_pb2.LinkRequest(sha256=artifact_digest(request.name))
        link.valid_for.FromSeconds(_link_s(request))
        answer = await self._store.Link(link, metadata=self._admitted())
        return pb.ArtifactLink(url=answer.url, expire_time=answer.expire_time)

    async def ListArtifacts(self, request: pb.ListArtifactsRequest, _context: object) -> pb.ListArtifactsResponse:
        rules.refuse_unknown_fields(request)
        if request.page_size < 0:
            message = f"page_size is {request.page_size}: it must be from 1 to {_PAGE_SIZE}"
            raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="page_size")
        size = min(request.page_size or _DEFAULT_PAGE_SIZE, _PAGE_SIZE)
        listed = store_pb2.ListRequest(page_size=size, page_token=request.page_token)
        page = await self._store.List(listed, metadata=self._admitted())
        return pb.ListArtifactsResponse(
            artifacts=[_artifact(found) for found in page.objects], next_page_token=page.next_page_token
        )

    async def VerifyArtifact(self, request: pb.VerifyArtifactRequest, _context: object) -> pb.VerifyArtifactResponse:
        rules.refuse_unknown_fields(request)
        verify = store_pb2.VerifyRequest(sha256=artifact_digest(request.name))
        answer = await self._store.Verify(verify, metadata=self._admitted(), timeout=_LONGEST_S)
        return pb.VerifyArtifactResponse(intact=answer.intact, sha256=answer.stored_sha256)

    async def CollectGarbage(
        self, request: pb.CollectGarbageRequest, _context: object
    ) -> AsyncIterator[pb.CollectGarbageResponse]:
        rules.refuse_unknown_fields(request)
        async with aclosing(self._collector.collect(dry_run=request.validate_only)) as parts:
            async for part in parts:
                yield _garbage(part)

    async def _with_artifact(self, found: store_pb2.Upload, metadata: tuple[tuple[str, str], ...]) -> pb.Upload:
        upload = _upload(found)
        if found.HasField("ref"):
            upload.artifact.CopyFrom(await self._stat(found.ref.sha256, metadata))
        return upload

    async def _stat(self, sha256: str, metadata: tuple[tuple[str, str], ...]) -> pb.Artifact:
        answer = await self._store.Stat(store_pb2.StatRequest(sha256=sha256), metadata=metadata)
        return _artifact(answer.object)

    def _admitted(self) -> tuple[tuple[str, str], ...]:
        """Metadata that opens the store to the caller. Raises QuotaExceeded."""
        self._quotas.reads.take(current_principal().tenant)
        return ((GRANT, call_grant(self._signer)),)


def _header(first: pb.UploadArtifactRequest) -> pb.UploadArtifactRequest.Header:
    rules.refuse_unknown_fields(first)
    if not first.HasField("header"):
        message = "the first message of an upload must hold its header"
        raise InvalidInput(message, reason=Reason.MISSING, field="header")
    size = first.header.size_bytes
    if not 0 <= size <= limits.UPLOAD_BYTES:
        reason = Reason.TOO_LARGE if size > 0 else Reason.OUT_OF_RANGE
        message = f"header.size_bytes is {size}: at most {limits.UPLOAD_BYTES} are taken"
        raise InvalidInput(message, reason=reason, field="header.size_bytes")
    return first.header


class _Parts:
    """An upload on its way into the store; `refused` says what was wrong with it."""

    def __init__(
        self, header: pb.UploadArtifactRequest.Header, requests: AsyncIterator[pb.UploadArtifactRequest]
    ) -> None:
        self._header = header
        self._requests = requests
        self.refused: InvalidInput | None = None

    async def checked(self) -> AsyncIterator[store_pb2.PutRequest]:
        yield store_pb2.PutRequest(header=_put_header(self._header))
        most = self._header.size_bytes or limits.UPLOAD_BYTES
        received = 0
        async for request in self._requests:
            received += len(request.chunk)
            try:
                _check_part(request, received, most)
            except InvalidInput as error:
                self.refused = error
                raise
            yield store_pb2.PutRequest(chunk=request.chunk)


def _put_header(header: pb.UploadArtifactRequest.Header) -> store_pb2.PutRequest.Header:
    return store_pb2.PutRequest.Header(
        sha256=header.sha256,
        media_type=header.media_type,
        size_bytes=header.size_bytes,
        storage_class=store_pb2.StorageClass.UPLOAD,
    )


def _check_part(request: pb.UploadArtifactRequest, received: int, most: int) -> None:
    if request.HasField("header"):
        message = "an upload has one header, in its first message"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="header")
    if len(request.chunk) > limits.CHUNK_BYTES:
        message = f"a chunk has {len(request.chunk)} bytes: at most {limits.CHUNK_BYTES} are taken"
        raise InvalidInput(message, reason=Reason.TOO_LARGE, field="chunk")
    if received > most:
        message = f"more than {most} bytes came: that is more than the header said, or than may be"
        raise InvalidInput(message, reason=Reason.TOO_LARGE, field="chunk")


def _public_chunks(chunk: bytes) -> Iterator[bytes]:
    """The store's are larger than what was promised in public."""
    return (chunk[at : at + limits.CHUNK_BYTES] for at in range(0, len(chunk), limits.CHUNK_BYTES))


def _link_s(request: pb.CreateArtifactLinkRequest) -> int:
    shortest, longest = _LINK_S
    if not request.HasField("valid_for"):
        return shortest
    if not shortest <= request.valid_for.seconds <= longest:
        message = f"valid_for is {request.valid_for.seconds} s: it must be from {shortest} to {longest} s"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="valid_for")
    return request.valid_for.seconds


def _upload(found: store_pb2.Upload) -> pb.Upload:
    return pb.Upload(
        name=f"uploads/{found.id}",
        received_bytes=found.received_bytes,
        size_bytes=found.size_bytes,
        expire_time=found.expire_time,
    )


def _artifact(found: store_pb2.Object) -> pb.Artifact:
    return pb.Artifact(
        name=f"artifacts/{found.ref.sha256}",
        sha256=found.ref.sha256,
        media_type=found.ref.media_type,
        size_bytes=found.ref.size_bytes,
        create_time=found.create_time,
    )


def _garbage(part: store_pb2.CollectResponse) -> pb.CollectGarbageResponse:
    if part.HasField("summary"):
        summed = part.summary
        return pb.CollectGarbageResponse(
            summary=pb.CollectGarbageResponse.Summary(
                records=summed.records,
                condemned=summed.condemned,
                removed=summed.removed,
                removed_bytes=summed.removed_bytes,
            )
        )
    found = part.garbage
    kept = store_pb2.StorageClass.Class.Name(found.storage_class).lower() if found.storage_class else ""
    return pb.CollectGarbageResponse(
        garbage=pb.Garbage(
            tenant=found.tenant,
            sha256=found.sha256,
            key=found.key,
            size_bytes=found.size_bytes,
            storage_class=kept,
            refresh_time=found.refresh_time,
            fate=pb.Garbage.Fate.Value(store_pb2.Garbage.Fate.Name(found.fate)),
        )
    )
