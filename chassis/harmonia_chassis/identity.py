"""Who is who between the services: SPIFFE ids from certificates, service tokens and job grants.

A certificate says who a service is; a service token (hm-svc+jwt) what it may do at one other service; a
grant (hm-grant+jwt) for which tenant. Tokens and grants are Ed25519 JWTs signed by the gateway and checked
by RFC 8725: the algorithm is fixed, exactly one type, issuer and audience, an expiry is required, and no
header may name a key or where to get one.
"""

import asyncio
import base64
import hashlib
import json
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeVar

import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from jwt.exceptions import InvalidTokenError

from harmonia_chassis.errors import (
    DeadlineExceeded,
    HarmoniaError,
    PermissionDenied,
    Reason,
    Unauthenticated,
    Unavailable,
)

Clock = Callable[[], float]
T = TypeVar("T")

SERVICES = ("gateway", "lyricist", "composer", "mastering", "artifacts")
SERVICE_TOKEN = "hm-svc+jwt"  # noqa: S105  a media type
GRANT = "hm-grant+jwt"
GRANT_AUDIENCE = "mesh"
BOOTSTRAP = "harmonia-bootstrap+jwt"
BOOTSTRAP_AUDIENCE = "bootstrap"
TOKEN_LIFE = timedelta(minutes=10)
LONGEST_TOKEN_LIFE = timedelta(minutes=15)
SKEW = timedelta(seconds=30)
LONGEST_TOKEN = 8 * 1024
# A new key is published 330 s before it signs: 300 s until the last verifier has read it, and the skew.
JWKS_AGE = timedelta(seconds=300)
JWKS_REFRESH = timedelta(seconds=10)
JWKS_RETRY = timedelta(seconds=1)

_log = structlog.get_logger()

_WORKER = frozenset({"store:read", "store:write", "tokens:read"})
# What each service may ask of the others.
SCOPES: Mapping[str, frozenset[str]] = {
    "gateway": _WORKER
    | {"songs:compose", "lyrics:write", "audio:master", "audio:analyze", "audio:mix", "capabilities:read"}
    | {"store:collect", "models:read", "models:write"},
    "lyricist": _WORKER,
    "composer": _WORKER | {"models:fetch"},
    "mastering": _WORKER,
    "artifacts": frozenset({"tokens:read"}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls. Of a user: name, tenant and owner as the gateway's Authenticate found them. Of a
    service: its name, and tenant "mesh"."""

    kind: Literal["user", "service"]
    name: str
    tenant: str
    owner: str
    scopes: frozenset[str]
    operator: bool = False


@dataclass(frozen=True, slots=True)
class Grant:
    """The right to act for a tenant and an owner, on one job or request, until it expires."""

    tenant: str
    owner: str
    subject: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of a mutual TLS connection."""

    service: str
    thumbprint: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified service token says."""

    service: str
    scopes: frozenset[str]
    tenant: str
    thumbprint: str
    kid: str
    jti: str
    issued: float
    expires: float


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Revocations:
    """Tokens that are no longer good although they have not expired."""

    kids: frozenset[str] = frozenset()
    jtis: frozenset[str] = frozenset()
    oldest: tuple[tuple[str, float], ...] = ()  # service, and the second before which its tokens are void

    def covers(self, claims: Claims) -> bool:
        if claims.kid in self.kids or claims.jti in self.jtis:
            return True
        return any(service == claims.service and claims.issued < since for service, since in self.oldest)


def spiffe_id(trust_domain: str, service: str) -> str:
    return f"spiffe://{trust_domain}/svc/{service}"


def service_of(spiffe: str, trust_domain: str) -> str | None:
    """The service a SPIFFE id names, or None where it names none of this mesh."""
    service = spiffe.removeprefix(spiffe_id(trust_domain, ""))
    return service if service in SERVICES and spiffe == spiffe_id(trust_domain, service) else None


@lru_cache(maxsize=256)
def thumbprint(certificate_pem: bytes) -> str:
    """x5t#S256 of RFC 7515 §4.1.8, of the first certificate in the text."""
    body = certificate_pem.split(b"-----BEGIN CERTIFICATE-----", 1)[1].split(b"-----END CERTIFICATE-----", 1)[0]
    return _base64(hashlib.sha256(base64.b64decode(b"".join(body.split()))).digest())


def peer_of(auth_context: Mapping[str, Iterable[bytes]], trust_domain: str) -> Peer:
    """The service at the other end, from the gRPC auth context; raises Unauthenticated when its
    certificate names none, or more than one identity."""
    names = [name.decode() for name in auth_context.get("x509_subject_alternative_name", ())]
    spiffes = [name for name in names if name.startswith("spiffe://")]
    service = service_of(spiffes[0], trust_domain) if len(spiffes) == 1 else None
    if service is None:
        raise Unauthenticated("the client certificate names no service of this mesh", reason=Reason.CERTIFICATE_REFUSED)
    return Peer(service, thumbprint(next(iter(auth_context["x509_pem_cert"]))))


@dataclass(frozen=True, slots=True)
class Certificate:
    """A service's own certificate, PEM, with its key and the authority it trusts."""

    chain: bytes
    key: bytes
    authority: bytes
    expires: datetime

    @property
    def thumbprint(self) -> str:
        return thumbprint(self.chain)


class CertificateFiles:
    """The newest certificate in the files. A pair that does not fit, as between two writes of a
    renewal, is not taken: the one before stays in use."""

    def __init__(self, chain: Path, key: Path, authority: Path) -> None:
        self._paths = (chain, key, authority)
        self._stamps = self._stat()
        self.current = _read_certificate(*self._paths)

    def changed(self) -> bool:
        """Reads the files again when they are new; True when `current` is now another one."""
        try:
            stamps = self._stat()
            if stamps == self._stamps:
                return False
            newest = _read_certificate(*self._paths)
        except (OSError, ValueError):
            return False
        before, self.current, self._stamps = self.current, newest, stamps
        return before != newest

    def _stat(self) -> tuple[tuple[int, int], ...]:
        found = [path.stat() for path in self._paths]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in found)


class TokenSigner:
    """Signs service tokens and grants: the gateway's. `published` are public keys that verifiers must know
    too: the next one and the one before."""

    def __init__(
        self,
        key: Ed25519PrivateKey,
        trust_domain: str,
        *,
        published: Sequence[Ed25519PublicKey] = (),
        clock: Clock = time.time,
    ) -> None:
        self._key = key
        self._trust_domain = trust_domain
        self._published = (key.public_key(), *published)
        self._clock = clock
        self.kid = key_id(key.public_key())

    @classmethod
    def from_file(cls, path: Path, trust_domain: str) -> "TokenSigner":
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{path}: not an Ed25519 key")
        return cls(key, trust_domain)

    def jwks_json(self) -> str:
        return json.dumps({"keys": [_jwk(key) for key in self._published]})

    def service_token(self, peer: Peer, audience: str, *, life: timedelta = TOKEN_LIFE) -> Token:
        """A token for one service to use at another, bound to its certificate."""
        if audience not in SERVICES:
            raise PermissionDenied(f"no service {audience!r}", reason=Reason.CALLER_REFUSED)
        now = self._clock()
        subject = spiffe_id(self._trust_domain, peer.service)
        claims = {
            "sub": subject,
            "aud": spiffe_id(self._trust_domain, audience),
            "scope": " ".join(sorted(SCOPES[peer.service])),
            "tenant": "mesh",
            "act": {"sub": subject},
            "cnf": {"x5t#S256": peer.thumbprint},
        }
        return self._sign(SERVICE_TOKEN, claims, now, now + life.total_seconds())

    def grant(self, *, tenant: str, owner: str, subject: str, expires: datetime) -> str:
        """What a worker shows to act for the tenant. `subject`: the job, or the request."""
        claims = {"aud": GRANT_AUDIENCE, "sub": subject, "tenant": tenant, "owner": owner}
        return self._sign(GRANT, claims, self._clock(), expires.timestamp()).text

    def other(self, kind: str, audience: str, *, subject: str, life: timedelta) -> str:
        """A token of another kind than those of the services."""
        now = self._clock()
        return self._sign(kind, {"aud": audience, "sub": subject}, now, now + life.total_seconds()).text

    def _sign(self, kind: str, claims: Mapping[str, object], now: float, expires: float) -> Token:
        issuer = spiffe_id(self._trust_domain, "gateway")
        whole = {
            "iss": issuer,
            "iat": int(now),
            "nbf": int(now),
            "exp": int(expires),
            "jti": uuid.uuid4().hex,
            **claims,
        }
        text = jwt.encode(whole, self._key, algorithm="EdDSA", headers={"typ": kind, "kid": self.kid})
        return Token(text, datetime.fromtimestamp(int(expires), UTC))


class TokenVerifier:
    """Checks service tokens and grants with the gateway's published keys, which it reads when it must."""

    def __init__(
        self,
        service: str,
        trust_domain: str,
        *,
        jwks: Callable[[], Awaitable[str]],
        clock: Clock = time.time,
    ) -> None:
        self._audience = spiffe_id(trust_domain, service)
        self._trust_domain = trust_domain
        self._jwks = jwks
        self._clock = clock
        self._keys: dict[str, Ed25519PublicKey] = {}
        self._read_at = float("-inf")
        self._next_read = float("-inf")
        self._reading = asyncio.Lock()
        self._claims: dict[str, Claims] = {}
        self._grants: dict[str, tuple[Grant, str]] = {}
        self.revocations = Revocations()

    @property
    def keys_read_at(self) -> float:
        """Unix time when the keys were read last; -inf before the first time."""
        return self._read_at

    @property
    def knows_keys(self) -> bool:
        return bool(self._keys)

    async def know_keys(self) -> None:
        """Returns once a key is known; asks for as long as none is."""
        while not self.knows_keys:
            await self._read_keys()
            if not self.knows_keys:
                await asyncio.sleep(JWKS_RETRY.total_seconds())

    async def service_token(self, text: str, peer: Peer) -> Claims:
        """Who holds the token; raises Unauthenticated unless it is good here, now, for that peer."""
        claims = self._claims.get(text)
        if claims is None or self._expired(claims.expires):
            claims = _claims(await self._verify(text, SERVICE_TOKEN, self._audience), self._trust_domain)
            _remember(self._claims, text, claims)
        await self._key_of(claims.kid)
        if (claims.service, claims.thumbprint) != (peer.service, peer.thumbprint):
            raise _invalid("the token is bound to another certificate")
        if self.revocations.covers(claims):
            raise _invalid("the token was revoked")
        return claims

    async def grant(self, text: str) -> Grant:
        """What the grant allows; raises PermissionDenied unless it is good now."""
        try:
            grant, kid = self._grants.get(text, (None, ""))
            if grant is None or self._expired(grant.expires.timestamp()):
                claims = await self._verify(text, GRANT, GRANT_AUDIENCE)
                grant, kid = _grant(claims), str(claims["kid"])
                _remember(self._grants, text, (grant, kid))
            await self._key_of(kid)
        except Unauthenticated as error:
            raise PermissionDenied(f"grant refused: {error.message}", reason=Reason.GRANT_REFUSED) from error
        return grant

    async def other(self, text: str, kind: str, audience: str) -> dict[str, object]:
        """Claims of a token of another kind, signed by the same keys; raises Unauthenticated."""
        claims = await self._verify(text, kind, audience)
        await self._key_of(str(claims["kid"]))
        return claims

    def _expired(self, expires: float) -> bool:
        return self._clock() > expires + SKEW.total_seconds()

    async def _verify(self, text: str, kind: str, audience: str) -> dict[str, object]:
        if len(text) > LONGEST_TOKEN:
            raise _invalid(f"a token has at most {LONGEST_TOKEN} characters")
        kid = _kid(text, kind)
        key = await self._key_of(kid)
        try:
            claims: dict[str, object] = jwt.decode(
                text,
                key,
                algorithms=["EdDSA"],
                audience=audience,
                issuer=spiffe_id(self._trust_domain, "gateway"),
                # The times are ours to check: PyJWT reads the clock itself.
                options={
                    "require": ["exp", "nbf", "iat", "sub", "jti"],
                    "strict_aud": True,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except InvalidTokenError as error:
            raise _invalid(str(error)) from error
        self._check_times(claims, kind)
        return claims | {"kid": kid}

    def _check_times(self, claims: Mapping[str, object], kind: str) -> None:
        expires, since, issued = (_second(claims, name) for name in ("exp", "nbf", "iat"))
        if self._expired(expires):
            raise Unauthenticated("the token has expired", reason=Reason.TOKEN_EXPIRED)
        if max(since, issued) > self._clock() + SKEW.total_seconds():
            raise _invalid("the token is not valid yet")
        if kind == SERVICE_TOKEN and expires - issued > LONGEST_TOKEN_LIFE.total_seconds():
            raise _invalid("the token lives too long")

    async def _key_of(self, kid: str) -> Ed25519PublicKey:
        if kid not in self._keys or self._clock() > self._read_at + JWKS_AGE.total_seconds():
            await self._read_keys()
        if not self._keys:
            raise Unavailable("the signing keys are not known yet", reason=Reason.NOT_READY)
        if kid in self.revocations.kids:
            raise _invalid("the signing key was revoked")
        if kid not in self._keys:
            raise _invalid("no such signing key")
        return self._keys[kid]

    async def _read_keys(self) -> None:
        """Where the keys cannot be read those known serve on."""
        async with self._reading:
            now = self._clock()
            if now < self._next_read:
                return
            self._next_read = now + JWKS_RETRY.total_seconds()
            try:
                self._keys = _keys(await self._jwks())
            except HarmoniaError as error:
                _log.warning("signing keys not read", reason=error.reason.value)
                return
            self._read_at = now
            self._next_read = now + JWKS_REFRESH.total_seconds()


class TokenSource:
    """A service's own tokens, one for each service it calls. Another is got at half of a token's life, so
    that a gateway that is away for minutes stops nobody. One exchange at a time for an audience; all who
    wait for it get its token, or its failure."""

    def __init__(self, exchange: Callable[[str], Awaitable[Token]], *, clock: Clock = time.time) -> None:
        self._exchange = exchange
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._failed: dict[str, tuple[float, HarmoniaError]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def forget(self) -> None:
        """After a new certificate: the tokens are bound to the old one."""
        self._held.clear()

    async def token(self, audience: str) -> str:
        held = self._held.get(audience)
        if held is not None and self._clock() < held.renew_at:
            return held.token.text
        return (await self._renewed(audience)).text

    async def _renewed(self, audience: str) -> Token:
        asked = time.monotonic()
        async with self._locks.setdefault(audience, asyncio.Lock()):
            held = self._held.get(audience)
            if held is not None and self._clock() < held.renew_at:
                return held.token
            failed_at, failure = self._failed.get(audience, (0.0, None))
            if failure is not None and failed_at >= asked:
                return self._still_good(held, failure)
            try:
                token = await self._exchange(audience)
            except HarmoniaError as error:
                if not isinstance(error, DeadlineExceeded):  # the deadline is of one caller, the rest is of all
                    self._failed[audience] = (time.monotonic(), error)
                return self._still_good(held, error)
            life_s = token.expires.timestamp() - self._clock()
            self._held[audience] = _Held(token, self._clock() + life_s / 2)
            return token

    def _still_good(self, held: "_Held | None", failure: HarmoniaError) -> Token:
        if held is None or self._clock() > held.token.expires.timestamp():
            raise failure
        return held.token


@dataclass(frozen=True, slots=True)
class _Held:
    token: Token
    renew_at: float


def _read_certificate(chain: Path, key: Path, authority: Path) -> Certificate:
    leaf = load_pem_x509_certificate(chain.read_bytes())
    private = load_pem_private_key(key.read_bytes(), password=None)
    if private.public_key() != leaf.public_key():
        raise ValueError(f"{key} is not the key of {chain}")
    return Certificate(chain.read_bytes(), key.read_bytes(), authority.read_bytes(), leaf.not_valid_after_utc)


def key_id(key: Ed25519PublicKey) -> str:
    """RFC 7638 thumbprint."""
    members = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": _point(key)}, separators=(",", ":"))
    return _base64(hashlib.sha256(members.encode()).digest())


def _point(key: Ed25519PublicKey) -> str:
    return _base64(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def _jwk(key: Ed25519PublicKey) -> dict[str, str]:
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": key_id(key), "x": _point(key)}


def _keys(jwks_json: str) -> dict[str, Ed25519PublicKey]:
    keys: dict[str, Ed25519PublicKey] = {}
    for jwk in json.loads(jwks_json)["keys"]:
        if (jwk.get("kty"), jwk.get("crv")) == ("OKP", "Ed25519"):
            keys[jwk["kid"]] = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "=="))
    return keys


def _kid(text: str, kind: str) -> str:
    try:
        header: dict[str, object] = jwt.get_unverified_header(text)
    except InvalidTokenError as error:
        raise _invalid("not a token") from error
    if set(header) != {"alg", "typ", "kid"} or header["typ"] != kind or header["alg"] != "EdDSA":
        raise _invalid("not a token of this kind")
    return str(header["kid"])


def _claims(claims: Mapping[str, object], trust_domain: str) -> Claims:
    service = service_of(str(claims["sub"]), trust_domain)
    confirmation = claims.get("cnf")
    if service is None or not isinstance(confirmation, dict):
        raise _invalid("the token names no service and certificate")
    if claims.get("act", {"sub": claims["sub"]}) != {"sub": claims["sub"]}:
        raise _invalid("the token is for acting as somebody else")
    return Claims(
        service=service,
        scopes=frozenset(str(claims.get("scope", "")).split()),
        tenant=str(claims.get("tenant", "")),
        thumbprint=str(confirmation.get("x5t#S256", "")),
        kid=str(claims["kid"]),
        jti=str(claims["jti"]),
        issued=_second(claims, "iat"),
        expires=_second(claims, "exp"),
    )


def _grant(claims: Mapping[str, object]) -> Grant:
    tenant, owner = str(claims.get("tenant", "")), str(claims.get("owner", ""))
    if not tenant or not owner:
        raise _invalid("the grant names no tenant and owner")
    return Grant(tenant, owner, str(claims["sub"]), datetime.fromtimestamp(_second(claims, "exp"), UTC))


def _second(claims: Mapping[str, object], name: str) -> float:
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _invalid(f"{name} is not a number")
    return float(value)


def _remember(cache: dict[str, T], text: str, value: T) -> None:
    cache[text] = value
    if len(cache) > 1024:
        cache.pop(next(iter(cache)))


def _invalid(message: str) -> Unauthenticated:
    return Unauthenticated(message, reason=Reason.TOKEN_INVALID)


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
