"""A real nats-server with the certificates, accounts and permissions of the mesh, and nothing else of it."""

import asyncio
import socket
from asyncio.subprocess import Process
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harmonia_chassis.lanes import accounts
from harmonia_chassis.nats_connection import Credentials
from harmonia_local.certificates import issue_stale, open_authority
from harmonia_local.nats_server import NatsServer, configuration, find_binary
from harmonia_local.ports import LOOPBACK

TRUST_DOMAIN = "harmonia.local"


@dataclass
class RealNats:
    folder: Path
    server: NatsServer
    process: Process

    @classmethod
    async def start_in(cls, folder: Path) -> "RealNats":
        pki, now = folder / "pki", datetime.now(UTC)
        pki.mkdir()
        issue_stale(open_authority(pki, now), pki, trust_domain=TRUST_DOMAIN, now=now, keep_keys=False)
        server = NatsServer(find_binary(), folder / "nats.conf", _free_port(), _free_port())
        server.config.write_bytes(configuration(server, store=folder / "js", pki=pki, accounts=accounts(TRUST_DOMAIN)))
        return cls(folder, server, await _run(server, folder))

    async def start_again(self) -> None:
        self.process = await _run(self.server, self.folder)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    def credentials(self, service: str) -> Credentials:
        pki = self.folder / "pki"
        return Credentials(pki / f"{service}.pem", pki / f"{service}.key.pem", pki / "ca.pem")


async def _run(server: NatsServer, folder: Path) -> Process:
    with (folder / "nats.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*server.argv, stdout=log, stderr=log)
    async with asyncio.timeout(60):
        while not await server.is_reached():
            await asyncio.sleep(0.02)
    return process


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])
