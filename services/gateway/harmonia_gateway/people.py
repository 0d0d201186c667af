"""Who a person is, by any token the public door takes: an API key, the bootstrap token, an issuer's, a link's."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import jwt
from jwt.exceptions import InvalidTokenError

from harmonia_chassis.access import current_came_from
from harmonia_chassis.errors import Reason, Unauthenticated
from harmonia_chassis.identity import BOOTSTRAP, Principal
from harmonia_chassis.telemetry import Metrics
from harmonia_gateway.shares import TOKEN_PREFIX
from harmonia_gateway.strangers import Strangers

Recognise = Callable[[str], Awaitable[Principal]]


class Keys(Protocol):
    async def authenticate(self, token: str) -> Principal: ...

    def is_known(self, token: str) -> bool: ...


class People:
    def __init__(
        self,
        keys: Keys,
        *,
        bootstrap: Recognise,
        issuer: Recognise | None,
        shares: Recognise,
        strangers: Strangers,
        metrics: Metrics,
    ) -> None:
        self._keys = keys
        self._shares = shares
        self._bootstrap = bootstrap
        self._issuer = issuer
        self._strangers = strangers
        self._metrics = metrics

    async def authenticate(self, token: str) -> Principal:
        """Raises Unauthenticated, and QuotaExceeded for an address that fails too often."""
        address = self._strangers.address_of(current_came_from())
        if not self._keys.is_known(token):
            self._strangers.check(address)
        kind, recognise = self._way(token)
        try:
            return await recognise(token)
        except Unauthenticated as error:
            self._strangers.failed(address)
            self._metrics.tokens_refused.labels(kind, error.reason.value).inc()
            raise

    def _way(self, token: str) -> tuple[str, Recognise]:
        if token.startswith(TOKEN_PREFIX):
            return "share", self._shares
        if token.count(".") != 2:
            return "key", self._keys.authenticate
        if _type_of(token) == BOOTSTRAP:
            return "bootstrap", self._bootstrap
        return "oidc", self._issuer or _no_issuer


def _type_of(token: str) -> str:
    try:
        return str(jwt.get_unverified_header(token).get("typ", ""))
    except InvalidTokenError:
        return ""


async def _no_issuer(_token: str) -> Principal:
    raise Unauthenticated("this mesh takes no tokens of issuers: use an API key", reason=Reason.TOKEN_INVALID)
