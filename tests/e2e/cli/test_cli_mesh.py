"""The mesh a command starts for itself, and the one of `harmonia up`."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.cli.command import HARMONIA, Run, environment, harmonia, processes_of
from tests.e2e.cli.conftest import Up


def test_a_command_without_a_mesh_starts_one_and_leaves_no_process_but_the_song(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [HARMONIA, "compose", "folk", "--duration", "600", "--variations", "8"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(home), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (process.returncode, err) == (9, "harmonia: stopped\n")
    assert processes_of(home) == []

    listed = harmonia("list", "--json", home=home, cwd=tmp_path)

    assert [song["spec"]["prompt"] for song in listed.objects[0]["songs"]] == ["folk"]
    assert processes_of(home) == []
    assert not (home / "run" / "mesh.json").exists()


def test_an_ephemeral_command_leaves_the_home_alone(tmp_path: Path) -> None:
    home = tmp_path / "home"
    told = harmonia("compose", "folk", "--duration", "8", "--ephemeral", "--out", "song", home=home, cwd=tmp_path)

    assert told.code == 0, told.err
    assert (tmp_path / "song" / "master.wav").is_file()
    assert not home.exists()


def test_one_mesh_per_home(up: Up, run: Run) -> None:
    told = run("up", "--json")

    assert told.code == 5
    assert str(up.info["pid"]) in told.error["message"]


def test_doctor_finds_a_running_mesh(run: Run) -> None:
    told = run("doctor", "--json")
    checks = {check["check"]: check["ok"] for check in told.objects}

    assert told.code == 0
    assert checks["running"]
    assert checks["home permissions"]


@pytest.mark.parametrize("command", ["version", "--help"])
def test_what_needs_no_mesh_starts_none(command: str, tmp_path: Path) -> None:
    home = tmp_path / "home"

    assert harmonia(command, home=home, cwd=tmp_path).code == 0
    assert not home.exists()
