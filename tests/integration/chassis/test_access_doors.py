"""Who gets in at which door, and as whom."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from harmonia.access.v1 import access_pb2
from harmonia.capability.v1 import capability_pb2, capability_pb2_grpc
from harmonia.identity.v1 import identity_pb2, identity_pb2_grpc
from harmonia.store.v1 import store_pb2 as pb
from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia_chassis.access import Door, RuleMissing, current_principal, rule_of, rules_of
from harmonia_chassis.errors import HarmoniaError, NotFound, PermissionDenied, Reason, Unauthenticated
from harmonia_chassis.identity import SCOPES, Peer, Principal
from harmonia_chassis.node import Node
from harmonia_chassis.server import DoorMissing, Limits, offers_of
from harmonia_chassis.settings import ServiceSettings
from harmonia_chassis.status import rpc_errors
from tests.integration.chassis.small_mesh import Files, Mesh, Tokens, caller

USER = Principal("user", "ann", "acme", "ann", frozenset({"songs:read"}))
Metadata = tuple[tuple[str, str], ...]


class Forms(capability_pb2_grpc.CapabilityServiceServicer):
    """A public service: says who called."""

    async def GetCapabilities(
        self, request: capability_pb2.GetCapabilitiesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> capability_pb2.Capabilities:
        self.caller = current_principal()
        return capability_pb2.Capabilities()


async def stat(mesh: Mesh, files: Files, *metadata: tuple[str, str]) -> None:
    """What a bare client gets that sends exactly this."""
    async with caller(mesh.at["artifacts"], files, server_name="artifacts.harmonia") as channel:
        with rpc_errors():
            await rpc.StoreServiceStub(channel).Stat(pb.StatRequest(), metadata=metadata, timeout=60)


async def refused(call: Awaitable[object]) -> tuple[type[HarmoniaError], Reason]:
    with pytest.raises(HarmoniaError) as raised:
        await call
    return type(raised.value), raised.value.reason


def bearer(text: str) -> tuple[str, str]:
    return ("authorization", f"Bearer {text}")


def token(mesh: Mesh, files: Files, *, service: str = "composer", audience: str = "artifacts") -> tuple[str, str]:
    peer = Peer(service, files.certificate().current.thumbprint)
    return bearer(mesh.signer.service_token(peer, audience).text)


async def test_a_servicer_knows_the_caller_and_the_grant(mesh: Mesh) -> None:
    shelf = await mesh.start_shelf()
    composer = await mesh.client("composer")

    await composer.store.put(b"x", "audio/flac", mesh.grant(tenant="acme", owner="ann"))

    principal, grant = shelf.callers[0]
    assert principal == Principal("service", "composer", "mesh", "composer", SCOPES["composer"])
    assert (grant.tenant, grant.owner, grant.subject) == ("acme", "ann", "song-1")


async def test_the_internal_door_takes_a_certificate_with_its_token_and_a_grant_and_nothing_less(mesh: Mesh) -> None:
    shelf = await mesh.start_shelf()
    composer = mesh.authority.issue("composer", file="own")
    artifacts = mesh.authority.issue("artifacts", file="artifacts-own")
    good, grant = token(mesh, composer), ("hm-grant", mesh.grant())
    stolen = token(mesh, mesh.authority.issue("composer", file="another"))

    await stat(mesh, composer, good, grant)
    assert len(shelf.callers) == 1

    invalid = (Unauthenticated, Reason.TOKEN_INVALID)
    no_grant = (PermissionDenied, Reason.GRANT_REFUSED)
    expired = ("hm-grant", mesh.grant(life=timedelta(seconds=-31)))
    table: dict[str, tuple[Files, Metadata, tuple[type[HarmoniaError], Reason]]] = {
        "no token": (composer, (grant,), (Unauthenticated, Reason.TOKEN_MISSING)),
        "basic": (composer, (("authorization", "Basic eDp5"), grant), (Unauthenticated, Reason.TOKEN_MISSING)),
        "two tokens": (composer, (good, good, grant), invalid),
        "of another certificate": (composer, (stolen, grant), invalid),
        "of another service": (composer, (token(mesh, composer, service="mastering"), grant), invalid),
        "for another service": (composer, (token(mesh, composer, audience="mastering"), grant), invalid),
        "a user's key": (composer, (bearer("opaque-key-of-a-user"), grant), invalid),
        "a grant as a token": (composer, (bearer(grant[1]), grant), invalid),
        "no grant": (composer, (good,), no_grant),
        "two grants": (composer, (good, grant, grant), no_grant),
        "a token as a grant": (composer, (good, ("hm-grant", good[1].removeprefix("Bearer "))), no_grant),
        "an old grant": (composer, (good, expired), no_grant),
        "no grant at all": (composer, (good, ("hm-grant", "x")), no_grant),
        "a service the rule does not name": (
            artifacts,
            (token(mesh, artifacts, service="artifacts"), grant),
            (PermissionDenied, Reason.CALLER_REFUSED),
        ),
    }
    answers = {name: await refused(stat(mesh, files, *metadata)) for name, (files, metadata, _) in table.items()}

    assert answers == {name: answer for name, (_, _, answer) in table.items()}
    assert len(shelf.callers) == 1


async def test_a_certificate_that_names_no_service_of_the_mesh_is_refused(mesh: Mesh) -> None:
    await mesh.start_shelf()
    for number, spiffe in enumerate(
        [
            "",
            "spiffe://other.mesh/svc/composer",
            "spiffe://harmonia.local/svc/observer",
            "https://harmonia.local/svc/composer",
        ]
    ):
        files = mesh.authority.issue("composer", spiffe=spiffe, file=f"odd-{number}")

        assert await refused(stat(mesh, files)) == (Unauthenticated, Reason.CERTIFICATE_REFUSED)


async def test_a_scope_the_token_lacks_is_named(mesh: Mesh) -> None:
    await mesh.start_shelf()
    files = mesh.authority.issue("composer", file="own")
    text = token(mesh, files)[1].removeprefix("Bearer ")
    claims = jwt.decode(text, options={"verify_signature": False}) | {"scope": "store:write tokens:read"}
    narrow = jwt.encode(claims, mesh.signing_key, "EdDSA", jwt.get_unverified_header(text))

    with pytest.raises(PermissionDenied, match="store:read") as raised:
        await stat(mesh, files, bearer(narrow), ("hm-grant", mesh.grant()))

    assert (raised.value.reason, raised.value.metadata) == (Reason.SCOPE_MISSING, {"scope": "store:read"})


async def test_a_revocation_reaches_the_other_services(mesh: Mesh) -> None:
    mesh.limits = Limits(ask_for_revocations=timedelta(seconds=0.05))
    await mesh.start_shelf()
    files = mesh.authority.issue("composer", file="own")
    good, grant = token(mesh, files), ("hm-grant", mesh.grant())
    await stat(mesh, files, good, grant)

    subject = "spiffe://harmonia.local/svc/composer"
    mesh.tokens.revoked.append(identity_pb2.Revocation(subject=subject, min_iat=Timestamp(seconds=2**33)))

    assert await eventually(lambda: refused(stat(mesh, files, good, grant))) == (
        Unauthenticated,
        Reason.TOKEN_INVALID,
    )


async def eventually(question: Callable[[], Awaitable[object]]) -> object:
    for _ in range(100):
        try:
            return await question()
        except pytest.fail.Exception:
            continue
    return await question()


async def start_public(mesh: Mesh, forms: Forms) -> Node[ServiceSettings]:
    async def authenticate(text: str) -> Principal:
        if text != "key-of-ann":
            raise Unauthenticated("no such key", reason=Reason.TOKEN_INVALID)
        return USER

    async def start(node: Node[ServiceSettings]) -> None:
        node.serve_users("127.0.0.1:0", authenticate, certificates=node.certificates)
        node.serve(capability_pb2_grpc.add_CapabilityServiceServicer_to_server, forms, public=True)

    return await mesh.start_gateway(start)


async def ask(mesh: Mesh, address: str, *metadata: tuple[str, str], files: Files | None = None) -> None:
    """GetCapabilities, as a user does: server TLS and a token."""
    files = files or mesh.authority.issue("composer", file="user")
    async with caller(address, files, server_name="localhost") as channel:
        with rpc_errors():
            stub = capability_pb2_grpc.CapabilityServiceStub(channel)
            await stub.GetCapabilities(capability_pb2.GetCapabilitiesRequest(), metadata=metadata, timeout=60)


async def test_the_public_door_takes_a_users_token_over_server_tls(mesh: Mesh) -> None:
    forms = Forms()
    gateway = await start_public(mesh, forms)
    ca = mesh.authority.directory / "ca.pem"
    credentials = grpc.ssl_channel_credentials(ca.read_bytes())

    async with grpc.aio.secure_channel(f"localhost:{gateway.at['public'].rpartition(':')[2]}", credentials) as channel:
        stub = capability_pb2_grpc.CapabilityServiceStub(channel)
        request = capability_pb2.GetCapabilitiesRequest()
        await stub.GetCapabilities(request, metadata=(bearer("key-of-ann"),), timeout=60)

    assert forms.caller is USER


async def test_the_public_door_refuses_services_strangers_and_those_without_a_token(mesh: Mesh) -> None:
    gateway = await start_public(mesh, Forms())
    public = gateway.at["public"]
    files = mesh.authority.issue("composer", file="own")

    assert await refused(ask(mesh, public)) == (Unauthenticated, Reason.TOKEN_MISSING)
    assert await refused(ask(mesh, public, bearer("key-of-bob"))) == (Unauthenticated, Reason.TOKEN_INVALID)
    with pytest.raises(Unauthenticated, match="service's token"):
        await ask(mesh, public, token(mesh, files, audience="gateway"), files=files)


async def test_each_door_offers_only_the_methods_of_its_callers(mesh: Mesh) -> None:
    gateway = await start_public(mesh, Forms())
    files = mesh.authority.issue("composer", file="own")

    internal = ask(mesh, gateway.at["grpc"], bearer("key-of-ann"), files=files)
    assert await refused(internal) == (NotFound, Reason.METHOD_NOT_FOUND)
    async with caller(gateway.at["public"], files, server_name="localhost") as channel:
        stub = identity_pb2_grpc.TokenServiceStub(channel)
        with pytest.raises(NotFound, match=re.compile("not found", re.IGNORECASE)), rpc_errors():
            await stub.Exchange(identity_pb2.ExchangeRequest(audience="artifacts"), timeout=60)


async def test_a_service_for_users_is_not_started_without_a_public_door(mesh: Mesh) -> None:
    async def hidden(node: Node[ServiceSettings]) -> None:
        node.serve(capability_pb2_grpc.add_CapabilityServiceServicer_to_server, Forms())

    async def no_door(node: Node[ServiceSettings]) -> None:
        node.serve(capability_pb2_grpc.add_CapabilityServiceServicer_to_server, Forms(), public=True)

    for start in (hidden, no_door):
        with pytest.RaisesGroup(pytest.RaisesExc(DoorMissing, match="CapabilityService/GetCapabilities")):
            await mesh.start_gateway(start)


def test_a_method_without_a_rule_stops_the_server() -> None:
    with pytest.raises(RuleMissing, match=r"grpc.health.v1.Health.Check"):
        rules_of(["grpc.health.v1.Health"])


def test_every_method_of_every_harmonia_service_has_a_rule_and_a_door() -> None:
    generated = Path(access_pb2.__file__).parents[2]
    modules = [
        import_module(f"harmonia.{path.parents[1].name}.v1.{path.stem}") for path in generated.glob("*/v1/*_pb2.py")
    ]
    services = [found.full_name for module in modules for found in module.DESCRIPTOR.services_by_name.values()]

    rules = rules_of(services)

    assert len(services) >= 10
    assert len(rules) >= 35
    assert all(rule.doors for rule in rules.values())


def test_operators_do_what_users_do_and_users_not_what_operators_do() -> None:
    offers = offers_of(identity_pb2_grpc.add_TokenServiceServicer_to_server, Tokens.__new__(Tokens))
    assert {offer.rule.doors for offer in offers} == {frozenset({Door.INTERNAL})}

    users = rule_of("/harmonia.song.v1.SongService/GetSong")
    operators = type(users)(frozenset({"OPERATOR"}), "admin", granted=False, certificate_only=False)
    operator = Principal("user", "op", "local", "op", frozenset({"admin"}), operator=True)

    assert users.allows_user(operator)
    assert operators.allows_user(operator)
    assert not operators.allows_user(USER)
