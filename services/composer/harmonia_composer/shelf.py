"""Weights from the mesh's S3, which artifacts reads for us: a folder of them becomes a folder here.

What broke off goes on where it stopped, also after this process has died. A file is named whole only when it is as
long as S3 says and, where S3 knows its MD5, when it is that; for large ones it does not, and `importing` compares the
digests that lie beside them.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeVar

import grpc

from harmonia.model.v1 import model_pb2 as pb
from harmonia.model.v1 import model_pb2_grpc as rpc
from harmonia_chassis.errors import Conflict, InvalidInput, NotFound, Reason
from harmonia_chassis.retry import retried
from harmonia_chassis.status import rpc_errors
from harmonia_composer.layouts import wanted

SCHEME = "s3://"
_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/([^\0]{1,900})")
_MD5 = re.compile(r"[0-9a-f]{32}")
_LIST_S = 60.0
# One attempt at a file: this, and a second for each MiB.
_READ_S = 30.0
RETRY_FOR = timedelta(seconds=60)

Tell = Callable[[float, str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    bucket: str
    folder: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.folder}"


def place_from(text: str) -> Place:
    found = _PLACE.fullmatch(text)
    if not found:
        message = f"{text[:80]!r} is no folder on S3: name one as in s3://bucket/models/small"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="prefix")
    return Place(found[1], found[2].strip("/"))


class Shelf:
    def __init__(self, channel: grpc.aio.Channel, *, retry_for: timedelta = RETRY_FOR) -> None:
        self._stub: rpc.ShelfServiceAsyncStub = rpc.ShelfServiceStub(channel)
        self._retry_for = retry_for

    async def bring(self, place: Place, folder: Path, tell: Tell) -> None:
        """The files of the model that lies there, and no others. Raises NotFound when none does."""
        there = {file.path: file for file in await self._files(place)}
        files = [there[path] for path in wanted(sorted(there)) if _is_inside(path)]
        if not files:
            message = f"no model lies at {place}: neither of audiocraft's layout, nor Hugging Face's, nor ours"
            raise NotFound(message, reason=Reason.MODEL_NOT_FOUND, field="prefix")
        total, done = sum(file.bytes for file in files) or 1, 0
        for file in files:
            tell(done / total, f"reading {file.path}")
            await self._fetch(place, file, folder / file.path)
            done += file.bytes

    async def _files(self, place: Place) -> Sequence[pb.ListWeightsResponse.File]:
        request = pb.ListWeightsRequest(bucket=place.bucket, folder=place.folder)

        async def attempt() -> Sequence[pb.ListWeightsResponse.File]:
            with rpc_errors():
                return (await self._stub.ListWeights(request, timeout=_LIST_S)).files

        return await retried(attempt, within=self._retry_for)

    async def _fetch(self, place: Place, file: pb.ListWeightsResponse.File, to: Path) -> None:
        await asyncio.to_thread(to.parent.mkdir, parents=True, exist_ok=True, mode=0o700)
        # What was read of an object that has changed since is of no use to the new one.
        part = to.with_name(f".{to.name}.{hashlib.sha256(file.etag.encode()).hexdigest()[:16]}.part")
        await retried(partial(self._read, place, file, part), within=self._retry_for)
        await asyncio.to_thread(_settled, part, file, to)

    async def _read(self, place: Place, file: pb.ListWeightsResponse.File, part: Path) -> None:
        with await asyncio.to_thread(part.open, "ab") as out:
            offset = out.tell()
            if offset >= file.bytes:
                return
            request = pb.ReadWeightsRequest(
                bucket=place.bucket, folder=place.folder, path=file.path, etag=file.etag, offset=offset
            )
            call = self._stub.ReadWeights(request, timeout=_READ_S + (file.bytes - offset) / 2**20)
            try:
                with rpc_errors():
                    async for response in call:
                        await asyncio.to_thread(out.write, response.chunk)
            finally:
                call.cancel()


def _settled(part: Path, file: pb.ListWeightsResponse.File, to: Path) -> None:
    size, is_md5 = part.stat().st_size, _MD5.fullmatch(file.etag)
    if size != file.bytes or (is_md5 and _md5_of(part) != file.etag):
        part.unlink()
        message = f"{file.path} is not what S3 says it is: {size} bytes came of {file.bytes}; pull again"
        raise Conflict(message, reason=Reason.DIGEST_MISMATCH, field="prefix")
    part.replace(to)


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _is_inside(path: str) -> bool:
    """Keys of S3 are any text: none may lead out of the folder."""
    return not path.startswith("/") and ".." not in PurePosixPath(path).parts
