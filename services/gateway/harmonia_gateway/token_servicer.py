"""Tokens for the services, at the internal door: what a service may do follows from its certificate."""

import time

from harmonia.identity.v1 import identity_pb2 as pb
from harmonia.identity.v1 import identity_pb2_grpc as rpc
from harmonia_chassis.access import current_peer
from harmonia_chassis.entities import Entities
from harmonia_chassis.identity import TokenSigner

REVOCATIONS = "revocation"


class TokenServicer(rpc.TokenServiceServicer):
    def __init__(self, signer: TokenSigner, entities: Entities) -> None:
        self._signer = signer
        self._entities = entities

    async def Exchange(self, request: pb.ExchangeRequest, _context: object) -> pb.ExchangeResponse:
        token = self._signer.service_token(current_peer(), request.audience)
        response = pb.ExchangeResponse(token=token.text)
        response.expires_in.FromSeconds(max(0, int(token.expires.timestamp() - time.time())))
        return response

    async def Jwks(self, _request: pb.JwksRequest, _context: object) -> pb.JwksResponse:
        return pb.JwksResponse(jwks_json=self._signer.jwks_json())

    async def ListRevocations(
        self, _request: pb.ListRevocationsRequest, _context: object
    ) -> pb.ListRevocationsResponse:
        stored = await self._entities.list(REVOCATIONS)
        return pb.ListRevocationsResponse(revocations=[pb.Revocation.FromString(body) for _, _, body in stored])
