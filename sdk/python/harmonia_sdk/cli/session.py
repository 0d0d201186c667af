"""The mesh a command talks to: a remote one, the one that runs in the home, or one of its own while it works."""

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harmonia_sdk.cli.options import Common
from harmonia_sdk.cli.show import say
from harmonia_sdk.cli.users import LOOK_S, join, last_to_leave, users_of
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.endpoint import Endpoint, is_locked, local_endpoint, read_ca, read_token, remote_endpoint
from harmonia_sdk.errors import FailedPrecondition, InvalidInput, NotFound, Reason, Unavailable
from harmonia_sdk.settings import chosen_home, config_file, default_home, for_a_mesh, otlp_endpoint, read_profile
from harmonia_sdk.trace import one_trace

if TYPE_CHECKING:
    from harmonia_local.mesh import Mesh

OTHERS_START_S = 150.0  # the very first start compiles kernels


@dataclass(frozen=True, slots=True)
class Session:
    """`operator`: the one who runs the mesh of a home; elsewhere, whoever the token says."""

    client: AsyncClient
    operator: AsyncClient
    private: bool  # the mesh ends with this command


@asynccontextmanager
async def session(common: Common, *, ephemeral: bool = False, may_start: bool = True) -> AsyncIterator[Session]:
    async with AsyncExitStack() as stack:
        stack.enter_context(_traced())
        private, home = False, None
        endpoint = None if ephemeral else remote_of(common)
        if endpoint is None and ephemeral:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="harmonia-")))
            endpoint = await stack.enter_async_context(_mesh_of_ours(folder, _say(common)))
            private, home = True, folder
        elif endpoint is None:
            endpoint, private = await _local(stack, common, may_start=may_start)
            home = home_of(common)
        client = await stack.enter_async_context(AsyncClient.at(endpoint))
        operator = await stack.enter_async_context(AsyncClient.at(_operator_of(home, endpoint)))
        with plain_words(endpoint):
            yield Session(client, operator, private)


def _operator_of(home: Path | None, endpoint: Endpoint) -> Endpoint:
    return (local_endpoint(home, as_operator=True) if home else None) or endpoint


@contextmanager
def _traced() -> Iterator[None]:
    """One trace of all that a command asks for; its own span in it, where traces are collected."""
    if not (endpoint := otlp_endpoint()):
        with one_trace():
            yield
        return
    from harmonia_chassis.telemetry import SPAN_COMMAND, span, start_traces

    end = start_traces("cli", str(os.getpid()), otlp_endpoint=endpoint)
    try:
        with span(SPAN_COMMAND):
            yield
    finally:
        end()


@contextmanager
def plain_words(endpoint: Endpoint) -> Iterator[None]:
    """Inside, errors speak of what one types, not of RPCs, and a line that gRPC could not make has a way out."""
    try:
        yield
    except NotFound as error:
        if error.reason == Reason.SONG_NOT_FOUND:
            error.message = f"{error.message.rpartition(': ')[0] or error.message}: `harmonia list` shows your songs"
        raise
    except Unavailable as error:
        if (words := _words_for(error.message, endpoint)) is None:
            raise
        raise Unavailable(words, reason=Reason.UNREACHABLE, field="server") from error


def _words_for(told: str, endpoint: Endpoint) -> str | None:
    """None for what a server said itself. The phrases are those of gRPC's C core, which has no codes for them."""
    if "CERTIFICATE_VERIFY_FAILED" in told:
        untrusted = "another CA than that of --ca" if endpoint.ca else "a CA unknown to this system: name it by --ca"
        return f"the certificate of the server {endpoint.address} is from {untrusted}"
    if "Hostname Verification Check failed" in told:
        return f"the certificate of the server {endpoint.address} is for another host: name it as the certificate does"
    if "handshake failed" in told.lower():
        return f"the server {endpoint.address} does not speak TLS as a mesh does: is it the public gRPC port of one?"
    if told.startswith("errors resolving") or "DNS resolution failed" in told:
        return f"no host is called {endpoint.address.rpartition(':')[0]}: check --server"
    if told.startswith("failed to connect to all addresses"):
        return f"no server answers at {endpoint.address}: is the address right? `harmonia up` starts a mesh"
    return None


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


@contextmanager
def local_installed() -> Iterator[None]:
    """Around an import of harmonia_local, which a client may lack."""
    try:
        yield
    except ModuleNotFoundError as exc:
        message = "no mesh to talk to: install one with pip install 'harmonia[local]', or name one with --server"
        raise Unavailable(message, reason=Reason.UNREACHABLE, field="server") from exc


def own_mesh(home: Path, say: Callable[[str], None]) -> "AbstractAsyncContextManager[Mesh]":
    """harmonia_local's running_mesh, where that is installed."""
    with local_installed():
        from harmonia_local.mesh import running_mesh
    return running_mesh(home, environment=for_a_mesh(), say=say)


def no_mesh(home: Path) -> Unavailable:
    message = f"no mesh runs in {home}, so nothing would go on with the song: start one with `harmonia up`"
    return Unavailable(message, reason=Reason.UNREACHABLE, field="home")


async def _local(stack: AsyncExitStack, common: Common, *, may_start: bool) -> tuple[Endpoint, bool]:
    """The mesh of a home, and whether it is ours."""
    home = home_of(common)
    while True:
        if (found := await _joined(stack, home)) is not None:
            return found, False
        if not may_start:
            raise no_mesh(home)
        try:
            return await stack.enter_async_context(_mesh_of_ours(home, _say(common))), True
        except FailedPrecondition as error:
            if error.reason != Reason.HOME_IN_USE:
                raise
        # Another command was first: its mesh is ours to use.


async def _joined(stack: AsyncExitStack, home: Path) -> Endpoint | None:
    """Waits for a mesh that starts or stops; None when none is left."""
    deadline = time.monotonic() + OTHERS_START_S
    users = None
    while is_locked(home):
        users = stack.enter_context(users_of(home)) if users is None else users
        if (found := local_endpoint(home)) is not None and join(users):
            return found
        if time.monotonic() > deadline:
            message = f"the mesh in {home} neither answers nor ends: see its logs, or stop it"
            raise Unavailable(message, reason=Reason.UNREACHABLE, field="home")
        await asyncio.sleep(LOOK_S)
    return None


@asynccontextmanager
async def _mesh_of_ours(home: Path, say: Callable[[str], None]) -> AsyncIterator[Endpoint]:
    """Ends with the command, but not before other commands that came to use it have ended; SIGTERM waits for nobody."""
    async with AsyncExitStack() as stack:
        try:
            # Its processes are told to stop before `users` is let go.
            users = stack.enter_context(_made_users_of(home))
            await stack.enter_async_context(own_mesh(home, say))
        except OSError as exc:
            message = f"cannot keep a mesh in {home}: {exc.strerror or exc}; name another folder with --home"
            raise InvalidInput(message, reason=Reason.MALFORMED, field="home") from exc
        endpoint = local_endpoint(home)
        if endpoint is None:
            raise FailedPrecondition(f"the mesh in {home} ended at once", reason=Reason.NOT_READY)
        try:
            yield endpoint
        except Exception:
            await last_to_leave(users)
            raise
        await last_to_leave(users)


@contextmanager
def _made_users_of(home: Path) -> Iterator[int]:
    (home / "run").mkdir(mode=0o700, parents=True, exist_ok=True)
    with users_of(home) as users:
        yield users


def _say(common: Common) -> Callable[[str], None]:
    """A process that is started again is news, and no error: stderr is kept for the one line of an error."""
    return (lambda _: None) if common.json else say


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
