"""Where a mesh keeps its state, and the lock that makes two meshes in one home impossible."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harmonia_chassis.errors import FailedPrecondition, Reason
from harmonia_local.private_file import make_private_folder

FOLDERS = ("pki", "nats", "artifacts", "gateway", "models", "cache", "logs", "run")
LOCK_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Home:
    root: Path

    @classmethod
    def at(cls, path: Path) -> Self:
        return cls(path.absolute())

    def make(self) -> None:
        make_private_folder(self.root)
        for name in FOLDERS:
            make_private_folder(self.root / name)

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def mesh_json(self) -> Path:
        return self.run / "mesh.json"

    @property
    def user_token(self) -> Path:
        return self.run / "user.token"

    @property
    def operator_token(self) -> Path:
        return self.run / "operator.token"

    @property
    def bootstrap_keys(self) -> Path:
        return self.run / "bootstrap-keys.json"

    @property
    def signing_key(self) -> Path:
        return self.pki / "token-signing.key.pem"

    @property
    def session_key(self) -> Path:
        return self.pki / "rest-session.key"

    @property
    def rest_link(self) -> Path:
        return self.run / "rest-link.json"

    def log(self, process: str) -> Path:
        return self.root / "logs" / f"{process}.log"

    def ready_file(self, service: str) -> Path:
        return self.run / f"{service}.ready"

    @asynccontextmanager
    async def locked(self) -> AsyncIterator[int]:
        """The lock's descriptor. Children inherit it, so the home is free only when the last of them has ended."""
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await self._take_lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
            yield descriptor
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        try:
            descriptor = os.open(self._lock_file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return not _flock(descriptor, fcntl.LOCK_SH)
        finally:
            os.close(descriptor)

    async def _take_lock(self, descriptor: int) -> None:
        """Waits for a lock whose holder is dead: its children are about to end, or somebody only looked at it."""
        deadline = asyncio.get_running_loop().time() + LOCK_WAIT_S
        while not _flock(descriptor, fcntl.LOCK_EX):
            holder = self._holder()
            if is_alive(holder) or asyncio.get_running_loop().time() > deadline:
                raise FailedPrecondition(
                    f"process {holder} already runs a mesh in {self.root}; use that one, stop it, or name another home",
                    reason=Reason.HOME_IN_USE,
                    pid=str(holder),
                )
            await asyncio.sleep(0.02)

    @property
    def _lock_file(self) -> Path:
        return self.run / "lock"

    def _holder(self) -> int:
        """0 in the moment between taking the lock and naming oneself."""
        return int(self._lock_file.read_text() or "0")


def is_alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _flock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
