"""Store messages to and from the store's own types; everything that a message may say wrongly is found here."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeGuard

from harmonia.store.v1 import store_pb2 as pb
from harmonia.type.v1 import type_pb2
from harmonia_artifacts.garbage import Fate, Garbage
from harmonia_artifacts.media import allowed_type
from harmonia_artifacts.store import CHUNK_BYTES, Artifact, Kept, Link, Stray, is_digest, object_key
from harmonia_artifacts.uploads import Upload
from harmonia_chassis.chunks import Chunk
from harmonia_chassis.errors import InvalidInput, Reason

# What has a chunk and nothing else comes as the chunk: see framing.
PutPart = pb.PutRequest | memoryview
WritePart = pb.WriteUploadRequest | memoryview

UPLOAD_BYTES = 200 << 20
# 600 s of stereo float samples at 96 kHz are 440 MiB.
OBJECT_BYTES = 1 << 30
PAGE = 100
LONGEST_PAGE = 1000
SHORTEST_LINK = timedelta(seconds=120)
LONGEST_LINK = timedelta(seconds=300)

_KEPT = {
    pb.StorageClass.OUTPUT: Kept.OUTPUT,
    pb.StorageClass.CHECKPOINT: Kept.CHECKPOINT,
    pb.StorageClass.PREVIEW: Kept.PREVIEW,
    pb.StorageClass.UPLOAD: Kept.UPLOAD,
}
_FATES = {
    Fate.FOUND: pb.Garbage.FOUND,
    Fate.CONDEMNED: pb.Garbage.CONDEMNED,
    Fate.REMOVED: pb.Garbage.REMOVED,
}
_CLASS = {kept: number for number, kept in _KEPT.items()}


@dataclass(frozen=True, slots=True)
class Announced:
    """What the header of a Put promises; an empty digest or a size of 0 promises nothing."""

    sha256: str
    size_bytes: int
    media_type: str
    kept: Kept
    limit_bytes: int


def announced_from_proto(request: PutPart) -> Announced:
    if isinstance(request, memoryview) or request.WhichOneof("part") != "header":
        raise InvalidInput("the first message of a Put is its header", reason=Reason.MALFORMED, field="header")
    header = request.header
    kept = _KEPT.get(header.storage_class)
    if kept is None:
        raise InvalidInput("say how long to keep it", reason=Reason.MALFORMED, field="header.storage_class")
    limit_bytes = UPLOAD_BYTES if kept is Kept.UPLOAD else OBJECT_BYTES
    if not 0 <= header.size_bytes <= limit_bytes:
        message = f"{header.size_bytes} bytes are outside 0 to {limit_bytes}"
        raise InvalidInput(message, reason=Reason.TOO_LARGE, field="header.size_bytes")
    # An upload's type is read from its bytes, once they are here.
    media_type = header.media_type if kept is Kept.UPLOAD else allowed_type(header.media_type)
    return Announced(header.sha256, header.size_bytes, media_type, kept, limit_bytes)


def chunk_from_proto(request: PutPart) -> Chunk:
    if isinstance(request, memoryview):
        return _checked_chunk(request)
    if request.WhichOneof("part") != "chunk":
        message = "a Put has one header, at its start, and nothing behind its trailer"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="header")
    return _checked_chunk(request.chunk)


def is_trailer(request: PutPart) -> TypeGuard[pb.PutRequest]:
    return not isinstance(request, memoryview) and request.WhichOneof("part") == "trailer"


def _checked_chunk(chunk: Chunk) -> Chunk:
    if len(chunk) > CHUNK_BYTES:
        message = f"a chunk of {len(chunk)} bytes is over {CHUNK_BYTES}"
        raise InvalidInput(message, reason=Reason.TOO_LARGE, field="chunk")
    return chunk


def upload_size_from_proto(request: pb.BeginUploadRequest) -> int:
    if not 0 < request.size_bytes <= UPLOAD_BYTES:
        message = f"{request.size_bytes} bytes are to be uploaded: 1 to {UPLOAD_BYTES}, 200 MiB, are taken"
        raise InvalidInput(message, reason=Reason.TOO_LARGE, field="size_bytes")
    if request.sha256 and not is_digest(request.sha256):
        message = f"{request.sha256!r} is not 64 lower-case hex digits"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="sha256")
    return request.size_bytes


def upload_header_from_proto(request: WritePart) -> pb.WriteUploadRequest.Header:
    """An empty one, of no upload, where there is none."""
    return pb.WriteUploadRequest.Header() if isinstance(request, memoryview) else request.header


def piece_from_proto(request: WritePart) -> Chunk:
    if isinstance(request, memoryview):
        return _checked_chunk(request)
    if request.WhichOneof("part") != "chunk":
        raise InvalidInput("an upload goes on by one header and chunks", reason=Reason.MALFORMED, field="header")
    return _checked_chunk(request.chunk)


def upload_to_proto(upload: Upload, artifact: Artifact | None = None) -> pb.Upload:
    message = pb.Upload(id=upload.id, received_bytes=upload.received_bytes, size_bytes=upload.size_bytes)
    message.expire_time.FromDatetime(upload.expires)
    if artifact:
        message.ref.CopyFrom(artifact_to_ref(artifact))
    return message


def length_from_proto(request: pb.GetRequest | pb.OpenLinkRequest) -> int | None:
    if request.length < 0:
        message = f"length is {request.length}: it must be the number of bytes to send, or 0 for all"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="length")
    return request.length or None


def page_size_from_proto(request: pb.ListRequest) -> int:
    if not 0 <= request.page_size <= LONGEST_PAGE:
        message = f"a page of {request.page_size} is outside 1 to {LONGEST_PAGE}"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="page_size")
    return request.page_size or PAGE


def page_token_from_proto(request: pb.ListRequest) -> str:
    """The last digest of the page before; empty for the first."""
    if request.page_token and not is_digest(request.page_token):
        raise InvalidInput("this token is of no page", reason=Reason.MALFORMED, field="page_token")
    return request.page_token


def valid_for_from_proto(request: pb.LinkRequest) -> timedelta:
    valid_for = request.valid_for.ToTimedelta() if request.HasField("valid_for") else SHORTEST_LINK
    if not SHORTEST_LINK <= valid_for <= LONGEST_LINK:
        message = f"a link is valid for 120 to 300 s, not {valid_for.total_seconds():g} s"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="valid_for")
    return valid_for


def artifact_to_ref(artifact: Artifact) -> type_pb2.ArtifactRef:
    return type_pb2.ArtifactRef(sha256=artifact.sha256, media_type=artifact.media_type, size_bytes=artifact.size_bytes)


def artifact_to_proto(artifact: Artifact) -> pb.Object:
    message = pb.Object(ref=artifact_to_ref(artifact), storage_class=_CLASS[artifact.kept])
    message.create_time.FromDatetime(artifact.created)
    return message


def link_to_proto(link: Link) -> pb.LinkResponse:
    response = pb.LinkResponse(url=link.url)
    response.expire_time.FromDatetime(link.expires)
    return response


def garbage_to_proto(garbage: Garbage) -> pb.Garbage:
    found, fate = garbage.what, _FATES[garbage.fate]
    if isinstance(found, Stray):
        message = pb.Garbage(tenant=found.tenant, key=found.key, size_bytes=found.size_bytes, fate=fate)
        message.refresh_time.FromDatetime(found.modified)
        return message
    message = pb.Garbage(
        tenant=found.tenant,
        sha256=found.sha256,
        key=object_key(found.tenant, found.sha256),
        size_bytes=found.size_bytes,
        storage_class=_CLASS[found.kept],
        fate=fate,
    )
    message.refresh_time.FromDatetime(found.refreshed)
    return message


def add_up(summary: pb.CollectResponse.Summary, garbage: Garbage) -> None:
    if garbage.fate is Fate.CONDEMNED:
        summary.condemned += 1
    if garbage.fate is Fate.REMOVED:
        summary.removed += 1
        summary.removed_bytes += garbage.what.size_bytes


def summary_fields(summary: pb.CollectResponse.Summary) -> dict[str, int]:
    return {field.name: getattr(summary, field.name) for field in summary.DESCRIPTOR.fields}
