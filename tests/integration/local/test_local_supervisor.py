"""The supervisor with real processes that do nothing but say they are ready."""

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from harmonia_chassis.errors import FailedPrecondition
from harmonia_local.supervisor import LONG_LOG_BYTES, Child, Command, ReadyFile, supervised
from tests.processes import LONG_S, alive, all_gone
from tests.processes import children as children_here

SERVES = "import pathlib, signal, sys; pathlib.Path(sys.argv[1]).write_text('{}'); signal.pause()"
DIES = "import sys; sys.exit(3)"
DEAF = (
    "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path(sys.argv[1]).write_text('{}'); time.sleep(600)"
)
PARENT = (
    "import pathlib, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "pathlib.Path(sys.argv[1]).write_text('{}'); time.sleep(600)"
)


def command(folder: Path, name: str, code: str) -> Command:
    ready = folder / f"{name}.ready"
    argv = (sys.executable, "-I", "-S", "-c", code, str(ready))
    return Command(name, argv, {}, folder / f"{name}.log", ReadyFile(ready))


@asynccontextmanager
async def running(
    commands: Sequence[Command], *, grace_s: float = 5, said: list[str] | None = None
) -> AsyncIterator[dict[str, Child]]:
    lines = [] if said is None else said
    order = [([each.name for each in commands], grace_s)]
    async with supervised(
        commands, stop_order=order, inherited=[], on_start=lambda: None, say=lines.append
    ) as children:
        yield dict(children)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONG_S):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_killed_process_is_started_again_and_said_so(tmp_path: Path) -> None:
    said: list[str] = []
    async with running([command(tmp_path, "composer", SERVES)], said=said) as children:
        composer = children["composer"]
        await composer.is_ready.wait()
        first = composer.pid
        began = time.monotonic()
        await composer.kill(signal.SIGKILL)
        await composer.is_ready.wait()

        assert composer.pid != first
        assert psutil.pid_exists(composer.pid)
        assert said == ["composer was ended by signal 9 (Killed); starting it again in 0.2 s"]
        assert 0.2 <= time.monotonic() - began < LONG_S


async def test_a_restart_drains_and_is_no_death(tmp_path: Path) -> None:
    said: list[str] = []
    async with running([command(tmp_path, "composer", SERVES)], said=said) as children:
        first = children["composer"].pid
        await children["composer"].restart(5)

        assert children["composer"].pid != first
        assert said == []


async def test_five_deaths_without_becoming_ready_stop_everything_and_name_the_log(tmp_path: Path) -> None:
    said: list[str] = []
    pids: list[int] = []
    commands = [command(tmp_path, "composer", SERVES), command(tmp_path, "mastering", DIES)]

    async def run_for_ever() -> None:
        async with running(commands, said=said) as children:
            await children["composer"].is_ready.wait()
            pids.append(children["composer"].pid)
            await asyncio.Event().wait()

    with pytest.raises(FailedPrecondition, match=rf"mastering died 5 times in a row.*{tmp_path}/mastering\.log"):
        await run_for_ever()

    waits = [line.rsplit(" ", 2)[1] for line in said]
    assert waits == ["0.2", "0.4", "0.8", "1.6"]
    assert not psutil.pid_exists(pids[0])


async def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    async with running([command(tmp_path, "composer", DEAF)], grace_s=0.5) as children:
        await children["composer"].is_ready.wait()
        pid = children["composer"].pid
        began = time.monotonic()

    assert not psutil.pid_exists(pid)
    assert 0.5 <= time.monotonic() - began < LONG_S


async def test_a_paused_process_hears_sigterm(tmp_path: Path) -> None:
    async with running([command(tmp_path, "composer", SERVES)], grace_s=LONG_S) as children:
        await children["composer"].is_ready.wait()
        await children["composer"].kill(signal.SIGSTOP)
        began = time.monotonic()

    assert time.monotonic() - began < LONG_S  # after the grace it would be killed


async def test_a_supervisor_that_is_left_at_once_leaves_nothing(tmp_path: Path) -> None:
    before = children_here()
    async with running([command(tmp_path, name, SERVES) for name in ("one", "two", "three")]):
        pass

    assert alive([child for child in children_here() if child not in before]) == []


async def test_children_of_children_end_with_the_supervisor(tmp_path: Path) -> None:
    async with running([command(tmp_path, "composer", PARENT)]) as children:
        await children["composer"].is_ready.wait()
        grandchildren = psutil.Process(children["composer"].pid).children()

    assert len(grandchildren) == 1
    await all_gone(grandchildren)


async def test_the_mesh_stops_when_its_guard_is_killed(tmp_path: Path) -> None:
    pids: list[int] = []

    async def run_for_ever() -> None:
        async with running([command(tmp_path, "composer", SERVES)]) as children:
            await children["composer"].is_ready.wait()
            pids.append(children["composer"].pid)
            os.kill(os.getpgid(pids[0]), signal.SIGKILL)
            await asyncio.Event().wait()

    with pytest.raises(FailedPrecondition, match="which would end the mesh's processes"):
        await run_for_ever()

    assert not psutil.pid_exists(pids[0])


async def test_an_error_of_the_body_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with running([command(tmp_path, "composer", SERVES)]):
            _ = 1 // 0


async def test_no_process_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "supervise.py"
    script.write_text(
        textwrap.dedent(f"""
        import asyncio, pathlib, sys
        from harmonia_local.supervisor import Command, ReadyFile, supervised

        async def main():
            ready = pathlib.Path({str(tmp_path)!r}, "composer.ready")
            argv = (sys.executable, "-c", {PARENT!r}, str(ready))
            commands = [Command("composer", argv, {{}}, ready.with_suffix(".log"), ReadyFile(ready))]
            async with supervised(
                commands, stop_order=[(["composer"], 5)], inherited=[], on_start=lambda: None, say=print
            ):
                await asyncio.Event().wait()

        asyncio.run(main())
        """)
    )
    supervisor = await asyncio.create_subprocess_exec(sys.executable, str(script))
    await until((tmp_path / "composer.ready").exists)
    family = psutil.Process(supervisor.pid).children(recursive=True)

    supervisor.kill()
    await supervisor.wait()

    assert len(family) == 3
    await all_gone(family)


async def test_files_of_a_process_are_for_its_owner_only(tmp_path: Path) -> None:
    async with running([command(tmp_path, "composer", SERVES)]) as children:
        await children["composer"].is_ready.wait()

        assert (tmp_path / "composer.ready").stat().st_mode & 0o777 == 0o600
        assert (tmp_path / "composer.log").stat().st_mode & 0o777 == 0o600


async def test_a_long_log_makes_room_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "composer.log"
    with log.open("wb") as file:
        file.truncate(LONG_LOG_BYTES + 1)
    async with running([command(tmp_path, "composer", SERVES)]) as children:
        await children["composer"].is_ready.wait()

    assert log.stat().st_size == 0
    assert (tmp_path / "composer.log.1").stat().st_size == LONG_LOG_BYTES + 1
