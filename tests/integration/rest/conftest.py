"""A mesh with its HTTP door; gateway, store and nats-server are real, the workers are the gateway tests' small ones."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from harmonia_local.mesh import Mesh, running_mesh
from tests.rest_door import built_rest

SMALL = Path(__file__).parents[1] / "gateway" / "small_service.py"
COMMANDS = {name: (sys.executable, str(SMALL), name) for name in ("lyricist", "composer", "mastering")}
PAGES_OF_FRIENDS = "https://studio.example"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(home: Path) -> AsyncIterator[Mesh]:
    environment = {"HARMONIA_CORS_ORIGINS": PAGES_OF_FRIENDS}
    async with running_mesh(
        home, commands=COMMANDS, environment=environment, lease_s=2, rest=built_rest(), say=lambda _: None
    ) as mesh:
        yield mesh


@pytest.fixture(scope="module")
def token(mesh: Mesh) -> str:
    return Path(mesh.info.token_file).read_text().strip()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def user(mesh: Mesh, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """The local user, with the token."""
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=mesh.info.rest or "", headers=headers, timeout=60) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def anybody(mesh: Mesh) -> AsyncIterator[httpx.AsyncClient]:
    """Without a token; keeps cookies, as a browser does."""
    async with httpx.AsyncClient(base_url=mesh.info.rest or "", timeout=60) as client:
        yield client
