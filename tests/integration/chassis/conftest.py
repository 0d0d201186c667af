"""A private mesh of nodes in one event loop: real certificates, real servers, the chassis and nothing else."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from google.protobuf.duration_pb2 import Duration

from harmonia.identity.v1 import identity_pb2, identity_pb2_grpc
from harmonia_chassis.access import current_peer
from harmonia_chassis.identity import CertificateFiles, TokenSigner
from harmonia_chassis.node import Node
from harmonia_chassis.settings import ServiceSettings

NOBODY = "127.0.0.1:1"
Start = Callable[[Node[ServiceSettings]], Awaitable[None]]


@dataclass(frozen=True)
class Files:
    cert: Path
    key: Path
    ca: Path

    def certificate(self) -> CertificateFiles:
        return CertificateFiles(self.cert, self.key, self.ca)


class Authority:
    """A private certificate authority that writes leaves as operations.md describes them."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test {directory.name}")])
        builder = self._builder(self._name, self._key.public_key(), dt.timedelta(hours=2))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        (directory / "ca.pem").write_bytes(
            builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )

    def issue(
        self,
        service: str,
        *,
        spiffe: str | None = None,
        life: dt.timedelta = dt.timedelta(hours=1),
        file: str | None = None,
    ) -> Files:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, service)])
        uri = f"spiffe://harmonia.local/svc/{service}" if spiffe is None else spiffe
        names: list[x509.GeneralName] = [x509.DNSName(f"{service}.harmonia"), x509.DNSName("localhost")]
        if uri:
            names.append(x509.UniformResourceIdentifier(uri))
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = self._builder(subject, key.public_key(), life)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        leaf = builder.add_extension(usage, critical=False).sign(self._key, hashes.SHA256())
        path = self.directory / (file or service)
        cert, private = path.with_suffix(".pem"), path.with_suffix(".key.pem")
        private.write_bytes(_pem(key))
        cert.write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
        return Files(cert, private, self.directory / "ca.pem")

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, life: dt.timedelta
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        builder = x509.CertificateBuilder().issuer_name(self._name).subject_name(subject).public_key(key)
        builder = builder.serial_number(x509.random_serial_number())
        return builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + life)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Tokens(identity_pb2_grpc.TokenServiceServicer):
    """The gateway's TokenService, as short as it can be."""

    def __init__(self, signer: TokenSigner) -> None:
        self._signer = signer
        self.revoked: list[identity_pb2.Revocation] = []
        self.exchanges = 0

    async def Exchange(
        self, request: identity_pb2.ExchangeRequest, context: grpc.aio.ServicerContext
    ) -> identity_pb2.ExchangeResponse:
        self.exchanges += 1
        token = self._signer.service_token(current_peer(), request.audience)
        return identity_pb2.ExchangeResponse(token=token.text, expires_in=Duration(seconds=600))

    async def Jwks(
        self, request: identity_pb2.JwksRequest, context: grpc.aio.ServicerContext
    ) -> identity_pb2.JwksResponse:
        return identity_pb2.JwksResponse(jwks_json=self._signer.jwks_json())

    async def ListRevocations(
        self, request: identity_pb2.ListRevocationsRequest, context: grpc.aio.ServicerContext
    ) -> identity_pb2.ListRevocationsResponse:
        return identity_pb2.ListRevocationsResponse(revocations=self.revoked)


class Mesh:
    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.signer = TokenSigner(Ed25519PrivateKey.generate(), "harmonia.local")
        self.tokens = Tokens(self.signer)
        self.at = {}
        self._stops: list[Callable[[], Awaitable[None]]] = []

    def settings(self, service: str, **changes: object) -> ServiceSettings:
        files = self.authority.issue(service)
        names = ("gateway", "lyricist", "composer", "mastering", "artifacts")
        values: dict[str, object] = {f"{name}_address": self.at.get(name, NOBODY) for name in names}
        values |= {"nats_url": "tls://127.0.0.1:1", "tls_cert": files.cert, "tls_key": files.key, "tls_ca": files.ca}
        return ServiceSettings.model_validate(values | {"drain_grace": 3, "instance": f"{service}-1"} | changes)

    async def start(self, service: str, start: Start, **changes: object) -> Node[ServiceSettings]:
        """Runs until the test ends, or `stop` is called."""
        node = Node(service, self.settings(service, **changes))
        task = asyncio.create_task(node.live(start))
        waiting = asyncio.create_task(node.ready.wait())
        async with asyncio.timeout(10):
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            waiting.cancel()
            await task
        self.at[service] = node.at["grpc"]

        async def stop() -> None:
            node.draining.set()
            async with asyncio.timeout(15):
                await task

        self._stops.append(stop)
        return node

    async def start_gateway(self, start: Start | None = None, **changes: object) -> Node[ServiceSettings]:
        async def with_tokens(node: Node[ServiceSettings]) -> None:
            node.sign_with(self.signer)
            node.serve(identity_pb2_grpc.add_TokenServiceServicer_to_server, self.tokens)
            if start is not None:
                await start(node)

        return await self.start("gateway", with_tokens, **changes)

    async def client(self, service: str, **changes: object) -> Node[ServiceSettings]:
        """A node that serves nothing and calls the others."""

        async def nothing(_node: Node[ServiceSettings]) -> None:
            return None

        return await self.start(service, nothing, **changes)

    async def stop(self) -> None:
        while self._stops:
            await self._stops.pop()()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


@pytest.fixture
async def mesh(authority: Authority) -> AsyncIterator[Mesh]:
    running = Mesh(authority)
    try:
        yield running
    finally:
        await running.stop()


@asynccontextmanager
async def caller(address: str, files: Files, *, server_name: str) -> AsyncIterator[grpc.aio.Channel]:
    """A bare channel with a client certificate: what an attacker, or another language, would use."""
    credentials = grpc.ssl_channel_credentials(files.ca.read_bytes(), files.key.read_bytes(), files.cert.read_bytes())
    options = [("grpc.ssl_target_name_override", server_name), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        yield channel
