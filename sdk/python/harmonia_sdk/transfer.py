"""Bytes to and from the mesh. What arrives is compared with its SHA-256 before anybody sees it under its name."""

import asyncio
import hashlib
import mimetypes
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import grpc

from harmonia.artifact.v1 import artifact_pb2 as pb
from harmonia.artifact.v1 import artifact_pb2_grpc as rpc
from harmonia_chassis.status import answered, from_rpc_error, rpc_errors
from harmonia_sdk.errors import HarmoniaError, Internal, InvalidInput, Reason, Unavailable
from harmonia_sdk.patience import Patience

CHUNK_BYTES = 256 * 1024
SILENCE_S = 30.0  # a stream that brings nothing for so long is taken for broken
UPLOAD_S = 600.0
RESUMED_BYTES = 4 << 20
MEDIA_TYPES = {".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg"}


async def download(artifacts: "rpc.ArtifactServiceAsyncStub", name: str, to: Path) -> None:
    """name: "artifacts/{sha256}". Goes on where a broken stream, or an earlier try, stopped; `to` appears whole."""
    digest = name.removeprefix("artifacts/")
    part = to.with_name(f".{to.name}.{digest[:12]}.part")
    started_at = await asyncio.to_thread(_size, part)
    await _receive(artifacts, name, part)
    if started_at and await asyncio.to_thread(sha256_of, part) != digest:
        part.unlink()  # what the earlier try left was no good
        await _receive(artifacts, name, part)
    await asyncio.to_thread(_put_in_place, part, to, digest)


async def upload(artifacts: "rpc.ArtifactServiceAsyncStub", path: Path) -> pb.Artifact:
    """Larger files go on where a broken connection, or a service that died, left them."""
    check_readable(path)
    digest, size = await asyncio.to_thread(sha256_of, path), await asyncio.to_thread(_size, path)
    if size > RESUMED_BYTES:
        asked = pb.CreateUploadRequest(sha256=digest, media_type=media_type_of(path), size_bytes=size)
        return await _upload_on_and_on(artifacts, path, asked)
    header = pb.UploadArtifactRequest.Header(sha256=digest, media_type=media_type_of(path), size_bytes=size)
    with rpc_errors():
        return await answered(artifacts.UploadArtifact(_parts(path, header), timeout=UPLOAD_S))


async def _upload_on_and_on(
    artifacts: "rpc.ArtifactServiceAsyncStub", path: Path, asked: pb.CreateUploadRequest
) -> pb.Artifact:
    patience, upload = Patience(), pb.Upload()
    while True:
        received_bytes = upload.received_bytes
        try:
            with rpc_errors():
                begun = artifacts.GetUpload(pb.GetUploadRequest(name=upload.name)) if upload.name else None
                upload = await (begun or artifacts.CreateUpload(asked))
                if not upload.HasField("artifact"):
                    upload = await _write(artifacts, path, upload)
        except HarmoniaError as error:
            await patience.wait_or_raise(error)
        if upload.HasField("artifact"):
            return upload.artifact
        if upload.received_bytes > received_bytes:
            patience.heard()


async def _write(artifacts: "rpc.ArtifactServiceAsyncStub", path: Path, upload: pb.Upload) -> pb.Upload:
    return await answered(artifacts.WriteUpload(_rest(path, upload), timeout=UPLOAD_S))


def check_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            return
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else str(exc)
        raise InvalidInput(f"cannot read {str(path)!r}: {why}", reason=Reason.MALFORMED, field="file") from exc


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def media_type_of(path: Path) -> str:
    guess = MEDIA_TYPES.get(path.suffix.lower()) or mimetypes.guess_type(path.name)[0]
    return guess or "application/octet-stream"


async def _receive(artifacts: "rpc.ArtifactServiceAsyncStub", name: str, part: Path) -> None:
    patience = Patience()
    while True:
        call = artifacts.DownloadArtifact(pb.DownloadArtifactRequest(name=name, offset=_size(part)))
        try:
            await _append(call, part, patience)
        except grpc.aio.AioRpcError as failure:
            await patience.wait_or_raise(from_rpc_error(failure))
        except TimeoutError:
            await patience.wait_or_raise(Unavailable(f"{name} stopped coming", reason=Reason.UNREACHABLE))
        else:
            return
        finally:
            call.cancel()


async def _append(
    call: "grpc.aio.UnaryStreamCall[pb.DownloadArtifactRequest, pb.DownloadArtifactResponse]",
    part: Path,
    patience: Patience,
) -> None:
    with part.open("ab") as file:
        while True:
            async with asyncio.timeout(SILENCE_S):
                message = await call.read()
            if not isinstance(message, pb.DownloadArtifactResponse):
                return
            patience.heard()
            file.write(message.chunk)


async def _parts(path: Path, header: pb.UploadArtifactRequest.Header) -> AsyncIterator[pb.UploadArtifactRequest]:
    yield pb.UploadArtifactRequest(header=header)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield pb.UploadArtifactRequest(chunk=chunk)


async def _rest(path: Path, upload: pb.Upload) -> AsyncIterator[pb.WriteUploadRequest]:
    header = pb.WriteUploadRequest.Header(name=upload.name, offset=upload.received_bytes)
    yield pb.WriteUploadRequest(header=header)
    with path.open("rb") as file:
        file.seek(upload.received_bytes)
        while chunk := file.read(CHUNK_BYTES):
            yield pb.WriteUploadRequest(chunk=chunk)


def _put_in_place(part: Path, to: Path, digest: str) -> None:
    if (arrived := sha256_of(part)) != digest:
        part.unlink()
        message = f"{to.name} arrived with another content than its name says: {arrived} instead of {digest}"
        raise Internal(message, reason=Reason.DIGEST_MISMATCH)
    part.replace(to)


def _size(path: Path) -> int:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return 0
