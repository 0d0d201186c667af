"""CapabilityService at the public door."""

from harmonia.capability.v1 import capability_pb2 as pb
from harmonia.capability.v1 import capability_pb2_grpc as rpc
from harmonia_chassis.access import current_principal
from harmonia_gateway.capabilities import Capabilities
from harmonia_gateway.quotas import Quotas


class CapabilityServicer(rpc.CapabilityServiceServicer):
    def __init__(self, capabilities: Capabilities, quotas: Quotas) -> None:
        self._capabilities = capabilities
        self._quotas = quotas

    async def GetCapabilities(self, _request: pb.GetCapabilitiesRequest, _context: object) -> pb.Capabilities:
        self._quotas.reads.take(current_principal().tenant)
        return await self._capabilities.current()
