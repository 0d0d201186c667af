"""How long the mesh takes until it is ready, and a song from nothing, in a home that was there before."""

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.meshes import ENVIRONMENT
from bench.table import Row, spread
from harmonia_local.mesh import running_mesh

PROMPT = "warm lo-fi hip-hop for a rainy evening, 84 bpm, A minor"
RUNS = 5


async def rows() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        ready = [await _ready_s(home) for _ in range(RUNS)]
        cold = [await asyncio.to_thread(_compose_s, home, Path(folder) / str(run)) for run in range(RUNS)]
    return [
        Row("mesh ready, first start in a new home", f"{ready[0]:.2f} s", "≤ 8 s"),
        Row("mesh ready, later starts", spread(ready[1:]), "≤ 8 s"),
        Row("harmonia compose, no mesh running, 60 s song", spread(cold), "≤ 12 s"),
    ]


async def _ready_s(home: Path) -> float:
    async with running_mesh(home, environment=ENVIRONMENT, say=lambda _line: None) as mesh:
        return mesh.info.ready_ms / 1000


def _compose_s(home: Path, out: Path) -> float:
    began = time.monotonic()
    harmonia = Path(sys.executable).with_name("harmonia")
    arguments = ["compose", "--home", str(home), "--out", str(out), "--", PROMPT]
    subprocess.run([harmonia, *arguments], check=True, capture_output=True)
    took = time.monotonic() - began
    shutil.rmtree(out)
    return took
