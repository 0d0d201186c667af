"""Real `harmonia` processes against a real mesh that `harmonia up` runs."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli.command import HARMONIA, PROMPT, Run, Told, environment, harmonia, processes_of


@dataclass(frozen=True)
class Up:
    home: Path
    info: Mapping[str, Any]


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    home = tmp_path_factory.mktemp("home")
    command = [HARMONIA, "up", "--json"]
    with subprocess.Popen(command, env=environment(home), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Up(home, json.loads(process.stdout.readline()))
            process.terminate()
            process.communicate(timeout=60)
        finally:
            process.kill()  # of a failure only: by now it has ended
    assert process.returncode == 0
    assert processes_of(home) == []


@pytest.fixture
def run(up: Up, tmp_path: Path) -> Run:
    """run("list", "--json") in an empty folder, against the mesh."""

    def command(*arguments: str, timeout_s: float = 120) -> Told:
        return harmonia(*arguments, home=up.home, cwd=tmp_path, timeout_s=timeout_s)

    return command


@pytest.fixture(scope="session")
def song(up: Up, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """One song that was made by `harmonia compose`, and what the command said."""
    folder = tmp_path_factory.mktemp("song")
    told = harmonia("compose", PROMPT, "--duration", "20", "--seed", "7", home=up.home, cwd=folder)
    assert told.code == 0, told.err
    return folder / told.lines[-1], told
