"""Protobuf to what mastering works with, and back. PURE."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from harmonia.audio.v1 import audio_pb2
from harmonia.capability.v1 import capability_pb2
from harmonia.composer.v1 import composer_pb2
from harmonia.job.v1 import job_pb2
from harmonia.lyricist.v1 import lyricist_pb2
from harmonia.mastering.v1 import mastering_pb2 as pb
from harmonia.song.v1 import brief_pb2, spec_pb2
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_mastering.encode import Format
from harmonia_mastering.key import Key
from harmonia_mastering.loudness import Loudness
from harmonia_mastering.master import PRESETS, Mastered, Preset, Target
from harmonia_mastering.provenance import Origin
from harmonia_mastering.reading import Reading
from harmonia_mastering.stereo import Stereo
from harmonia_mastering.tags import SourceType, Tags
from harmonia_mastering.tempo import Tempo

ARTIST = "Harmonia"
DEFAULT_FORMATS = (Format.WAV, Format.FLAC, Format.MP3)


def request_from(job: job_pb2.Job) -> pb.MasterRequest:
    """The master stage of a job whose song has been written and composed."""
    written, composed = _written(job), _composed(job)
    brief = written.brief
    request = pb.MasterRequest(
        mastering=job.resolved.mastering,
        formats=job.resolved.outputs.formats,
        tags=pb.Tags(
            title=job.resolved.title or brief.title,
            artist=ARTIST,
            genre=brief.genre,
            bpm=brief.bpm,
            key=brief.key,
            lyrics=_words(brief.lyrics),
            comment=digest(brief, job.resolved, composed.engine_version),
            digital_source_type=_source_type(composed),
        ),
        origin=_origin(job, composed),
    )
    for take, made in enumerate(composed.takes, start=1):
        request.sources.add(take=take, seed=made.seed, premaster=made.premaster)
    if written.HasField("lyrics") and composed.takes and composed.takes[0].HasField("lyrics_text"):
        request.lyrics.CopyFrom(composed.takes[0].lyrics_text)
    return request


def digest(brief: brief_pb2.Brief, resolved: spec_pb2.SongSpec, engine_version: str) -> str:
    """SHA-256 of all that decides how a song sounds, and of nothing else: asked for again, from the prompt or from
    its resolved spec, the song has the same bytes."""
    sound = spec_pb2.SongSpec(
        engine=resolved.engine,
        model=resolved.model,
        seed=resolved.seed,
        sampling=resolved.sampling if resolved.HasField("sampling") else None,
        mastering=resolved.mastering,
        conditioning=resolved.conditioning if resolved.HasField("conditioning") else None,
    )
    parts = (brief.SerializeToString(deterministic=True), sound.SerializeToString(deterministic=True))
    return hashlib.sha256(b"".join((*parts, engine_version.encode()))).hexdigest()


def _source_type(composed: composer_pb2.ComposeResult) -> SourceType:
    return SourceType.TRAINED if composed.model_digest else SourceType.ALGORITHMIC


def _origin(job: job_pb2.Job, composed: composer_pb2.ComposeResult) -> pb.MasterRequest.Origin:
    return pb.MasterRequest.Origin(
        engine=composed.engine,
        engine_version=composed.engine_version,
        model_digest=composed.model_digest,
        licence=composed.licence,
        numerics=composed.numerics,
        stages=[stage.name for stage in job.stages if stage.name != "master"],
        continued_from=job.continue_from.sha256,
    )


def _written(job: job_pb2.Job) -> lyricist_pb2.WriteResult:
    return next((stage.result.write for stage in job.stages if stage.name == "write"), lyricist_pb2.WriteResult())


def _composed(job: job_pb2.Job) -> composer_pb2.ComposeResult:
    return next((stage.result.compose for stage in job.stages if stage.name == "compose"), composer_pb2.ComposeResult())


def _words(lyrics: brief_pb2.Lyrics) -> str:
    return "\n\n".join("\n".join(line.text for line in section.lines) for section in lyrics.sections)


def target_from_proto(mastering: spec_pb2.Mastering) -> Target:
    """The preset's, where it is not overridden; raises InvalidInput naming the field."""
    name = spec_pb2.Mastering.Preset.Name(mastering.preset or spec_pb2.Mastering.STREAMING)
    preset = PRESETS[Preset(name)]
    return Target(
        mastering.target_lufs if mastering.HasField("target_lufs") else preset.loudness_lufs,
        mastering.ceiling_dbtp if mastering.HasField("ceiling_dbtp") else preset.ceiling_dbtp,
        mastering.intensity,
    )


def formats_from_proto(formats: Sequence[str]) -> list[Format]:
    """Without repetition; wav, flac and mp3 when none is named."""
    known = {one.value for one in Format}
    for name in formats:
        if name not in known:
            message = f'"{name}" is no format of this release: allowed are {", ".join(Format)}'
            raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="formats")
    return [Format(name) for name in dict.fromkeys(formats)] or list(DEFAULT_FORMATS)


def tags_from_proto(tags: pb.Tags) -> Tags:
    return Tags(
        title=tags.title,
        artist=tags.artist,
        genre=tags.genre,
        bpm=tags.bpm,
        key=tags.key,
        lyrics=tags.lyrics,
        comment=tags.comment,
        source_type=SourceType(tags.digital_source_type),
    )


def origin_from_proto(origin: pb.MasterRequest.Origin) -> Origin:
    return Origin(
        engine=origin.engine,
        engine_version=origin.engine_version,
        model_digest=origin.model_digest,
        licence=origin.licence,
        stages=tuple(origin.stages),
        numerics=origin.numerics,
        continued_from=origin.continued_from,
    )


def with_lyrics(tags: Tags, lyrics: str) -> Tags:
    return replace(tags, lyrics=lyrics)


def check_sources(request: pb.MasterRequest) -> None:
    if not request.sources:
        raise InvalidInput("nothing to master", reason=Reason.MISSING, field="sources")


def analysis_to_proto(
    tags: Tags, target: Target, mastered: Mastered, *, tempo: Tempo, key: Key, stereo: Stereo | None
) -> audio_pb2.Analysis:
    """What was asked for beside what came out."""
    measured = loudness_to_proto(mastered.loudness)
    measured.gain_reduction_db = mastered.gain_reduction_db
    return audio_pb2.Analysis(
        tempo=audio_pb2.Analysis.Tempo(requested=tags.bpm, measured=tempo.bpm, confidence=tempo.confidence),
        key=audio_pb2.Analysis.Key(requested=tags.key, measured=key.name, confidence=key.confidence),
        loudness=measured,
        mastering=audio_pb2.Analysis.Mastering(
            status=audio_pb2.Analysis.Mastering.Status.Value(mastered.status),
            target_lufs=target.loudness_lufs,
            ceiling_dbtp=target.ceiling_dbtp,
            intensity=target.intensity,
            gain_db=mastered.gain_db,
            limiter_reduction_db=mastered.limiter_reduction_db,
            glue_reduction_db=mastered.glue_reduction_db,
            tilt_db=mastered.tilt_db,
        ),
        stereo=stereo_to_proto(stereo) if stereo else None,
    )


def stereo_to_proto(stereo: Stereo) -> audio_pb2.StereoReading:
    return audio_pb2.StereoReading(
        correlation=stereo.correlation, balance_db=stereo.balance_db, mono_loss_lu=stereo.mono_loss_lu
    )


def loudness_to_proto(loudness: Loudness) -> audio_pb2.Loudness:
    return audio_pb2.Loudness(
        integrated_lufs=loudness.integrated_lufs,
        range_lu=loudness.range_lu,
        true_peak_dbtp=loudness.true_peak_dbtp,
        max_momentary_lufs=loudness.max_momentary_lufs,
        max_short_term_lufs=loudness.max_short_term_lufs,
    )


def reading_to_proto(reading: Reading) -> audio_pb2.AnalyzeResponse:
    """Tempo and key are absent where nothing recurs or nothing has a pitch."""
    tempo, key = reading.tempo, reading.key
    response = audio_pb2.AnalyzeResponse(
        loudness=loudness_to_proto(reading.loudness),
        duration_seconds=reading.length / reading.rate_hz,
        sample_rate_hz=reading.rate_hz,
        channels=reading.channels,
        stereo=stereo_to_proto(reading.stereo) if reading.stereo else None,
    )
    if tempo.bpm:
        response.tempo.bpm, response.tempo.confidence = tempo.bpm, tempo.confidence
        response.tempo.alternatives_bpm.extend(tempo.alternatives_bpm)
    if key.name:
        response.key.name, response.key.confidence = key.name, key.confidence
        response.key.alternatives.extend(key.alternatives)
    for section in reading.sections:
        response.sections.add(
            label=section.label,
            start_seconds=section.start_s,
            end_seconds=section.end_s,
            confidence=section.confidence,
            loudness_lufs=section.loudness_lufs,
        )
    return response


def capabilities_to_proto() -> pb.GetCapabilitiesResponse:
    presets = [
        capability_pb2.MasteringPreset(
            name=preset, target_lufs=target.loudness_lufs or 0.0, ceiling_dbtp=target.ceiling_dbtp
        )
        for preset, target in PRESETS.items()
    ]
    return pb.GetCapabilitiesResponse(presets=presets, formats=list(Format))
