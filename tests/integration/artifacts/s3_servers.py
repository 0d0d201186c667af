"""Real S3 servers as child processes, killed at the end: SeaweedFS (its SIGTERM takes 15 to 30 s) and MinIO."""

import json
import os
import secrets
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from minio import Minio
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from harmonia_artifacts.s3 import connections


@dataclass(frozen=True, slots=True)
class S3Server:
    address: str
    access_key: str
    secret_key: str

    def client(self) -> Minio:
        return Minio(
            self.address,
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=False,
            region="us-east-1",
            http_client=connections(),
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    server: S3Server
    command: list[str]
    environment: Mapping[str, str]


@contextmanager
def running(prepare: Callable[[Path], Prepared], parent: Path) -> Iterator[S3Server]:
    for number in range(3):
        folder = parent / f"s3-{number}"
        folder.mkdir()
        prepared = prepare(folder)
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(
                prepared.command, stdout=log, stderr=log, cwd=folder, env={**os.environ, **prepared.environment}
            ) as process,
        ):
            try:
                if _writes_before_it_dies(prepared.server, process):
                    yield prepared.server
                    return
            finally:
                process.kill()
    raise AssertionError(f"{prepared.command[0]} does not start:\n{(folder / 'log').read_text()[-2000:]}")


def seaweedfs(program: str, folder: Path) -> Prepared:
    master, volume, filer, s3 = _free_ports(4)
    server = S3Server(f"127.0.0.1:{s3}", "harmonia", secrets.token_hex(16))
    (folder / "data").mkdir()
    (folder / "s3.json").write_text(_identities(server))
    command = [program, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder / 's3.json'}"]
    # A bucket of each test takes seven volumes.
    command += ["-volume.max=2000", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"]
    return Prepared(server, command, {})


def minio(program: str, folder: Path) -> Prepared:
    s3, console = _free_ports(2)
    server = S3Server(f"127.0.0.1:{s3}", "harmonia", secrets.token_hex(16))
    environment = {
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_UPDATE": "off",
        "MINIO_BROWSER": "off",
        "HOME": str(folder),
    }
    addresses = ["--address", server.address, "--console-address", f"127.0.0.1:{console}"]
    return Prepared(server, [program, "server", "--quiet", *addresses, str(folder / "data")], environment)


def _identities(server: S3Server) -> str:
    credentials = [{"accessKey": server.access_key, "secretKey": server.secret_key}]
    return json.dumps({"identities": [{"name": "harmonia", "credentials": credentials, "actions": ["Admin"]}]})


def _free_ports(count: int) -> list[int]:
    """Of which port + 10000, where SeaweedFS puts its gRPC, is free too; both below what kernels give away."""
    found: list[int] = []
    while len(found) < count:
        port = 12000 + secrets.randbelow(10000)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
        found.append(port)
    return found


def _writes_before_it_dies(server: S3Server, process: "subprocess.Popen[bytes]", *, timeout_s: float = 60) -> bool:
    client, end = server.client(), time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < end:
        try:
            client.make_bucket("ready")
        except (HTTPError, MinioException):
            time.sleep(0.05)
        else:
            return True
    return False
