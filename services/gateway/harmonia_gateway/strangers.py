"""How often an address may fail to say who it is: whoever tries tokens is slowed down before anybody looks at them."""

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address

from harmonia_chassis.access import CameFrom
from harmonia_chassis.errors import QuotaExceeded, Reason

Network = IPv4Network | IPv6Network

_REMEMBERED = 10_000


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class Strangers:
    """A token bucket per address: so many failures a minute, refilled evenly."""

    def __init__(
        self, per_minute: int, proxies: Sequence[Network], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = float(per_minute)
        self._proxies = proxies
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def address_of(self, came_from: CameFrom) -> str:
        """The nearest address that is no proxy of ours: what those in front of it say, anybody may make up."""
        nearest = came_from.address
        for hop in reversed([hop.strip() for hop in came_from.forwarded.split(",") if hop.strip()]):
            if not self._is_proxy(nearest):
                break
            nearest = hop
        return nearest

    def check(self, address: str) -> None:
        """Raises QuotaExceeded when the address has failed too often."""
        bucket = self._bucket(address)
        if bucket.level < 1:
            wait = timedelta(seconds=(1 - bucket.level) * 60 / self._most)
            raise QuotaExceeded(
                f"more than {self._most:g} failures to sign in within a minute from {address}: "
                f"the next try is free in {wait.total_seconds():.1f} s",
                reason=Reason.RATE_LIMITED,
                retry_after=wait,
            )

    def failed(self, address: str) -> None:
        self._bucket(address).level -= 1

    def _bucket(self, address: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.setdefault(address, _Bucket(self._most, now))
        bucket.level = min(self._most, bucket.level + (now - bucket.at) * self._most / 60)
        bucket.at = now
        self._buckets.move_to_end(address)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return bucket

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._proxies)
