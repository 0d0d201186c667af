"""Who may call what. The rule of each method stands in its descriptor; what no rule allows is refused.

Two doors. At the public one callers are people with a token of the gateway's; at the internal one they are
services, with a certificate and, unless the rule asks for the certificate alone, a service token. A method
is served only at the doors its callers use; at the other it is UNIMPLEMENTED, like any unknown method.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import unquote

import jwt
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from jwt.exceptions import InvalidTokenError

from harmonia.access.v1 import access_pb2
from harmonia_chassis.errors import PermissionDenied, Reason, Unauthenticated
from harmonia_chassis.identity import LONGEST_TOKEN, Grant, Peer, Principal, TokenVerifier, peer_of
from harmonia_chassis.telemetry import Metrics

AUTHORIZATION = "authorization"
GRANT = "hm-grant"

Authenticate = Callable[[str], Awaitable[Principal]]
AuthContext = Mapping[str, Iterable[bytes]]

_USERS = frozenset({"USER", "OPERATOR"})


class Door(StrEnum):
    INTERNAL = "internal"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Rule:
    """callers: "USER", "OPERATOR", "SERVICE" or services by name in capitals."""

    callers: frozenset[str]
    scope: str
    granted: bool
    certificate_only: bool

    @property
    def doors(self) -> frozenset[Door]:
        public = {Door.PUBLIC} if self.callers & _USERS else set()
        internal = {Door.INTERNAL} if self.callers - _USERS else set()
        return frozenset(public | internal)

    def allows_service(self, service: str) -> bool:
        return "SERVICE" in self.callers or service.upper() in self.callers

    def allows_user(self, principal: Principal) -> bool:
        return "USER" in self.callers or ("OPERATOR" in self.callers and principal.operator)


class RuleMissing(Exception):
    """A method without a rule: the server must not start."""


@dataclass(frozen=True, slots=True)
class Admitted:
    principal: Principal
    grant: Grant | None = None
    peer: Peer | None = None


@dataclass(frozen=True, slots=True)
class CameFrom:
    """The other end of the line by address, and whom it says it speaks for: to be believed of proxies alone."""

    address: str
    forwarded: str


Admit = Callable[[Rule, Mapping[str, str], AuthContext], Awaitable[Admitted]]

_principal: ContextVar[Principal] = ContextVar("principal")
_grant: ContextVar[Grant] = ContextVar("grant")
_peer: ContextVar[Peer] = ContextVar("peer")
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_came_from: ContextVar["CameFrom"] = ContextVar("came_from")


def current_principal() -> Principal:
    """The caller of the RPC being served."""
    return _principal.get()


def current_grant() -> Grant:
    """The grant of the RPC being served; only where its rule says GRANTED."""
    return _grant.get()


def current_peer() -> Peer:
    """The service at the other end; only at the internal door."""
    return _peer.get()


def current_request_id() -> str:
    """Id of the RPC being served; empty outside one."""
    return _request_id.get()


def current_came_from() -> CameFrom:
    """Where the RPC being served came from."""
    return _came_from.get()


def enter(request_id: str, *, peer: str, forwarded: str) -> None:
    """From here on this task serves the request. `peer` as gRPC writes it: "ipv4:127.0.0.1:4711"."""
    _request_id.set(request_id)
    host = peer.partition(":")[2].rpartition(":")[0]
    _came_from.set(CameFrom(unquote(host).strip("[]"), forwarded))


def let_in(admitted: Admitted) -> None:
    """From here on this task acts for the caller."""
    _principal.set(admitted.principal)
    if admitted.grant is not None:
        _grant.set(admitted.grant)
    if admitted.peer is not None:
        _peer.set(admitted.peer)


def rules_of(services: Iterable[str]) -> dict[str, Rule]:
    """Rules by path ("/harmonia.store.v1.StoreService/Put") of services by full name; raises RuleMissing."""
    descriptors = [Default().FindServiceByName(name) for name in services]
    return {f"/{found.full_name}/{method.name}": _rule(method) for found in descriptors for method in found.methods}


@lru_cache(maxsize=1024)
def rule_of(path: str) -> Rule:
    """The rule of one method by path; raises RuleMissing."""
    service, _, method = path.removeprefix("/").partition("/")
    return _rule(Default().FindServiceByName(service).methods_by_name[method])


def admit_services(verifier: TokenVerifier, trust_domain: str) -> Admit:
    """The guard of the internal door."""

    async def admit(rule: Rule, metadata: Mapping[str, str], auth: AuthContext) -> Admitted:
        peer = peer_of(auth, trust_domain)
        if not rule.allows_service(peer.service):
            raise PermissionDenied(f"not for {peer.service}", reason=Reason.CALLER_REFUSED)
        scopes: frozenset[str] = frozenset()
        if not rule.certificate_only:
            claims = await verifier.service_token(bearer(metadata), peer)
            scopes = claims.scopes
            _check_scope(rule, scopes)
        grant = await _granted(verifier, metadata) if rule.granted else None
        return Admitted(Principal("service", peer.service, "mesh", peer.service, scopes), grant, peer)

    return admit


def admit_users(authenticate: Authenticate, metrics: Metrics) -> Admit:
    """The guard of the public door. A token of the services' own is refused before anybody looks at it."""

    async def admit(rule: Rule, metadata: Mapping[str, str], _auth: AuthContext) -> Admitted:
        try:
            token = _users_bearer(metadata)
        except Unauthenticated as error:
            metrics.tokens_refused.labels("unread", error.reason.value).inc()
            raise
        principal = await authenticate(token)
        if not rule.allows_user(principal):
            raise PermissionDenied("for operators only", reason=Reason.CALLER_REFUSED)
        _check_scope(rule, principal.scopes)
        return Admitted(principal)

    return admit


def bearer(metadata: Mapping[str, str]) -> str:
    """The token of an authorization header; raises Unauthenticated where there is none."""
    scheme, _, token = metadata.get(AUTHORIZATION, "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("send a token: authorization: Bearer …", reason=Reason.TOKEN_MISSING)
    if len(token) > LONGEST_TOKEN:
        raise Unauthenticated(f"a token has at most {LONGEST_TOKEN} characters", reason=Reason.TOKEN_INVALID)
    return token


def _users_bearer(metadata: Mapping[str, str]) -> str:
    token = bearer(metadata)
    if _is_internal(token):
        raise Unauthenticated("a service's token does not open this door", reason=Reason.TOKEN_INVALID)
    return token


async def _granted(verifier: TokenVerifier, metadata: Mapping[str, str]) -> Grant:
    text = metadata.get(GRANT, "")
    if not text:
        raise PermissionDenied("no grant came with the call", reason=Reason.GRANT_REFUSED)
    return await verifier.grant(text)


def _check_scope(rule: Rule, scopes: frozenset[str]) -> None:
    if rule.scope and rule.scope not in scopes:
        raise PermissionDenied(f"the token lacks the scope {rule.scope}", reason=Reason.SCOPE_MISSING, scope=rule.scope)


def _is_internal(token: str) -> bool:
    if token.count(".") != 2:
        return False
    try:
        return str(jwt.get_unverified_header(token).get("typ", "")).startswith("hm-")
    except InvalidTokenError:
        return False


def _rule(method: MethodDescriptor) -> Rule:
    if not method.GetOptions().HasExtension(access_pb2.rule):
        raise RuleMissing(f"{method.full_name} has no access rule")
    rule = method.GetOptions().Extensions[access_pb2.rule]
    callers = frozenset(access_pb2.Rule.Caller.Name(caller) for caller in rule.callers) - {"UNSPECIFIED"}
    if not callers:
        raise RuleMissing(f"{method.full_name} has no callers in its access rule")
    return Rule(
        callers,
        rule.scope,
        granted=rule.resource == access_pb2.Rule.GRANTED,
        certificate_only=rule.proof == access_pb2.Rule.CERTIFICATE,
    )
