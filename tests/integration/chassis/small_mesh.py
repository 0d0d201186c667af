"""A private mesh of nodes in one event loop: real certificates, real servers, the chassis and nothing else."""

import asyncio
import datetime as dt
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from google.protobuf.duration_pb2 import Duration

from harmonia.identity.v1 import identity_pb2, identity_pb2_grpc
from harmonia.store.v1 import store_pb2, store_pb2_grpc
from harmonia.type.v1 import type_pb2
from harmonia_chassis.access import current_grant, current_peer, current_principal
from harmonia_chassis.errors import Reason, Unavailable
from harmonia_chassis.identity import CertificateFiles, Grant, Principal, TokenSigner
from harmonia_chassis.node import Node
from harmonia_chassis.server import Limits
from harmonia_chassis.settings import ServiceSettings

SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
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
        builder = builder.add_extension(SIGNS_CERTIFICATES, critical=True)
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
        # RFC 5280 asks for both key identifiers, and OpenSSL since Python 3.13 insists.
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        builder = builder.add_extension(identifier, critical=False)
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
        self.behave: Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[None]] | None = None

    async def Exchange(
        self, request: identity_pb2.ExchangeRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> identity_pb2.ExchangeResponse:
        self.exchanges += 1
        if self.behave is not None:
            await self.behave(context)
        token = self._signer.service_token(current_peer(), request.audience)
        return identity_pb2.ExchangeResponse(token=token.text, expires_in=Duration(seconds=600))

    async def Jwks(
        self, request: identity_pb2.JwksRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> identity_pb2.JwksResponse:
        return identity_pb2.JwksResponse(jwks_json=self._signer.jwks_json())

    async def ListRevocations(
        self, request: identity_pb2.ListRevocationsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> identity_pb2.ListRevocationsResponse:
        return identity_pb2.ListRevocationsResponse(revocations=self.revoked)


class Shelf(store_pb2_grpc.StoreServiceServicer):
    """A StoreService in memory. Every method first does what the test told it to."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.callers: list[tuple[Principal, Grant]] = []
        self.behave: Callable[[grpc.aio.ServicerContext[Any, Any]], Awaitable[None]] | None = None
        self.offsets: list[int] = []
        self.break_after: list[int] = []
        self.pause_s = 0.0
        self.spoil = False

    async def _begin(self, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        self.callers.append((current_principal(), current_grant()))
        if self.behave is not None:
            await self.behave(context)

    async def Put(
        self, requests: AsyncIterator[store_pb2.PutRequest], context: grpc.aio.ServicerContext[Any, Any]
    ) -> store_pb2.PutResponse:
        await self._begin(context)
        header, kept = store_pb2.PutRequest.Header(), b""
        async for request in requests:
            if request.HasField("header"):
                header = request.header
            assert len(request.chunk) <= 1 << 20
            kept += request.chunk
        sha256 = hashlib.sha256(kept + b"!" * self.spoil).hexdigest()
        self.kept[sha256] = kept
        ref = type_pb2.ArtifactRef(sha256=sha256, media_type=header.media_type, size_bytes=len(kept))
        return store_pb2.PutResponse(ref=ref)

    async def Get(
        self, request: store_pb2.GetRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[store_pb2.GetResponse]:
        await self._begin(context)
        self.offsets.append(request.offset)
        yield store_pb2.GetResponse(object=store_pb2.Object())
        kept = self.kept[request.sha256][request.offset :]
        ends = self.break_after.pop(0) if self.break_after else len(kept)
        for start in range(0, min(ends, len(kept)), 256 * 1024):
            yield store_pb2.GetResponse(chunk=kept[start : start + 256 * 1024])
            await asyncio.sleep(self.pause_s)
        if ends < len(kept):
            raise Unavailable("broken off", reason=Reason.UNREACHABLE)

    async def Stat(
        self, request: store_pb2.StatRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> store_pb2.StatResponse:
        await self._begin(context)
        return store_pb2.StatResponse()

    async def Verify(
        self, request: store_pb2.VerifyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> store_pb2.VerifyResponse:
        await self._begin(context)
        return store_pb2.VerifyResponse()

    async def Link(
        self, request: store_pb2.LinkRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> store_pb2.LinkResponse:
        await self._begin(context)
        return store_pb2.LinkResponse()

    async def List(
        self, request: store_pb2.ListRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> store_pb2.ListResponse:
        await self._begin(context)
        return store_pb2.ListResponse()


@dataclass(frozen=True)
class Running:
    node: Node[ServiceSettings]
    task: asyncio.Task[None]

    async def stop(self) -> None:
        self.node.draining.set()
        async with asyncio.timeout(60):
            await self.task


class Mesh:
    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.signing_key = Ed25519PrivateKey.generate()
        self.signer = TokenSigner(self.signing_key, "harmonia.local")
        self.limits = Limits()
        self.tokens = Tokens(self.signer)
        self.at: dict[str, str] = {}
        self._running: list[Running] = []

    def settings(self, service: str, **changes: object) -> ServiceSettings:
        files = self.authority.issue(service)
        names = ("gateway", "lyricist", "composer", "mastering", "artifacts")
        values: dict[str, object] = {f"{name}_address": self.at.get(name, NOBODY) for name in names}
        values |= {"nats_url": "tls://127.0.0.1:1", "tls_cert": files.cert, "tls_key": files.key, "tls_ca": files.ca}
        return ServiceSettings.model_validate(values | {"drain_grace": 3, "instance": f"{service}-1"} | changes)

    def begin(self, service: str, start: Start, **changes: object) -> "Running":
        """Runs until the test ends, or it is stopped."""
        node = Node(service, self.settings(service, **changes), limits=self.limits)
        running = Running(node, asyncio.create_task(node.live(start)))
        self._running.append(running)
        return running

    async def start(self, service: str, start: Start, **changes: object) -> Node[ServiceSettings]:
        """As `begin`, and ready."""
        running = self.begin(service, start, **changes)
        waiting = asyncio.create_task(running.node.ready.wait())
        async with asyncio.timeout(60):
            await asyncio.wait({running.task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if running.task.done():
            waiting.cancel()
            self._running.remove(running)
            await running.task
        self.at[service] = running.node.at["grpc"]
        return running.node

    def begin_gateway(self, start: Start | None = None, **changes: object) -> Running:
        return self.begin("gateway", self._with_tokens(start), **changes)

    async def start_gateway(self, start: Start | None = None, **changes: object) -> Node[ServiceSettings]:
        return await self.start("gateway", self._with_tokens(start), **changes)

    def _with_tokens(self, start: Start | None) -> Start:
        async def with_tokens(node: Node[ServiceSettings]) -> None:
            node.sign_with(self.signer)
            node.serve(identity_pb2_grpc.add_TokenServiceServicer_to_server, self.tokens)
            if start is not None:
                await start(node)

        return with_tokens

    async def start_shelf(self, **changes: object) -> Shelf:
        """The gateway, and artifacts with an empty shelf."""
        shelf = Shelf()  # type: ignore[abstract]  # the calls it lacks answer UNIMPLEMENTED

        async def serve(node: Node[ServiceSettings]) -> None:
            node.serve(store_pb2_grpc.add_StoreServiceServicer_to_server, shelf)

        await self.start_gateway()
        await self.start("artifacts", serve, **changes)
        return shelf

    def grant(self, *, tenant: str = "acme", owner: str = "ann", life: dt.timedelta = dt.timedelta(hours=1)) -> str:
        return self.signer.grant(tenant=tenant, owner=owner, subject="song-1", expires=dt.datetime.now(dt.UTC) + life)

    async def client(self, service: str, **changes: object) -> Node[ServiceSettings]:
        """A node that serves nothing and calls the others."""

        async def nothing(_node: Node[ServiceSettings]) -> None:
            return None

        return await self.start(service, nothing, **changes)

    async def stop(self) -> None:
        await asyncio.gather(*(running.stop() for running in self._running))


@asynccontextmanager
async def caller(address: str, files: Files, *, server_name: str) -> AsyncIterator[grpc.aio.Channel]:
    """A bare channel with a client certificate: what an attacker, or another language, would use."""
    credentials = grpc.ssl_channel_credentials(files.ca.read_bytes(), files.key.read_bytes(), files.cert.read_bytes())
    options = [("grpc.ssl_target_name_override", server_name), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        yield channel


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
