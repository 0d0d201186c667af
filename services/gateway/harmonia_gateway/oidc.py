"""Access tokens of an OpenID Connect issuer. RFC 8725: the algorithm follows from the key, not from the token; issuer
and audience exact, expiry required. ID tokens are refused: they say who somebody is to another program.

A token without the tenant's claim is refused. Nobody is an operator by an issuer's word (decision 0037).
"""

import re
from collections.abc import Mapping

import jwt
from jwt.exceptions import ExpiredSignatureError, InvalidTokenError

from harmonia_chassis.errors import Reason, Unauthenticated
from harmonia_chassis.identity import SKEW, Principal
from harmonia_gateway.jwks import IssuerKeys

# By the type of the key, RFC 7518 §3.1 and RFC 8037: no alg none, no shared secrets.
_ALGORITHMS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("RS256", "PS256"),
    "EC": ("ES256", "ES384"),
    "OKP": ("EdDSA",),
}
# RFC 9068 §2.1, and what issuers older than it write.
_TYPES = frozenset({"at+jwt", "application/at+jwt", "jwt", ""})
_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash")
_POINTERS = ("jku", "x5u", "jwk", "x5c", "crit")
_TENANT = re.compile(r"[a-z0-9-]{1,64}")
_OWNER = re.compile(r"[!-~]{1,64}")
_SCOPES = frozenset(
    {
        "songs:read",
        "songs:write",
        "lyrics:write",
        "audio:analyze",
        "artifacts:read",
        "artifacts:write",
        "keys:write",
    }
)


class Issuer:
    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        tenant_claim: str,
        keys: IssuerKeys,
    ) -> None:
        self._issuer = issuer
        self._audience = audience
        self._tenant_claim = tenant_claim
        self._keys = keys

    async def recognise(self, token: str) -> Principal:
        """Raises Unauthenticated."""
        key = await self._keys.key(_kid(token))
        try:
            claims = jwt.decode(
                token,
                key.key,
                algorithms=list(_ALGORITHMS.get(str(key.key_type), ())),
                audience=self._audience,
                issuer=self._issuer,
                leeway=SKEW,
                options={"require": ["exp", "iat", "sub", "iss", "aud"]},
            )
        except ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired", reason=Reason.TOKEN_EXPIRED) from error
        except InvalidTokenError as error:
            raise _invalid(str(error)) from error
        return self._principal(claims)

    def _principal(self, claims: Mapping[str, object]) -> Principal:
        if claims["aud"] not in (self._audience, [self._audience]):
            raise _invalid("the token is for others too")
        if any(claim in claims for claim in _OF_ID_TOKENS):
            raise _invalid("this is an ID token: send the access token")
        tenant, owner = claims.get(self._tenant_claim), claims["sub"]
        if not isinstance(tenant, str) or not _TENANT.fullmatch(tenant):
            raise _invalid(f"the token names no tenant by the claim {self._tenant_claim}")
        if not isinstance(owner, str) or not _OWNER.fullmatch(owner):
            raise _invalid("sub must be 1 to 64 printable characters")
        return Principal("user", owner, tenant, owner, _scopes(claims))


def _kid(token: str) -> str:
    try:
        header = jwt.get_unverified_header(token)
    except InvalidTokenError as error:
        raise _invalid(str(error)) from error
    if any(pointer in header for pointer in _POINTERS):
        raise _invalid("a token does not say where its key is")
    if str(header.get("typ", "")).lower() not in _TYPES:
        raise _invalid(f"tokens of the type {str(header.get('typ'))[:40]!r} do not open this door")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise _invalid("the token does not say which key signed it")
    return kid


def _scopes(claims: Mapping[str, object]) -> frozenset[str]:
    """RFC 9068 §2.2.3, or a list as some issuers write it."""
    told = claims.get("scope", claims.get("scp", ""))
    words = told.split() if isinstance(told, str) else told if isinstance(told, list) else []
    return frozenset(word for word in words if word in _SCOPES)


def _invalid(why: str) -> Unauthenticated:
    return Unauthenticated(f"the token is not good here: {why}", reason=Reason.TOKEN_INVALID)
