"""Lyricist, composer or mastering as small as can be, on the real chassis: `python small_service.py composer`.

A song with the title "fail" fails in compose; one with the title "slow" goes on until it is cancelled.
"""

import asyncio
import io
import sys
import wave
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from harmonia.audio.v1 import audio_pb2
from harmonia.capability.v1 import capability_pb2
from harmonia.composer.v1 import composer_pb2, composer_pb2_grpc
from harmonia.job.v1 import job_pb2
from harmonia.lyricist.v1 import lyricist_pb2, lyricist_pb2_grpc
from harmonia.mastering.v1 import mastering_pb2, mastering_pb2_grpc
from harmonia.song.v1 import brief_pb2, spec_pb2
from harmonia_chassis.access import current_grant
from harmonia_chassis.errors import Internal, Reason
from harmonia_chassis.node import Node, run_service
from harmonia_chassis.settings import ServiceSettings
from harmonia_chassis.slots import Slots
from harmonia_chassis.worker import Work, Worker

EXACT = ("genre", "bpm", "key", "duration_seconds", "seed", "variations", "outputs.stems", "outputs.midi", "complexity")
ENGINE = capability_pb2.Engine(
    name="arranger",
    version="0.0.1",
    genres=["techno", "folk"],
    moods=["calm", "dark"],
    instruments=["bass"],
    fields=[capability_pb2.FieldSupport(field=name, support=capability_pb2.FieldSupport.EXACT) for name in EXACT],
    cpu_seconds_per_second=0.03,
    licence="Apache-2.0",
)
PRESETS = [capability_pb2.MasteringPreset(name="STREAMING", target_lufs=-14, ceiling_dbtp=-1)]


class Settings(ServiceSettings):
    scratch_dir: Path | None = None  # given to some of the three
    models_dir: Path | None = None  # to the composer


def brief_of(spec: spec_pb2.SongSpec) -> brief_pb2.Brief:
    return brief_pb2.Brief(title=spec.title or "Rain", genre="techno", bpm=120, key="A minor", duration_seconds=60)


class Lyricist(lyricist_pb2_grpc.LyricistServiceServicer):
    async def GetCapabilities(self, request: object, context: object) -> lyricist_pb2.GetCapabilitiesResponse:
        return lyricist_pb2.GetCapabilitiesResponse(languages=["en"])

    async def ReadPrompt(
        self, request: lyricist_pb2.ReadPromptRequest, context: object
    ) -> lyricist_pb2.ReadPromptResponse:
        result = lyricist_pb2.WriteResult(brief=brief_of(request.request.spec), warnings=[current_grant().owner])
        return lyricist_pb2.ReadPromptResponse(result=result)

    async def Write(
        self, request: lyricist_pb2.WriteRequest, context: object
    ) -> AsyncIterator[lyricist_pb2.WriteEvent]:
        line = brief_pb2.LyricLine(text=f"about {request.spec.prompt}", syllables=4)
        yield lyricist_pb2.WriteEvent(line=lyricist_pb2.WriteEvent.Line(section="verse", line=line))
        yield lyricist_pb2.WriteEvent(result=lyricist_pb2.WriteResult(brief=brief_of(request.spec)))


class Composer(composer_pb2_grpc.ComposerServiceServicer):
    async def GetCapabilities(self, request: object, context: object) -> composer_pb2.GetCapabilitiesResponse:
        return composer_pb2.GetCapabilitiesResponse(engines=[ENGINE])

    async def Compose(
        self, request: composer_pb2.ComposeRequest, context: object
    ) -> AsyncIterator[composer_pb2.ComposeEvent]:
        yield composer_pb2.ComposeEvent()


class Mastering(mastering_pb2_grpc.MasteringServiceServicer):
    async def GetCapabilities(self, request: object, context: object) -> mastering_pb2.GetCapabilitiesResponse:
        return mastering_pb2.GetCapabilitiesResponse(presets=PRESETS, formats=["wav", "flac", "mp3"])

    async def Master(
        self, request: mastering_pb2.MasterRequest, context: object
    ) -> AsyncIterator[mastering_pb2.MasterEvent]:
        yield mastering_pb2.MasterEvent(progress=mastering_pb2.MasterEvent.Progress(fraction=0.5))
        file = mastering_pb2.MasterResult.File(role="master", file="master.wav", ref=request.sources[0].premaster)
        take = mastering_pb2.MasterResult.Take(take=1, files=[file])
        yield mastering_pb2.MasterEvent(result=mastering_pb2.MasterResult(takes=[take]))

    async def Analyze(self, request: mastering_pb2.AnalyzeRequest, context: object) -> mastering_pb2.AnalyzeResponse:
        analysis = audio_pb2.AnalyzeResponse(duration_seconds=request.source.size_bytes)
        return mastering_pb2.AnalyzeResponse(analysis=analysis)


async def write(node: Node[Settings], job: job_pb2.Job, work: Work) -> job_pb2.StageResult:
    result = lyricist_pb2.WriteResult(brief=brief_of(job.resolved))
    if job.resolved.lyrics.HasField("text_artifact"):
        result.warnings.append((await node.store.get(job.resolved.lyrics.text_artifact, work.grant)).decode())
    return job_pb2.StageResult(write=result, cpu_seconds=0.1)


def sound(text: str) -> bytes:
    """A WAV file whose samples spell the text."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 2, 48000, 0, "NONE", "not compressed"))
        writer.writeframes(text.ljust(-(-len(text) // 4) * 4).encode())
    return file.getvalue()


async def compose(node: Node[Settings], job: job_pb2.Job, work: Work) -> job_pb2.StageResult:
    work.progress(0.5, "half of it")
    if job.resolved.title == "fail":
        raise Internal("the engine has no sound", reason=Reason.ENGINE_FAILED)
    while job.resolved.title == "slow":
        work.check()
        await asyncio.sleep(0.02)
    ref = await node.store.put(sound(f"{job.id} {job.resolved.seed}"), "audio/wav", work.grant)
    take = composer_pb2.ComposeResult.Take(seed=job.resolved.seed, premaster=ref, duration_seconds=60)
    result = composer_pb2.ComposeResult(takes=[take], engine="arranger", engine_version="0.0.1")
    return job_pb2.StageResult(compose=result, cpu_seconds=1)


async def master(node: Node[Settings], job: job_pb2.Job, work: Work) -> job_pb2.StageResult:
    ref = job.stages[1].result.compose.takes[0].premaster
    file = mastering_pb2.MasterResult.File(role="master", file="master.wav", ref=ref, duration_seconds=60)
    take = mastering_pb2.MasterResult.Take(take=1, files=[file])
    return job_pb2.StageResult(master=mastering_pb2.MasterResult(takes=[take]), cpu_seconds=1)


async def start(node: Node[Settings]) -> None:
    match node.service:
        case "lyricist":
            node.serve(lyricist_pb2_grpc.add_LyricistServiceServicer_to_server, Lyricist())  # type: ignore[abstract]  # the calls it lacks answer UNIMPLEMENTED
            lane, perform = "write", write
        case "composer":
            node.serve(composer_pb2_grpc.add_ComposerServiceServicer_to_server, Composer())
            lane, perform = "compose-arranger", compose
        case _:
            node.serve(mastering_pb2_grpc.add_MasteringServiceServicer_to_server, Mastering())
            lane, perform = "master", master
    worker = Worker(node, lanes=[lane], request_from=lambda job: job, perform=partial(perform, node), slots=Slots(4))
    node.background("worker", worker.run, drains=True)


if __name__ == "__main__":
    run_service(sys.argv[1], Settings, start, argv=[])
