"""Processes that a test may look for: those of its own mesh, whatever else this pytest worker has started."""

import asyncio
import os

import psutil

LONG_S = 60  # only guards against hanging: a loaded machine takes its time


def group_of(pid: int) -> list[psutil.Process]:
    """Everybody in its process group, and their children: of a mesh's process, the whole mesh with its guard."""
    group = os.getpgid(pid)
    members = [process for process in psutil.process_iter() if _group(process.pid) == group]
    return list({*members, *(child for member in members for child in member.children(recursive=True))})


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def children() -> list[psutil.Process]:
    """Of this pytest worker: also those of fixtures that other tests have started."""
    return psutil.Process().children(recursive=True)


def alive(members: list[psutil.Process]) -> list[psutil.Process]:
    """An orphan's zombie holds nothing; it waits for the machine's first process to look at it."""
    return [each for each in members if _runs(each)]


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def all_gone(members: list[psutil.Process]) -> None:
    """A group that was told to die is gone when the kernel has come round to it."""
    async with asyncio.timeout(LONG_S):
        while alive(members):
            await asyncio.sleep(0.01)
