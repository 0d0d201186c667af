"""PURE: what of a song can be heard, at any moment of its making."""

from collections.abc import Sequence
from dataclasses import dataclass

from harmonia.composer.v1 import composer_pb2
from harmonia.job.v1 import job_pb2
from harmonia.mastering.v1 import mastering_pb2
from harmonia.song.v1 import song_pb2
from harmonia.type.v1 import type_pb2
from harmonia_gateway.level import RATE

Previews = Sequence[composer_pb2.ComposeEvent.Preview]
# Lossless first, and of these the one that is sooner here; MP3 knows its own length least well.
_BY_FITNESS = ("master.flac", "master.wav", "master.ogg", "master.opus", "master.mp3")


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, and where its first frame lies in the song. `length`: of the whole song, 0 while nobody knows."""

    ref: type_pb2.ArtifactRef
    start: int
    source: "song_pb2.AudioChunk.Source.ValueType"
    length: int = 0


def piece_at(position: int, job: job_pb2.Job, previews: Previews, take: int) -> Piece | None:
    """The best there is of the song at a frame; None: nothing yet."""
    length = length_of(job, take)
    if master := _master(job, take):
        return Piece(master, 0, song_pb2.AudioChunk.MASTER, length)
    if composed := _composed(job, take):
        return Piece(composed.premaster, 0, song_pb2.AudioChunk.PREVIEW, length)
    if take != 1:
        return None
    for preview in previews:
        start, end = frame(preview.start_seconds), frame(preview.start_seconds + preview.duration_seconds)
        if start <= position < end:
            return Piece(preview.ref, start, song_pb2.AudioChunk.PREVIEW, length)
    return None


def length_of(job: job_pb2.Job, take: int) -> int:
    """In frames; 0 until it is composed."""
    composed = _composed(job, take)
    return frame(composed.duration_seconds) if composed else 0


def longest(job: job_pb2.Job, take: int) -> float | None:
    """Seconds the song will have at most, where that is known."""
    if composed := _composed(job, take):
        return composed.duration_seconds
    return job.resolved.duration_seconds + 1.0 if job.resolved.HasField("duration_seconds") else None


def frame(seconds: float) -> int:
    return round(seconds * RATE)


def _composed(job: job_pb2.Job, take: int) -> composer_pb2.ComposeResult.Take | None:
    takes = next((stage.result.compose.takes for stage in job.stages if stage.name == "compose"), ())
    return takes[take - 1] if take <= len(takes) else None


def _master(job: job_pb2.Job, take: int) -> type_pb2.ArtifactRef | None:
    made = next((stage.result.master for stage in job.stages if stage.name == "master"), mastering_pb2.MasterResult())
    files = {file.file: file.ref for one in made.takes if one.take == take for file in one.files}
    return next((files[name] for name in _BY_FITNESS if name in files), None)
