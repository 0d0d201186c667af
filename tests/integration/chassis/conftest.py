"""A mesh of the test's own, stopped at its end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.chassis.small_mesh import Authority, Mesh


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
async def mesh(authority: Authority) -> AsyncIterator[Mesh]:
    running = Mesh(authority)
    try:
        yield running
    finally:
        await running.stop()
