"""A mesh that a command started ends when the last of its users has gone."""

import asyncio
from pathlib import Path

import pytest

from harmonia_sdk.cli.users import join, last_to_leave, users_of


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path


async def test_the_owner_waits_for_the_last_user(home: Path) -> None:
    with users_of(home) as owner, users_of(home) as first:
        with users_of(home) as second:
            assert join(first)
            assert join(second)
            leaving = asyncio.ensure_future(last_to_leave(owner))
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(leaving), 0.3)
        leaving.cancel()

    with users_of(home) as owner:
        await asyncio.wait_for(last_to_leave(owner), 60)


async def test_nobody_joins_a_mesh_that_is_about_to_end(home: Path) -> None:
    with users_of(home) as owner, users_of(home) as late:
        await last_to_leave(owner)

        assert not join(late)

    with users_of(home) as next_one:
        assert join(next_one)
