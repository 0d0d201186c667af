"""What the master stage makes of a job."""

import pytest

from harmonia.job.v1 import job_pb2
from harmonia.mastering.v1 import mastering_pb2 as pb
from harmonia.song.v1 import spec_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import InvalidInput
from harmonia_mastering import wire
from harmonia_mastering.encode import Format
from harmonia_mastering.master import Target
from harmonia_mastering.provenance import Origin


def composed_job(takes: int = 1) -> job_pb2.Job:
    job = job_pb2.Job(resolved=spec_pb2.SongSpec(seed=7, title="Rain"))
    job.resolved.outputs.formats.extend(["flac", "mp3"])
    job.resolved.mastering.preset = spec_pb2.Mastering.PODCAST
    brief = job.stages.add(name="write").result.write.brief
    brief.genre, brief.bpm, brief.key, brief.title = "folk", 96.0, "D major", "Other"
    for words in (["one", "two"], ["three"]):
        section = brief.lyrics.sections.add(name="verse")
        for text in words:
            section.lines.add(text=text)
    composed = job.stages.add(name="compose").result.compose
    composed.engine_version = "0.1.0"
    for take in range(takes):
        composed.takes.add(seed=7 + take, premaster=type_pb2.ArtifactRef(sha256=f"{take}" * 64))
    job.stages.add(name="master")
    return job


def test_a_job_becomes_a_request_with_every_take() -> None:
    request = wire.request_from(composed_job(takes=2))

    assert [(source.take, source.seed, source.premaster.sha256[0]) for source in request.sources] == [
        (1, 7, "0"),
        (2, 8, "1"),
    ]
    assert list(request.formats) == ["flac", "mp3"]
    assert wire.target_from_proto(request.mastering) == Target(-16.0, -1.0)
    tags = wire.tags_from_proto(request.tags)
    assert (tags.title, tags.genre, tags.bpm, tags.key) == ("Rain", "folk", 96.0, "D major")
    assert tags.lyrics == "one\ntwo\n\nthree"
    assert len(tags.comment) == 64


def test_the_comment_depends_on_the_sound_and_on_nothing_else() -> None:
    first, later, other, newer = (composed_job() for _ in range(4))
    later.resolved.labels["album"] = "rain"
    later.resolved.deadline.seconds = 1_900_000_000
    later.resolved.batch = True
    later.id, later.create_time.seconds = "a" * 32, 1_800_000_000
    other.resolved.seed = 8
    newer.stages[1].result.compose.engine_version = "0.2.0"
    comment = wire.request_from(first).tags.comment

    assert wire.request_from(later).tags.comment == comment
    assert wire.request_from(other).tags.comment != comment
    assert wire.request_from(newer).tags.comment != comment
    later.resolved.conditioning.start_seconds = 4.0
    assert wire.request_from(later).tags.comment != comment


def test_where_the_sound_comes_from_and_within_what_a_seed_repeats_it_go_into_the_passport() -> None:
    job = composed_job()
    composed = job.stages[1].result.compose
    composed.engine, composed.model_digest, composed.licence = "musicgen", "d" * 64, "MIT"
    composed.numerics, job.continue_from.sha256 = "float16, 16 slots", "a" * 64

    origin = wire.origin_from_proto(wire.request_from(job).origin)

    numerics, continued_from = "float16, 16 slots", "a" * 64
    assert origin == Origin(
        "musicgen", "0.1.0", "d" * 64, "MIT", ("write", "compose"), numerics=numerics, continued_from=continued_from
    )


def test_long_lyrics_are_fetched_where_the_composer_put_them() -> None:
    job = composed_job()
    assert not wire.request_from(job).HasField("lyrics")

    job.stages[0].result.write.lyrics.sha256 = "e" * 64
    job.stages[1].result.compose.takes[0].lyrics_text.sha256 = "f" * 64

    assert wire.request_from(job).lyrics.sha256 == "f" * 64


def test_a_target_may_be_overridden_and_none_asks_for_no_loudness() -> None:
    assert wire.target_from_proto(spec_pb2.Mastering()) == Target(-14.0, -1.0)
    assert wire.target_from_proto(spec_pb2.Mastering(preset=spec_pb2.Mastering.BROADCAST)) == Target(-23.0, -1.0)
    assert wire.target_from_proto(spec_pb2.Mastering(target_lufs=-12, ceiling_dbtp=-2)) == Target(-12, -2)
    assert wire.target_from_proto(spec_pb2.Mastering(preset=spec_pb2.Mastering.NONE)) == Target(None, -1.0)
    with pytest.raises(InvalidInput, match=r"-3\.0 LUFS") as refused:
        wire.target_from_proto(spec_pb2.Mastering(target_lufs=-3))
    assert refused.value.field == "mastering.target_lufs"


def test_formats_are_checked_by_name() -> None:
    assert wire.formats_from_proto([]) == [Format.WAV, Format.FLAC, Format.MP3]
    assert wire.formats_from_proto(["mp3", "wav", "mp3"]) == [Format.MP3, Format.WAV]
    with pytest.raises(InvalidInput, match="allowed are wav, wav16, wav32f, flac, mp3, opus, ogg"):
        wire.formats_from_proto(["aac"])


def test_a_request_without_sources_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nothing to master"):
        wire.check_sources(pb.MasterRequest())


def test_capabilities_list_the_presets_of_the_specification() -> None:
    presets = {one.name: (one.target_lufs, one.ceiling_dbtp) for one in wire.capabilities_to_proto().presets}

    assert presets == {
        "STREAMING": (-14, -1),
        "STREAMING_SAFE": (-14, -2),
        "PODCAST": (-16, -1),
        "BROADCAST": (-23, -1),
        "LOUD": (-9, -1),
        "NONE": (0, -1),
    }
