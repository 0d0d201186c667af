"""The recording that a song goes on from: found when the song is submitted, so that whoever asks for one that is not
there, not theirs or too long for the song hears so at once, and not from a worker."""

from collections.abc import Collection, Iterator

import grpc

from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import spec_pb2
from harmonia.store.v1 import store_pb2, store_pb2_grpc
from harmonia.type.v1 import type_pb2
from harmonia_chassis.access import GRANT
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, NotFound, PermissionDenied, Reason
from harmonia_chassis.job_stream import JobStream
from harmonia_chassis.status import rpc_errors
from harmonia_gateway import limits, weights
from harmonia_gateway.names import artifact_digest, no_song, song_id

FIELD = "spec.conditioning.continue_from"
# The new song is at least so much longer than what it begins with; by default it is longer by more.
LEAST_MORE_S = 1.0
MORE_S = 30.0
_LOSSLESS = ("audio/flac", "audio/wav", "audio/x-wav")


class Continuing:
    def __init__(
        self, jobs: JobStream, artifacts: grpc.aio.Channel, *, commercial_tenants: Collection[str] = ()
    ) -> None:
        self._commercial_tenants = commercial_tenants
        self._jobs = jobs
        self._store = store_pb2_grpc.StoreServiceStub(artifacts)

    async def settle(self, job: job_pb2.Job) -> None:
        """Names in the job what it goes on from, and how long it is when nobody said.

        Raises NotFound for what is not there or somebody else's, FailedPrecondition for a song that is not finished or
        has no lossless sound left, PermissionDenied for one whose licence its owner may not use, InvalidInput for a
        length that leaves nothing to draw.
        """
        asked = job.spec.conditioning
        if not asked.continue_from or _is_composed(job):
            return
        if asked.continue_from.startswith("songs/"):
            source = await self._song(asked.continue_from, job)
            obey_licence(source, job, commercial=job.tenant in self._commercial_tenants)
            ref, whole_s = await self._sound(source, job.grant), _seconds(source)
        else:
            ref, whole_s = await self._stored(artifact_digest(asked.continue_from, field=FIELD), job.grant), None
        _check_size(ref)
        fix_length(job.spec, job.resolved, whole_s)
        job.continue_from.CopyFrom(ref)

    async def _song(self, name: str, job: job_pb2.Job) -> job_pb2.Job:
        stored = await self._jobs.read(job.tenant, song_id(name, field=FIELD))
        if stored is None or stored.job.owner != job.owner or stored.job.state == job_pb2.Job.PURGED:
            raise no_song(name, field=FIELD)
        if stored.job.state != job_pb2.Job.SUCCEEDED:
            state = job_pb2.Job.State.Name(stored.job.state)
            message = f"{FIELD}: {name} is {state}: only a song that has succeeded can be gone on from"
            raise FailedPrecondition(message, reason=Reason.WRONG_STATE, field=FIELD, retry_after=None, state=state)
        return stored.job

    async def _sound(self, source: job_pb2.Job, grant: str) -> type_pb2.ArtifactRef:
        for ref in sounds(source):
            try:
                return await self._stored(ref.sha256, grant)
            except NotFound:
                continue
        message = f"{FIELD}: songs/{source.id} has no lossless sound left: upload a recording of it and name that"
        raise FailedPrecondition(message, reason=Reason.ARTIFACT_NOT_FOUND, field=FIELD)

    async def _stored(self, sha256: str, grant: str) -> type_pb2.ArtifactRef:
        try:
            with rpc_errors():
                request = store_pb2.StatRequest(sha256=sha256)
                answer = await self._store.Stat(request, metadata=((GRANT, grant),))
        except NotFound as error:
            message = f"{FIELD}: there is no artifacts/{sha256}: ListArtifacts tells which there are"
            raise NotFound(message, reason=Reason.ARTIFACT_NOT_FOUND, field=FIELD) from error
        return answer.object.ref


def obey_licence(source: job_pb2.Job, job: job_pb2.Job, *, commercial: bool) -> None:
    """PURE. What a song begins with is sold with it. Raises PermissionDenied; else a warning says what holds."""
    name = f"songs/{source.id}"
    licence = next((stage.result.compose.licence for stage in source.stages if stage.name == "compose"), "")
    job.continue_licence = licence
    if weights.may_be_sold(licence):
        return
    if commercial:
        message = f"{FIELD}: {name} was made from weights that are {licence}: a commercial tenant may not use it"
        raise PermissionDenied(message, reason=Reason.LICENCE_REFUSED, field=FIELD, licence=licence)
    job.warnings.append(f"{FIELD}: {name} was made from weights that are {licence}, which holds for this song too")


def sounds(source: job_pb2.Job) -> Iterator[type_pb2.ArtifactRef]:
    """PURE. Of the first take: the pre-master, then the lossless masters."""
    for stage in source.stages:
        for take in stage.result.compose.takes[:1]:
            yield take.premaster
        for mastered in stage.result.master.takes[:1]:
            masters = [file.ref for file in mastered.files if file.role == "master"]
            yield from (ref for ref in masters if ref.media_type in _LOSSLESS)


def fix_length(spec: spec_pb2.SongSpec, resolved: spec_pb2.SongSpec, whole_s: float | None) -> None:
    """PURE. `whole_s`: how long the recording is; None: nobody knows yet. Raises InvalidInput."""
    start_s = spec.conditioning.start_seconds if spec.conditioning.HasField("start_seconds") else None
    if start_s is not None and whole_s is not None and start_s > whole_s:
        field = "spec.conditioning.start_seconds"
        message = f"{field} is {start_s:g}, and {spec.conditioning.continue_from} is {whole_s:.1f} s long: give less"
        raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field=field)
    heard_s = whole_s if start_s is None else start_s
    if heard_s is None:
        return
    if not spec.HasField("duration_seconds"):
        resolved.duration_seconds = min(heard_s + MORE_S, limits.DURATION_S[1])
    if resolved.duration_seconds < heard_s + LEAST_MORE_S:
        raise InvalidInput(
            f"spec.duration_seconds is {resolved.duration_seconds:g}, and the song begins with {heard_s:.1f} s of "
            f"{spec.conditioning.continue_from}: give at least {heard_s + LEAST_MORE_S:.1f}, or go on from an earlier "
            "place by conditioning.start_seconds",
            reason=Reason.OUT_OF_RANGE,
            field="spec.duration_seconds",
        )


def _check_size(ref: type_pb2.ArtifactRef) -> None:
    if ref.size_bytes > limits.UPLOAD_BYTES:
        message = f"{FIELD} has {ref.size_bytes >> 20} MiB: at most {limits.UPLOAD_BYTES >> 20} MiB are taken"
        raise InvalidInput(message, reason=Reason.TOO_LARGE, field=FIELD)


def _is_composed(job: job_pb2.Job) -> bool:
    """Of a revision that is only mastered anew."""
    return any(stage.name == "compose" and stage.state == job_pb2.Job.SUCCEEDED for stage in job.stages)


def _seconds(source: job_pb2.Job) -> float | None:
    takes = next((stage.result.compose.takes for stage in source.stages if stage.name == "compose"), ())
    return next((take.duration_seconds for take in takes), None)
