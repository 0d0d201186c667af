"""Protobuf ↔ dataclasses of the engine contract. Pure."""

from harmonia.capability.v1 import capability_pb2
from harmonia.composer.v1 import composer_pb2 as pb
from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import brief_pb2, spec_pb2
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_composer.engine import Brief, Engine, Kind, LyricLine, LyricSection, Order, Sampling, Section

MAX_VARIATIONS = 8
DURATION_SECONDS = (5.0, 600.0)
BPM = (40.0, 240.0)


def request_from(job: job_pb2.Job) -> pb.ComposeRequest:
    """What the queue asks of the composer: the brief that `write` made of the prompt, and the user's own choices."""
    written = next(stage.result.write for stage in job.stages if stage.name == "write")
    stage = next(stage for stage in job.stages if stage.name == "compose")
    spec = job.resolved
    request = pb.ComposeRequest(
        brief=written.brief,
        engine=spec.engine,
        model=spec.model,
        seed=spec.seed,
        variations=spec.variations or 1,
        stems=spec.outputs.stems,
        midi=spec.outputs.midi,
        vocals=spec.vocals == spec_pb2.SongSpec.GUIDE,
        daw=[name for name in ("dawproject", "ardour") if getattr(spec.outputs, name)],
        reusable=job.reusable,
    )
    if spec.HasField("sampling"):
        request.sampling.CopyFrom(spec.sampling)
    if job.HasField("continue_from"):
        request.continue_from.CopyFrom(job.continue_from)
        request.continue_licence = job.continue_licence
        if spec.conditioning.HasField("start_seconds"):
            request.start_seconds = spec.conditioning.start_seconds
    if written.HasField("lyrics"):
        request.lyrics.CopyFrom(written.lyrics)
    if stage.HasField("checkpoint"):
        request.checkpoint.CopyFrom(stage.checkpoint)
    return request


def order_from_proto(request: pb.ComposeRequest, lyrics: brief_pb2.Lyrics, checkpoint: bytes = b"") -> Order:
    """Raises InvalidInput on what no engine could play."""
    brief = request.brief
    if brief.kind != spec_pb2.SongSpec.LOOP:
        _within("brief.duration_seconds", brief.duration_seconds, DURATION_SECONDS)
    if brief.bpm:
        _within("brief.bpm", brief.bpm, BPM)
    _within("brief.complexity", brief.complexity, (0.0, 1.0))
    _within("variations", request.variations, (1, MAX_VARIATIONS))
    return Order(
        brief=brief_from_proto(brief, lyrics),
        seed=request.seed,
        variations=request.variations,
        # A session shows stems and notes, whether or not they are wanted by themselves.
        stems=request.stems or bool(request.daw),
        midi=request.midi or bool(request.daw),
        model=request.model,
        sampling=sampling_from_proto(request.sampling),
        vocals=request.vocals,
        daw=tuple(request.daw),
        checkpoint=checkpoint,
    )


def sampling_from_proto(sampling: spec_pb2.Sampling) -> Sampling:
    return Sampling(**{field.name: value for field, value in sampling.ListFields()})


def brief_from_proto(brief: brief_pb2.Brief, lyrics: brief_pb2.Lyrics) -> Brief:
    return Brief(
        title=brief.title,
        genre=brief.genre,
        moods=tuple(brief.moods),
        bpm=brief.bpm,
        key=brief.key,
        time_signature=brief.time_signature,
        duration_seconds=brief.duration_seconds,
        kind=Kind(spec_pb2.SongSpec.Kind.Name(brief.kind)) if brief.kind else Kind.SONG,
        bars=brief.bars,
        instruments=tuple(brief.instruments),
        excluded_instruments=tuple(brief.excluded_instruments),
        complexity=brief.complexity,
        sections=tuple(
            Section(
                section.name,
                section.bars,
                section.intensity if section.HasField("intensity") else None,
                section.seed if section.HasField("seed") else None,
            )
            for section in brief.sections
        ),
        lyrics=lyrics_from_proto(lyrics),
        language=brief.language,
        description=brief.description,
    )


def lyrics_from_proto(lyrics: brief_pb2.Lyrics) -> tuple[LyricSection, ...]:
    return tuple(
        LyricSection(section.name, tuple(LyricLine(line.text, line.syllables, line.stresses) for line in section.lines))
        for section in lyrics.sections
        if section.lines
    )


def capabilities_to_proto(engine: Engine) -> capability_pb2.Engine:
    told = engine.capabilities()
    return capability_pb2.Engine(
        name=engine.name,
        version=engine.version,
        genres=told.genres,
        moods=told.moods,
        instruments=told.instruments,
        roles=told.roles,
        fields=[
            capability_pb2.FieldSupport(
                field=one.field,
                support=capability_pb2.FieldSupport.Support.Value(one.support.value),
                values=one.values,
            )
            for one in told.fields
        ],
        cpu_seconds_per_second=told.cpu_seconds_per_second,
        gpu_seconds_per_second=told.gpu_seconds_per_second,
        licence=engine.licence,
        models=[
            capability_pb2.Model(name=one.name, licence=one.licence, digest=one.digest, resident=one.resident)
            for one in told.models
        ],
        how_to_get_a_model=told.how_to_get_a_model,
    )


def _within(field: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:
        raise InvalidInput(f"{field} is {value:g}: from {low:g} to {high:g}", reason=Reason.OUT_OF_RANGE, field=field)
