"""`harmonia doctor`: what works here, what is missing, and how to get it."""

import json
import os
import platform
import shutil
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from harmonia_sdk.cli.options import Common
from harmonia_sdk.cli.session import home_of, remote_of
from harmonia_sdk.cli.show import PLAYERS
from harmonia_sdk.cli.signals import run_to_end
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.endpoint import Endpoint, local_endpoint
from harmonia_sdk.errors import FailedPrecondition, HarmoniaError, Reason

ROOMY_BYTES = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Check:
    check: str
    ok: bool
    detail: str
    needed: bool = True  # False: nothing but comfort is missing


def checks(common: Common) -> Iterator[Check]:
    home = home_of(common)
    yield Check("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Check(
        "cores", True, str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
    )
    yield _installed()
    yield _home(home)
    yield _space(home)
    yield _mesh(common)
    yield _player()


def print_checks(found: Iterator[Check], *, as_json: bool) -> None:
    """Exit code 5 when something that is needed is missing."""
    missing = []
    for check in found:
        if check.needed and not check.ok:
            missing.append(check.check)
        mark = "ok" if check.ok else "MISSING" if check.needed else "-"
        print(json.dumps(asdict(check)) if as_json else f"{mark:<8} {check.check:<8} {check.detail}", flush=True)
    if missing:
        raise FailedPrecondition(f"not ready: {', '.join(missing)}", reason=Reason.NOT_READY, field=missing[0])


def _installed() -> Check:
    parts = ("local", "gateway", "lyricist", "composer", "mastering", "artifacts")
    missing = [f"harmonia_{part}" for part in parts if find_spec(f"harmonia_{part}") is None]
    if missing:
        return Check("mesh", False, f"{', '.join(missing)}: pip install 'harmonia[local]'", needed=False)
    return Check("mesh", True, "all services are installed")


def _home(home: Path) -> Check:
    if not home.exists():
        parent = next(folder for folder in home.absolute().parents if folder.exists())
        return Check("home", os.access(parent, os.W_OK), f"{home}, made at the first start")
    mode = stat.S_IMODE(home.stat().st_mode)
    return Check("home", os.access(home, os.W_OK), f"{home}, mode {mode:04o}")


def _space(home: Path) -> Check:
    folder = next(folder for folder in (home.absolute(), *home.absolute().parents) if folder.exists())
    free = shutil.disk_usage(folder).free
    return Check("space", free > ROOMY_BYTES, f"{free / 2**30:.1f} GiB free; 2 GiB are enough to begin")


def _mesh(common: Common) -> Check:
    try:
        endpoint = remote_of(common) or local_endpoint(home_of(common))
        if endpoint is None:
            return Check("running", True, "no mesh runs; commands start their own", needed=False)
        run_to_end(_ask(endpoint))
    except HarmoniaError as error:
        return Check("running", False, error.message)
    return Check("running", True, f"the mesh at {endpoint.address} answers")


async def _ask(endpoint: Endpoint) -> None:
    async with AsyncClient.at(endpoint) as client:
        await client.capabilities()


def _player() -> Check:
    player = next((name for name in PLAYERS if shutil.which(name)), "")
    return Check("player", bool(player), player or f"one of {', '.join(PLAYERS)} would play songs", needed=False)
