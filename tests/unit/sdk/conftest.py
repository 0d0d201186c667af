"""A public door as the SDK meets it: real gRPC over real TLS, and a servicer that each test writes."""

import datetime as dt
import ipaddress
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from harmonia.artifact.v1 import artifact_pb2_grpc as artifacts_rpc
from harmonia.song.v1 import song_pb2_grpc as songs_rpc
from harmonia_sdk.endpoint import Endpoint


@dataclass(frozen=True)
class Certificate:
    key: bytes
    chain: bytes


@pytest.fixture(scope="session")
def certificate() -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - dt.timedelta(minutes=1)).not_valid_after(now + dt.timedelta(hours=1))
    built = built.add_extension(names, critical=False)
    built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    signed = built.sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificate(private, signed.public_bytes(pem))


Serve = Callable[..., Endpoint]


def completed(servicer: object, base: Any) -> Any:
    """What a test did not write answers UNIMPLEMENTED, as in the generated base."""
    servicer.__class__ = type(type(servicer).__name__, (type(servicer), base), {})
    return servicer


@pytest.fixture
def serve(certificate: Certificate) -> Iterator[Serve]:
    """serve(songs=…, artifacts=…) -> Endpoint, on a port of its own."""
    servers: list[grpc.Server] = []

    def start(
        *,
        songs: object | None = None,
        artifacts: object | None = None,
    ) -> Endpoint:
        server = grpc.server(ThreadPoolExecutor(8))
        if songs:
            songs_rpc.add_SongServiceServicer_to_server(completed(songs, songs_rpc.SongServiceServicer), server)
        if artifacts:
            base = artifacts_rpc.ArtifactServiceServicer
            artifacts_rpc.add_ArtifactServiceServicer_to_server(completed(artifacts, base), server)
        credentials = grpc.ssl_server_credentials([(certificate.key, certificate.chain)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        servers.append(server)
        return Endpoint(f"127.0.0.1:{port}", "user-token", certificate.chain)

    yield start
    for server in servers:
        server.stop(None).wait()
