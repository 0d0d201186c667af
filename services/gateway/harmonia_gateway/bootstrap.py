"""The token that makes the first API key of a mesh without people: signed beside the signing key, good for one call."""

from harmonia_chassis.entities import Entities
from harmonia_chassis.errors import Reason, Unauthenticated
from harmonia_chassis.identity import BOOTSTRAP, BOOTSTRAP_AUDIENCE, Principal, TokenVerifier
from harmonia_chassis.job_stream import Refused
from harmonia_gateway.audit import Audit
from harmonia_gateway.patience import patience

USES = "bootstrap"


class Bootstrap:
    def __init__(self, verifier: TokenVerifier, entities: Entities, audit: Audit) -> None:
        self._verifier = verifier
        self._entities = entities
        self._audit = audit

    async def recognise(self, token: str) -> Principal:
        """An operator, once. Raises Unauthenticated for every further use."""
        claims = await self._verifier.other(token, BOOTSTRAP, BOOTSTRAP_AUDIENCE)
        try:
            async with patience():
                await self._entities.put(USES, str(claims["jti"]), b"used", expected=0)
        except Refused as error:
            message = "this token was used: it is good for one call"
            raise Unauthenticated(message, reason=Reason.TOKEN_INVALID) from error
        operator = Principal(
            "user", "bootstrap", "mesh", "bootstrap", frozenset({"admin", "keys:write"}), operator=True
        )
        await self._audit.record("bootstrap.used", operator, target=f"tokens/{claims['jti']}")
        return operator
