"""Projects: songs that belong together, in an order; and their zip file, which arrives proven or not at all."""

import asyncio
import glob
import hashlib
import zipfile
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from harmonia.project.v1 import project_pb2 as pb
from harmonia.project.v1 import project_pb2_grpc as rpc
from harmonia_chassis.status import from_rpc_error, rpc_errors
from harmonia_sdk.errors import Internal, Reason, Unavailable
from harmonia_sdk.patience import Patience
from harmonia_sdk.transfer import SILENCE_S

if TYPE_CHECKING:
    from harmonia_sdk.client import Client

T = TypeVar("T")

_CALL_S = 20.0
_PAGE_SIZE = 200
_SUMS = "SHA256SUMS"


class AsyncProjects:
    """`client.projects`. Names of projects and songs with or without "projects/" and "songs/"."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._calls: rpc.ProjectServiceAsyncStub = rpc.ProjectServiceStub(channel)

    async def create(
        self, title: str, *, description: str = "", songs: Sequence[str] = (), request_id: str = ""
    ) -> pb.Project:
        """The same request_id gives the same project."""
        request = pb.CreateProjectRequest(
            title=title, description=description, songs=_songs(songs), request_id=request_id
        )
        with rpc_errors():
            return await self._calls.CreateProject(request, timeout=_CALL_S)

    async def get(self, name: str) -> pb.Project:
        with rpc_errors():
            return await self._calls.GetProject(pb.GetProjectRequest(name=project_name(name)), timeout=_CALL_S)

    async def list(self, *, limit: int = 50) -> pb.ListProjectsResponse:
        """At most `limit`, the newest first, without their songs."""
        found = pb.ListProjectsResponse()
        while True:
            size = min(limit - len(found.projects), _PAGE_SIZE)
            request = pb.ListProjectsRequest(page_size=size, page_token=found.next_page_token)
            with rpc_errors():
                page = await self._calls.ListProjects(request, timeout=_CALL_S)
            found.projects.extend(page.projects)
            found.next_page_token, found.total_size = page.next_page_token, page.total_size
            if not page.next_page_token or len(found.projects) >= limit:
                return found

    async def update(
        self, name: str, *, title: str | None = None, description: str | None = None, etag: str = ""
    ) -> pb.Project:
        """None: stays as it is."""
        request = pb.UpdateProjectRequest(name=project_name(name), title=title, description=description, etag=etag)
        with rpc_errors():
            return await self._calls.UpdateProject(request, timeout=_CALL_S)

    async def delete(self, name: str, *, etag: str = "") -> pb.Project:
        """Its songs stay."""
        request = pb.DeleteProjectRequest(name=project_name(name), etag=etag)
        with rpc_errors():
            return await self._calls.DeleteProject(request, timeout=_CALL_S)

    async def add(self, name: str, songs: Sequence[str], *, position: int | None = None, etag: str = "") -> pb.Project:
        """position: of the first of them, from 0; None: at the end. Songs that are in already are moved."""
        request = pb.AddSongsRequest(name=project_name(name), songs=_songs(songs), position=position, etag=etag)
        with rpc_errors():
            return await self._calls.AddSongs(request, timeout=_CALL_S)

    async def remove(self, name: str, songs: Sequence[str], *, etag: str = "") -> pb.Project:
        request = pb.RemoveSongsRequest(name=project_name(name), songs=_songs(songs), etag=etag)
        with rpc_errors():
            return await self._calls.RemoveSongs(request, timeout=_CALL_S)

    async def order(self, name: str, songs: Sequence[str], *, etag: str = "") -> pb.Project:
        """These come first, in this order; the others behind them, as they were."""
        request = pb.OrderSongsRequest(name=project_name(name), songs=_songs(songs), etag=etag)
        with rpc_errors():
            return await self._calls.OrderSongs(request, timeout=_CALL_S)

    async def export(self, name: str, to: Path) -> pb.Export:
        """Goes on where a broken stream, or an earlier try, stopped; every file in it is compared with SHA256SUMS
        before `to` appears. Raises FailedPrecondition when the project changes meanwhile."""
        patience, export, part = Patience(), pb.Export(), to
        while True:
            offset = await asyncio.to_thread(_size, part) if export.export else 0
            request = pb.ExportProjectRequest(name=project_name(name), export=export.export, offset=offset)
            call = self._calls.ExportProject(request)
            try:
                first = await _read(call)
                if first is not None and not export.export:
                    export = first.export
                    part = to.with_name(f".{to.name}.{export.export[:12]}.part")
                    if await asyncio.to_thread(_size, part):
                        continue  # an earlier try left it
                await _append(call, part, patience)
                if await asyncio.to_thread(_size, part) >= export.size_bytes:
                    await asyncio.to_thread(_put_in_place, part, to, export)
                    return export
                await patience.wait_or_raise(Unavailable(f"{name} stopped coming", reason=Reason.UNREACHABLE))
            except grpc.aio.AioRpcError as failure:
                await patience.wait_or_raise(from_rpc_error(failure))
            except TimeoutError:
                await patience.wait_or_raise(Unavailable(f"{name} stopped coming", reason=Reason.UNREACHABLE))
            finally:
                call.cancel()


class Projects:
    """`client.projects` of a program without an event loop."""

    def __init__(self, client: "Client", opened: Callable[[], AsyncProjects]) -> None:
        self._client = client
        self._opened = opened

    def _ask(self, question: Callable[[AsyncProjects], Coroutine[Any, Any, T]]) -> T:
        """In the client's own event loop, where the channel is opened too. Any: what a coroutine is sent and yields."""

        async def ask() -> T:
            return await question(self._opened())

        return self._client.run(ask())

    def create(
        self, title: str, *, description: str = "", songs: Sequence[str] = (), request_id: str = ""
    ) -> pb.Project:
        """The same request_id gives the same project."""
        return self._ask(lambda their: their.create(title, description=description, songs=songs, request_id=request_id))

    def get(self, name: str) -> pb.Project:
        return self._ask(lambda their: their.get(name))

    def list(self, *, limit: int = 50) -> pb.ListProjectsResponse:
        """At most `limit`, the newest first, without their songs."""
        return self._ask(lambda their: their.list(limit=limit))

    def update(
        self, name: str, *, title: str | None = None, description: str | None = None, etag: str = ""
    ) -> pb.Project:
        """None: stays as it is."""
        return self._ask(lambda their: their.update(name, title=title, description=description, etag=etag))

    def delete(self, name: str, *, etag: str = "") -> pb.Project:
        """Its songs stay."""
        return self._ask(lambda their: their.delete(name, etag=etag))

    def add(self, name: str, songs: Sequence[str], *, position: int | None = None, etag: str = "") -> pb.Project:
        """position: of the first of them, from 0; None: at the end. Songs that are in already are moved."""
        return self._ask(lambda their: their.add(name, songs, position=position, etag=etag))

    def remove(self, name: str, songs: Sequence[str], *, etag: str = "") -> pb.Project:
        return self._ask(lambda their: their.remove(name, songs, etag=etag))

    def order(self, name: str, songs: Sequence[str], *, etag: str = "") -> pb.Project:
        """These come first, in this order; the others behind them, as they were."""
        return self._ask(lambda their: their.order(name, songs, etag=etag))

    def export(self, name: str, to: Path) -> pb.Export:
        """Goes on where an earlier try stopped; every file in it is compared with SHA256SUMS before `to` appears."""
        return self._ask(lambda their: their.export(name, to))


def project_name(text: str) -> str:
    """From what people write: with or without "projects/"."""
    return text if text.startswith("projects/") else f"projects/{text}"


def _songs(names: Sequence[str]) -> list[str]:
    return [name if name.startswith("songs/") else f"songs/{name}" for name in names]


Call = grpc.aio.UnaryStreamCall[pb.ExportProjectRequest, pb.ExportProjectResponse]


async def _read(call: Call) -> pb.ExportProjectResponse | None:
    async with asyncio.timeout(SILENCE_S):
        message = await call.read()
    return message if isinstance(message, pb.ExportProjectResponse) else None


async def _append(call: Call, part: Path, patience: Patience) -> None:
    with part.open("ab") as file:
        while (message := await _read(call)) is not None:
            patience.heard()
            file.write(message.chunk)


def _put_in_place(part: Path, to: Path, export: pb.Export) -> None:
    """Raises Internal, and forgets what has arrived, unless it is what its sums say."""
    try:
        wrong = _wrong(part)
    except zipfile.BadZipFile as error:
        wrong = str(error)
    if wrong or part.stat().st_size != export.size_bytes:
        part.unlink()
        raise Internal(f"{to.name} did not arrive as it was sent: {wrong}", reason=Reason.DIGEST_MISMATCH)
    part.replace(to)
    for other in to.parent.glob(f".{glob.escape(to.name)}.????????????.part"):
        other.unlink()  # of the project as it once was


def _wrong(part: Path) -> str:
    """The first file that is not what SHA256SUMS says; empty when all are."""
    with zipfile.ZipFile(part) as archive:
        names = archive.namelist()
        sums = next((name for name in names if name.rpartition("/")[2] == _SUMS), "")
        if not sums:
            return f"it has no {_SUMS}"
        top = sums.removesuffix(_SUMS)
        told = [line.partition("  ") for line in archive.read(sums).decode().splitlines()]
        expected = {top + path: digest for digest, _, path in told}
        if expected.keys() != set(names) - {sums}:
            return f"its files are not those of {_SUMS}"
        for name, digest in expected.items():
            with archive.open(name) as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != digest:  # type: ignore[arg-type]  # readable
                    return name
    return ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
