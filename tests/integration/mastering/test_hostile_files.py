"""Hostile recordings against a real mastering process: it answers each, with a reading or a typed refusal, and lives.

A tenth of them here. All 200: HOSTILE_FILES=200 pytest -n0 -s tests/integration/mastering/test_hostile_files.py
"""

import asyncio
import os
from collections import Counter

import numpy as np
import psutil
import pytest

from harmonia.mastering.v1 import mastering_pb2 as pb
from harmonia_chassis.errors import HarmoniaError, InvalidInput, Reason
from harmonia_chassis.status import rpc_errors
from tests.integration.mastering.hostile import Hostile, hostile_files
from tests.integration.mastering.mastering_mesh import MasteringMesh, mastering

__all__ = ["mastering"]

COUNT = int(os.environ.get("HOSTILE_FILES", "20"))
SEED = int(os.environ.get("HOSTILE_SEED", "5"))
REFUSALS = {Reason.AUDIO_UNREADABLE, Reason.NOT_SUPPORTED, Reason.TOO_LARGE}


@pytest.mark.timeout(60 + 5 * COUNT)
async def test_hostile_files_are_answered_and_no_process_dies(mastering: MasteringMesh) -> None:
    answers: Counter[str] = Counter()
    started = psutil.Process(mastering.process.pid)
    encoders = {child.pid for child in started.children()}
    print(f"\n{COUNT} hostile files, seed {SEED}")
    for number, file in enumerate(hostile_files(COUNT, SEED)):
        told = await analyzed(mastering, file) if number % 2 else await mastered(mastering, file)
        answers[told] += 1
        print(f"{file.name:<32} {len(file.body):>8} bytes  {told}")
        assert mastering.process.returncode is None, file.name

    print(dict(answers))
    assert sum(answers.values()) == COUNT
    assert set(answers) <= {"analyzed", "mastered", *REFUSALS}
    assert {child.pid for child in started.children()} == encoders


async def analyzed(mesh: MasteringMesh, file: Hostile) -> str:
    grant = mesh.mesh.grant()
    source = await mesh.store.put(file.body, "audio/wav", grant)
    try:
        with rpc_errors():
            reading = await mesh.stub.Analyze(pb.AnalyzeRequest(source=source), metadata=(("hm-grant", grant),))
    except HarmoniaError as error:
        return refusal(error)
    measured = reading.analysis.loudness
    assert all(np.isfinite(getattr(measured, field.name)) for field, _ in measured.ListFields())
    return "analyzed"


async def mastered(mesh: MasteringMesh, file: Hostile) -> str:
    grant = mesh.mesh.grant()
    request = pb.MasterRequest(formats=["wav"])
    request.sources.add(take=1, premaster=await mesh.store.put(file.body, "audio/wav", grant), uploaded=True)
    try:
        with rpc_errors():
            async with asyncio.timeout(60):
                events = [event async for event in mesh.stub.Master(request, metadata=(("hm-grant", grant),))]
    except HarmoniaError as error:
        return refusal(error)
    assert [one.file for one in events[-1].result.takes[0].files] == ["master.wav"]
    return "mastered"


def refusal(error: HarmoniaError) -> str:
    assert isinstance(error, InvalidInput), error
    assert error.reason in REFUSALS
    assert error.field == "artifact"
    assert "/tmp" not in error.message
    return str(error.reason)
