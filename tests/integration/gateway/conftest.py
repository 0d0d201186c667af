"""A mesh with the real gateway, the real store and nats-server; the workers are small_service.py."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from harmonia.song.v1 import song_pb2_grpc
from harmonia_local.mesh import Mesh, running_mesh

SMALL = Path(__file__).with_name("small_service.py")
COMMANDS = {name: (sys.executable, str(SMALL), name) for name in ("lyricist", "composer", "mastering")}


@dataclass
class Door:
    """The public door of the mesh, as the local user has it."""

    mesh: Mesh
    channel: grpc.aio.Channel

    def stub(self, kind: Any) -> Any:
        return kind(self.channel)


def channel_to(mesh: Mesh, token: str) -> grpc.aio.Channel:
    tls = grpc.ssl_channel_credentials(Path(mesh.info.ca).read_bytes())
    credentials = grpc.composite_channel_credentials(tls, grpc.access_token_call_credentials(token))
    return grpc.aio.secure_channel(mesh.info.grpc, credentials)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(home: Path) -> AsyncIterator[Mesh]:
    environment = {"HARMONIA_TENANT_UNFINISHED": "5"}
    async with running_mesh(home, commands=COMMANDS, environment=environment, lease_s=2, say=lambda _: None) as mesh:
        yield mesh


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(mesh: Mesh) -> AsyncIterator[Door]:
    async with channel_to(mesh, Path(mesh.info.token_file).read_text().strip()) as channel:
        yield Door(mesh, channel)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def open_channel(mesh: Mesh) -> AsyncIterator[Callable[[str], grpc.aio.Channel]]:
    async with AsyncExitStack() as stack:

        def opened(token: str) -> grpc.aio.Channel:
            channel = channel_to(mesh, token)
            stack.push_async_callback(channel.close)
            return channel

        yield opened


@pytest.fixture(scope="module")
def stranger(mesh: Mesh, open_channel: Callable[[str], grpc.aio.Channel]) -> Any:
    """The local operator: of the same mesh and tenant, and not the owner of the user's songs."""
    token = Path(mesh.info.operator_token_file).read_text().strip()
    return song_pb2_grpc.SongServiceStub(open_channel(token))
