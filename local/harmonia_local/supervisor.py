"""Keeps the processes of a mesh alive, stops them in order, and leaves none behind. Knows neither gRPC nor NATS.

All children are in one process group that a guard leads: a shell that reads a pipe whose other end only the supervisor
has. When the supervisor ends, however it ends, the read ends and the guard kills the whole group, children of children
too. It needs nothing of the children and works on Linux and macOS alike (PR_SET_PDEATHSIG would be Linux only). Being a
group of their own also keeps a terminal's ctrl-C from the children: the supervisor drains them in order instead.

Runs on asyncio's own event loop: uvloop's processes take no process group and no umask.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harmonia_chassis.errors import FailedPrecondition, Reason
from harmonia_local.task_owner import owned_tasks

FIRST_BACKOFF_S = 0.2
LONGEST_BACKOFF_S = 5.0
MOST_DEATHS = 5
POLL_S = 0.02
READY_TIMEOUT_S = 120.0  # the very first start compiles kernels
LONG_LOG_BYTES = 16 << 20
GUARD = "read -r _; kill -s KILL 0"


class Readiness(Protocol):
    def forget(self) -> None:
        """Called before each start."""

    async def is_reached(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """A process shows that it is ready by making this file."""

    path: Path

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)

    async def is_reached(self) -> bool:
        return self.path.exists()


@dataclass(frozen=True, slots=True)
class Command:
    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    readiness: Readiness


class Child:
    """One process that is started again whenever it dies, until it is told to stop."""

    def __init__(self, command: Command, *, group: int, inherited: Sequence[int], on_start: Callable[[], None]) -> None:
        self.command = command
        self._group = group
        self._inherited = inherited
        self._on_start = on_start
        self._process: asyncio.subprocess.Process | None = None
        self._starting = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._restarting = False
        self.is_ready = asyncio.Event()

    @property
    def pid(self) -> int:
        """0 before the first start; while a dead one waits to be started again, still the dead one's."""
        return self._process.pid if self._process else 0

    async def run(self, say: Callable[[str], None]) -> None:
        deaths = 0
        while process := await self._start():
            became_ready = await self._becomes_ready(process)
            exit_code = await process.wait()
            self.is_ready.clear()
            if self._stopping.is_set() or self._restarting:
                self._restarting = False
                continue
            deaths = 0 if became_ready else deaths + 1
            self._check_deaths(deaths)
            await self._back_off(deaths, exit_code, say)

    async def restart(self, grace_s: float) -> None:
        """Drained by SIGTERM and started again at once; returns when the new process is ready."""
        await self.is_ready.wait()
        self._restarting = True
        self.is_ready.clear()
        await _end(self._running(), grace_s)
        await self.is_ready.wait()

    async def kill(self, number: signal.Signals) -> None:
        """Returns when the process has the signal; with SIGKILL, when it is gone."""
        process = self._running()
        _send(number, process)
        if number == signal.SIGKILL:
            await process.wait()
            self.is_ready.clear()

    async def stop(self, grace_s: float) -> None:
        self._stopping.set()
        async with self._starting:
            process = self._process
        if process is not None:
            await _end(process, grace_s)

    async def _start(self) -> asyncio.subprocess.Process | None:
        """None once the child is told to stop."""
        async with self._starting:
            if self._stopping.is_set():
                return None
            self._process = await self._spawn()
        self._on_start()
        return self._process

    async def _spawn(self) -> asyncio.subprocess.Process:
        self.command.readiness.forget()
        log = _open_log(self.command.log)
        try:
            return await asyncio.create_subprocess_exec(
                *self.command.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(self.command.environment),
                process_group=self._group,
                pass_fds=self._inherited,
                umask=0o077,
            )
        finally:
            os.close(log)

    async def _becomes_ready(self, process: asyncio.subprocess.Process) -> bool:
        deadline = asyncio.get_running_loop().time() + READY_TIMEOUT_S
        while not await self.command.readiness.is_reached():
            if await _exits_within(POLL_S, process):
                return False
            if asyncio.get_running_loop().time() > deadline:
                raise self._failure(f"is not ready after {READY_TIMEOUT_S:g} s")
        if process.returncode is None:
            self.is_ready.set()
        return True

    def _check_deaths(self, deaths: int) -> None:
        if deaths >= MOST_DEATHS:
            raise self._failure(f"died {deaths} times in a row without becoming ready")

    async def _back_off(self, deaths: int, exit_code: int, say: Callable[[str], None]) -> None:
        wait_s = backoff_s(deaths)
        say(f"{self.command.name} {_how_it_ended(exit_code)}; starting it again in {wait_s:g} s")
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._stopping.wait()

    def _failure(self, what: str) -> FailedPrecondition:
        return FailedPrecondition(
            f"{self.command.name} {what}; its log is {self.command.log}", reason=Reason.PROCESS_FAILED
        )

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise FailedPrecondition(f"{self.command.name} was not started yet", reason=Reason.PROCESS_FAILED)
        return self._process


def backoff_s(deaths: int) -> float:
    """0.2 s after the first death, twice as much after each more, at most 5 s."""
    return min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2.0 ** max(0, deaths - 1))


@asynccontextmanager
async def supervised(
    commands: Sequence[Command],
    *,
    stop_order: Sequence[tuple[Sequence[str], float]],
    inherited: Sequence[int],
    on_start: Callable[[], None],
    say: Callable[[str], None],
) -> AsyncIterator[Mapping[str, Child]]:
    """All commands as processes at once; at the end none of them, nor of their own children, is left.

    `stop_order`: who is stopped together, and how many seconds they have. `inherited`: descriptors that every process
    keeps open. The body is cancelled when a process cannot be kept alive, and FailedPrecondition names its log.
    """
    async with owned_tasks() as tasks:
        guard = await _start_guard(inherited)
        watch = tasks.create_task(_watch(guard))
        children = {
            command.name: Child(command, group=guard.pid, inherited=inherited, on_start=on_start)
            for command in commands
        }
        try:
            for child in children.values():
                tasks.create_task(child.run(say))
            yield children
        finally:
            try:
                await _stop(children, stop_order)
            finally:
                watch.cancel()
                await _release(guard)


async def _stop(children: Mapping[str, Child], stop_order: Sequence[tuple[Sequence[str], float]]) -> None:
    for names, grace_s in stop_order:
        async with owned_tasks() as tasks:
            for name in names:
                if name in children:
                    tasks.create_task(children[name].stop(grace_s))


async def _start_guard(inherited: Sequence[int]) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        GUARD,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        process_group=0,
        pass_fds=inherited,
    )


async def _watch(guard: asyncio.subprocess.Process) -> None:
    await guard.wait()
    raise FailedPrecondition(
        f"process {guard.pid}, which would end the mesh's processes if this one was killed, has died; the mesh stops",
        reason=Reason.PROCESS_FAILED,
    )


async def _release(guard: asyncio.subprocess.Process) -> None:
    if guard.stdin is not None:
        guard.stdin.close()
    await guard.wait()


def _open_log(path: Path) -> int:
    """Appends; a long log makes room at the next start and stays readable as `.log.1`."""
    if path.exists() and path.stat().st_size > LONG_LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


async def _end(process: asyncio.subprocess.Process, grace_s: float) -> None:
    try:
        _send(signal.SIGTERM, process)
        _send(signal.SIGCONT, process)  # a paused process would not see SIGTERM
        await _exits_within(grace_s, process)
    finally:
        _send(signal.SIGKILL, process)
    await process.wait()


def _send(number: signal.Signals, process: asyncio.subprocess.Process) -> None:
    """Not process.send_signal(): that polls, and may collect the exit status for which asyncio's own watcher waits."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def _exits_within(seconds: float, process: asyncio.subprocess.Process) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await process.wait()
    return process.returncode is not None


def _how_it_ended(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with status {exit_code}"
    return f"was ended by signal {-exit_code} ({signal.strsignal(-exit_code)})"
