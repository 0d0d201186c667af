"""Who wants to be told of the end of songs, and what became of telling them; both kept as entities.

A delivery is claimed by compare-and-set before each try, so that of several gateways one sends it. It is tried at once,
after 2 s, 4 s, 8 s … up to an hour apart, for a day.
"""

import asyncio
import hashlib
import hmac
import json
import random
import secrets
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import unquote, urlsplit

import structlog
from google.protobuf import json_format
from pydantic import BaseModel, ConfigDict

from harmonia_chassis.entities import Entities
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_chassis.job_stream import Refused, Stored
from harmonia_gateway import wire
from harmonia_gateway.outside import AddressRefused, NoAnswer, Outside
from harmonia_gateway.projection import Projection

WEBHOOKS = "webhook"
DELIVERIES = "delivery"

LOOK_S = 0.5
_READ_WEBHOOKS_S = 5.0
# Of gateways that died with deliveries under way; one's own are known.
_READ_DELIVERIES_S = 600.0
# Songs are folded in as they come, which is nearly in the order of their times.
_OVERLAP_S = 30.0
_FIRST_PAUSE_S = 2.0
_LONGEST_PAUSE_S = 3600.0
_GIVEN_UP_S = 86400.0
_KEPT_S = 7 * 86400.0
# Longer than a try takes: whoever claimed it and died is followed by another.
_CLAIM_S = 60.0
_AT_ONCE = 16

_log = structlog.get_logger()

State = Literal["PENDING", "DELIVERED", "FAILED"]


class Webhook(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    tenant: str
    owner: str
    url: str
    secret: str
    create_time: float
    named_only: bool = False
    deleted: bool = False

    def covers(self, url: str) -> bool:
        """Whether it is this address, or one below it at the same host."""
        own, other = urlsplit(self.url), urlsplit(url)
        if (own.scheme, own.netloc.lower()) != (other.scheme, other.netloc.lower()) or other.fragment:
            return False
        if url == self.url:
            return True
        parts = unquote(other.path).split("/")
        below = other.path.startswith(f"{own.path.rstrip('/')}/") or other.path == own.path
        return below and not own.query and ".." not in parts and "." not in parts


class Delivery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    webhook: str
    song: str
    state: State = "PENDING"
    attempts: int = 0
    outcome: str = ""
    create_time: float
    last_time: float | None = None
    next_time: float | None = None
    # Where it goes instead of the webhook's own address.
    url: str = ""


def signature(secret: str, body: bytes, *, at: int) -> str:
    """Of the header harmonia-signature; the time in it keeps an old message from being sent again by others."""
    told = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={told}"


def named_by(url: str, webhooks: Iterable[Webhook]) -> Webhook | None:
    """The one that speaks for the address: the nearest above it, the oldest of several."""
    covering = [one for one in webhooks if one.covers(url)] if url else []
    return min(covering, key=lambda one: (-len(one.url), one.create_time), default=None)


def pause_s(attempts: int, chance: float) -> float:
    """After so many tries: 2 s, 4 s, 8 s … an hour, each up to a quarter longer. `chance` from 0 to 1."""
    return min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20)) * (1 + chance / 4)


class Webhooks:
    def __init__(
        self,
        entities: Entities,
        projection: Projection,
        outside: Outside,
        *,
        now: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._entities = entities
        self._projection = projection
        self._outside = outside
        self._now = now
        self._chance = chance
        self._webhooks: dict[str, Webhook] = {}
        self._deliveries: dict[str, tuple[int, Delivery]] = {}
        self._seen: dict[str, float] = {}

    async def create(self, tenant: str, owner: str, url: str, *, named_only: bool = False) -> Webhook:
        """Raises InvalidInput for an address that may not be called."""
        await self._outside.check(url, field="url")
        webhook = Webhook(
            id=secrets.token_hex(16),
            tenant=tenant,
            owner=owner,
            url=url,
            secret=f"hms_{secrets.token_urlsafe(32)}",
            create_time=self._now(),
            named_only=named_only,
        )
        await self._keep(webhook)
        return webhook

    async def of(self, tenant: str, owner: str) -> list[Webhook]:
        listed = await self._entities.list(WEBHOOKS, tenant=tenant)
        found = [Webhook.model_validate_json(payload) for _, _, payload in listed]
        return sorted((one for one in found if one.owner == owner and not one.deleted), key=lambda one: one.create_time)

    async def allow(self, url: str, tenant: str, owner: str) -> None:
        """That a song may name the address. Raises InvalidInput on `spec.webhook`."""
        if named_by(url, await self.of(tenant, owner)) is None:
            message = "spec.webhook is no address of your webhooks, nor below one: CreateWebhook adds one"
            raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="spec.webhook")

    async def delete(self, webhook: Webhook) -> None:
        await self._keep(webhook.model_copy(update={"deleted": True, "secret": ""}))

    async def deliveries(self, webhook: Webhook) -> list[Delivery]:
        listed = await self._entities.list(DELIVERIES, tenant=webhook.tenant)
        found = [Delivery.model_validate_json(payload) for _, _, payload in listed]
        since = self._now() - _KEPT_S
        kept = [one for one in found if one.webhook == webhook.id and one.create_time > since]
        return sorted(kept, key=lambda one: one.create_time, reverse=True)

    async def run(self, ready: Callable[[], None]) -> None:
        ready()
        webhooks_read = deliveries_read = float("-inf")
        while True:
            if time.monotonic() - webhooks_read > _READ_WEBHOOKS_S:
                await self._read_webhooks()
                webhooks_read = time.monotonic()
            if self._webhooks and time.monotonic() - deliveries_read > _READ_DELIVERIES_S:
                await self._read_deliveries()
                deliveries_read = time.monotonic()
            due = [*self._due(), *self._new()]
            await asyncio.gather(*(self._try(delivery, seq) for seq, delivery in due[:_AT_ONCE]))
            await asyncio.sleep(LOOK_S)

    async def _read_webhooks(self) -> None:
        """Other gateways create them too."""
        hooks = [Webhook.model_validate_json(payload) for _, _, payload in await self._entities.list(WEBHOOKS)]
        self._webhooks = {one.id: one for one in hooks if not one.deleted}

    async def _read_deliveries(self) -> None:
        oldest = self._now() - _KEPT_S
        for delivery_id, seq, payload in await self._entities.list(DELIVERIES):
            delivery = Delivery.model_validate_json(payload)
            self._deliveries[delivery_id] = (seq, delivery)
            if delivery.create_time < oldest and delivery.webhook in self._webhooks:
                tenant = self._webhooks[delivery.webhook].tenant
                await self._entities.forget(DELIVERIES, delivery_id, tenant=tenant)
                del self._deliveries[delivery_id]

    async def _keep(self, webhook: Webhook) -> None:
        payload = webhook.model_dump_json().encode()
        await self._entities.put(WEBHOOKS, webhook.id, payload, tenant=webhook.tenant)
        if webhook.deleted:
            self._webhooks.pop(webhook.id, None)
        else:
            self._webhooks[webhook.id] = webhook

    def _new(self) -> list[tuple[int, Delivery]]:
        """Of songs that have ended since a webhook is there, and of which it was not told."""
        now = self._now()
        made = []
        for webhook in self._webhooks.values():
            since = max(webhook.create_time, now - _GIVEN_UP_S, self._seen.get(webhook.id, 0.0) - _OVERLAP_S)
            for stored in self._projection.ended_since(webhook.tenant, webhook.owner, since):
                delivery_id = _delivery_id(webhook, stored)
                url = self._address(webhook, stored.job.spec.webhook)
                if url and delivery_id not in self._deliveries:
                    song = f"songs/{stored.job.id}"
                    delivery = Delivery(id=delivery_id, webhook=webhook.id, song=song, create_time=now, url=url)
                    made.append((0, delivery))
            if len(made) < _AT_ONCE:
                self._seen[webhook.id] = now
        return made

    def _address(self, webhook: Webhook, named: str) -> str:
        """Where it is told of a song that names an address; empty: nowhere."""
        own = (webhook.tenant, webhook.owner)
        theirs = [one for one in self._webhooks.values() if (one.tenant, one.owner) == own]
        if webhook == named_by(named, theirs):
            return named
        return "" if webhook.named_only else webhook.url

    def _due(self) -> list[tuple[int, Delivery]]:
        now = self._now()
        return [
            (seq, delivery)
            for seq, delivery in self._deliveries.values()
            if delivery.state == "PENDING" and (delivery.next_time or 0) <= now and delivery.webhook in self._webhooks
        ]

    async def _try(self, delivery: Delivery, seq: int) -> None:
        webhook, now = self._webhooks[delivery.webhook], self._now()
        claimed = delivery.model_copy(update={"attempts": delivery.attempts + 1, "next_time": now + _CLAIM_S})
        try:
            seq = await self._put(webhook, claimed, seq)
        except Refused:
            await self._reread(webhook, delivery.id)  # another gateway has it
            return
        state, outcome = await self._send(webhook, claimed)
        ended = state != "PENDING" or now - delivery.create_time > _GIVEN_UP_S
        after = claimed.model_copy(
            update={
                "state": "FAILED" if ended and state == "PENDING" else state,
                "outcome": outcome,
                "last_time": now,
                "next_time": None if ended else self._now() + pause_s(claimed.attempts, self._chance()),
            }
        )
        await self._put(webhook, after, seq)
        _log.info("webhook", webhook=webhook.id, song=delivery.song, attempt=after.attempts, outcome=outcome)

    async def _reread(self, webhook: Webhook, delivery_id: str) -> None:
        stored = await self._entities.get(DELIVERIES, delivery_id, tenant=webhook.tenant)
        if stored is not None:
            self._deliveries[delivery_id] = (stored[0], Delivery.model_validate_json(stored[1]))

    async def _put(self, webhook: Webhook, delivery: Delivery, expected: int) -> int:
        payload = delivery.model_dump_json().encode()
        seq = await self._entities.put(DELIVERIES, delivery.id, payload, tenant=webhook.tenant, expected=expected)
        self._deliveries[delivery.id] = (seq, delivery)
        return seq

    async def _send(self, webhook: Webhook, delivery: Delivery) -> tuple[State, str]:
        body = self._body(webhook, delivery)
        if body is None:
            return "FAILED", "the song is gone"
        headers = {
            "content-type": "application/json",
            "user-agent": "harmonia-webhook",
            "harmonia-delivery": delivery.id,
            "harmonia-signature": signature(webhook.secret, body, at=int(self._now())),
        }
        try:
            return _meaning(await self._outside.post(delivery.url or webhook.url, body, headers))
        except AddressRefused:
            return "FAILED", "address refused"
        except NoAnswer as error:
            return "PENDING", f"no connection: {error}"

    def _body(self, webhook: Webhook, delivery: Delivery) -> bytes | None:
        stored = self._projection.one(webhook.tenant, delivery.song.partition("/")[2])
        if stored is None:
            return None
        song = wire.song(stored.job, stored.seq, now=datetime.fromtimestamp(self._now(), UTC))
        told = json_format.MessageToDict(song, preserving_proto_field_name=True)
        return json.dumps({"id": delivery.id, "type": "song.ended", "song": told}).encode()


def _delivery_id(webhook: Webhook, stored: Stored) -> str:
    """The same for every gateway; a song that is retried ends anew."""
    ended = stored.job.update_time.ToMicroseconds()
    return hashlib.sha256(f"{webhook.id} {stored.job.id} {ended}".encode()).hexdigest()[:32]


def _meaning(status: int) -> tuple[State, str]:
    if 200 <= status < 300:
        return "DELIVERED", str(status)
    if 300 <= status < 400:
        return "FAILED", "redirected"
    if status == 410:
        return "FAILED", "410"
    return "PENDING", str(status)
