"""How much the files of a tenant may take, and do.

Counted from a listing when a tenant first puts something, then by adding; after each collection it is counted anew. A
listing costs a request for each thousand objects on S3, and milliseconds on files. Replicas that share a bucket learn
of each other's Puts at the next count, so that a tenant may get past its quota by what they put in an hour.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from harmonia_artifacts.store import Kept, Store
from harmonia_chassis.errors import NotFound, QuotaExceeded, Reason

# What was accepted shall not fail at the last stage: uploads are refused first.
_FOR_ACCEPTED = 1.1


class Usage:
    def __init__(self, store: Store, most_bytes: int) -> None:
        self._store = store
        self.most_bytes = most_bytes
        self._used: dict[str, int] = {}
        self._adding = threading.Lock()

    # Asked when all bytes are here: gRPC does not tell a caller who is still sending why its call ended.
    @contextmanager
    def taken(self, tenant: str, sha256: str, size_bytes: int, kept: Kept) -> Iterator[None]:
        """Inside, the room is taken; it stays so unless the block raises, or the object was there before."""
        with ExitStack() as giving_back:
            if not self._is_there(tenant, sha256):
                self._take(tenant, size_bytes, kept)
                giving_back.callback(self._add, tenant, -size_bytes)
            yield
            giving_back.pop_all()

    def used_bytes(self, tenant: str) -> int:
        used = self._used.get(tenant)
        if used is None:
            counted = self._store.size_bytes(tenant)
            with self._adding:
                used = self._used.setdefault(tenant, counted)
        return used

    def check(self, tenant: str, size_bytes: int) -> None:
        """Before an upload is begun. Raises QuotaExceeded."""
        used = self.used_bytes(tenant)
        if not self._fits(used + size_bytes, Kept.UPLOAD):
            raise self._exceeded(tenant, used, size_bytes)

    def count_anew(self) -> None:
        with self._adding:
            self._used.clear()

    def _take(self, tenant: str, size_bytes: int, kept: Kept) -> None:
        self.used_bytes(tenant)
        with self._adding:
            used = self._used.get(tenant, 0)
            if not self._fits(used + size_bytes, kept):
                raise self._exceeded(tenant, used, size_bytes)
            self._used[tenant] = used + size_bytes

    def _add(self, tenant: str, size_bytes: int) -> None:
        with self._adding:
            if tenant in self._used:
                self._used[tenant] += size_bytes

    def _fits(self, size_bytes: int, kept: Kept) -> bool:
        return size_bytes <= self.most_bytes * (1 if kept is Kept.UPLOAD else _FOR_ACCEPTED)

    def _is_there(self, tenant: str, sha256: str) -> bool:
        try:
            self._store.find(tenant, sha256)
        except NotFound:
            return False
        return True

    def _exceeded(self, tenant: str, used: int, size_bytes: int) -> QuotaExceeded:
        message = f"{tenant} keeps {_mib(used)} of {_mib(self.most_bytes)}: {_mib(size_bytes)} more do not fit. "
        message += "Files of deleted songs go when these are purged, uploads that no song needs after 7 days; "
        message += "the operator raises it by HARMONIA_STORAGE_BYTES"
        return QuotaExceeded(
            message,
            reason=Reason.STORAGE_QUOTA,
            field="header.size_bytes",
            used_bytes=str(used),
            quota_bytes=str(self.most_bytes),
        )


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):,.1f} MiB"
