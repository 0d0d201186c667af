"""Who a user is, by an opaque key.

Keys are kept only as their SHA-256, as entities, so all replicas know them and no file or log holds one.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from harmonia_chassis.entities import Entities
from harmonia_chassis.errors import Reason, Unauthenticated
from harmonia_chassis.identity import Principal
from harmonia_gateway.patience import patience

KEYS = "key"

# A key that was taken back opens the door for so long yet.
_TRUSTED_S = 5.0
_REMEMBERED = 4096
_SHA256 = re.compile(r"[0-9a-f]{64}")


class UserKey(BaseModel):
    """A key as it is kept. Its token is known to the user alone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=64)
    sha256: str = Field(pattern=_SHA256)
    # Tenants are tokens of NATS subjects.
    tenant: str = Field(pattern=r"^[a-z0-9-]{1,64}$")
    owner: str = Field(min_length=1, max_length=64)
    scopes: tuple[str, ...]
    operator: bool = False

    def principal(self) -> Principal:
        return Principal(
            kind="user",
            name=self.name,
            tenant=self.tenant,
            owner=self.owner,
            scopes=frozenset(self.scopes),
            operator=self.operator,
        )


def read_keys(path: Path) -> list[UserKey]:
    """Keys of a bootstrap file, a JSON list. Raises ValueError when it is no such file."""
    return TypeAdapter(list[UserKey]).validate_json(path.read_bytes())


class UserKeys:
    def __init__(self, entities: Entities, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._entities = entities
        self._clock = clock
        self._known: dict[str, tuple[float, UserKey | None]] = {}

    async def make_known(self, keys: Sequence[UserKey]) -> None:
        """Stores those that are not stored yet."""
        for key in keys:
            payload = key.model_dump_json().encode()
            stored = await self._entities.get(KEYS, key.sha256)
            if stored is None or stored[1] != payload:
                await self._entities.put(KEYS, key.sha256, payload)

    async def authenticate(self, token: str) -> Principal:
        """Whose key it is. Raises Unauthenticated; a service's token is nobody's key."""
        digest = hashlib.sha256(token.encode()).hexdigest()
        key = await self._find(digest)
        if key is None or not hmac.compare_digest(key.sha256, digest):
            raise Unauthenticated("this token is not known here: use one of this mesh", reason=Reason.TOKEN_INVALID)
        return key.principal()

    async def _find(self, digest: str) -> UserKey | None:
        until, key = self._known.get(digest, (0.0, None))
        if self._clock() < until:
            return key
        async with patience():
            stored = await self._entities.get(KEYS, digest)
        key = UserKey.model_validate_json(stored[1]) if stored else None
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = (self._clock() + _TRUSTED_S, key)
        return key
