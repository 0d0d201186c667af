"""HM_ENTITIES: everything that must last and is not a job (keys, capabilities, revocations)."""

from functools import partial

from nats.js.errors import BadRequestError, NotFoundError

from harmonia_chassis import lanes
from harmonia_chassis.job_stream import JobStream, Refused

# Of what belongs to no tenant.
MESH = "mesh"


class Entities:
    """Records by tenant, kind and id; ids are made by the server and are subject tokens."""

    def __init__(self, jobs: JobStream) -> None:
        self._jobs = jobs

    async def get(self, kind: str, entity_id: str, *, tenant: str = MESH) -> tuple[int, bytes] | None:
        """Sequence and payload of the newest record, or None."""
        name = _subject(tenant, kind, entity_id)
        try:
            raw = await self._jobs.until_answered(lambda: self._jobs.js.get_last_msg(lanes.ENTITIES, name))
        except NotFoundError:
            return None
        return int(raw.seq or 0), raw.data or b""

    async def put(
        self, kind: str, entity_id: str, payload: bytes, *, tenant: str = MESH, expected: int | None = None
    ) -> int:
        """The new sequence. With `expected` (0: not there yet) raises Refused when somebody was faster."""
        name = _subject(tenant, kind, entity_id)
        headers = {} if expected is None else {"Nats-Expected-Last-Subject-Sequence": str(expected)}
        try:
            answer = await self._jobs.until_answered(
                lambda: self._jobs.js.publish(name, payload, headers=dict(headers))
            )
        except BadRequestError as error:
            raise Refused(name) from error
        return int(answer.seq)

    async def replace(self, kind: str, entity_id: str, payload: bytes, *, tenant: str, expected: int) -> int:
        """As `put`, and what it said before is no longer kept; whoever dies in between leaves that to the next."""
        seq = await self.put(kind, entity_id, payload, tenant=tenant, expected=expected)
        name = _subject(tenant, kind, entity_id)
        await self._jobs.until_answered(lambda: self._jobs.js.purge_stream(lanes.ENTITIES, subject=name, keep=1))
        return seq

    async def forget(self, kind: str, entity_id: str, *, tenant: str = MESH) -> None:
        name = _subject(tenant, kind, entity_id)
        await self._jobs.until_answered(lambda: self._jobs.js.purge_stream(lanes.ENTITIES, subject=name))

    async def list(self, kind: str, *, tenant: str = "*") -> "list[tuple[str, int, bytes]]":
        """Id, sequence and payload of the newest record of each."""
        newest: dict[str, tuple[str, int, bytes]] = {}
        subjects, seq = f"{lanes.ENTITY_SUBJECTS}.{tenant}.{kind}.>", 0
        while True:
            try:
                raw = await self._jobs.until_answered(
                    partial(self._jobs.js.get_msg, lanes.ENTITIES, seq=seq + 1, subject=subjects, next=True)
                )
            except NotFoundError:
                return list(newest.values())
            seq = int(raw.seq or 0)
            entity_id = str(raw.subject).rsplit(".", 1)[1]
            newest[str(raw.subject)] = (entity_id, seq, raw.data or b"")


def _subject(tenant: str, kind: str, entity_id: str) -> str:
    return f"{lanes.ENTITY_SUBJECTS}.{tenant}.{kind}.{entity_id}"
