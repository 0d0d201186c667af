"""Workers that do nothing, for the benchmark of the mesh itself: `python -m bench.noop_service SERVICE`.

Never part of a mesh that a user starts: only the benchmarks name this command to `harmonia_local`.
"""

import sys
from collections.abc import Callable

from harmonia.capability.v1 import capability_pb2
from harmonia.composer.v1 import composer_pb2, composer_pb2_grpc
from harmonia.job.v1 import job_pb2
from harmonia.lyricist.v1 import lyricist_pb2, lyricist_pb2_grpc
from harmonia.mastering.v1 import mastering_pb2, mastering_pb2_grpc
from harmonia_chassis.lanes import SERVES
from harmonia_chassis.node import Node, run_service
from harmonia_chassis.settings import ServiceSettings
from harmonia_chassis.slots import Slots
from harmonia_chassis.worker import Work, Worker

SLOTS = 16


class Settings(ServiceSettings):
    scratch_dir: str | None = None
    models_dir: str | None = None


class Composer(composer_pb2_grpc.ComposerServiceServicer):
    async def GetCapabilities(
        self, request: composer_pb2.GetCapabilitiesRequest, context: object
    ) -> composer_pb2.GetCapabilitiesResponse:
        engine = capability_pb2.Engine(name="arranger", version="noop", genres=["techno"])
        for field in ("prompt", "seed", "duration_seconds", "bpm"):
            engine.fields.add(field=field, support=capability_pb2.FieldSupport.EXACT)
        return composer_pb2.GetCapabilitiesResponse(engines=[engine])


class Lyricist(lyricist_pb2_grpc.LyricistServiceServicer):
    async def GetCapabilities(
        self, request: lyricist_pb2.GetCapabilitiesRequest, context: object
    ) -> lyricist_pb2.GetCapabilitiesResponse:
        return lyricist_pb2.GetCapabilitiesResponse(languages=["en"])


class Mastering(mastering_pb2_grpc.MasteringServiceServicer):
    async def GetCapabilities(
        self, request: mastering_pb2.GetCapabilitiesRequest, context: object
    ) -> mastering_pb2.GetCapabilitiesResponse:
        preset = capability_pb2.MasteringPreset(name="STREAMING", target_lufs=-14, ceiling_dbtp=-1)
        return mastering_pb2.GetCapabilitiesResponse(presets=[preset], formats=["wav", "flac", "mp3"])


ADD: dict[str, Callable[[Node[Settings]], None]] = {
    "lyricist": lambda node: node.serve(lyricist_pb2_grpc.add_LyricistServiceServicer_to_server, Lyricist()),  # type: ignore[abstract]  # the rest is UNIMPLEMENTED
    "composer": lambda node: node.serve(composer_pb2_grpc.add_ComposerServiceServicer_to_server, Composer()),  # type: ignore[abstract]  # the rest is UNIMPLEMENTED
    "mastering": lambda node: node.serve(mastering_pb2_grpc.add_MasteringServiceServicer_to_server, Mastering()),  # type: ignore[abstract]  # the rest is UNIMPLEMENTED
}
RESULTS = {
    "lyricist": job_pb2.StageResult(write=lyricist_pb2.WriteResult()),
    "composer": job_pb2.StageResult(compose=composer_pb2.ComposeResult()),
    "mastering": job_pb2.StageResult(master=mastering_pb2.MasterResult()),
}


async def start(node: Node[Settings]) -> None:
    ADD[node.service](node)

    async def perform(_job: job_pb2.Job, work: Work) -> job_pb2.StageResult:
        work.progress(0.5, "nothing")
        return RESULTS[node.service]

    worker = Worker(node, lanes=SERVES[node.service], request_from=lambda job: job, perform=perform, slots=Slots(SLOTS))
    node.background("worker", worker.run, drains=True)


if __name__ == "__main__":
    run_service(sys.argv[1], Settings, start, argv=[])
