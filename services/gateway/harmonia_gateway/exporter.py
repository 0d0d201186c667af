"""The bytes of an export, from an offset on, out of the store: one chunk at a time, as fast as the reader takes them.

What lies before the offset is read again only for checksums that this process has not seen; what does not have the
digest that its song names ends the stream.
"""

import hashlib
import zlib
from collections.abc import AsyncGenerator, Callable

import grpc

from harmonia.store.v1 import store_pb2, store_pb2_grpc
from harmonia_chassis.access import GRANT
from harmonia_chassis.errors import Internal, Reason
from harmonia_chassis.status import rpc_errors
from harmonia_gateway import limits, zips
from harmonia_gateway.exports import Export, Part

_REMEMBERED = 1 << 16
# Of one file.
_LONGEST_S = 600.0


class Exporter:
    def __init__(self, artifacts: grpc.aio.Channel) -> None:
        self._store = store_pb2_grpc.StoreServiceStub(artifacts)
        self._crcs: dict[str, int] = {}

    async def stream(self, export: Export, offset: int, grant: Callable[[], str]) -> AsyncGenerator[bytes, None]:
        """`grant` is asked anew for each file: an export may take longer than one lasts."""
        rest, crcs = _Rest(offset), list[int]()
        for part in export.parts:
            head = zips.before(part.entry)
            crc = self._crcs.get(part.sha256)
            if crc is not None and rest.skipped(len(head) + part.entry.size):
                pass  # nothing of it is wanted
            else:
                if piece := rest.of(head):
                    yield piece
                check = _Check(part)
                async for chunk in self._content(part, grant):
                    check.update(chunk)
                    if piece := rest.of(chunk):
                        yield piece
                crc = self._crcs[part.sha256] = check.crc()
            crcs.append(crc)
            if piece := rest.of(zips.after(part.entry, crc)):
                yield piece
        if piece := rest.of(zips.end([part.entry for part in export.parts], crcs)):
            yield piece
        while len(self._crcs) > _REMEMBERED:
            self._crcs.pop(next(iter(self._crcs)))

    async def _content(self, part: Part, grant: Callable[[], str]) -> AsyncGenerator[bytes, None]:
        if part.content is not None:
            for at in range(0, len(part.content), limits.CHUNK_BYTES):
                yield part.content[at : at + limits.CHUNK_BYTES]
            return
        request = store_pb2.GetRequest(sha256=part.sha256)
        call = self._store.Get(request, metadata=((GRANT, grant()),), timeout=_LONGEST_S)
        try:
            with rpc_errors():
                async for answer in call:
                    if answer.chunk:
                        yield answer.chunk
        finally:
            call.cancel()


class _Rest:
    """Of a file that comes piece by piece: all but its first `offset` bytes."""

    def __init__(self, offset: int) -> None:
        self._left = offset

    def of(self, piece: bytes) -> bytes:
        skipped = min(self._left, len(piece))
        self._left -= skipped
        return piece[skipped:]

    def skipped(self, size: int) -> bool:
        """Whether as many bytes are to be left out as a whole; then they are."""
        if self._left < size:
            return False
        self._left -= size
        return True


class _Check:
    def __init__(self, part: Part) -> None:
        self._part = part
        self._sha256 = hashlib.sha256()
        self._crc = 0

    def update(self, chunk: bytes) -> None:
        self._sha256.update(chunk)
        self._crc = zlib.crc32(chunk, self._crc)

    def crc(self) -> int:
        """Raises Internal when it was not what its digest says."""
        if self._sha256.hexdigest() != self._part.sha256:
            message = f"the store has another {self._part.sha256}: {self._part.entry.path} is not exported"
            raise Internal(message, reason=Reason.DIGEST_MISMATCH)
        return self._crc
