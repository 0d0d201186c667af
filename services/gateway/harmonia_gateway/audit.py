"""What was done to keys, kept as entities: who, when, from where. No tokens, no prompts."""

import uuid
from datetime import UTC, datetime

import structlog
from pydantic import BaseModel, ConfigDict

from harmonia_chassis.access import current_came_from, current_request_id
from harmonia_chassis.entities import Entities
from harmonia_chassis.identity import Principal
from harmonia_gateway.patience import patience
from harmonia_gateway.strangers import Strangers

RECORDS = "audit"

_log = structlog.get_logger()


class AuditRecord(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    time: float
    actor: str
    tenant: str
    action: str
    target: str
    address: str
    request_id: str


class Audit:
    def __init__(self, entities: Entities, strangers: Strangers) -> None:
        self._entities = entities
        self._strangers = strangers

    async def record(self, action: str, actor: Principal, *, target: str) -> None:
        """Kept once it returns."""
        record = AuditRecord(
            time=datetime.now(UTC).timestamp(),
            actor=actor.name,
            tenant=actor.tenant,
            action=action,
            target=target,
            address=self._strangers.address_of(current_came_from()),
            request_id=current_request_id(),
        )
        async with patience():
            await self._entities.put(RECORDS, uuid.uuid4().hex, record.model_dump_json().encode(), expected=0)
        _log.info("audit", **record.model_dump())

    async def newest(self, count: int) -> list[AuditRecord]:
        async with patience():
            kept = await self._entities.list(RECORDS)
        by_age = sorted(kept, key=lambda one: one[1], reverse=True)
        return [AuditRecord.model_validate_json(payload) for _, _, payload in by_age[:count]]
