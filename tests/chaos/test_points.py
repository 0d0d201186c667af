"""A seeded tenth of the kill suite; `make chaos ALL=1` runs all of it."""

from pathlib import Path

import pytest

from tests.chaos.points import a_tenth, struck_mesh

SEED = 20261121


@pytest.mark.timeout(600)
async def test_songs_end_well_whatever_is_killed_at_each_point(tmp_path: Path) -> None:
    broken = {}
    async with struck_mesh(tmp_path / "home") as shooting:
        for case in a_tenth(SEED):
            found, took = await shooting.shoot(case)
            print(f"{case} {took:5.1f} s {found}")
            if found:
                broken[case] = found

    assert broken == {}
