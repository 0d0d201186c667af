"""From a worker saying progress to a watcher hearing of it. Both on one machine, so one clock tells."""

import asyncio
import signal
import time
from datetime import UTC, datetime

from bench.meshes import noop_mesh
from bench.table import Row, ms, p50
from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia_chassis import jobs as story
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.lanes import progress_subject
from harmonia_chassis.nats_connection import Connection, Credentials

WORDS = 100


async def rows() -> list[Row]:
    """The worker's part is played by its own connection to NATS, with its own rights."""
    latencies = []
    async with noop_mesh() as measured:
        pki = measured.home / "pki"
        await measured.client.create(spec_pb2.SongSpec(prompt="techno"))  # capabilities are known from here on
        await measured.mesh.kill("lyricist", signal.SIGSTOP)
        song = await measured.client.create(spec_pb2.SongSpec(prompt="techno"))
        worker = Connection("lyricist", Credentials(pki / "lyricist.pem", pki / "lyricist.key.pem", pki / "ca.pem"))
        await worker.open(measured.mesh.info.nats.url)
        await _claim(JobStream(worker), song.name.split("/")[1])
        watching = measured.client.watch(song.name)
        assert (await anext(watching)).song.state == song_pb2.Song.QUEUED
        assert (await anext(watching)).song.state == song_pb2.Song.RUNNING
        for n in range(1, WORDS + 1):
            await asyncio.sleep(0.02)
            said = job_pb2.Progress(epoch=1, n=n, stage="write", fraction=n / WORDS)
            began = time.perf_counter()
            await worker.nc.publish(progress_subject("local", song.name.split("/")[1]), said.SerializeToString())
            await anext(watching)
            latencies.append(time.perf_counter() - began)
        await watching.aclose()
        await worker.close()
        await measured.mesh.kill("lyricist", signal.SIGCONT)
    return [Row("progress, worker to watcher, p50", ms(p50(latencies)), "≤ 5 ms"), Row("… max", ms(max(latencies)))]


async def _claim(jobs: JobStream, job_id: str) -> None:
    queued = await jobs.read("local", job_id)
    assert queued
    claim = story.Claim(queued.seq, "bench")
    await jobs.write(queued.seq, story.advance(queued.job, claim, datetime.now(UTC)))
