"""AudioService at the public door, through the call door of mastering."""

import grpc

from harmonia.audio.v1 import audio_pb2 as pb
from harmonia.audio.v1 import audio_pb2_grpc as rpc
from harmonia.mastering.v1 import mastering_pb2, mastering_pb2_grpc
from harmonia.store.v1 import store_pb2, store_pb2_grpc
from harmonia_chassis.access import GRANT, current_principal
from harmonia_chassis.identity import TokenSigner
from harmonia_gateway import rules
from harmonia_gateway.grants import call_grant
from harmonia_gateway.names import artifact_digest
from harmonia_gateway.quotas import Quotas

# Of the longest recording that may be uploaded, 20 minutes, on one slow core.
_LONGEST_S = 300.0


class AudioServicer(rpc.AudioServiceServicer):
    def __init__(
        self, *, mastering: grpc.aio.Channel, artifacts: grpc.aio.Channel, signer: TokenSigner, quotas: Quotas
    ) -> None:
        self._mastering = mastering_pb2_grpc.MasteringServiceStub(mastering)
        self._store = store_pb2_grpc.StoreServiceStub(artifacts)
        self._signer = signer
        self._quotas = quotas

    async def Analyze(self, request: pb.AnalyzeRequest, _context: object) -> pb.AnalyzeResponse:
        rules.refuse_unknown_fields(request)
        self._quotas.reads.take(current_principal().tenant)
        sha256 = artifact_digest(request.artifact, field="artifact")
        metadata = ((GRANT, call_grant(self._signer)),)
        found = await self._store.Stat(store_pb2.StatRequest(sha256=sha256), metadata=metadata)
        analyze = mastering_pb2.AnalyzeRequest(source=found.object.ref)
        answer = await self._mastering.Analyze(analyze, metadata=metadata, timeout=_LONGEST_S)
        return answer.analysis
