"""Real `harmonia` processes against a real mesh that `harmonia up` runs."""

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli.command import HARMONIA, PROMPT, Run, Told, environment, harmonia


@pytest.fixture(scope="session")
def new_home(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Callable[[], Path]:
    """Homes that share their compiled kernels, also with the next run of the tests."""
    assert pytestconfig.cache is not None
    kernels = pytestconfig.cache.mkdir("numba")

    def make() -> Path:
        home = tmp_path_factory.mktemp("home")
        (home / "cache").mkdir()
        (home / "cache" / "numba").symlink_to(kernels)
        return home

    return make


@dataclass(frozen=True)
class Up:
    home: Path
    info: Mapping[str, Any]


@pytest.fixture(scope="session")
def up(new_home: Callable[[], Path]) -> Iterator[Up]:
    home = new_home()
    process = subprocess.Popen([HARMONIA, "up", "--json"], env=environment(home), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Up(home, json.loads(process.stdout.readline()))
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def run(up: Up, tmp_path: Path) -> Run:
    """run("list", "--json") in an empty folder, against the mesh."""

    def command(*arguments: str, timeout_s: float = 60) -> Told:
        return harmonia(*arguments, home=up.home, cwd=tmp_path, timeout_s=timeout_s)

    return command


@pytest.fixture(scope="session")
def song(up: Up, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """One song that was made by `harmonia compose`, and what the command said."""
    folder = tmp_path_factory.mktemp("song")
    told = harmonia("compose", PROMPT, "--duration", "20", "--seed", "7", home=up.home, cwd=folder)
    assert told.code == 0, told.err
    return folder / told.lines[-1], told
