"""Links by which anybody may hear one song for a while, kept as entities.

A link's token names its share and its end, signed with a key that the share alone has (HMAC-SHA256): it cannot be
guessed, nor stretched, and revoking the share forgets the key. Whatever is wrong with one, the refusal is the same.
"""

import asyncio
import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog
from pydantic import BaseModel, ConfigDict

from harmonia_chassis.entities import Entities
from harmonia_chassis.errors import NotFound, QuotaExceeded, Reason, Unauthenticated
from harmonia_chassis.identity import Principal
from harmonia_chassis.job_stream import Refused
from harmonia_gateway.patience import patience

SHARES = "share"
# Tenants of shares, by id: a token does not tell whose it is.
TENANTS = "shareof"
SCOPE = "shares:open"
TOKEN_PREFIX = "hml_"  # noqa: S105  how one begins, so that scanners find those that leak
MOST = 100
SHORTEST, LONGEST = timedelta(seconds=60), timedelta(days=7)

LOOK_S = 2.0
# Of one that has ended: its count may still be asked for.
_KEPT_S = 30 * 86400.0

_NAME = re.compile(r"shares/([0-9a-f]{32})")
_TOKEN = re.compile(rf"{TOKEN_PREFIX}([0-9a-f]{{32}})_([0-9a-f]{{8}})_([A-Za-z0-9_-]{{43}})")

_log = structlog.get_logger()


class Share(BaseModel):
    """`what`: of the contract, by name. `key`: empty once it is revoked."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    tenant: str
    owner: str
    song: str
    what: str
    formats: tuple[str, ...]
    key: str
    create_time: float
    expire_time: int
    revoke_time: float | None = None
    opens: int = 0
    last_open_time: float | None = None

    @property
    def name(self) -> str:
        return f"shares/{self.id}"

    def has_ended(self, now: float) -> bool:
        return self.revoke_time is not None or now >= self.expire_time

    @property
    def token(self) -> str:
        return f"{TOKEN_PREFIX}{self.id}_{self.expire_time:08x}_{self.signature(self.expire_time)}"

    def signature(self, expire_time: int) -> str:
        """Over all that the link is for."""
        told = f"{self.id} {expire_time} {self.song} {self.what} {','.join(self.formats)}"
        digest = hmac.new(self.key.encode(), told.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def refused() -> Unauthenticated:
    """The same for a link that has expired, was revoked, was tampered with or never was."""
    return Unauthenticated("this link opens nothing: ask for another", reason=Reason.TOKEN_INVALID)


def no_share(name: str) -> NotFound:
    message = f"there is no {name[:60]!r}: ListShares tells which there are"
    return NotFound(message, reason=Reason.SHARE_NOT_FOUND, field="name")


class Shares:
    def __init__(self, entities: Entities, *, now: Callable[[], float] = time.time) -> None:
        self._entities = entities
        self._now = now
        self._opened: dict[str, tuple[Share, int, float]] = {}

    def now(self) -> float:
        return self._now()

    async def create(
        self, caller: Principal, *, song: str, what: str, formats: Sequence[str], valid_for: timedelta
    ) -> Share:
        """Raises QuotaExceeded."""
        if sum(not one.has_ended(self._now()) for one in await self.of(caller)) >= MOST:
            message = f"{MOST} links are open, which is as many as there may be: revoke one"
            raise QuotaExceeded(message, reason=Reason.TOO_MANY)
        now = self._now()
        share = Share(
            id=secrets.token_hex(16),
            tenant=caller.tenant,
            owner=caller.owner,
            song=song,
            what=what,
            formats=tuple(formats),
            key=secrets.token_urlsafe(32),
            create_time=now,
            expire_time=int(now + valid_for.total_seconds()),
        )
        await self._entities.put(TENANTS, share.id, share.tenant.encode(), expected=0)
        await self._entities.put(SHARES, share.id, share.model_dump_json().encode(), tenant=share.tenant, expected=0)
        return share

    async def of(self, caller: Principal) -> list[Share]:
        """The newest first; those that ended long ago are forgotten here."""
        listed = await self._entities.list(SHARES, tenant=caller.tenant)
        found = [Share.model_validate_json(payload) for _, _, payload in listed]
        own = [one for one in found if one.owner == caller.owner]
        old = [one for one in own if self._now() > one.expire_time + _KEPT_S]
        for one in old:
            await self._entities.forget(SHARES, one.id, tenant=one.tenant)
            await self._entities.forget(TENANTS, one.id)
        return sorted((one for one in own if one not in old), key=lambda one: -one.create_time)

    async def revoke(self, caller: Principal, name: str) -> tuple[Share, bool]:
        """As it is afterwards, and whether that is new. Raises NotFound."""
        match = _NAME.fullmatch(name)
        found = await self._read(caller.tenant, match[1]) if match else None
        if found is None or found[1].owner != caller.owner:
            raise no_share(name)
        if found[1].revoke_time is not None:
            return found[1], False
        now = self._now()
        return await self._change(found[1], lambda one: one.model_copy(update={"revoke_time": now, "key": ""})), True

    async def recognise(self, token: str) -> Principal:
        """Whoever has the link. Raises Unauthenticated."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise refused()
        async with patience():
            share = await self._by_id(match[1])
        signed = hmac.compare_digest(share.signature(int(match[2], 16)), match[3]) if share and share.key else False
        if share is None or not signed or share.has_ended(self._now()):
            raise refused()
        return Principal("user", share.id, share.tenant, share.owner, frozenset({SCOPE}))

    async def opened_by(self, caller: Principal) -> Share:
        """The share that a link's principal is there for. Raises Unauthenticated."""
        found = await self._read(caller.tenant, caller.name)
        if found is None or found[1].owner != caller.owner or found[1].has_ended(self._now()):
            raise refused()
        return found[1]

    def count(self, share: Share) -> None:
        """Kept within seconds; what a killed gateway had not kept yet is not counted."""
        _, opens, _ = self._opened.get(share.id, (share, 0, 0.0))
        self._opened[share.id] = (share, opens + 1, self._now())
        _log.info("share opened", share=share.name, song=share.song)

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                await self._keep_counts()
        finally:
            async with asyncio.timeout(LOOK_S):
                await self._keep_counts()

    async def _keep_counts(self) -> None:
        opened, self._opened = self._opened, {}
        for share, opens, at in opened.values():

            def counted(one: Share, opens: int = opens, at: float = at) -> Share:
                return one.model_copy(update={"opens": one.opens + opens, "last_open_time": at})

            await self._change(share, counted)

    async def _change(self, share: Share, decide: Callable[[Share], Share]) -> Share:
        while True:
            found = await self._read(share.tenant, share.id)
            if found is None:
                return share
            changed = decide(found[1])
            payload = changed.model_dump_json().encode()
            try:
                await self._entities.replace(SHARES, share.id, payload, tenant=share.tenant, expected=found[0])
            except Refused:
                continue  # somebody was faster: on top of theirs
            return changed

    async def _by_id(self, identity: str) -> Share | None:
        tenant = await self._entities.get(TENANTS, identity)
        found = await self._read(tenant[1].decode(), identity) if tenant else None
        return found[1] if found else None

    async def _read(self, tenant: str, identity: str) -> tuple[int, Share] | None:
        if not re.fullmatch("[0-9a-f]{32}", identity):
            return None  # the name of a key, which has no such scope
        stored = await self._entities.get(SHARES, identity, tenant=tenant)
        return (stored[0], Share.model_validate_json(stored[1])) if stored else None
