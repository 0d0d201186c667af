"""Collection from end to end: the gateway's part, a real NATS with its accounts, and artifacts as a process."""

import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from harmonia.job.v1 import job_pb2
from harmonia.store.v1 import store_pb2 as pb
from harmonia.type.v1 import type_pb2
from harmonia_chassis import lanes
from harmonia_chassis.errors import FailedPrecondition, HarmoniaError, NotFound, Unavailable
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.nats_connection import Connection
from harmonia_chassis.status import rpc_errors
from harmonia_gateway.collector import Collector
from tests.integration.artifacts.store_mesh import StoreMesh, store_mesh
from tests.real_nats import RealNats

pytestmark = pytest.mark.asyncio(loop_scope="module")
HASTY = (str(Path(__file__).parent / "hasty_artifacts.py"),)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def real_nats(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RealNats]:
    real = await RealNats.start_in(tmp_path_factory.mktemp("collect"))
    yield real
    await real.kill()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jobs(real_nats: RealNats) -> AsyncIterator[JobStream]:
    connection = Connection("gateway", real_nats.credentials("gateway"))
    await connection.open(real_nats.server.url)
    stream = JobStream(connection)
    await stream.declare(lease=timedelta(seconds=1), max_bytes=64 << 20)
    yield stream
    await connection.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(real_nats: RealNats, jobs: JobStream) -> AsyncIterator[StoreMesh]:
    async with store_mesh(real_nats.folder, nats_url=real_nats.server.url) as mesh:
        await mesh.start_artifacts(HASTY)
        yield mesh


@pytest.fixture
def collector(mesh: StoreMesh, jobs: JobStream) -> Collector:
    return Collector(jobs, mesh.gateway.channel("artifacts"), every=timedelta(hours=1))


async def round_of(collector: Collector, *, dry_run: bool) -> tuple[dict[str, str], pb.CollectResponse.Summary]:
    parts = [part async for part in collector.collect(dry_run=dry_run)]
    fates = {part.garbage.sha256 or part.garbage.key: pb.Garbage.Fate.Name(part.garbage.fate) for part in parts[:-1]}
    return fates, parts[-1].summary


async def put(mesh: StoreMesh, body: bytes, *, aged: timedelta = timedelta(0)) -> type_pb2.ArtifactRef:
    ref = await mesh.store(retry_for_s=30).put(body, "audio/flac", mesh.grant())
    sidecar = mesh.objects / mesh.tenant / ref.sha256[:2] / f"{ref.sha256}.json"
    fields = json.loads(sidecar.read_text())
    then = (datetime.now(UTC) - aged).isoformat()
    sidecar.write_text(json.dumps(fields | {"puts": dict.fromkeys(fields["puts"], then)}))
    return ref


async def song_of(jobs: JobStream, mesh: StoreMesh, *refs: type_pb2.ArtifactRef) -> job_pb2.Job:
    job = job_pb2.Job(id=os.urandom(16).hex(), tenant=mesh.tenant, owner="ann", state=job_pb2.Job.QUEUED)
    stage = job.stages.add(name="master", lane="master", state=job_pb2.Job.QUEUED)
    for ref in refs:
        stage.result.compose.takes.add().premaster.CopyFrom(ref)
    job.update_time.FromDatetime(datetime.now(UTC))
    await jobs.create(job)
    return job


async def test_a_dry_run_lists_exactly_the_planted_orphans_and_two_rounds_remove_them(
    mesh: StoreMesh, jobs: JobStream, collector: Collector
) -> None:
    mesh.tenant = "planted"
    old, young = timedelta(hours=49), timedelta(hours=47)
    held = [await put(mesh, b"held %d" % n, aged=old) for n in range(20)]
    for n in range(0, 20, 2):
        await song_of(jobs, mesh, *held[n : n + 2])
    orphans = {(await put(mesh, b"orphan %d" % n, aged=old)).sha256 for n in range(7)}
    for n in range(3):
        await put(mesh, b"young %d" % n, aged=young)
    # Objects must not be older than the stream of jobs; these are, by their Put, and not by their making.
    listed, found = await round_of(collector, dry_run=True)
    condemned, _ = await round_of(collector, dry_run=False)
    removed, summary = await round_of(collector, dry_run=False)
    left, _ = await round_of(collector, dry_run=True)

    assert listed == dict.fromkeys(orphans, "FOUND")
    assert found.records == 10
    assert condemned == dict.fromkeys(orphans, "CONDEMNED")
    assert removed == dict.fromkeys(orphans, "REMOVED")
    assert (summary.removed, summary.removed_bytes) == (7, 7 * len(b"orphan 0"))
    assert left == {}
    for ref in held:
        assert (await mesh.store().get(ref, mesh.grant())).startswith(b"held")
    with pytest.raises(NotFound):
        await mesh.store().get(type_pb2.ArtifactRef(sha256=orphans.pop()), mesh.grant())


async def test_a_purged_song_lets_its_outputs_go(mesh: StoreMesh, jobs: JobStream, collector: Collector) -> None:
    mesh.tenant = "purged"
    ref = await put(mesh, b"of a song", aged=timedelta(hours=49))
    song = await song_of(jobs, mesh, ref)
    assert (await round_of(collector, dry_run=True))[0] == {}

    record = await jobs.read(mesh.tenant, song.id)
    assert record
    tombstone = job_pb2.Job(id=song.id, tenant=mesh.tenant, owner="ann", state=job_pb2.Job.PURGED)
    tombstone.stages.add(name="master", lane="master")
    await jobs.write(record.seq, tombstone)

    assert (await round_of(collector, dry_run=True))[0] == {ref.sha256: "FOUND"}


async def test_a_round_without_a_consumer_of_its_own_removes_nothing(
    mesh: StoreMesh, jobs: JobStream, collector: Collector
) -> None:
    mesh.tenant = "stale"
    ref = await put(mesh, b"an orphan", aged=timedelta(hours=49))
    await round_of(collector, dry_run=True)  # has read the consumer to its end

    with pytest.raises(FailedPrecondition, match="records of jobs do not come"), rpc_errors():
        async for _ in mesh.gateway_stub.Collect(pb.CollectRequest()):
            pass
    await collector._declare()
    await jobs.js.delete_consumer(lanes.JOBS, lanes.COLLECTOR)
    with pytest.raises(FailedPrecondition, match="records of jobs do not come"), rpc_errors():
        async for _ in mesh.gateway_stub.Collect(pb.CollectRequest()):
            pass

    assert (await round_of(collector, dry_run=True))[0][ref.sha256] == "FOUND"


async def test_a_round_that_misses_its_first_records_removes_nothing(
    mesh: StoreMesh, jobs: JobStream, collector: Collector
) -> None:
    mesh.tenant = "missed"
    held = await put(mesh, b"held, and read by somebody else", aged=timedelta(hours=49))
    await song_of(jobs, mesh, held)
    await song_of(jobs, mesh)
    await collector._declare()
    thief = await jobs.js.pull_subscribe_bind(durable=lanes.COLLECTOR, stream=lanes.JOBS)
    await thief.fetch(1, timeout=5)

    with pytest.raises(Unavailable, match="records are missing"), rpc_errors():
        async for _ in mesh.gateway_stub.Collect(pb.CollectRequest()):
            pass

    assert (await mesh.store().get(held, mesh.grant())).startswith(b"held")


async def test_collection_is_for_the_gateway_alone(mesh: StoreMesh) -> None:
    with pytest.raises(HarmoniaError, match="not for composer"), rpc_errors():
        async for _ in mesh.stub.Collect(pb.CollectRequest()):
            pass
