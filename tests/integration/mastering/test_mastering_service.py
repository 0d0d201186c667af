"""Mastering as a process of the mesh: the same stage through the queue and through the call door."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO

import numpy as np
import psutil
import pytest
import soundfile

from harmonia.job.v1 import job_pb2
from harmonia.mastering.v1 import mastering_pb2 as pb
from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import InvalidInput
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.status import rpc_errors
from tests.integration.mastering.mastering_mesh import RATE_HZ, MasteringMesh, end, mastering

__all__ = ["mastering"]


def premaster(seconds: float = 8.0) -> bytes:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    beat = (time * 1.6) % 1
    mix = 0.5 * np.sin(2 * np.pi * 55 * beat) * np.exp(-beat * 10) + 0.1 * np.sin(2 * np.pi * 440 * time)
    out = BytesIO()
    soundfile.write(out, np.stack([mix, mix], axis=1), RATE_HZ, format="FLAC", subtype="PCM_24")
    return out.getvalue()


def composed_job(ref: type_pb2.ArtifactRef, grant: str) -> job_pb2.Job:
    now = datetime.now(UTC)
    job = job_pb2.Job(
        id=os.urandom(16).hex(), tenant="acme", owner="ann", kind="song", state=job_pb2.Job.QUEUED, drive=1
    )
    job.grant = grant
    job.resolved.title, job.resolved.seed = "Regen 雨", 7
    for name, lane in (("write", "write"), ("compose", "compose-arranger"), ("master", "master")):
        job.stages.add(name=name, lane=lane, state=job_pb2.Job.QUEUED if name == "master" else job_pb2.Job.SUCCEEDED)
    brief = job.stages[0].result.write.brief
    brief.genre, brief.bpm, brief.key = "techno", 96.0, "A minor"
    job.stages[1].result.compose.takes.add(seed=7, premaster=ref)
    job.stages[2].queue_time.FromDatetime(now)
    job.create_time.FromDatetime(now)
    job.update_time.FromDatetime(now)
    job.deadline.FromDatetime(now + timedelta(hours=1))
    return job


async def ended(jobs: JobStream, job: job_pb2.Job) -> job_pb2.Job:
    async with asyncio.timeout(120):
        while True:
            stored = await jobs.read(job.tenant, job.id)
            if stored and stored.job.state in {job_pb2.Job.SUCCEEDED, job_pb2.Job.FAILED}:
                return stored.job
            await asyncio.sleep(0.05)


async def test_a_queued_song_and_a_call_get_the_same_master(mastering: MasteringMesh) -> None:
    grant = mastering.mesh.grant()
    ref = await mastering.store.put(premaster(), "audio/flac", grant)
    created = await mastering.jobs.create(composed_job(ref, grant))
    done = await ended(mastering.jobs, created.job)

    assert done.state == job_pb2.Job.SUCCEEDED, done.stages[2].last_error
    queued = done.stages[2].result.master.takes[0]
    assert [file.file for file in queued.files] == [
        "master.wav",
        "master.flac",
        "master.mp3",
        "cover.png",
        "waveform.json",
        "provenance.json",
    ]
    assert queued.analysis.loudness.integrated_lufs == pytest.approx(-14, abs=0.02)
    assert done.stages[2].result.cpu_seconds > 0
    flac = await mastering.store.get(queued.files[1].ref, grant)
    assert soundfile.info(BytesIO(flac)).duration == 8

    from harmonia_mastering.wire import request_from

    with rpc_errors():
        call = mastering.stub.Master(request_from(created.job), metadata=(("hm-grant", grant),), timeout=60)
        events = [event async for event in call]
    assert [event.WhichOneof("event") for event in events[-2:]] == ["progress", "result"]
    called = events[-1].result.takes[0]
    assert [file.ref.sha256 for file in called.files] == [file.ref.sha256 for file in queued.files]


async def test_the_call_door_analyses_and_says_what_it_can(mastering: MasteringMesh) -> None:
    grant = mastering.mesh.grant()
    metadata = (("hm-grant", grant),)
    sound = await mastering.store.put(premaster(), "audio/flac", grant)
    noise = await mastering.store.put(os.urandom(5_000), "audio/flac", grant)
    with rpc_errors():
        reading = (await mastering.stub.Analyze(pb.AnalyzeRequest(source=sound), metadata=metadata)).analysis
        capabilities = await mastering.stub.GetCapabilities(pb.GetCapabilitiesRequest())
    with pytest.raises(InvalidInput, match="not audio"), rpc_errors():
        await mastering.stub.Analyze(pb.AnalyzeRequest(source=noise), metadata=metadata)

    assert (reading.duration_seconds, reading.channels, reading.sample_rate_hz) == (8, 2, RATE_HZ)
    assert reading.tempo.bpm == pytest.approx(96, rel=0.01)
    assert list(capabilities.formats) == ["wav", "wav16", "wav32f", "flac", "mp3", "opus", "ogg"]


async def test_a_killed_encoder_costs_a_try_and_not_the_song(mastering: MasteringMesh) -> None:
    grant = mastering.mesh.grant()
    ref = await mastering.store.put(premaster(60), "audio/flac", grant)
    encoders = {child: child.cpu_times().user for child in psutil.Process(mastering.process.pid).children()}
    created = await mastering.jobs.create(composed_job(ref, grant))
    async with asyncio.timeout(60):
        while not any(child.cpu_times().user > idle_s + 0.1 for child, idle_s in encoders.items()):
            await asyncio.sleep(0.02)
    for child in encoders:
        child.kill()
    done = await ended(mastering.jobs, created.job)

    assert done.state == job_pb2.Job.SUCCEEDED
    assert done.stages[2].attempt == 2
    errors = [record.job.stages[2].last_error.reason for record in await mastering.jobs.history(done.tenant, done.id)]
    assert "ENCODER_FAILED" in errors


async def test_after_a_drain_no_encoder_is_left(mastering: MasteringMesh) -> None:
    encoders = psutil.Process(mastering.process.pid).children()
    await end(mastering.process)

    assert mastering.process.returncode == 0
    assert len(encoders) == 2
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in encoders)
