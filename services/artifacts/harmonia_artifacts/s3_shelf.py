"""Folders of weights on S3, which an operator names by bucket and folder; what S3 lets us read may be read.

In the bucket of the songs that is only what lies below `.models/`, where no tenant's object is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from minio import Minio
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError

from harmonia.model.v1 import model_pb2 as pb
from harmonia_artifacts.store import CHUNK_BYTES
from harmonia_chassis.errors import Conflict, FailedPrecondition, InvalidInput, NotFound, Reason, Unavailable

MODELS = ".models/"
# Whoever puts a model there puts a dozen files.
_MOST_FILES = 1000
_NOT_THERE = frozenset({"NoSuchBucket", "NoSuchKey", "InvalidBucketName"})
_FORBIDDEN = frozenset({"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"})


class Shelf:
    """Blocks. `songs` is the bucket of the store itself."""

    def __init__(self, client: Minio, *, songs: str) -> None:
        self._client = client
        self._songs = songs

    def files(self, bucket: str, folder: str) -> Sequence[pb.ListWeightsResponse.File]:
        prefix = self._prefix(bucket, folder)
        found = []
        with _told_in_our_words(bucket, prefix):
            for item in self._client.list_objects(bucket, prefix, recursive=True):
                path = (item.object_name or "").removeprefix(prefix)
                if path and not path.endswith("/"):
                    found.append(pb.ListWeightsResponse.File(path=path, bytes=item.size or 0, etag=item.etag or ""))
                if len(found) > _MOST_FILES:
                    message = (
                        f"s3://{bucket}/{prefix} holds more than {_MOST_FILES} files: name the folder of one model"
                    )
                    raise InvalidInput(message, reason=Reason.TOO_LARGE, field="prefix")
        if not found:
            raise NotFound(f"nothing lies at s3://{bucket}/{prefix}", reason=Reason.MODEL_NOT_FOUND, field="prefix")
        return found

    def chunks(self, request: pb.ReadWeightsRequest) -> Iterator[bytes]:
        """From `offset` on; raises Conflict when the object is not any more the one that was listed."""
        prefix = self._prefix(request.bucket, request.folder)
        same: dict[str, Any] = {"If-Match": f'"{request.etag}"'}
        with (
            _told_in_our_words(request.bucket, prefix + request.path),
            self._client.get_object(
                request.bucket, prefix + request.path, offset=request.offset, request_headers=same
            ) as response,
        ):
            yield from response.stream(CHUNK_BYTES)

    def _prefix(self, bucket: str, folder: str) -> str:
        prefix = folder.strip("/") + "/"
        if bucket == self._songs and not prefix.startswith(MODELS):
            message = (
                f"{bucket} is the bucket of the songs: weights lie there below {MODELS}, or in a bucket of their own"
            )
            raise InvalidInput(message, reason=Reason.NOT_SUPPORTED, field="prefix")
        return prefix


@contextmanager
def _told_in_our_words(bucket: str, key: str) -> Iterator[None]:
    place = f"s3://{bucket}/{key}"
    try:
        yield
    except S3Error as error:
        if error.code in _NOT_THERE:
            raise NotFound(f"nothing lies at {place}", reason=Reason.MODEL_NOT_FOUND, field="prefix") from error
        if error.code in _FORBIDDEN:
            message = f"S3 does not let artifacts read {place}: {error.code}"
            raise FailedPrecondition(message, reason=Reason.NOT_READY, field="prefix") from error
        if error.code == "PreconditionFailed":
            message = f"{place} was changed while it was read: pull again"
            raise Conflict(message, reason=Reason.ETAG_MISMATCH, field="prefix") from error
        raise _passing(f"S3 refuses {place}: {error.code}") from error
    except (HTTPError, MinioException) as error:
        raise _passing(f"S3 breaks off at {place}") from error


def _passing(message: str) -> Unavailable:
    return Unavailable(message, reason=Reason.UNREACHABLE, retry_after=timedelta(seconds=2))
