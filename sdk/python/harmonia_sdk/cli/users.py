"""Who uses the mesh of a home: a command that started one ends it only when the last other command has gone.

A lock on run/users says so: shared by those who use the mesh, exclusive for the one that is about to end it.
"""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOK_S = 0.1


@contextmanager
def users_of(home: Path) -> Iterator[int]:
    """The descriptor to lock; what is locked is free again afterwards."""
    descriptor = os.open(home / "run" / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def join(users: int) -> bool:
    """False: the mesh is about to end."""
    return _locked(users, fcntl.LOCK_SH)


async def last_to_leave(users: int) -> None:
    while not _locked(users, fcntl.LOCK_EX):  # noqa: ASYNC110  the others have no way to tell us
        await asyncio.sleep(LOOK_S)


def _locked(users: int, kind: int) -> bool:
    try:
        fcntl.flock(users, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
