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
# Ids of keys by tenant; what they hold is under the digest.
KEY_IDS = "keyid"
TOKEN_PREFIX = "hmk_"  # noqa: S105  how one begins, so that scanners find those that leak

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
    # Of keys that people made; those of a bootstrap file have none and live as long as the file says.
    id: str = ""
    display_name: str = ""
    create_time: float = 0.0
    expire_time: float | None = None
    revoke_time: float | None = None

    def has_ended(self, now: float) -> bool:
        return self.revoke_time is not None or (self.expire_time is not None and now >= self.expire_time)

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


def digest_of(token: str) -> str:
    """256 random bits need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


class UserKeys:
    def __init__(
        self,
        entities: Entities,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._entities = entities
        self._clock = clock
        self._now = now
        self._known: dict[str, tuple[float, UserKey | None]] = {}

    async def make_known(self, keys: Sequence[UserKey]) -> None:
        """Stores those that are not stored yet."""
        for key in keys:
            payload = key.model_dump_json().encode()
            stored = await self._entities.get(KEYS, key.sha256)
            if stored is None or stored[1] != payload:
                await self._entities.put(KEYS, key.sha256, payload)

    def is_known(self, token: str) -> bool:
        """Opened the door a moment ago, so nothing needs to be looked up."""
        until, key = self._known.get(digest_of(token), (0.0, None))
        return key is not None and self._clock() < until

    async def authenticate(self, token: str) -> Principal:
        """Whose key it is. Raises Unauthenticated; a service's token is nobody's key."""
        digest = digest_of(token)
        key = await self._find(digest)
        if key is None or not hmac.compare_digest(key.sha256, digest) or key.revoke_time is not None:
            raise Unauthenticated("this token is not known here: use one of this mesh", reason=Reason.TOKEN_INVALID)
        if key.has_ended(self._now()):
            raise Unauthenticated("this key has expired: make another", reason=Reason.TOKEN_EXPIRED)
        return key.principal()

    async def add(self, key: UserKey) -> None:
        async with patience():
            await self._entities.put(KEY_IDS, key.id, key.sha256.encode(), tenant=key.tenant)
            await self._entities.put(KEYS, key.sha256, key.model_dump_json().encode())

    async def of(self, tenant: str) -> list[UserKey]:
        async with patience():
            listed = await self._entities.list(KEY_IDS, tenant=tenant)
            return [key for _, _, digest in listed if (key := await self._read(digest.decode())) is not None]

    async def all(self) -> list[UserKey]:
        return await self.of("*")

    async def by_id(self, key_id: str) -> UserKey | None:
        return next((key for key in await self.all() if key.id == key_id), None)

    async def revoke(self, key: UserKey, *, at: float) -> UserKey:
        revoked = key.model_copy(update={"revoke_time": at})
        async with patience():
            await self._entities.put(KEYS, key.sha256, revoked.model_dump_json().encode())
        self._known.pop(key.sha256, None)
        return revoked

    async def _find(self, digest: str) -> UserKey | None:
        until, key = self._known.get(digest, (0.0, None))
        if self._clock() < until:
            return key
        async with patience():
            key = await self._read(digest)
        if len(self._known) >= _REMEMBERED:
            self._known.pop(next(iter(self._known)))
        self._known[digest] = (self._clock() + _TRUSTED_S, key)
        return key

    async def _read(self, digest: str) -> UserKey | None:
        stored = await self._entities.get(KEYS, digest)
        return UserKey.model_validate_json(stored[1]) if stored else None
