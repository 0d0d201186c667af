"""`harmonia up` as a process of its own: what it prints, and how it ends."""

import asyncio
import json
import signal
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from harmonia_local.certificates import SERVICES
from harmonia_local.mesh_info import MeshInfo, NatsInfo, ObserverInfo
from harmonia_local.rest import find_rest
from harmonia_local.up import table
from tests.processes import LONG_S, all_gone

FAKE = "import os, pathlib, signal; pathlib.Path(os.environ['HARMONIA_READY_FILE']).touch(); signal.pause()"
NEVER_READY = "import signal; signal.pause()"


async def start_up(folder: Path, service_code: str = FAKE, *, json_output: bool = True) -> asyncio.subprocess.Process:
    script = folder / "up.py"
    commands = dict.fromkeys(SERVICES, (sys.executable, "-I", "-S", "-c", service_code))
    script.write_text(
        textwrap.dedent(f"""
        import asyncio, pathlib
        from harmonia_local.up import up

        asyncio.run(up(pathlib.Path({str(folder / "home")!r}), json_output={json_output}, commands={commands!r}))
        """)
    )
    return await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout
    async with asyncio.timeout(LONG_S):
        return (await process.stdout.readline()).decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_ends_it_with_0_and_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    process = await start_up(tmp_path)
    await line_of(process)
    members = psutil.Process(process.pid).children(recursive=True)
    began = time.monotonic()
    process.send_signal(number)
    _, errors = await process.communicate()

    assert process.returncode == 0, errors.decode()
    assert time.monotonic() - began < LONG_S
    assert len(members) == 7 + (find_rest() is not None)
    await all_gone(members)
    assert errors.decode() == "harmonia: stopping\n"


async def test_with_json_it_prints_mesh_json_on_one_line(tmp_path: Path) -> None:
    process = await start_up(tmp_path)
    said = json.loads(await line_of(process))
    written = json.loads((tmp_path / "home" / "run" / "mesh.json").read_text())
    process.send_signal(signal.SIGTERM)
    await process.communicate()

    assert said == written
    assert said["pid"] == process.pid


async def test_without_json_it_prints_a_table_of_the_processes(tmp_path: Path) -> None:
    process = await start_up(tmp_path, json_output=False)
    first = await line_of(process)
    process.send_signal(signal.SIGTERM)
    rest, _ = await process.communicate()

    assert first.startswith("Harmonia 0.1.0 is ready after ")
    built = ["rest"] if find_rest() else []
    assert [line.split()[0] for line in rest.decode().splitlines() if "/logs/" in line] == [*SERVICES, *built, "nats"]


def test_where_the_door_for_http_is_not_built_the_table_says_how(tmp_path: Path) -> None:
    observer = ObserverInfo(cert="", key="", api_prefix="", inbox_prefix="")
    nats = NatsInfo(pid=2, url="tls://127.0.0.1:2", monitor="", observer=observer)
    info = MeshInfo("0.1.0", 1, 4000, "127.0.0.1:1", None, None, "ca", "token", "operator", nats, ())

    assert "rest   not built: `make rest` builds it, with Go 1.26 or newer" in table(info, tmp_path).splitlines()


async def test_it_can_be_stopped_while_it_starts(tmp_path: Path) -> None:
    process = await start_up(tmp_path, NEVER_READY)
    logs = tmp_path / "home" / "logs"
    async with asyncio.timeout(LONG_S):
        while len(list(logs.glob("*.log"))) < 6:
            await asyncio.sleep(0.02)
    members = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    output, errors = await process.communicate()

    assert process.returncode == 0, errors.decode()
    assert output == b""
    await all_gone(members)
