"""Artifacts as a process, called as the composer calls it: mutual TLS, service token, grant.

Certificates, tokens, doors and the client are the product's own; the gateway only issues tokens.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harmonia.identity.v1 import identity_pb2 as pb
from harmonia.identity.v1 import identity_pb2_grpc as rpc
from harmonia.store.v1 import store_pb2_grpc as store_rpc
from harmonia_chassis.access import current_peer
from harmonia_chassis.identity import TokenSigner
from harmonia_chassis.node import Node
from harmonia_chassis.settings import ServiceSettings
from harmonia_chassis.store import StoreClient
from harmonia_local.certificates import issue_stale, open_authority
from harmonia_local.ports import Ports

TRUST_DOMAIN = "harmonia.local"
NOWHERE = "tls://127.0.0.1:1"
USUAL = ("-m", "harmonia_artifacts")
SERVICES = ("gateway", "lyricist", "composer", "mastering", "artifacts")


class Tokens(rpc.TokenServiceServicer):
    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer

    async def Exchange(self, request: pb.ExchangeRequest, context: Any) -> pb.ExchangeResponse:
        token = self._signer.service_token(current_peer(), request.audience)
        response = pb.ExchangeResponse(token=token.text)
        response.expires_in.FromTimedelta(token.expires - datetime.now(UTC))
        return response

    async def Jwks(self, request: pb.JwksRequest, context: Any) -> pb.JwksResponse:
        return pb.JwksResponse(jwks_json=self._signer.jwks_json())

    async def ListRevocations(self, request: pb.ListRevocationsRequest, context: Any) -> pb.ListRevocationsResponse:
        return pb.ListRevocationsResponse()


@dataclass
class StoreMesh:
    folder: Path
    ports: Mapping[str, int]
    signer: TokenSigner
    gateway: Node[ServiceSettings]
    composer: Node[ServiceSettings]
    nats_url: str
    tenant: str = "acme"
    process: asyncio.subprocess.Process | None = None
    usual: bool = False

    @property
    def is_usual(self) -> bool:
        return self.usual and self.process is not None and self.process.returncode is None

    @property
    def stub(self) -> "store_rpc.StoreServiceAsyncStub":
        return store_rpc.StoreServiceStub(self.composer.channel("artifacts"))

    @property
    def gateway_stub(self) -> "store_rpc.StoreServiceAsyncStub":
        return store_rpc.StoreServiceStub(self.gateway.channel("artifacts"))

    def store(self, *, retry_for_s: float = 5) -> StoreClient:
        return StoreClient(self.composer.channel("artifacts"), retry_for=timedelta(seconds=retry_for_s))

    def metadata(self, tenant: str = "", owner: str = "ann") -> tuple[tuple[str, str], ...]:
        return (("hm-grant", self.grant(tenant, owner)),)

    def grant(self, tenant: str = "", owner: str = "ann") -> str:
        expires = datetime.now(UTC) + timedelta(minutes=5)
        return self.signer.grant(tenant=tenant or self.tenant, owner=owner, subject="song-1", expires=expires)

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    async def start_artifacts(self, command: Sequence[str] = USUAL, **settings: str) -> None:
        files = {"HARMONIA_STATE_DIR": str(self.objects)}
        self.usual = tuple(command) == USUAL and not settings
        ready = self.folder / "ready"
        ready.unlink(missing_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HARMONIA_")}
        environment |= {f"HARMONIA_{name.upper()}": str(value) for name, value in self._common("artifacts").items()}
        environment |= {"HARMONIA_READY_FILE": str(ready), "HARMONIA_DRAIN_GRACE_S": "2"}
        environment |= {} if "HARMONIA_S3_ENDPOINT" in settings or "HARMONIA_LINK_BASE" in settings else files
        environment |= settings
        log = (self.folder / "artifacts.log").open("ab")
        with log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, *command, env=environment, stdout=log, stderr=log
            )
        await until(lambda: ready.exists() or self._died())

    async def stop_artifacts(self, number: signal.Signals = signal.SIGKILL) -> int:
        if self.process is None or self.process.returncode is not None:
            return 0
        self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 60)

    def _died(self) -> bool:
        if self.process is not None and self.process.returncode is not None:
            raise AssertionError((self.folder / "artifacts.log").read_text()[-3000:])
        return False

    def _common(self, service: str) -> dict[str, Any]:
        return common_settings(self.folder, self.ports, service, nats_url=self.nats_url)


def common_settings(folder: Path, ports: Mapping[str, int], service: str, *, nats_url: str = NOWHERE) -> dict[str, Any]:
    addresses = {f"{name}_address": f"127.0.0.1:{ports[name]}" for name in SERVICES}
    return addresses | {
        "listen": f"127.0.0.1:{ports[service]}",
        "nats_url": nats_url,
        "tls_cert": folder / "pki" / f"{service}.pem",
        "tls_key": folder / "pki" / f"{service}.key.pem",
        "tls_ca": folder / "pki" / "ca.pem",
    }


async def until(holds: Callable[[], object], *, timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("it does not happen")
        await asyncio.sleep(0.02)


@asynccontextmanager
async def living(
    folder: Path,
    ports: Mapping[str, int],
    service: str,
    start: Callable[[Node[ServiceSettings]], Awaitable[None]],
) -> AsyncIterator[Node[ServiceSettings]]:
    ready = folder / f"{service}.ready"
    settings = ServiceSettings(
        **common_settings(folder, ports, service), ready_file=ready, drain_grace=timedelta(seconds=0.5)
    )
    node = Node(service, settings)
    async with asyncio.TaskGroup() as tasks:
        life = tasks.create_task(node.live(start))
        await until(lambda: ready.exists() or life.done())
        try:
            yield node
        finally:
            node.draining.set()


@asynccontextmanager
async def store_mesh(folder: Path, *, nats_url: str = NOWHERE) -> AsyncIterator[StoreMesh]:
    """Certificates are made where the folder has none."""
    pki = folder / "pki"
    if not pki.exists():
        pki.mkdir(parents=True)
        now = datetime.now(UTC)
        issue_stale(open_authority(pki, now), pki, trust_domain=TRUST_DOMAIN, now=now, keep_keys=False)
    signer = TokenSigner(Ed25519PrivateKey.generate(), TRUST_DOMAIN)

    async def start_gateway(node: Node[ServiceSettings]) -> None:
        node.sign_with(signer)
        node.serve(rpc.add_TokenServiceServicer_to_server, Tokens(signer))

    async def start_nothing(node: Node[ServiceSettings]) -> None: ...

    with Ports() as held:
        ports = {service: held.take() for service in SERVICES}
        async with (
            living(folder, ports, "gateway", start_gateway) as gateway,
            living(folder, ports, "composer", start_nothing) as composer,
        ):
            mesh = StoreMesh(folder, ports, signer, gateway, composer, nats_url)
            try:
                yield mesh
            finally:
                await mesh.stop_artifacts()
