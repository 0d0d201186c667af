"""ProjectService at the public door."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial

from harmonia.job.v1 import job_pb2
from harmonia.project.v1 import project_pb2 as pb
from harmonia.project.v1 import project_pb2_grpc as rpc
from harmonia_chassis.access import current_principal
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, Reason
from harmonia_chassis.identity import Principal, TokenSigner
from harmonia_chassis.job_stream import Stored
from harmonia_gateway import exports, filters, limits, projects, rules, songs, texts, wire
from harmonia_gateway.exporter import Exporter
from harmonia_gateway.grants import call_grant
from harmonia_gateway.names import no_song
from harmonia_gateway.own_songs import OwnSongs
from harmonia_gateway.patience import patience
from harmonia_gateway.projects import Change, Kept, Project, Projects
from harmonia_gateway.quotas import Quotas
from harmonia_gateway.states import public_state

_DESCRIPTION_CHARACTERS = 2000

Request = (
    pb.CreateProjectRequest
    | pb.GetProjectRequest
    | pb.ListProjectsRequest
    | pb.UpdateProjectRequest
    | pb.DeleteProjectRequest
    | pb.AddSongsRequest
    | pb.RemoveSongsRequest
    | pb.OrderSongsRequest
    | pb.ExportProjectRequest
)


class ProjectServicer(rpc.ProjectServiceServicer):
    def __init__(
        self, *, kept: Projects, own: OwnSongs, exporter: Exporter, signer: TokenSigner, quotas: Quotas
    ) -> None:
        self._projects = kept
        self._own = own
        self._exporter = exporter
        self._signer = signer
        self._quotas = quotas

    async def CreateProject(self, request: pb.CreateProjectRequest, _context: object) -> pb.Project:
        caller = self._admitted(request)
        _check_title(request.title)
        _check_description(request.description)
        songs.check_request_id(request.request_id)
        ids = projects.song_ids(request.songs, may_be_none=True)
        async with patience():
            await self._check_songs(caller, ids)
            kept = await self._projects.create(
                caller,
                title=request.title,
                description=request.description,
                songs=ids,
                request_id=request.request_id,
            )
            return await self._told(caller, kept)

    async def GetProject(self, request: pb.GetProjectRequest, _context: object) -> pb.Project:
        caller = self._admitted(request)
        async with patience():
            return await self._told(caller, await self._projects.get(caller, request.name))

    async def ListProjects(self, request: pb.ListProjectsRequest, _context: object) -> pb.ListProjectsResponse:
        caller = self._admitted(request)
        size = limits.page_size(request.page_size)
        bound_to = ("projects", caller.tenant, caller.owner)
        after = filters.parse_place(request.page_token, (float, str), *bound_to)
        async with patience():
            found = await self._projects.of(caller)
        rest = [kept for kept in found if after is None or _place(kept) > (-after[0], after[1])]
        page = rest[:size]
        more = len(rest) > len(page)
        last = page[-1][1] if page else None
        return pb.ListProjectsResponse(
            projects=[_bare(kept) for kept in page],
            next_page_token=filters.place_token((last.create_time, last.id), *bound_to) if last and more else "",
            total_size=len(found),
        )

    async def UpdateProject(self, request: pb.UpdateProjectRequest, _context: object) -> pb.Project:
        caller = self._admitted(request)
        changes: dict[str, object] = {}
        if request.HasField("title"):
            changes["title"] = request.title
        if request.HasField("description"):
            changes["description"] = request.description

        def decide(project: Project) -> Project:
            # After it was found to be the caller's: others learn nothing.
            if request.HasField("title"):
                _check_title(request.title)
            _check_description(request.description)
            return project.model_copy(update=changes)

        return await self._changed(caller, request, decide)

    async def DeleteProject(self, request: pb.DeleteProjectRequest, _context: object) -> pb.Project:
        caller = self._admitted(request)
        async with patience():
            deleted = await self._projects.change(
                caller, request.name, lambda project: project.model_copy(update={"deleted": True}), etag=request.etag
            )
        return _bare(deleted)

    async def AddSongs(self, request: pb.AddSongsRequest, _context: object) -> pb.Project:
        caller = self._admitted(request)
        async with patience():
            await self._projects.get(caller, request.name)
            if request.HasField("position") and request.position < 0:
                message = f"position is {request.position}: it must be 0 or more"
                raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="position")
            ids = projects.song_ids(request.songs)
            await self._check_songs(caller, ids)
        position = request.position if request.HasField("position") else None
        return await self._changed(caller, request, lambda project: projects.placed(project, ids, position))

    async def RemoveSongs(self, request: pb.RemoveSongsRequest, _context: object) -> pb.Project:
        caller = self._admitted(request)
        return await self._changed(caller, request, partial(_of_songs, projects.without, request.songs))

    async def OrderSongs(self, request: pb.OrderSongsRequest, _context: object) -> pb.Project:
        caller = self._admitted(request)
        return await self._changed(caller, request, partial(_of_songs, projects.ordered, request.songs))

    async def ExportProject(
        self, request: pb.ExportProjectRequest, _context: object
    ) -> AsyncIterator[pb.ExportProjectResponse]:
        caller = self._admitted(request)
        async with patience():
            _, project = await self._projects.get(caller, request.name)
            there = await self._there(caller, project)
        export = await asyncio.to_thread(_planned, project, there)
        _check_export(request, export)
        told = pb.Export(
            export=export.id,
            file=export.file,
            size_bytes=export.size,
            songs=len(export.songs),
            left_out=export.left_out,
        )
        yield pb.ExportProjectResponse(export=told)
        pieces = self._exporter.stream(export, request.offset, lambda: call_grant(self._signer))
        async with aclosing(pieces):
            async for piece in pieces:
                yield pb.ExportProjectResponse(chunk=piece)

    async def _changed(
        self,
        caller: Principal,
        request: pb.UpdateProjectRequest | pb.AddSongsRequest | pb.RemoveSongsRequest | pb.OrderSongsRequest,
        decide: Change,
    ) -> pb.Project:
        async with patience():
            kept = await self._projects.change(caller, request.name, decide, etag=request.etag)
            return await self._told(caller, kept)

    async def _check_songs(self, caller: Principal, ids: Sequence[str]) -> None:
        """Raises NotFound for one that is not the caller's."""
        found = await self._own.read(caller, ids)
        for index, song in enumerate(ids):
            if song not in found:
                raise no_song(f"songs/{song}", field=f"songs[{index}]")

    async def _there(self, caller: Principal, project: Project) -> list[Stored]:
        found = await self._own.known(caller, project.songs)
        return [found[song] for song in project.songs if song in found]

    async def _told(self, caller: Principal, kept: Kept) -> pb.Project:
        told = _bare(kept)
        for stored in await self._there(caller, kept[1]):
            job = stored.job
            told.songs.add(
                song=f"songs/{job.id}",
                title=texts.texts_of(job).title,
                state=public_state(job),
                seconds=wire.seconds(job),
                deleted=job.state == job_pb2.Job.DELETED,
            )
        told.song_count = len(told.songs)
        return told

    def _admitted(self, request: Request) -> Principal:
        """Raises QuotaExceeded, InvalidInput."""
        rules.refuse_unknown_fields(request)
        caller = current_principal()
        self._quotas.reads.take(caller.tenant)
        return caller


def _of_songs(change: "projects.OfSongs", names: Sequence[str], project: Project) -> Project:
    """What the songs are is looked at once the project was found to be the caller's."""
    return change(project, projects.song_ids(names))


def _place(kept: Kept) -> tuple[float, str]:
    return -kept[1].create_time, kept[1].id


def _planned(project: Project, there: Sequence[Stored]) -> exports.Export:
    now = datetime.now(UTC)
    return exports.export_of(project, [wire.song(stored.job, stored.seq, now=now) for stored in there])


def _bare(kept: Kept) -> pb.Project:
    seq, project = kept
    told = pb.Project(
        name=project.name,
        title=project.title,
        description=project.description,
        song_count=len(project.songs),
        etag=str(seq),
    )
    told.create_time.FromMicroseconds(int(project.create_time * 1e6))
    told.update_time.FromMicroseconds(int(project.update_time * 1e6))
    return told


def _check_title(title: str) -> None:
    if not title.strip():
        raise InvalidInput("title is empty: call the project something", reason=Reason.MISSING, field="title")
    rules.check_text(title, limits.TITLE_CHARACTERS, shown="title", allowed_controls="")


def _check_description(description: str) -> None:
    rules.check_text(description, _DESCRIPTION_CHARACTERS, shown="description")


def _check_export(request: pb.ExportProjectRequest, export: exports.Export) -> None:
    if request.export and request.export != export.id:
        message = f"{request.name} has changed since that export began: begin anew"
        raise FailedPrecondition(message, reason=Reason.ETAG_MISMATCH, field="export")
    if request.offset and not request.export:
        message = "offset needs export, the id of the download that it goes on with"
        raise InvalidInput(message, reason=Reason.MISSING, field="export")
    if not 0 <= request.offset <= export.size:
        message = f"offset is {request.offset}: it must be from 0 to {export.size}"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="offset")
