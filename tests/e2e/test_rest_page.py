"""docs/rest.md is true: its examples are run, in order and in one shell, against a real mesh."""

import asyncio
import fnmatch
import os
import re
import subprocess
from pathlib import Path

import pytest

from harmonia_local.mesh import running_mesh
from tests.rest_door import built_rest

PAGE = Path(__file__).parents[2] / "docs" / "rest.md"
EXAMPLE = re.compile(r"```sh\n(.*?)```\n+```text\n(.*?)```", re.DOTALL)
BETWEEN = "-- next example --"


@pytest.mark.timeout(240)
async def test_every_example_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    examples = EXAMPLE.findall(PAGE.read_text())
    assert len(examples) == PAGE.read_text().count("```sh")
    script = f"\necho '{BETWEEN}'\n".join(commands for commands, _ in examples)
    async with running_mesh(tmp_path / "home", rest=built_rest(), say=lambda _: None) as mesh:
        token = Path(mesh.info.token_file).read_text().strip()
        environment = {"PATH": os.environ["PATH"], "REST": mesh.info.rest or "", "TOKEN": token}
        run = await asyncio.to_thread(
            subprocess.run,
            ["/bin/bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )

    assert run.returncode == 0, run.stdout + run.stderr
    for (commands, told), printed in zip(examples, run.stdout.split(f"{BETWEEN}\n"), strict=True):
        assert fnmatch.fnmatchcase(printed.strip(), pattern(told)), f"{commands}\nprinted\n{printed}"


def pattern(told: str) -> str:
    """The text with … for anything."""
    return re.sub(r"([*?[])", r"[\1]", told.strip()).replace("…", "*")
