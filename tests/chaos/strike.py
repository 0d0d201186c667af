"""The failpoint of the kill suite: armed by a file in the home, it strikes once and kills its victim with SIGKILL.

`harmonia_local` starts `python -m tests.chaos.service SERVICE HOME` in place of a service, and nothing in the
services knows of it.
"""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from pathlib import Path

from harmonia_chassis.errors import Reason, Unavailable
from harmonia_local.mesh import find_mesh


@dataclass(frozen=True, slots=True)
class Strike:
    """Kills `victim` (its own process, or another by name) when `point` of `stage` is reached."""

    point: str
    stage: str
    victim: str
    # The stage waits this long before it works, so that a cancel can reach it.
    slow_s: float = 0.0
    # The first try of the stage fails with a retryable error.
    fails_once: bool = False


class Striker:
    def __init__(self, home: Path) -> None:
        self._home = home
        self._armed = home / "run" / "strike.json"
        self._struck = home / "run" / "struck.json"
        self._failed = home / "run" / "failed"

    def arm(self, strike: Strike) -> None:
        for left in (self._struck, self._failed):
            left.unlink(missing_ok=True)
        part = self._armed.with_suffix(".part")
        part.write_text(json.dumps(asdict(strike)))
        part.replace(self._armed)

    def has_struck(self) -> bool:
        return self._struck.exists()

    def disarm(self) -> None:
        for left in (self._armed, self._struck, self._failed):
            left.unlink(missing_ok=True)

    def __call__(self, point: str, stage: str) -> Awaitable[None] | None:
        strike = self._read()
        if strike is None:
            return None
        if point == strike.point and stage == strike.stage and self._is_first():
            self._kill(strike.victim)
        if point == "after_claim" and stage == strike.stage:
            self._fail_once(strike)
            return asyncio.sleep(strike.slow_s)
        return None

    def _read(self) -> Strike | None:
        for path in (self._armed, self._struck):
            try:
                return Strike(**json.loads(path.read_text()))
            except FileNotFoundError:
                continue
        return None

    def _is_first(self) -> bool:
        try:
            self._armed.rename(self._struck)
        except FileNotFoundError:
            return False
        return True

    def _fail_once(self, strike: Strike) -> None:
        if not strike.fails_once:
            return
        try:
            os.close(os.open(self._failed, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        raise Unavailable("the kill suite says no", reason=Reason.UNREACHABLE)

    def _kill(self, victim: str) -> None:
        os.kill(os.getpid() if victim == "self" else self._pid(victim), signal.SIGKILL)

    def _pid(self, victim: str) -> int:
        mesh = find_mesh(self._home)
        assert mesh, "a strike needs a running mesh"
        if victim == "nats":
            return mesh.nats.pid
        return next(service.pid for service in mesh.services if service.name == victim)
