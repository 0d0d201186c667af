"""Proof of stored bytes, a MiB at a time: a range is proven by the blocks it touches, and nothing is served unproven.

Blocks have BLAKE3 digests: a second SHA-256 of everything was a third of a Put. An object of at most one block is
proven by its name, which is its own digest. One that was put before blocks were kept is read twice: once to prove all
of it, and then to serve what was asked for.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from blake3 import blake3

from harmonia_chassis.chunks import Chunk
from harmonia_chassis.errors import Internal, InvalidInput, Reason, Unavailable

if TYPE_CHECKING:
    from harmonia_artifacts.store import Artifact, Store

BLOCK_BYTES = 1 << 20

# Stored bytes from a position up to an end, or to wherever they end; a block at a time at most.
Stored = Callable[[int, int | None], Iterator[bytes]]


class Digests:
    """SHA-256 of a whole and BLAKE3 of each of its blocks, as the bytes come."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._whole = hashlib.sha256()
        self._block = blake3()
        self._done: list[str] = []

    @property
    def sha256(self) -> str:
        return self._whole.hexdigest()

    @property
    def blocks(self) -> tuple[str, ...]:
        """None of what is no longer than one."""
        if self.size_bytes <= BLOCK_BYTES:
            return ()
        return (*self._done, self._block.hexdigest()) if self.size_bytes % BLOCK_BYTES else tuple(self._done)

    def take(self, chunk: Chunk) -> None:
        self._whole.update(chunk)
        rest = memoryview(chunk)
        while rest:
            part = rest[: BLOCK_BYTES - self.size_bytes % BLOCK_BYTES]
            self._block.update(part)
            self.size_bytes += len(part)
            rest = rest[len(part) :]
            if self.size_bytes % BLOCK_BYTES == 0:
                self._done.append(self._block.hexdigest())
                self._block = blake3()


def proven(
    artifact: "Artifact", stored: Stored, *, offset: int, length: int | None, quarantine: Callable[[], None]
) -> Iterator[Chunk]:
    """The bytes from `offset` on, `length` of them at most. Raises Internal where they are not what was put."""
    end = _end(artifact, offset, length)
    if artifact.size_bytes > BLOCK_BYTES and not artifact.blocks:
        yield from _proven_whole(artifact, stored, offset, end, quarantine)
        return
    digests, digest_of = (artifact.blocks, blake3) if artifact.blocks else ((artifact.sha256,), hashlib.sha256)
    first, last = offset // BLOCK_BYTES, max(end - 1, offset) // BLOCK_BYTES
    first, last = min(first, len(digests) - 1), min(last, len(digests) - 1)
    # The last block is read to wherever the stored object ends, so that one that grew is found out.
    until = (last + 1) * BLOCK_BYTES if last + 1 < len(digests) else None
    position = first * BLOCK_BYTES
    for digest, block in _paired(digests[first : last + 1], stored(position, until)):
        if digest_of(block).hexdigest() != digest:
            # The sidecar may be what rotted, or a Put may have healed the bytes: the whole digest decides.
            yield from _proven_whole(artifact, stored, max(offset, position), end, quarantine)
            return
        wanted = memoryview(block)[max(0, offset - position) : max(0, end - position)]
        if wanted:
            yield wanted
        position += BLOCK_BYTES


def stored_digest(store: "Store", artifact: "Artifact") -> str:
    """Reads all of it again. Another digest than its name means that it has just been quarantined."""
    try:
        for _ in store.read(artifact):
            pass
    except Internal as exc:
        if exc.reason is not Reason.DIGEST_MISMATCH:
            raise
        return exc.metadata["stored_sha256"]
    return artifact.sha256


def _end(artifact: "Artifact", offset: int, length: int | None) -> int:
    if not 0 <= offset <= artifact.size_bytes:
        message = f"offset {offset} is outside the {artifact.size_bytes} bytes of {artifact.sha256}"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="offset")
    return artifact.size_bytes if length is None else min(artifact.size_bytes, offset + length)


def _paired(digests: tuple[str, ...], chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """Each digest with its block, however short; the last one with all that is left."""
    gathered, left = b"", list(reversed(digests))
    for chunk in chunks:
        gathered = gathered + chunk if gathered else chunk  # chunks are blocks, where nothing broke: not copied
        while len(left) > 1 and len(gathered) >= BLOCK_BYTES:
            yield left.pop(), gathered[:BLOCK_BYTES]
            gathered = gathered[BLOCK_BYTES:]
        if len(gathered) > BLOCK_BYTES:
            break  # longer than was put: no need to see how much
    yield left.pop(), gathered
    yield from ((digest, b"") for digest in reversed(left))


def _proven_whole(
    artifact: "Artifact", stored: Stored, offset: int, end: int, quarantine: Callable[[], None]
) -> Iterator[Chunk]:
    """Nothing of it is served before all of it is proven. Bytes that are wrong twice in the same way are rotten; those
    that differ were spoiled on their way."""
    found = _digest_of(stored)
    if found != artifact.sha256:
        again = _digest_of(stored)
        if again == found:
            quarantine()
            raise _corrupt(artifact, stored_sha256=found)
        if again != artifact.sha256:
            raise _unsteady(artifact)
    if offset < end:
        yield from stored(offset, end)


def _digest_of(stored: Stored) -> str:
    digest = hashlib.sha256()
    for chunk in stored(0, None):
        digest.update(chunk)
    return digest.hexdigest()


def _unsteady(artifact: "Artifact") -> Unavailable:
    message = f"the bytes of {artifact.sha256} differ each time they are read; nothing was quarantined. "
    message += "The operator must look at the disk, or at the way to S3"
    return Unavailable(message, reason=Reason.UNREACHABLE, retry_after=timedelta(seconds=2))


def _corrupt(artifact: "Artifact", *, stored_sha256: str) -> Internal:
    return Internal(
        f"the stored bytes of {artifact.sha256} are not what was put; they are quarantined",
        reason=Reason.DIGEST_MISMATCH,
        sha256=artifact.sha256,
        stored_sha256=stored_sha256,
    )
