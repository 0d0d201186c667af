"""How much a tenant may ask of the mesh: calls a minute, unfinished songs, bytes; and how full the stream may be.

Refuses with the time after which asking again makes sense. Counted per replica.
"""

import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import grpc
import structlog

from harmonia.store.v1 import store_pb2, store_pb2_grpc
from harmonia_chassis.access import GRANT
from harmonia_chassis.errors import QuotaExceeded, Reason
from harmonia_chassis.identity import TokenSigner

# The last fifth of the stream is for the transitions of what was accepted.
FULL = 0.8
BATCH_FACTOR = 10
# From here on it is measured for every song: a small stream goes from here to full within a second.
_NEARLY_FULL = 0.5
_FULLNESS_AGE_S, _FULLNESS_SONGS = 1.0, 16
# Songs of so long may be accepted with nothing left: the tenth that the store keeps for them is for that.
_SHARE_AGE_S = 15.0
_SHARE_PATIENCE = timedelta(seconds=2)
_UNFINISHED_RETRY = timedelta(seconds=5)
_FULL_RETRY = timedelta(seconds=60)

Clock = Callable[[], float]

_log = structlog.get_logger()


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class Rate:
    """A token bucket per tenant: a minute's worth at once, refilled evenly."""

    def __init__(self, what: str, per_minute: int, *, clock: Clock = time.monotonic) -> None:
        self._what = what
        self._most = float(per_minute)
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, tenant: str) -> None:
        """Raises QuotaExceeded when the tenant has none left."""
        now = self._clock()
        bucket = self._buckets.setdefault(tenant, _Bucket(self._most, now))
        bucket.level = min(self._most, bucket.level + (now - bucket.at) * self._most / 60)
        bucket.at = now
        if bucket.level < 1:
            wait = timedelta(seconds=(1 - bucket.level) * 60 / self._most)
            raise QuotaExceeded(
                f"more than {self._most:g} {self._what} in a minute: the next is free in {wait.total_seconds():.1f} s",
                reason=Reason.RATE_LIMITED,
                retry_after=wait,
            )
        bucket.level -= 1


class Counted(Protocol):
    """What a projection knows of unfinished songs."""

    @property
    def seq(self) -> int: ...

    def unfinished(self, tenant: str, *, batch: bool) -> int: ...


class Place:
    """One unfinished song more; `seq` once it is in the stream."""

    def __init__(self) -> None:
        self.seq: int | None = None


class Places:
    """Unfinished songs of a tenant: those of the projection, and those on their way into it."""

    def __init__(self, most: int, projection: Counted) -> None:
        self._most = most
        self._projection = projection
        self._coming: defaultdict[tuple[str, bool], list[Place]] = defaultdict(list)

    @contextmanager
    def place(self, tenant: str, *, batch: bool) -> Iterator[Place]:
        """Raises QuotaExceeded when the tenant has all it may have."""
        coming = self._coming[tenant, batch]
        coming[:] = [place for place in coming if place.seq is None or place.seq > self._projection.seq]
        most = self._most * (BATCH_FACTOR if batch else 1)
        if self._projection.unfinished(tenant, batch=batch) + len(coming) >= most:
            raise QuotaExceeded(
                f"{most} songs are unfinished, which is as many as may be: wait for one, or cancel one",
                reason=Reason.TENANT_UNFINISHED,
                retry_after=_UNFINISHED_RETRY,
            )
        place = Place()
        coming.append(place)
        try:
            yield place
        finally:
            if place.seq is None and place in coming:
                coming.remove(place)


class Fullness:
    """Keeps new songs out of a stream that is nearly full."""

    def __init__(self, measure: Callable[[], Awaitable[float]], *, clock: Clock = time.monotonic) -> None:
        self._measure = measure
        self._clock = clock
        self._value = 0.0
        self._until = 0.0
        self._songs = 0

    async def check(self) -> None:
        """Raises QuotaExceeded."""
        self._songs += 1
        is_old = self._clock() >= self._until or self._songs >= _FULLNESS_SONGS
        if is_old or _NEARLY_FULL < self._value <= FULL:
            self._until, self._songs = self._clock() + _FULLNESS_AGE_S, 0
            self._value = await self._measure()
        if self._value > FULL:
            raise QuotaExceeded(
                f"the job store is {self._value:.0%} full: delete songs, or ask the operator for more space",
                reason=Reason.STORE_FULL,
                retry_after=_FULL_RETRY,
            )


@dataclass(frozen=True, slots=True)
class _Share:
    """Not known before the store has answered, and then nobody is kept out."""

    used_bytes: int = 0
    quota_bytes: int = 1
    until: float = -math.inf

    @property
    def is_full(self) -> bool:
        return self.used_bytes >= self.quota_bytes


class Storage:
    """Keeps new songs out where the tenant's files fill its share of the store.

    The store itself refuses what does not fit, but a tenth later: a song that was accepted with the last bytes ends.
    So it need not answer for songs to be accepted; what it said last holds.
    """

    def __init__(
        self, store: "store_pb2_grpc.StoreServiceAsyncStub", signer: TokenSigner, *, clock: Clock = time.monotonic
    ) -> None:
        self._store = store
        self._signer = signer
        self._clock = clock
        self._shares: dict[str, _Share] = {}

    async def check(self, tenant: str, owner: str) -> None:
        """Raises QuotaExceeded."""
        share = self._shares.get(tenant, _Share())
        if share.is_full or self._clock() >= share.until:
            share = self._shares[tenant] = await self._asked(tenant, owner, before=share)
        if share.is_full:
            raise _no_room(tenant, share)

    async def _asked(self, tenant: str, owner: str, *, before: _Share) -> _Share:
        grant = self._signer.grant(
            tenant=tenant, owner=owner, subject="usage", expires=datetime.now(UTC) + _SHARE_PATIENCE
        )
        until = self._clock() + _SHARE_AGE_S
        try:
            answer = await self._store.Usage(
                store_pb2.UsageRequest(), metadata=((GRANT, grant),), timeout=_SHARE_PATIENCE.total_seconds()
            )
        except grpc.aio.AioRpcError as error:
            _log.warning("storage quota not known", tenant=tenant, code=error.code().name)
            # Songs do not wait again and again for a store that is silent; one that answers at once is asked again.
            is_silent = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            return replace(before, until=until if is_silent else 0.0)
        return _Share(answer.used_bytes, answer.quota_bytes, until)


def _no_room(tenant: str, share: _Share) -> QuotaExceeded:
    message = f"{tenant} keeps {share.used_bytes >> 20:,} of {share.quota_bytes >> 20:,} MiB: no song fits any more. "
    message += "Files of deleted songs go when these are purged, uploads that no song needs after 7 days; "
    message += "the operator raises it by HARMONIA_STORAGE_BYTES"
    return QuotaExceeded(
        message,
        reason=Reason.STORAGE_QUOTA,
        used_bytes=str(share.used_bytes),
        quota_bytes=str(share.quota_bytes),
    )


@dataclass(frozen=True, slots=True)
class Quotas:
    creates: Rate
    reads: Rate
    places: Places
    fullness: Fullness
    storage: Storage
