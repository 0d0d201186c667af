"""Programs of strangers, in Go over gRPC and in TypeScript over HTTP.

They compose, watch while the gateway and the HTTP door are started again, and save the song.
"""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from harmonia_local.mesh import Mesh, running_mesh
from tests.rest_door import ROOT, built_rest, environment_with_go
from tests.typescript import built_sdk, node

LONG_S = 180
PROMPT = "lo-fi rain on a window"
SECONDS = "60"


async def said_when_restarted(mesh: Mesh, command: list[str], environment: dict[str, str]) -> list[str]:
    """The lines of a program during which gateway and HTTP door are started again as soon as it sees progress."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout
    said: list[str] = []
    restarted = False
    async with asyncio.timeout(LONG_S):
        async for line in process.stdout:
            said.append(line.decode().strip())
            if said[-1].endswith("%") and not restarted:
                restarted = True
                await asyncio.gather(mesh.restart("gateway"), mesh.restart("rest"))
        assert await process.wait() == 0, "\n".join(said)
    assert restarted
    return said


def check(said: list[str], folder: Path) -> None:
    saved = [path for path in folder.rglob("*") if path.is_file()]

    assert said[-1] == f"saved {len(saved)} files"
    assert "SUCCEEDED" in said
    assert (folder / "master.flac").read_bytes()[:4] == b"fLaC"


@pytest.mark.timeout(LONG_S + 60)
async def test_both_go_on_through_a_restart_and_save_the_song(tmp_path: Path) -> None:
    environment = environment_with_go()
    program = tmp_path / "example"
    build = ["go", "-C", str(ROOT / "rest"), "build", "-o", str(program), "./example"]
    await asyncio.to_thread(subprocess.run, build, env=environment, check=True, timeout=300)
    example = built_sdk() / "examples" / "song.js"
    async with running_mesh(tmp_path / "home", rest=built_rest(), say=lambda _: None) as mesh:
        info = mesh.info
        go = [
            str(program),
            *("-server", info.grpc, "-ca", info.ca, "-token-file", info.token_file),
            *("-seconds", SECONDS, "-out", str(tmp_path / "go"), PROMPT),
        ]
        check(await said_when_restarted(mesh, go, {}), tmp_path / "go")
        token = Path(info.token_file).read_text().strip()
        variables = {"PATH": os.environ["PATH"], "REST": info.rest or "", "TOKEN": token}
        script = [node(), str(example), PROMPT, SECONDS, str(tmp_path / "ts")]
        check(await said_when_restarted(mesh, script, variables), tmp_path / "ts")
