"""Meshes to measure on: the real one, and one whose workers do nothing. Quotas are out of the way."""

import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from harmonia_local.mesh import Mesh, running_mesh
from harmonia_sdk.client import AsyncClient

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "HARMONIA_TENANT_UNFINISHED": "1000000",
    "HARMONIA_RATE_CREATES": "100000000",
    "HARMONIA_RATE_READS": "100000000",
}
WORKERS = ("lyricist", "composer", "mastering")


@dataclass(frozen=True, slots=True)
class Measured:
    home: Path
    mesh: Mesh
    client: AsyncClient


@asynccontextmanager
async def real_mesh() -> AsyncIterator[Measured]:
    async with _mesh({}) as measured:
        yield measured


@asynccontextmanager
async def noop_mesh(*, rest: Path | None = None) -> AsyncIterator[Measured]:
    commands = {name: (sys.executable, "-m", "bench.noop_service", name) for name in WORKERS}
    async with _mesh(commands, rest=rest) as measured:
        yield measured


@asynccontextmanager
async def _mesh(commands: Mapping[str, Sequence[str]], *, rest: Path | None = None) -> AsyncIterator[Measured]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        async with (
            running_mesh(home, commands=commands, environment=ENVIRONMENT, rest=rest, say=lambda _line: None) as mesh,
            AsyncClient(home=home) as client,
        ):
            yield Measured(home, mesh, client)
