"""What `harmonia up` does: a mesh in the foreground until somebody stops it."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TextIO

from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_local.mesh import Mesh, Say, running_mesh, to_stderr
from harmonia_local.mesh_info import MeshInfo, to_json
from harmonia_local.rest import HOW_TO_BUILD, find_rest
from harmonia_local.task_owner import owned_tasks

# SIGHUP is what a closing terminal sends.
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def up(
    home: Path,
    *,
    json_output: bool = False,
    commands: Mapping[str, Sequence[str]] | None = None,
    environment: Mapping[str, str] | None = None,
    out: TextIO | None = None,
    say: Say = to_stderr,
) -> None:
    """Prints what runs once all is ready, and returns when ctrl-C or SIGTERM has drained it, even while it starts.

    Raises what `running_mesh` raises, and InvalidInput for a home that cannot be one. Needs the main thread, for the
    signals.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOPS:
        loop.add_signal_handler(number, stopped.set)
    try:
        async with owned_tasks() as tasks:
            serving = tasks.create_task(
                _serve(home, json_output, commands, environment, out=out or sys.stdout, say=say)
            )
            await stopped.wait()
            say("stopping")
            serving.cancel()
    finally:
        for number in STOPS:
            loop.remove_signal_handler(number)


def table(info: MeshInfo, home: Path) -> str:
    rows = [("process", "pid", "grpc", "health", "metrics", "log")]
    rows += [(each.name, str(each.pid), each.grpc, each.health, each.metrics, each.log) for each in info.services]
    rows.append(("nats", str(info.nats.pid), info.nats.url, "", info.nats.monitor, str(home / "logs" / "nats.log")))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(
        [
            f"Harmonia {info.version} is ready after {info.ready_ms / 1000:.1f} s: gRPC on {info.grpc}",
            f"home   {home}",
            f"rest   {info.link or HOW_TO_BUILD}",
            f"token  {info.token_file}",
            f"ca     {info.ca}",
            "",
            *lines,
            "",
            "ctrl-C stops it.",
        ]
    )


async def _serve(
    home: Path,
    json_output: bool,
    commands: Mapping[str, Sequence[str]] | None,
    environment: Mapping[str, str] | None,
    *,
    out: TextIO,
    say: Say,
) -> None:
    async with AsyncExitStack() as stack:
        mesh = await _started(stack, home, commands, environment, say=say)
        out.write(f"{to_json(mesh.info) if json_output else table(mesh.info, home)}\n")
        out.flush()
        await asyncio.Event().wait()


async def _started(
    stack: AsyncExitStack,
    home: Path,
    commands: Mapping[str, Sequence[str]] | None,
    environment: Mapping[str, str] | None,
    *,
    say: Say,
) -> Mesh:
    try:
        return await stack.enter_async_context(
            running_mesh(home, commands=commands, environment=environment, rest=find_rest(), say=say)
        )
    except OSError as exc:
        why = "it is no folder" if isinstance(exc, FileExistsError) else exc.strerror or exc
        message = f"cannot keep a mesh in {home}: {why}; name another folder with --home or HARMONIA_HOME"
        raise InvalidInput(message, reason=Reason.MALFORMED, field="home") from exc
