"""Weights on two real S3 servers, read by artifacts as a process, for the composer, which holds no keys of S3."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from minio import Minio

from harmonia.model.v1 import model_pb2 as pb
from harmonia.model.v1 import model_pb2_grpc as rpc
from harmonia_artifacts.shelf import ShelfServicer
from harmonia_chassis.errors import Conflict, FailedPrecondition, InvalidInput, NotFound, Reason
from harmonia_chassis.status import rpc_errors
from harmonia_composer.shelf import Shelf, place_from
from tests.integration.artifacts.s3_servers import S3Server
from tests.integration.artifacts.store_mesh import StoreMesh, store_mesh, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

BUCKET = "weights"
SIZE = 8 << 20
FILES = ("README.md", "config.json", "model.safetensors")


@dataclass
class Stand:
    mesh: StoreMesh
    client: Minio
    settings: dict[str, str]

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.mesh.composer.channel("artifacts"))

    def put(self, key: str, body: bytes, bucket: str = BUCKET) -> bytes:
        self.client.put_object(bucket, key, io.BytesIO(body), len(body))
        return body

    def model(self, folder: str, bucket: str = BUCKET, *, size: int = SIZE) -> bytes:
        """And beside it what no model needs."""
        self.put(f"{folder}/README.md", b"---\nlicense: mit\n---\n", bucket)
        self.put(f"{folder}/config.json", b"{}", bucket)
        self.put(f"{folder}/evil.py", b"exit()", bucket)
        return self.put(f"{folder}/model.safetensors", hashlib.shake_128(folder.encode()).digest(size), bucket)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["s3_server", "minio_server"])
async def stand(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stand]:
    server: S3Server = request.getfixturevalue(request.param)
    folder, client = tmp_path_factory.mktemp("shelf"), server.client()
    (folder / "access").write_text(server.access_key)
    (folder / "secret").write_text(server.secret_key)
    settings = {
        "HARMONIA_S3_ENDPOINT": f"http://{server.address}",
        "HARMONIA_S3_BUCKET": "songs-beside-weights",
        "HARMONIA_S3_ACCESS_KEY_FILE": str(folder / "access"),
        "HARMONIA_S3_SECRET_KEY_FILE": str(folder / "secret"),
        "HARMONIA_SCRATCH_DIR": str(folder / "scratch"),
    }
    if not client.bucket_exists(BUCKET):
        client.make_bucket(BUCKET)
    async with store_mesh(folder / "home") as mesh:
        await mesh.start_artifacts(**settings)
        yield Stand(mesh, client, settings)


def nobody(_fraction: float, _message: str) -> None:
    pass


def lying(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_folder_on_s3_becomes_a_folder_here_without_strangers(stand: Stand, tmp_path: Path) -> None:
    weights = stand.model("models/one")
    said: list[tuple[float, str]] = []

    await stand.shelf.bring(
        place_from(f"s3://{BUCKET}/models/one/"), tmp_path, lambda fraction, message: said.append((fraction, message))
    )

    assert lying(tmp_path) == set(FILES)
    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert [message for _, message in said] == [f"reading {name}" for name in FILES]


async def test_what_broke_off_goes_on_where_it_stopped_over_a_kill_of_artifacts(stand: Stand, tmp_path: Path) -> None:
    weights = stand.model("models/two", size=96 << 20)  # of which the loop sees many pieces pass
    async with asyncio.TaskGroup() as tasks:
        bringing = tasks.create_task(stand.shelf.bring(place_from(f"s3://{BUCKET}/models/two"), tmp_path, nobody))
        await until(lambda: any(part.stat().st_size for part in tmp_path.glob(".model.safetensors.*.part")))
        assert not bringing.done()
        await stand.mesh.stop_artifacts()
        await stand.mesh.start_artifacts(**stand.settings)

    assert (tmp_path / "model.safetensors").read_bytes() == weights
    assert lying(tmp_path) == set(FILES)


async def test_what_was_there_is_not_read_again_and_what_is_spoiled_is_named(stand: Stand, tmp_path: Path) -> None:
    size = 1 << 20  # of more than 4 MiB SeaweedFS states no MD5
    weights = stand.model("models/three", size=size)
    [etag] = [
        file.etag
        for file in (await listed(stand, "models/three")).files
        if file.path == "model.safetensors"
    ]  # fmt: skip
    part = tmp_path / f".model.safetensors.{hashlib.sha256(etag.encode()).hexdigest()[:16]}.part"
    part.write_bytes(b"\0" * (size // 2))

    with pytest.raises(Conflict, match=r"model.safetensors is not what S3 says it is") as spoiled:
        await stand.shelf.bring(place_from(f"s3://{BUCKET}/models/three"), tmp_path, nobody)
    assert spoiled.value.reason == Reason.DIGEST_MISMATCH
    assert lying(tmp_path) == {"README.md", "config.json"}

    part.write_bytes(weights[: size // 2])
    await stand.shelf.bring(place_from(f"s3://{BUCKET}/models/three"), tmp_path, nobody)
    assert (tmp_path / "model.safetensors").read_bytes() == weights


async def listed(stand: Stand, folder: str) -> pb.ListWeightsResponse:
    stub: rpc.ShelfServiceAsyncStub = rpc.ShelfServiceStub(stand.mesh.composer.channel("artifacts"))
    with rpc_errors():
        return await stub.ListWeights(pb.ListWeightsRequest(bucket=BUCKET, folder=folder), timeout=30)


async def test_an_object_that_changes_while_it_is_read_is_noticed(stand: Stand) -> None:
    stand.put("models/four/config.json", b"{}")
    [file] = (await listed(stand, "models/four")).files
    stand.put("models/four/config.json", b"[]")
    stub: rpc.ShelfServiceAsyncStub = rpc.ShelfServiceStub(stand.mesh.composer.channel("artifacts"))
    request = pb.ReadWeightsRequest(bucket=BUCKET, folder="models/four", path=file.path, etag=file.etag)

    with pytest.raises(Conflict, match=r"models/four/config.json was changed while it was read"), rpc_errors():
        async for _ in stub.ReadWeights(request, timeout=30):
            pass


@pytest.mark.parametrize("prefix", ["weights", "s3://weights", "s3://weights/", "s3://No/x", "http://weights/x"])
async def test_what_is_no_folder_on_s3_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidInput, match="is no folder on S3: name one as in s3://bucket/models/small"):
        place_from(prefix)


async def test_where_nothing_or_no_model_lies_is_said(stand: Stand, tmp_path: Path) -> None:
    stand.put("papers/thesis.pdf", b"pdf")

    for place, why in (
        (f"s3://{BUCKET}/models/none", "nothing lies at s3://weights/models/none/"),
        ("s3://no-such-bucket/x", "nothing lies at s3://no-such-bucket/x/"),
        (f"s3://{BUCKET}/papers", "no model lies at s3://weights/papers"),
    ):
        with pytest.raises(NotFound, match=why):
            await stand.shelf.bring(place_from(place), tmp_path, nobody)
    assert lying(tmp_path) == set()


async def test_in_the_bucket_of_the_songs_no_tenants_object_is_read(stand: Stand, tmp_path: Path) -> None:
    songs = stand.settings["HARMONIA_S3_BUCKET"]
    weights = stand.model(".models/five", songs)

    with pytest.raises(InvalidInput, match=r"is the bucket of the songs: weights lie there below \.models/"):
        await stand.shelf.bring(place_from(f"s3://{songs}/acme"), tmp_path, nobody)
    await stand.shelf.bring(place_from(f"s3://{songs}/.models/five"), tmp_path, nobody)

    assert (tmp_path / "model.safetensors").read_bytes() == weights


async def test_a_mesh_without_s3_says_so() -> None:
    with pytest.raises(FailedPrecondition, match="keeps its objects in a folder and reads no S3"):
        await ShelfServicer(None).ListWeights(pb.ListWeightsRequest(bucket="any", folder="x"), None)
