"""The mesh a command starts for itself, and the one of `harmonia up`."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.e2e.cli.command import HARMONIA, Run, environment, harmonia
from tests.e2e.cli.conftest import Up


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process whose environment or command line speaks of this home."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if any(str(home) in text for text in told):
            found.append(process)
    return found


def test_a_command_without_a_mesh_starts_one_and_leaves_no_process(
    new_home: Callable[[], Path], tmp_path: Path
) -> None:
    home = new_home()
    made = harmonia("compose", "techno", "--duration", "8", "--out", "song", "--json", home=home, cwd=tmp_path)

    assert made.code == 0, made.err
    assert processes_of(home) == []
    assert not (home / "run" / "mesh.json").exists()

    listed = harmonia("list", "--json", home=home, cwd=tmp_path)
    assert [song["name"] for song in listed.objects[0]["songs"]] == [made.objects[-1]["name"]]
    assert processes_of(home) == []


def test_an_ephemeral_command_leaves_the_home_alone(new_home: Callable[[], Path], tmp_path: Path) -> None:
    home = new_home()
    told = harmonia("compose", "folk", "--duration", "8", "--ephemeral", "--out", "song", home=home, cwd=tmp_path)

    assert told.code == 0, told.err
    assert [path.name for path in home.iterdir()] == ["cache"]


def test_an_interrupted_command_leaves_no_process(new_home: Callable[[], Path], tmp_path: Path) -> None:
    home = new_home()
    command = [HARMONIA, "compose", "folk", "--duration", "600", "--variations", "8"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)

    assert (process.returncode, err) == (9, "harmonia: stopped\n")
    assert processes_of(home) == []


def test_one_mesh_per_home(up: Up, run: Run) -> None:
    told = run("up", "--json")

    assert told.code == 5
    assert str(up.info["pid"]) in told.error["message"]


def test_up_writes_what_it_prints_and_drains_on_sigterm(new_home: Callable[[], Path], tmp_path: Path) -> None:
    home = new_home()
    process = subprocess.Popen(
        [HARMONIA, "up"], env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    listed = harmonia("list", "--json", home=home, cwd=tmp_path)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)

    assert "ready after" in first
    assert listed.objects[0]["total_size"] == 0
    assert (process.returncode, err) == (0, "")
    assert processes_of(home) == []


def test_doctor_finds_a_running_mesh(run: Run) -> None:
    told = run("doctor", "--json")
    checks = {check["check"]: check["ok"] for check in told.objects}

    assert told.code == 0
    assert checks["running"]
    assert checks["home"]


@pytest.mark.parametrize("command", ["version", "--help"])
def test_what_needs_no_mesh_starts_none(command: str, tmp_path: Path) -> None:
    home = tmp_path / "home"

    assert harmonia(command, home=home, cwd=tmp_path).code == 0
    assert not home.exists()
