"""Songs that belong together, kept as entities: each change is a compare-and-set, and is kept once it is answered.

A song that is made into a project is named there before it is made: a gateway that dies in between leaves a name of
nothing, which nobody is shown and which is taken out when the song has not come for an hour, and never a song that its
project does not know.
"""

import asyncio
import hashlib
import re
import secrets
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Protocol

import structlog
from pydantic import BaseModel, ConfigDict

from harmonia.job.v1 import job_pb2
from harmonia_chassis.entities import Entities
from harmonia_chassis.errors import Conflict, HarmoniaError, InvalidInput, NotFound, QuotaExceeded, Reason
from harmonia_chassis.job_stream import JobStream, Refused
from harmonia_gateway.names import song_id

PROJECTS = "project"
MOST = 200
MOST_SONGS = 500
# A song that is named comes within seconds, if it comes.
HOPE = timedelta(hours=1)

log = structlog.get_logger()

_NAME = re.compile(r"projects/([0-9a-f]{32})")


class Project(BaseModel):
    """`songs`: ids, in order. `asked`: digest of the request that made it. `awaited`: songs that were named before they
    were made, and when; those that came are struck off later."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    tenant: str
    owner: str
    title: str
    description: str = ""
    songs: tuple[str, ...] = ()
    awaited: dict[str, float] = {}
    create_time: float
    update_time: float
    asked: str = ""
    deleted: bool = False

    @property
    def name(self) -> str:
        return f"projects/{self.id}"


class Whose(Protocol):
    """Whom a project belongs to: a Principal, or who asks for a song."""

    @property
    def tenant(self) -> str: ...

    @property
    def owner(self) -> str: ...


Kept = tuple[int, Project]
Change = Callable[[Project], Project]
OfSongs = Callable[[Project, Sequence[str]], Project]


def no_project(name: str, *, field: str = "name") -> NotFound:
    """The same for what is not there and what is not the caller's."""
    message = f"there is no {name[:60]!r}: ListProjects tells which there are"
    return NotFound(message, reason=Reason.PROJECT_NOT_FOUND, field=field)


def project_id(name: str, *, field: str = "name") -> str:
    """Raises NotFound."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise no_project(name, field=field)
    return match[1]


def song_ids(names: Sequence[str], *, may_be_none: bool = False) -> list[str]:
    """Raises InvalidInput on the field `songs`, NotFound for what is no name of a song."""
    if not (names or may_be_none):
        raise InvalidInput("songs is empty: name one at least", reason=Reason.MISSING, field="songs")
    if len(names) > MOST_SONGS:
        message = f"songs has {len(names)} entries: at most {MOST_SONGS} are taken"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="songs")
    if len(set(names)) < len(names):
        raise InvalidInput("songs names one twice: name each once", reason=Reason.MALFORMED, field="songs")
    return [song_id(name) for name in names]


def placed(project: Project, songs: Sequence[str], position: int | None) -> Project:
    """Raises QuotaExceeded."""
    others = [song for song in project.songs if song not in set(songs)]
    if len(others) + len(songs) > MOST_SONGS:
        message = (
            f"{project.name} would have {len(others) + len(songs)} songs: at most {MOST_SONGS} may be in a project"
        )
        raise QuotaExceeded(message, reason=Reason.TOO_MANY)
    at = len(others) if position is None else min(position, len(others))
    return project.model_copy(update={"songs": (*others[:at], *songs, *others[at:])})


def without(project: Project, songs: Sequence[str]) -> Project:
    """Raises NotFound for one that is not in it."""
    _check_inside(project, songs)
    return project.model_copy(update={"songs": tuple(song for song in project.songs if song not in set(songs))})


def ordered(project: Project, songs: Sequence[str]) -> Project:
    """Raises NotFound for one that is not in it."""
    _check_inside(project, songs)
    return placed(project, songs, 0)


def named(project: Project, song: str, now: float) -> Project:
    """For a song that is about to be made. Raises QuotaExceeded."""
    if song in project.songs:
        return project
    return placed(project, [song], None).model_copy(update={"awaited": project.awaited | {song: now}})


def struck(project: Project, songs: Collection[str], *, missing: Collection[str]) -> Project:
    """Nobody waits for `songs` any more, and those that never came are not named."""
    kept = tuple(song for song in project.songs if song not in missing)
    awaited = {song: since for song, since in project.awaited.items() if song not in songs}
    return project.model_copy(update={"songs": kept, "awaited": awaited})


def _check_inside(project: Project, songs: Sequence[str]) -> None:
    inside = set(project.songs)
    for index, song in enumerate(songs):
        if song not in inside:
            message = f"songs/{song} is not in {project.name}"
            raise NotFound(message, reason=Reason.SONG_NOT_FOUND, field=f"songs[{index}]")


class Projects:
    def __init__(
        self, entities: Entities, jobs: JobStream, *, hope: timedelta = HOPE, now: Callable[[], float] = time.time
    ) -> None:
        self._entities = entities
        self._jobs = jobs
        self._hope_s = hope.total_seconds()
        self._now = now

    async def run(self, ready: Callable[[], None]) -> None:
        """Any number of gateways may do it at once: each change is a compare-and-set."""
        ready()
        while True:
            await asyncio.sleep(self._hope_s)
            try:
                await self._settle()
            except HarmoniaError as error:
                log.warning("projects not settled", reason=error.reason)

    async def create(
        self, caller: Whose, *, title: str, description: str, songs: Sequence[str], request_id: str
    ) -> Kept:
        """The project that the same request made before, where it did. Raises Conflict, QuotaExceeded."""
        asked = hashlib.sha256(repr((title, description, tuple(songs))).encode()).hexdigest()
        identity = _identity(caller, request_id) if request_id else secrets.token_hex(16)
        now = self._now()
        project = Project(
            id=identity,
            tenant=caller.tenant,
            owner=caller.owner,
            title=title,
            description=description,
            songs=tuple(songs),
            create_time=now,
            update_time=now,
            asked=asked,
        )
        if request_id and (earlier := await self._read(caller.tenant, identity)) is not None:
            return _same(earlier, project)
        if len(await self.of(caller)) >= MOST:
            message = f"{MOST} projects are as many as there may be: delete one"
            raise QuotaExceeded(message, reason=Reason.TOO_MANY)
        try:
            return await self._put(project, expected=0), project
        except Refused:
            earlier = await self._read(caller.tenant, identity)
            if earlier is None:
                raise
            return _same(earlier, project)

    async def of(self, caller: Whose) -> list[Kept]:
        """The newest first."""
        listed = await self._entities.list(PROJECTS, tenant=caller.tenant)
        found = [(seq, Project.model_validate_json(payload)) for _, seq, payload in listed]
        own = [(seq, one) for seq, one in found if one.owner == caller.owner and not one.deleted]
        return sorted(own, key=lambda kept: (-kept[1].create_time, kept[1].id))

    async def get(self, caller: Whose, name: str, *, field: str = "name") -> Kept:
        """Raises NotFound."""
        kept = await self._read(caller.tenant, project_id(name, field=field))
        if kept is None or kept[1].owner != caller.owner or kept[1].deleted:
            raise no_project(name, field=field)
        return kept

    async def change(self, caller: Whose, name: str, decide: Change, *, etag: str = "", field: str = "name") -> Kept:
        """As it is afterwards; nothing is written when nothing changes. Raises NotFound, Conflict."""
        while True:
            seq, project = await self.get(caller, name, field=field)
            if etag and etag != str(seq):
                message = f"{name} has changed since etag {etag[:20]}: it is {seq} now, so read it again"
                raise Conflict(message, reason=Reason.ETAG_MISMATCH, field="etag")
            changed = decide(project)
            if changed == project:
                return seq, project
            changed = changed.model_copy(update={"update_time": max(self._now(), project.update_time)})
            try:
                return await self._put(changed, expected=seq), changed
            except Refused:
                continue  # somebody was faster: on top of theirs

    async def check(self, name: str, whose: Whose) -> None:
        """That a song may be made into it. Raises NotFound."""
        await self.get(whose, name, field="spec.project")

    async def expect(self, job: job_pb2.Job) -> None:
        """Names a song that is about to be made. Raises NotFound, QuotaExceeded."""
        now = self._now()
        await self.change(job, job.spec.project, lambda project: named(project, job.id, now), field="spec.project")

    async def give_up(self, job: job_pb2.Job) -> None:
        """The song was refused; unless another request had made it, it is named no more."""
        if job.spec.project and await self._jobs.read(job.tenant, job.id) is None:
            await self._strike(job.tenant, project_id(job.spec.project), [job.id])

    async def _settle(self) -> None:
        """Whoever died between naming a song and making it has left a name of nothing."""
        for identity, _, payload in await self._entities.list(PROJECTS):
            project = Project.model_validate_json(payload)
            oldest = self._now() - self._hope_s
            if past := [song for song, since in project.awaited.items() if since < oldest]:
                await self._strike(project.tenant, identity, past)

    async def _strike(self, tenant: str, identity: str, songs: Sequence[str]) -> None:
        """What people see of the project does not change, and so neither does its time."""
        missing = [song for song in songs if await self._jobs.read(tenant, song) is None]
        while (kept := await self._read(tenant, identity)) is not None:
            changed = struck(kept[1], songs, missing=missing)
            if changed == kept[1]:
                return
            try:
                await self._put(changed, expected=kept[0])
            except Refused:
                continue
            return

    async def _read(self, tenant: str, identity: str) -> Kept | None:
        stored = await self._entities.get(PROJECTS, identity, tenant=tenant)
        return (stored[0], Project.model_validate_json(stored[1])) if stored else None

    async def _put(self, project: Project, *, expected: int) -> int:
        payload = project.model_dump_json().encode()
        return await self._entities.replace(PROJECTS, project.id, payload, tenant=project.tenant, expected=expected)


def _identity(caller: Whose, request_id: str) -> str:
    namespace = uuid.uuid5(uuid.NAMESPACE_URL, f"harmonia:project:{caller.tenant}")
    return uuid.uuid5(uuid.uuid5(namespace, caller.owner), request_id).hex


def _same(earlier: Kept, project: Project) -> Kept:
    if earlier[1].asked != project.asked or earlier[1].deleted:
        message = f"request_id was used for {earlier[1].name}, which is another: take a new one"
        raise Conflict(message, reason=Reason.REQUEST_ID_REUSED, field="request_id")
    return earlier
