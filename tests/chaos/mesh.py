"""A mesh whose services carry the kill suite's failpoint: short lease, quick sweeper, no quotas in the way."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from harmonia_local.certificates import SERVICES
from harmonia_local.mesh import Mesh, running_mesh

LEASE_S = 2.0


@asynccontextmanager
async def chaos_mesh(home: Path) -> AsyncIterator[Mesh]:
    root = Path(__file__).parents[2]
    commands = {name: [sys.executable, "-m", "tests.chaos.service", name, str(home)] for name in SERVICES}
    environment = {
        "PYTHONPATH": str(root),
        "HARMONIA_TENANT_UNFINISHED": "100000",
        "HARMONIA_RATE_CREATES": "1000000",
        "HARMONIA_RATE_READS": "1000000",
        "HARMONIA_SWEEP_S": "1",
    }
    async with running_mesh(home, commands=commands, environment=environment, lease_s=LEASE_S, say=_quiet) as mesh:
        yield mesh


def _quiet(_line: str) -> None:
    """Deaths are the point here."""
