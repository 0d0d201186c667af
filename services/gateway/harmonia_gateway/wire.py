"""PURE: a job's record as the public sees it. What a song is called, shows and leaves out is decided here alone."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from harmonia.composer.v1 import composer_pb2
from harmonia.job.v1 import job_pb2
from harmonia.lyricist.v1 import lyricist_pb2
from harmonia.mastering.v1 import mastering_pb2
from harmonia.song.v1 import brief_pb2, song_pb2, spec_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis.jobs import UNFINISHED
from harmonia_gateway import limits
from harmonia_gateway.states import has_ended, public_state

# Shares of a song's progress, as the stages' share of the work.
_WEIGHTS = {"write": 0.05, "compose": 0.55, "master": 0.40}
# Until the music is under way nothing can be foretold from what has passed.
_ETA_FROM = 0.1

Lyrics = spec_pb2.LyricsSpec


def song(
    job: job_pb2.Job,
    seq: int,
    *,
    now: datetime,
    progress: job_pb2.Progress | None = None,
    queue_position: int = 0,
) -> song_pb2.Song:
    """`seq` is the stream sequence of the record; `progress` of another stage or epoch is not taken."""
    shown = song_pb2.Song(
        name=f"songs/{job.id}",
        spec=job.spec,
        resolved=resolved(job),
        understood=_write(job).understood,
        state=public_state(job),
        stages=[_stage(stage, job, progress) for stage in job.stages],
        progress=share_done(job, progress),
        eta=eta(job, progress, now),
        queue_position=queue_position,
        outputs=outputs(job),
        usage=_usage(job),
        warnings=warnings(job),
        error=job.error if job.HasField("error") else None,
        create_time=job.create_time,
        update_time=job.update_time,
        delete_time=job.delete_time if job.HasField("delete_time") else None,
        expire_time=_expire_time(job),
        etag=str(seq),
        labels=job.spec.labels,
        request_id=job.request_id,
        trace_id=trace_id(job.traceparent),
        revised_from=job.revised_from,
        sections=_sections(job),
    )
    _tell_results(shown, job)
    return shown


def _tell_results(shown: song_pb2.Song, job: job_pb2.Job) -> None:
    composed, mastered = _compose(job), _master(job)
    if composed.engine:
        shown.provenance.engine = composed.engine
        shown.provenance.engine_version = composed.engine_version
        shown.provenance.model_digest = composed.model_digest
        shown.provenance.licence = composed.licence
        shown.provenance.numerics = composed.numerics
    if mastered.takes:
        shown.analysis.CopyFrom(mastered.takes[0].analysis)
    for number, take in enumerate(composed.takes[1:], start=2):
        analysis = next((master.analysis for master in mastered.takes if master.take == number), None)
        shown.takes.add(take=number, seed=take.seed, analysis=analysis)


def resolved(job: job_pb2.Job) -> spec_pb2.SongSpec:
    """Every choice made so far. Used as a spec it gives the same song: so no deadline; and no form that only the
    prompt told, for the same prompt tells it again."""
    spec = spec_pb2.SongSpec()
    spec.CopyFrom(job.resolved)
    spec.prompt = job.spec.prompt
    spec.negative_prompt = job.spec.negative_prompt
    spec.labels.update(job.spec.labels)
    written = _write(job)
    if written.HasField("brief"):
        _fill_in(spec, written)
        _fill_in_kind(spec, written.brief, job.palette)
        _leave_out(spec, job.palette)
    return spec


def _fill_in(spec: spec_pb2.SongSpec, written: lyricist_pb2.WriteResult) -> None:
    brief = written.brief
    spec.title = brief.title or spec.title
    spec.genre = brief.genre or spec.genre
    spec.key = brief.key or spec.key
    spec.time_signature = brief.time_signature or spec.time_signature
    spec.language = brief.language or spec.language
    spec.complexity = brief.complexity
    if brief.bpm:
        spec.bpm = brief.bpm
    if brief.duration_seconds and not spec.HasField("bars"):
        spec.duration_seconds = brief.duration_seconds
    if brief.moods:
        spec.moods[:] = brief.moods[: limits.MOODS]
    if brief.instruments:
        spec.instruments[:] = brief.instruments[: limits.INSTRUMENTS]
    if spec.lyrics.mode != Lyrics.TEXT:
        has_words = bool(brief.lyrics.sections) or written.HasField("lyrics")
        spec.lyrics.mode = Lyrics.WRITE if has_words else Lyrics.INSTRUMENTAL


def _leave_out(spec: spec_pb2.SongSpec, palette: job_pb2.Palette) -> None:
    """What was chosen and the engine never heard of."""
    for field in palette.not_taken:
        spec.ClearField(field)  # type: ignore[arg-type]  # fields of SongSpec


def _fill_in_kind(spec: spec_pb2.SongSpec, brief: brief_pb2.Brief, palette: job_pb2.Palette) -> None:
    """A loop has bars in place of seconds."""
    if spec_pb2.SongSpec.Kind.Name(brief.kind) in palette.kinds:
        spec.kind = brief.kind
    if spec.kind == spec_pb2.SongSpec.LOOP and brief.bars:
        spec.bars = brief.bars
        spec.ClearField("duration_seconds")


def _sections(job: job_pb2.Job) -> list[song_pb2.PlacedSection]:
    return [
        song_pb2.PlacedSection(name=section.name, start_seconds=section.start_seconds, bars=section.bars)
        for take in _compose(job).takes[:1]
        for section in take.sections
    ]


def _stage(stage: job_pb2.Stage, job: job_pb2.Job, progress: job_pb2.Progress | None) -> song_pb2.StageStatus:
    return song_pb2.StageStatus(
        name=stage.name,
        state=song_pb2.Song.State.Value(job_pb2.Job.State.Name(stage.state)),
        attempt=stage.attempt,
        progress=_stage_done(stage, job, progress),
        start_time=stage.start_time if stage.HasField("start_time") else None,
        end_time=stage.end_time if stage.HasField("end_time") else None,
        worker=stage.worker,
    )


def _stage_done(stage: job_pb2.Stage, job: job_pb2.Job, progress: job_pb2.Progress | None) -> float:
    if stage.state == job_pb2.Job.SUCCEEDED:
        return 1.0
    if progress is None or (progress.stage, progress.epoch) != (stage.name, job.epoch) or has_ended(job):
        return 0.0
    return progress.fraction


def share_done(job: job_pb2.Job, progress: job_pb2.Progress | None) -> float:
    """0 to 1, over all stages."""
    done = sum(_WEIGHTS[stage.name] * _stage_done(stage, job, progress) for stage in job.stages)
    return min(done, 1.0)


def eta(job: job_pb2.Job, progress: job_pb2.Progress | None, now: datetime) -> Duration | None:
    """At the pace so far; None where that says nothing."""
    begun = next((n for n, stage in enumerate(job.stages) if stage.HasField("start_time")), None)
    if begun is None:
        return None
    taken_over = sum(_WEIGHTS[stage.name] for stage in job.stages[:begun])
    done = (share_done(job, progress) - taken_over) / (1 - taken_over)
    started = job.stages[begun].start_time.ToDatetime(UTC)
    if job.state != job_pb2.Job.RUNNING or done < _ETA_FROM or now <= started:
        return None
    left = Duration()
    left.FromTimedelta((now - started) * ((1 - done) / done))
    return left


def progress_event(job: job_pb2.Job, progress: job_pb2.Progress, now: datetime) -> song_pb2.SongProgress:
    return song_pb2.SongProgress(
        stage=progress.stage,
        stage_progress=progress.fraction,
        progress=share_done(job, progress),
        eta=eta(job, progress, now),
        message=progress.message,
    )


def outputs(job: job_pb2.Job) -> list[song_pb2.Output]:
    """Files of the stages that are done: what a listener wants first comes first."""
    composed, mastered = _compose(job), _master(job)
    found = []
    for number in range(1, max(len(composed.takes), len(mastered.takes)) + 1):
        for take in mastered.takes:
            if take.take == number:
                found += [_output(number, file.role, file.file, file.ref, file.duration_seconds) for file in take.files]
        if number <= len(composed.takes):
            found += _composed_files(number, composed.takes[number - 1], job.resolved.outputs)
    return found


def _composed_files(
    number: int, take: composer_pb2.ComposeResult.Take, wanted: spec_pb2.Outputs
) -> Iterator[song_pb2.Output]:
    """A session needs stems and notes; by themselves they are shown where they were wanted."""
    for stem in take.stems if wanted.stems else ():
        yield _output(number, "stem", f"stems/{stem.role}.flac", stem.ref, take.duration_seconds)
    if take.HasField("midi") and wanted.midi:
        yield _output(number, "midi", "song.mid", take.midi)
    if take.HasField("lyrics_text"):
        yield _output(number, "lyrics", "lyrics.txt", take.lyrics_text)
    if take.HasField("lyrics_lrc"):
        yield _output(number, "lyrics", "lyrics.lrc", take.lyrics_lrc)
    if take.HasField("karaoke"):
        yield _output(number, "lyrics", "karaoke.json", take.karaoke)
    for session in take.daw:
        yield _output(number, "daw", session.file, session.ref)
    for stem in take.stems if take.stems_also_in else ():
        yield _output(number, "daw", f"{take.stems_also_in}/{stem.role}.flac", stem.ref, take.duration_seconds)


def _output(take: int, role: str, file: str, ref: type_pb2.ArtifactRef, seconds: float = 0.0) -> song_pb2.Output:
    return song_pb2.Output(
        artifact=f"artifacts/{ref.sha256}",
        role=role,
        sha256=ref.sha256,
        bytes=ref.size_bytes,
        seconds=seconds,
        media_type=ref.media_type,
        file=file,
        take=take,
    )


def seconds(job: job_pb2.Job) -> float:
    """Length of the first take; 0 until it is composed."""
    return next((take.duration_seconds for take in _compose(job).takes), 0.0)


def _usage(job: job_pb2.Job) -> song_pb2.Usage:
    worked = sum((_between(stage.start_time, stage.end_time) for stage in job.stages), timedelta())
    waited = sum((_between(stage.queue_time, stage.start_time) for stage in job.stages), timedelta())
    sounding = sum(take.duration_seconds for take in _compose(job).takes)
    return song_pb2.Usage(
        cpu_seconds=sum(stage.result.cpu_seconds for stage in job.stages),
        gpu_seconds=sum(stage.result.gpu_seconds for stage in job.stages),
        queue_seconds=waited.total_seconds(),
        realtime_factor=sounding / worked.total_seconds() if worked and _master(job).takes else 0.0,
    )


def _between(start: Timestamp, end: Timestamp) -> timedelta:
    """Nothing while one of them is not set, or when a retry has set the earlier anew."""
    if not (start.seconds and end.seconds):
        return timedelta()
    return max(end.ToDatetime(UTC) - start.ToDatetime(UTC), timedelta())


def warnings(job: job_pb2.Job) -> Sequence[str]:
    return [*job.warnings, *_write(job).warnings, *_compose(job).warnings, *_master(job).warnings]


def _expire_time(job: job_pb2.Job) -> Timestamp | None:
    if job.state in UNFINISHED:
        return job.deadline
    if job.state != job_pb2.Job.DELETED:
        return None
    purge = Timestamp()
    purge.FromDatetime(job.delete_time.ToDatetime(UTC) + limits.KEPT_WHEN_DELETED)
    return purge


def trace_id(traceparent: str) -> str:
    """Of a W3C traceparent: 00-{trace id}-{span id}-{flags}."""
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""


def _result(job: job_pb2.Job, name: str) -> job_pb2.StageResult:
    return next((stage.result for stage in job.stages if stage.name == name), job_pb2.StageResult())


def _write(job: job_pb2.Job) -> lyricist_pb2.WriteResult:
    return _result(job, "write").write


def _compose(job: job_pb2.Job) -> composer_pb2.ComposeResult:
    return _result(job, "compose").compose


def _master(job: job_pb2.Job) -> mastering_pb2.MasterResult:
    return _result(job, "master").master
