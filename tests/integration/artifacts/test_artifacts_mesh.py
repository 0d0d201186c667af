"""On a real mesh: an upload by the client goes on over a kill -9 of artifacts; operators, and they alone, collect."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from harmonia.artifact.v1 import artifact_pb2
from harmonia_local.mesh import Mesh, running_mesh
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.errors import PermissionDenied
from tests.integration.artifacts.store_mesh import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Mesh, Path]]:
    home = tmp_path_factory.mktemp("mesh") / "home"
    async with running_mesh(home, say=lambda _line: None) as mesh:
        yield mesh, home


async def test_an_upload_goes_on_over_a_kill_of_artifacts(mesh: tuple[Mesh, Path], tmp_path: Path) -> None:
    running, home = mesh
    file = tmp_path / "take.flac"
    file.write_bytes(b"fLaC" + os.urandom(60_000_000))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    async with AsyncClient(home=home) as client, asyncio.TaskGroup() as tasks:
        uploading = tasks.create_task(client.upload(file))
        await until(lambda: any((home / "artifacts" / ".uploads").rglob("000*")) or uploading.done())
        assert not uploading.done()
        await running.kill("artifacts")

    assert uploading.result().sha256 == digest
    async with AsyncClient(home=home) as client:
        await client.download(uploading.result().name, tmp_path / "back.flac")
        asked = artifact_pb2.DownloadArtifactRequest(name=uploading.result().name, length=3 << 20)
        chunks = [len(part.chunk) async for part in client._artifacts.DownloadArtifact(asked)]
    # The store's own are larger than what is promised in public.
    assert (sum(chunks), max(chunks)) == (3 << 20, 256 << 10)
    assert hashlib.sha256((tmp_path / "back.flac").read_bytes()).hexdigest() == digest


async def test_an_operator_sees_what_may_go_and_a_user_does_not(mesh: tuple[Mesh, Path], tmp_path: Path) -> None:
    _, home = mesh
    async with AsyncClient(home=home) as client:
        (tmp_path / "old.txt").write_text("an upload of eight days ago")
        sha256 = (await client.upload(tmp_path / "old.txt")).sha256
        age(home / "artifacts" / "local" / sha256[:2] / f"{sha256}.json", timedelta(days=8))
        with pytest.raises(PermissionDenied, match="operators"):
            async for _ in client.collect_garbage(dry_run=True):
                pass

    lines = await asyncio.to_thread(command, home, "garbage", "--dry-run", "--json")

    *found, end = [artifact_of(line) for line in lines]
    assert [(one.garbage.sha256, one.garbage.storage_class, one.garbage.tenant) for one in found] == [
        (sha256, "upload", "local")
    ]
    assert end.HasField("summary")
    assert (home / "artifacts" / "local" / sha256[:2] / sha256).exists()


def age(sidecar: Path, by: timedelta) -> None:
    fields = json.loads(sidecar.read_text())
    then = (datetime.now(UTC) - by).isoformat()
    sidecar.write_text(json.dumps(fields | {"puts": dict.fromkeys(fields["puts"], then)}))


def command(home: Path, *arguments: str) -> list[str]:
    ran = subprocess.run(
        [str(Path(sys.executable).parent / "harmonia"), *arguments, "--home", str(home)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def artifact_of(line: str) -> artifact_pb2.CollectGarbageResponse:
    from google.protobuf import json_format

    return json_format.Parse(line, artifact_pb2.CollectGarbageResponse())
