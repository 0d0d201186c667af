"""docs/python.md is true: its examples are run, in order and as one program, against a real mesh."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harmonia_local.mesh import running_mesh
from tests.pages import BETWEEN, examples, untrue


@pytest.mark.timeout(300)
async def test_every_example_of_the_page_prints_what_it_says(tmp_path: Path) -> None:
    found = examples("python.md", "python")
    program = tmp_path / "program.py"
    program.write_text(f"\nprint({BETWEEN!r})\n".join(code for code, _ in found))
    async with running_mesh(tmp_path / "home", say=lambda _: None):
        environment = {"PATH": os.environ["PATH"], "HARMONIA_HOME": str(tmp_path / "home")}
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, str(program)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=250,
            check=False,
        )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    printed = ran.stdout.split(f"{BETWEEN}\n")
    assert untrue(found, printed) == []
