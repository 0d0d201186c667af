"""A resolved spec, sent as a spec, tells the engine the same: gateway, lyricist and the arranger's own words."""

from datetime import UTC, datetime

import pytest

from harmonia.capability.v1 import capability_pb2
from harmonia.job.v1 import job_pb2
from harmonia.lyricist.v1 import lyricist_pb2
from harmonia.song.v1 import brief_pb2, spec_pb2
from harmonia_chassis import jobs
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.wire import capabilities_to_proto
from harmonia_gateway import capabilities, songs, wire
from harmonia_lyricist import wire as lyricist_wire
from harmonia_lyricist.write import Tables, load, write
from harmonia_mastering import wire as mastering_wire

NOW = datetime(2026, 11, 21, tzinfo=UTC)
PROMPTS = (
    "warm lo-fi hip-hop for a rainy evening, 84 bpm, A minor",
    "a folk song about the sea with words, no drums",
    "two minutes of dark techno at 132 bpm with an acid bass",
    "sad waltz in F# minor, 20 seconds",
    "an instrumental beat to study to",
    "opera metal with bagpipes",
    "🌧️ 🎹",
    "שיר אהבה שקט",
)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load()


@pytest.fixture(scope="module")
def offered() -> capability_pb2.Capabilities:
    engines = [capabilities_to_proto(Arranger())]
    return capabilities.merged(engines, ["en"], mastering_wire.capabilities_to_proto())


def written(spec: spec_pb2.SongSpec, offered: capability_pb2.Capabilities, tables: Tables) -> job_pb2.Job:
    """The job after its first stage."""
    job = songs.plan(
        spec,
        songs.resolve(spec, offered, draw_seed=lambda: 7),
        songs.Requester(tenant="local", owner="user"),
        id="0" * 32,
        spec_digest=songs.digest(spec),
        grant="",
        capabilities=offered,
        warnings=songs.validate(spec, offered, NOW),
        now=NOW,
    )
    request = lyricist_wire.request_from(job)
    asked = lyricist_wire.asked_from_proto(request.spec)
    told = write(request.spec.prompt, asked, lyricist_wire.palette_from_proto(request), tables=tables)
    result = lyricist_wire.result_to_proto(told.brief, told.reading.understood, told.warnings)
    job = jobs.advance(job, jobs.Claim(1, "w"), NOW)
    return jobs.advance(job, jobs.Done(job_pb2.StageResult(write=result)), NOW)


def brief_of(job: job_pb2.Job) -> brief_pb2.Brief:
    result: lyricist_pb2.WriteResult = job.stages[0].result.write
    return result.brief


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_resolved_spec_gives_the_engine_the_same_brief(
    prompt: str, offered: capability_pb2.Capabilities, tables: Tables
) -> None:
    first = written(spec_pb2.SongSpec(prompt=prompt), offered, tables)

    again = written(wire.resolved(first), offered, tables)

    assert brief_of(again) == brief_of(first)
    assert wire.resolved(again) == wire.resolved(first)
    assert brief_of(first).genre
