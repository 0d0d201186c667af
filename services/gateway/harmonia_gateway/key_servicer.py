"""API keys at the public door: made, listed, revoked. Nobody gives what they do not have."""

import re
import secrets
import time
from collections.abc import Sequence

from harmonia.identity.v1 import key_pb2 as pb
from harmonia.identity.v1 import key_pb2_grpc as rpc
from harmonia_chassis.access import current_principal
from harmonia_chassis.errors import InvalidInput, NotFound, PermissionDenied, Reason
from harmonia_chassis.identity import Principal
from harmonia_gateway import rules
from harmonia_gateway.audit import Audit, AuditRecord
from harmonia_gateway.quotas import Quotas
from harmonia_gateway.tokens import TOKEN_PREFIX, UserKey, UserKeys, digest_of

ADMIN = "admin"
KEYS_WRITE = "keys:write"
SCOPES = (
    "songs:read",
    "songs:write",
    "lyrics:write",
    "audio:analyze",
    "artifacts:read",
    "artifacts:write",
    KEYS_WRITE,
    ADMIN,
)

_NAME = re.compile(r"keys/([0-9a-f]{16})")
_TENANT = re.compile(r"[a-z0-9-]{1,64}")
_CHARACTERS = 64
_PAGE_SIZE = 1000
_DEFAULT_PAGE_SIZE = 100


class KeyServicer(rpc.KeyServiceServicer):
    def __init__(self, keys: UserKeys, audit: Audit, quotas: Quotas) -> None:
        self._keys = keys
        self._audit = audit
        self._quotas = quotas

    async def CreateKey(self, request: pb.CreateKeyRequest, _context: object) -> pb.CreateKeyResponse:
        caller = self._admitted(request)
        _check_for_whom(request, caller)
        key_id = secrets.token_hex(8)
        token = f"{TOKEN_PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
        now = time.time()
        key = UserKey(
            name=f"{TOKEN_PREFIX}{key_id}",
            sha256=digest_of(token),
            tenant=request.tenant or caller.tenant,
            owner=request.owner or caller.owner,
            scopes=_scopes(request.scopes, caller),
            operator=request.operator,
            id=key_id,
            display_name=_display_name(request.display_name),
            create_time=now,
            expire_time=_expires(request, now),
        )
        await self._keys.add(key)
        await self._audit.record("key.created", caller, target=f"keys/{key_id}")
        return pb.CreateKeyResponse(key=_key(key), token=token)

    async def ListKeys(self, request: pb.ListKeysRequest, _context: object) -> pb.ListKeysResponse:
        caller = self._admitted(request)
        if request.all and not caller.operator:
            raise PermissionDenied("only operators see the keys of others", reason=Reason.CALLER_REFUSED)
        found = await self._keys.all() if request.all else await self._keys.of(caller.tenant)
        now = time.time()
        shown = [
            key
            for key in found
            if (request.all or key.owner == caller.owner) and (request.show_ended or not key.has_ended(now))
        ]
        return pb.ListKeysResponse(keys=[_key(key) for key in sorted(shown, key=lambda key: key.create_time)])

    async def RevokeKey(self, request: pb.RevokeKeyRequest, _context: object) -> pb.Key:
        caller = self._admitted(request)
        found = _NAME.fullmatch(request.name)
        key = await self._keys.by_id(found[1]) if found else None
        if key is None or not (caller.operator or (key.tenant, key.owner) == (caller.tenant, caller.owner)):
            message = f"there is no {request.name[:60]!r}: ListKeys tells which there are"
            raise NotFound(message, reason=Reason.KEY_NOT_FOUND, field="name")
        if key.revoke_time is None:
            key = await self._keys.revoke(key, at=time.time())
            await self._audit.record("key.revoked", caller, target=request.name)
        return _key(key)

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, _context: object
    ) -> pb.ListAuditRecordsResponse:
        self._admitted(request)
        if request.page_size < 0:
            message = f"page_size is {request.page_size}: it must be from 1 to {_PAGE_SIZE}"
            raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="page_size")
        newest = await self._audit.newest(min(request.page_size or _DEFAULT_PAGE_SIZE, _PAGE_SIZE))
        return pb.ListAuditRecordsResponse(records=[_record(record) for record in newest])

    def _admitted(
        self,
        request: pb.CreateKeyRequest | pb.ListKeysRequest | pb.RevokeKeyRequest | pb.ListAuditRecordsRequest,
    ) -> Principal:
        """Raises QuotaExceeded, InvalidInput."""
        rules.refuse_unknown_fields(request)
        caller = current_principal()
        self._quotas.reads.take(caller.tenant)
        return caller


def _check_for_whom(request: pb.CreateKeyRequest, caller: Principal) -> None:
    for field in ("tenant", "owner", "operator"):
        if getattr(request, field) and not caller.operator:
            message = f"{field} is for operators: a key of yours is for you"
            raise PermissionDenied(message, reason=Reason.CALLER_REFUSED)
    if request.tenant and not _TENANT.fullmatch(request.tenant):
        message = f"tenant is {request.tenant[:80]!r}: at most {_CHARACTERS} of a to z, 0 to 9 and -"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="tenant")
    if len(request.owner) > _CHARACTERS:
        message = f"owner has {len(request.owner)} characters: at most {_CHARACTERS} are taken"
        raise InvalidInput(message, reason=Reason.TOO_LONG, field="owner")


def _scopes(asked: Sequence[str], caller: Principal) -> tuple[str, ...]:
    """In the order of SCOPES. An operator without a scope may still give it: bootstrap has admin alone."""
    own = frozenset(SCOPES) if caller.operator and ADMIN in caller.scopes else caller.scopes
    unknown = sorted(set(asked) - set(SCOPES))
    if unknown:
        message = f"there is no scope {unknown[0][:40]!r}: there are {', '.join(SCOPES)}"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="scopes")
    beyond = sorted(set(asked) - own)
    if beyond:
        message = f"you do not have the scope {beyond[0]}, so no key of yours can"
        raise PermissionDenied(message, reason=Reason.SCOPE_MISSING, scope=beyond[0])
    wanted = set(asked) or own - {KEYS_WRITE, ADMIN}
    return tuple(scope for scope in SCOPES if scope in wanted)


def _display_name(asked: str) -> str:
    if len(asked) > _CHARACTERS:
        message = f"display_name has {len(asked)} characters: at most {_CHARACTERS} are taken"
        raise InvalidInput(message, reason=Reason.TOO_LONG, field="display_name")
    return asked


def _expires(request: pb.CreateKeyRequest, now: float) -> float | None:
    if not request.HasField("valid_for"):
        return None
    if not 1 <= request.valid_for.seconds <= 10 * 366 * 86400:
        message = f"valid_for is {request.valid_for.seconds} s: it must be from 1 s to ten years"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="valid_for")
    return now + request.valid_for.seconds


def _key(key: UserKey) -> pb.Key:
    told = pb.Key(
        name=f"keys/{key.id}",
        display_name=key.display_name,
        prefix=key.name,
        tenant=key.tenant,
        owner=key.owner,
        scopes=key.scopes,
        operator=key.operator,
    )
    for field, at in (
        (told.create_time, key.create_time),
        (told.expire_time, key.expire_time),
        (told.revoke_time, key.revoke_time),
    ):
        if at is not None:
            field.FromMicroseconds(int(at * 1e6))
    return told


def _record(record: AuditRecord) -> pb.AuditRecord:
    told = pb.AuditRecord(**record.model_dump(exclude={"time"}))
    told.time.FromMicroseconds(int(record.time * 1e6))
    return told
