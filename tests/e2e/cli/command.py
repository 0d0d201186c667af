"""A `harmonia` process, run to its end."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

HARMONIA = str(Path(sys.executable).with_name("harmonia"))
PROMPT = "warm lo-fi hip-hop for a rainy evening, 84 bpm, A minor"


@dataclass(frozen=True)
class Told:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    @property
    def error(self) -> dict[str, str]:
        error: dict[str, str] = json.loads(self.err)["error"]
        return error


Run = Callable[..., Told]


def harmonia(*arguments: str, home: Path, cwd: Path, timeout_s: float = 120) -> Told:
    done = subprocess.run(
        [HARMONIA, *arguments],
        cwd=cwd,
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Told(done.returncode, done.stdout, done.stderr)


def environment(home: Path) -> Mapping[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("HARMONIA_")}
    return others | {"HARMONIA_HOME": str(home), "XDG_CONFIG_HOME": str(home / "config")}


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
