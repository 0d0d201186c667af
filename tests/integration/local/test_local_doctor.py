"""What `harmonia doctor` finds on a machine."""

import os
import sys
import time
from pathlib import Path

import pytest

from harmonia_local import doctor


async def test_this_machine_can_run_a_mesh(tmp_path: Path) -> None:
    checks = await doctor.examine(tmp_path / "new" / "home")

    assert [check.name for check in checks] == [
        *("python", "nats-server", "ports", "disk space", "home permissions", "clock", "store"),
        *("rest (optional)", "ffmpeg (optional)"),
    ]
    assert [check for check in checks if not check.ok] == []
    assert not (tmp_path / "new").exists()


async def test_it_names_the_version_of_the_server(tmp_path: Path) -> None:
    found = {check.name: check.detail for check in await doctor.examine(tmp_path)}

    assert found["nats-server"].split(",")[0] >= "2.11"


def test_without_the_door_for_http_it_says_how_to_build_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    check = doctor.rest(tmp_path)

    assert (check.ok, check.detail) == (True, "not built: `make rest` builds it, with Go 1.26 or newer")


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 14, 0)])
def test_another_python_is_refused_with_a_way_out(version: tuple[int, int, int]) -> None:
    check = doctor.python(version)

    assert not check.ok
    assert "3.11, 3.12 or 3.13" in check.way_out


def test_a_clock_before_the_ca_was_made_is_found(tmp_path: Path) -> None:
    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca.pem").touch()
    now_s = time.time()

    assert doctor.clock(tmp_path, now_s + 60).ok
    assert not doctor.clock(tmp_path, now_s - 3600).ok


def test_a_home_of_another_user_is_found(tmp_path: Path) -> None:
    me = os.getuid()
    check = doctor.permissions(tmp_path, uid=me + 1)

    assert (check.ok, check.detail) == (False, f"{tmp_path} belongs to user {me}")
    assert doctor.permissions(tmp_path, uid=me).ok


@pytest.mark.parametrize("below", ["", "home"])
async def test_a_home_that_is_no_folder_is_found(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    failed = [check for check in await doctor.examine(tmp_path / "file" / below) if not check.ok]

    assert [check.name for check in failed] == ["home permissions"]
    assert "--home" in failed[0].way_out
