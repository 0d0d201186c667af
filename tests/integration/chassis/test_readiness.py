"""When a service says it is ready: with the keys it checks its callers by, and not before."""

import socket
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from harmonia.identity.v1 import identity_pb2
from harmonia.store.v1 import store_pb2, store_pb2_grpc
from harmonia_chassis.access import GRANT
from harmonia_chassis.errors import Reason, Unavailable
from harmonia_chassis.node import Node
from harmonia_chassis.settings import ServiceSettings
from tests.integration.chassis.small_mesh import Mesh, Shelf, Tokens, until

pytestmark = pytest.mark.timeout(60)

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Withheld(Tokens):
    """A gateway that gives its keys to nobody until it is told to."""

    asked = 0
    gives = False

    async def Jwks(
        self, request: identity_pb2.JwksRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> identity_pb2.JwksResponse:
        self.asked += 1
        if not self.gives:
            raise Unavailable("starting", reason=Reason.NOT_READY)
        return await super().Jwks(request, context)


async def serve_a_shelf(node: Node[ServiceSettings]) -> None:
    shelf = Shelf()  # type: ignore[abstract]  # the calls it lacks answer UNIMPLEMENTED
    node.serve(store_pb2_grpc.add_StoreServiceServicer_to_server, shelf)


async def health(node: Node[ServiceSettings], name: str) -> int:
    async with grpc.aio.insecure_channel(node.at["health"]) as channel:
        request = health_pb2.HealthCheckRequest(service=name)
        return int((await health_pb2_grpc.HealthStub(channel).Check(request)).status)


async def test_a_service_is_ready_when_it_knows_the_signing_keys_and_then_takes_the_first_call(mesh: Mesh) -> None:
    mesh.tokens = keys = Withheld(mesh.signer)
    await mesh.start_gateway()
    node = mesh.begin("artifacts", serve_a_shelf).node
    await until(lambda: keys.asked > 4)  # one call with all its retries was refused
    without = (await health(node, "live"), await health(node, "ready"), await health(node, ""), node.ready.is_set())
    keys.gives = True
    await node.ready.wait()
    mesh.at["artifacts"] = node.at["grpc"]
    composer = await mesh.client("composer")
    stub = store_pb2_grpc.StoreServiceStub(composer.channel("artifacts"))  # whose calls no channel retries
    answer = await stub.Stat(store_pb2.StatRequest(), metadata=((GRANT, mesh.grant()),))

    assert without == (SERVING, NOT_SERVING, NOT_SERVING, False)
    assert (await health(node, "ready"), await health(node, "")) == (SERVING, SERVING)
    assert answer == store_pb2.StatResponse()


async def test_a_service_that_starts_before_the_gateway_stays_and_is_ready_soon_after_it(mesh: Mesh) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unanswered:
        mesh.at["gateway"] = f"127.0.0.1:{unanswered.getsockname()[1]}"
    early = mesh.begin("artifacts", serve_a_shelf)
    await until(lambda: "grpc" in early.node.at)
    before = early.node.ready.is_set()
    await mesh.start_gateway(listen=mesh.at["gateway"])
    await early.node.ready.wait()

    assert not before


async def test_a_gateway_that_goes_leaves_the_others_ready(mesh: Mesh) -> None:
    gateway = mesh.begin_gateway()
    await gateway.node.ready.wait()
    mesh.at["gateway"] = gateway.node.at["grpc"]
    node = await mesh.start("artifacts", serve_a_shelf)
    await gateway.stop()

    assert (await health(node, "ready"), node.ready.is_set()) == (SERVING, True)
