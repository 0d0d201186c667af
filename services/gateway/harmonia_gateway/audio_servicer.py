"""AudioService at the public door, through the call door of mastering."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime

import grpc

from harmonia.audio.v1 import audio_pb2 as pb
from harmonia.audio.v1 import audio_pb2_grpc as rpc
from harmonia.capability.v1 import capability_pb2
from harmonia.mastering.v1 import mastering_pb2, mastering_pb2_grpc
from harmonia.song.v1 import spec_pb2
from harmonia.store.v1 import store_pb2, store_pb2_grpc
from harmonia.type.v1 import type_pb2
from harmonia_chassis.access import GRANT, current_principal
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_chassis.identity import TokenSigner
from harmonia_gateway import limits, rules, songs
from harmonia_gateway.capabilities import Capabilities
from harmonia_gateway.grants import call_grant
from harmonia_gateway.names import artifact_digest
from harmonia_gateway.quotas import Quotas

# Of the longest recording that may be uploaded, 20 minutes, on one slow core.
_LONGEST_S = 300.0
_DEFAULT_FORMAT = "wav"


class AudioServicer(rpc.AudioServiceServicer):
    def __init__(
        self,
        *,
        mastering: grpc.aio.Channel,
        artifacts: grpc.aio.Channel,
        capabilities: Capabilities,
        signer: TokenSigner,
        quotas: Quotas,
    ) -> None:
        self._mastering = mastering_pb2_grpc.MasteringServiceStub(mastering)
        self._store = store_pb2_grpc.StoreServiceStub(artifacts)
        self._capabilities = capabilities
        self._signer = signer
        self._quotas = quotas

    async def Analyze(self, request: pb.AnalyzeRequest, _context: object) -> pb.AnalyzeResponse:
        rules.refuse_unknown_fields(request)
        self._quotas.reads.take(current_principal().tenant)
        grant = call_grant(self._signer)
        analyze = mastering_pb2.AnalyzeRequest(source=await self._found(request.artifact, grant))
        analyze.picture = request.picture
        answer = await self._mastering.Analyze(analyze, metadata=((GRANT, grant),), timeout=_LONGEST_S)
        return answer.analysis

    async def Master(self, request: pb.MasterRequest, _context: object) -> AsyncIterator[pb.MasterResponse]:
        rules.refuse_unknown_fields(request)
        self._quotas.creates.take(current_principal().tenant)
        capabilities = await self._capabilities.current()
        wanted = master_request(request, capabilities)
        grant = call_grant(self._signer)
        wanted.sources.add(take=1, premaster=await self._found(request.artifact, grant), uploaded=True)
        call = self._mastering.Master(wanted, metadata=((GRANT, grant),), timeout=_LONGEST_S)
        try:
            async for event in call:
                yield shown(event)
        finally:
            call.cancel()

    async def _found(self, artifact: str, grant: str) -> type_pb2.ArtifactRef:
        """Raises NotFound for what is not there, or is somebody else's."""
        sha256 = artifact_digest(artifact, field="artifact")
        found = await self._store.Stat(store_pb2.StatRequest(sha256=sha256), metadata=((GRANT, grant),))
        return found.object.ref


def master_request(request: pb.MasterRequest, capabilities: capability_pb2.Capabilities) -> mastering_pb2.MasterRequest:
    """PURE. What mastering is asked for, but for the recording. Raises InvalidInput naming the field."""
    mastering = spec_pb2.Mastering(preset=_preset(request.preset, capabilities))
    for name in ("target_lufs", "ceiling_dbtp", "intensity"):
        if request.HasField(name):
            setattr(mastering, name, _number(request, name))
    if mastering.preset == spec_pb2.Mastering.NONE and mastering.HasField("target_lufs"):
        message = "target_lufs is set, and the preset NONE has no target: choose another preset, or none"
        raise InvalidInput(message, reason=Reason.CONTRADICTORY, field="target_lufs")
    songs.fix_mastering(mastering, capabilities)
    for name in ("title", "artist"):
        text = getattr(request, name)
        rules.check_text(text, limits.TITLE_CHARACTERS, shown=name, allowed_controls="")
    return mastering_pb2.MasterRequest(
        mastering=mastering,
        formats=_formats(request.formats, capabilities),
        tags=mastering_pb2.Tags(title=request.title, artist=request.artist),
        preview=request.preview,
    )


def _preset(name: str, capabilities: capability_pb2.Capabilities) -> "spec_pb2.Mastering.Preset.ValueType":
    offered = {preset.name.casefold(): preset.name for preset in capabilities.presets}
    found = offered.get(name.casefold() or "streaming")
    if found is None:
        allowed = ", ".join(offered.values())
        message = f"preset is {name[:40]!r}: it must be one of {allowed}"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="preset", retry_after=None, allowed=allowed)
    return spec_pb2.Mastering.Preset.Value(found)


def _number(request: pb.MasterRequest, name: str) -> float:
    rule = rules.RULES[f"mastering.{name}"]
    assert not isinstance(rule, rules.Planned)
    value = float(getattr(request, name))
    rule(rules.Setting(f"mastering.{name}", name, value, request.DESCRIPTOR.fields_by_name[name]), datetime.now(UTC))
    return value


def _formats(names: Iterable[str], capabilities: capability_pb2.Capabilities) -> list[str]:
    wanted = [name.casefold() for name in names] or [_DEFAULT_FORMAT]
    for name in wanted:
        if name not in capabilities.formats:
            allowed = ", ".join(capabilities.formats)
            message = f"formats holds {name[:40]!r}: it may hold {allowed}"
            raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="formats", retry_after=None, allowed=allowed)
    return list(dict.fromkeys(wanted))


def shown(event: mastering_pb2.MasterEvent) -> pb.MasterResponse:
    """PURE. What the public is shown of an event."""
    if event.HasField("progress"):
        said = event.progress
        return pb.MasterResponse(progress=pb.MasterResponse.Progress(fraction=said.fraction, message=said.message))
    take = event.result.takes[0]
    files = [
        pb.MasterResponse.File(
            artifact=f"artifacts/{file.ref.sha256}",
            role=file.role,
            file=file.file,
            bytes=file.ref.size_bytes,
            seconds=file.duration_seconds,
            media_type=file.ref.media_type,
        )
        for file in take.files
    ]
    result = pb.MasterResponse.Result(files=files, analysis=take.analysis, warnings=event.result.warnings)
    return pb.MasterResponse(result=result)
