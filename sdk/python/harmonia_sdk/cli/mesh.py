"""Commands about the mesh and this installation."""

import asyncio
import json
import signal
import sys
from importlib.metadata import version as version_of
from typing import TYPE_CHECKING

import typer

from harmonia_sdk.cli.options import Common, add_command

if TYPE_CHECKING:
    from harmonia_local.mesh_info import MeshInfo


def register(app: typer.Typer) -> None:
    add_command(app, "up", up)
    add_command(app, "doctor", doctor)
    add_command(app, "version", version)


async def up(common: Common) -> None:
    """Runs the mesh in the foreground until ctrl-C."""
    from harmonia_sdk.cli.session import home_of, own_mesh

    task, stopped = asyncio.current_task(), False
    assert task is not None

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        async with own_mesh(home_of(common), _to_stderr) as mesh:
            _print(mesh.info, as_json=common.json)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not stopped:
            raise


def doctor(common: Common) -> None:
    """Checks what this machine has and what is missing."""
    from harmonia_sdk.cli.health import checks, print_checks

    print_checks(checks(common), as_json=common.json)


def version(common: Common) -> None:
    """Prints the version."""
    number = version_of("harmonia")
    print(json.dumps({"version": number}) if common.json else f"harmonia {number}")


def _to_stderr(line: str) -> None:
    print(f"harmonia: {line}", file=sys.stderr, flush=True)


def _print(info: "MeshInfo", *, as_json: bool) -> None:
    from harmonia_local.mesh_info import to_json

    if as_json:
        print(to_json(info), flush=True)
        return
    rows = [("grpc", info.grpc), ("rest", info.rest or "not built"), ("ca", info.ca), ("token", info.token_file)]
    rows += [(service.name, f"pid {service.pid}, log {service.log}") for service in info.services]
    print(f"harmonia {info.version} is ready after {info.ready_ms / 1000:.1f} s")
    for name, value in rows:
        print(f"  {name:<10} {value}")
    print("ctrl-C stops it", flush=True)
