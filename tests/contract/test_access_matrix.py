"""Every method × every identity, on a real mesh, against what the rules in the descriptors say.

A new RPC is covered the day it is added: methods come from the descriptors, and so do the expected answers.
"""

import asyncio
import hashlib
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from harmonia.access.v1 import access_pb2
from harmonia.song.v1 import spec_pb2
from harmonia_chassis.access import Door, Rule, rule_of
from harmonia_chassis.identity import Peer, TokenSigner, thumbprint
from harmonia_local.certificates import LEAVES, SERVICES, USER_SCOPES, open_authority
from harmonia_local.mesh import TRUST_DOMAIN, Mesh, running_mesh
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.song import AsyncSong

OFFERED_BY = {
    "gateway": (
        "harmonia.song.v1.SongService",
        "harmonia.lyrics.v1.LyricsService",
        "harmonia.audio.v1.AudioService",
        "harmonia.artifact.v1.ArtifactService",
        "harmonia.capability.v1.CapabilityService",
        "harmonia.identity.v1.TokenService",
        "harmonia.identity.v1.KeyService",
        "harmonia.webhook.v1.WebhookService",
        "harmonia.project.v1.ProjectService",
        "harmonia.share.v1.ShareService",
        "harmonia.model.v1.ModelService",
    ),
    "lyricist": ("harmonia.lyricist.v1.LyricistService",),
    "composer": ("harmonia.composer.v1.ComposerService", "harmonia.model.v1.ModelStoreService"),
    "mastering": ("harmonia.mastering.v1.MasteringService",),
    "artifacts": ("harmonia.store.v1.StoreService", "harmonia.model.v1.ShelfService"),
}
CONTRACTS = Path(__file__).parents[2] / "proto" / "gen" / "python"
MODULES = [
    import_module(".".join(path.relative_to(CONTRACTS).with_suffix("").parts)) for path in CONTRACTS.rglob("*_pb2.py")
]
METHODS = [
    (service, method)
    for service, names in OFFERED_BY.items()
    for name in names
    for method in Default().FindServiceByName(name).methods
]
# Fields that name somebody's thing.
NAMING = {"name", "song", "like"}
LET_IN = "let in"
REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED", "UNAVAILABLE"}
PEOPLE = {
    # name: tenant, owner, scopes, operator
    "owner": ("local", "user", USER_SCOPES, False),
    "other owner": ("local", "somebody else", USER_SCOPES, False),
    "other tenant": ("elsewhere", "user", USER_SCOPES, False),
    "without scopes": ("local", "user", (), False),
    "operator": ("local", "operator", (*USER_SCOPES, "admin"), True),
}


def test_every_service_of_the_contracts_is_offered_somewhere() -> None:
    declared = {service.full_name for module in MODULES for service in module.DESCRIPTOR.services_by_name.values()}

    assert declared == {name for names in OFFERED_BY.values() for name in names}


@dataclass(frozen=True)
class Caller:
    """Who calls: certificate files or none, and metadata."""

    name: str
    certificate: bytes | None = None
    key: bytes | None = None
    metadata: tuple[tuple[str, str], ...] = ()


@dataclass
class World:
    mesh: Mesh
    home: Path
    song: str
    artifact: str
    project: str
    share: str
    tokens: dict[str, str]
    signer: TokenSigner
    channels: dict[tuple[str, str], grpc.aio.Channel] = field(default_factory=dict)

    def address(self, service: str, door: Door) -> str:
        if door is Door.PUBLIC:
            return self.mesh.info.grpc
        return next(one.grpc for one in self.mesh.info.services if one.name == service)

    def service_token(self, service: str, audience: str) -> str:
        pem = (self.home / "pki" / f"{service}.pem").read_bytes()
        return self.signer.service_token(Peer(service, thumbprint(pem)), audience).text

    def grant(self, tenant: str = "local", owner: str = "user", life: timedelta = timedelta(minutes=5)) -> str:
        return self.signer.grant(tenant=tenant, owner=owner, subject="test", expires=datetime.now(UTC) + life)

    def certificate(self, service: str) -> tuple[bytes, bytes]:
        pki = self.home / "pki"
        return (pki / f"{service}.pem").read_bytes(), (pki / f"{service}.key.pem").read_bytes()

    def channel(self, service: str, door: Door, caller: Caller) -> grpc.aio.Channel:
        address = self.address(service, door)
        if (address, caller.name) not in self.channels:
            ca = (self.home / "pki" / "ca.pem").read_bytes()
            credentials = grpc.ssl_channel_credentials(ca, caller.key, caller.certificate)
            options = [("grpc.use_local_subchannel_pool", 1)]
            self.channels[address, caller.name] = grpc.aio.secure_channel(address, credentials, options)
        return self.channels[address, caller.name]


def people_file(folder: Path) -> tuple[Path, dict[str, str]]:
    tokens = {name: f"token-of-{name.replace(' ', '-')}" for name in PEOPLE}
    records = [
        {
            "name": name.replace(" ", "-"),
            "sha256": hashlib.sha256(tokens[name].encode()).hexdigest(),
            "tenant": tenant,
            "owner": owner,
            "scopes": list(scopes),
            "operator": operator,
        }
        for name, (tenant, owner, scopes, operator) in PEOPLE.items()
    ]
    path = folder / "people.json"
    path.write_text(json.dumps(records))
    return path, tokens


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("matrix")


@pytest.fixture
async def world(folder: Path) -> AsyncIterator[World]:
    home = folder / "home"
    people, tokens = people_file(folder)
    environment = {"HARMONIA_BOOTSTRAP_KEYS": str(people), "HARMONIA_RATE_READS": "1000000"}
    async with running_mesh(home, environment=environment, say=lambda _line: None) as mesh:
        ca = (home / "pki" / "ca.pem").read_bytes()
        async with AsyncClient(mesh.info.grpc, token=tokens["owner"], ca=ca) as client:
            song = await client.create(spec_pb2.SongSpec(prompt="techno", duration_seconds=5))
            sample = folder / "note.txt"
            sample.write_text("one, two, three")
            artifact = await client.upload(sample)
            project = await client.projects.create("Album", songs=[song.name])
            await AsyncSong(client, song).wait()
            shared = await client.shares.create(song.name)
        signer = TokenSigner.from_file(home / "pki" / "token-signing.key.pem", TRUST_DOMAIN)
        found = World(mesh, home, song.name, artifact.name, project.name, shared.share.name, tokens, signer)
        yield found
        for channel in found.channels.values():
            await channel.close()


def internal_callers(world: World, target: str) -> Iterator[Caller]:
    yield Caller("no certificate")
    yield Caller("foreign CA", *_foreign(world.home.parent))
    yield Caller("expired", *_expired(world.home))
    gateway = world.certificate("gateway")
    yield Caller("no token", *gateway)
    yield Caller("user token inside", *gateway, (("authorization", f"Bearer {world.tokens['owner']}"),))
    elsewhere = "composer" if target != "composer" else "lyricist"
    yield Caller("wrong audience", *gateway, _bearer(world.service_token("gateway", elsewhere)))
    yield Caller("another's token", *world.certificate("composer"), _bearer(world.service_token("gateway", target)))
    yield Caller("observer", *world.certificate("observer"), _bearer(world.service_token("gateway", target)))
    right = _bearer(world.service_token("gateway", target))
    yield Caller("gateway without grant", *gateway, right)
    yield Caller(
        "gateway with an old grant", *gateway, (*right, ("hm-grant", world.grant(life=timedelta(seconds=-60))))
    )
    yield Caller("gateway with a forged grant", *gateway, (*right, ("hm-grant", world.grant()[:-8] + "AAAAAAAA")))
    for service in SERVICES:
        token = _bearer(world.service_token(service, target))
        yield Caller(service, *world.certificate(service), (*token, ("hm-grant", world.grant())))


def public_callers(world: World) -> Iterator[Caller]:
    yield Caller("nobody")
    yield Caller("nonsense token", metadata=_bearer("nonsense"))
    yield Caller("service token outside", metadata=_bearer(world.service_token("gateway", "gateway")))
    yield Caller("oversized token", metadata=_bearer("x" * 9000))
    for name, token in world.tokens.items():
        yield Caller(name, metadata=_bearer(token))


def expected(rule: Rule, door: Door, caller: Caller, path: str) -> set[str]:
    """Codes by which the call may end: what the rule says, and nothing of what the code does."""
    if door not in rule.doors:
        return {"UNAVAILABLE", "UNIMPLEMENTED"}
    return _expected_public(rule, caller) if door is Door.PUBLIC else _expected_internal(rule, caller, path)


def _expected_public(rule: Rule, caller: Caller) -> set[str]:
    if caller.name not in PEOPLE:
        return {"UNAUTHENTICATED"}
    _tenant, _owner, scopes, operator = PEOPLE[caller.name]
    if not ("USER" in rule.callers or operator):
        return {"PERMISSION_DENIED"}
    return {LET_IN} if not rule.scope or rule.scope in scopes else {"PERMISSION_DENIED"}


def _expected_internal(rule: Rule, caller: Caller, path: str) -> set[str]:
    if caller.name in {"no certificate", "foreign CA", "expired"}:
        return {"UNAVAILABLE"}
    named = caller.name.split(" ")[0] if caller.name.startswith("gateway") else caller.name
    service = {"another's token": "composer", "observer": "observer"}.get(named, named)
    service = service if service in (*SERVICES, "observer") else "gateway"
    if service == "observer" or not rule.allows_service(service):
        return {"PERMISSION_DENIED", "UNAUTHENTICATED"}
    if rule.certificate_only:
        return {LET_IN}
    if caller.name in {"no token", "user token inside", "wrong audience", "another's token"}:
        return {"UNAUTHENTICATED"}
    if rule.granted and caller.name.startswith("gateway "):
        return {"PERMISSION_DENIED", "UNAUTHENTICATED"}
    return {LET_IN}


def request_of(method: MethodDescriptor, world: World) -> Message:
    """A request that names the owner's song, file or project where the method names one."""
    request = GetMessageClass(method.input_type)()
    own = {"ArtifactService": world.artifact, "ProjectService": world.project, "ShareService": world.share}
    named = own.get(method.containing_service.name, world.song)
    for naming in NAMING & set(method.input_type.fields_by_name):
        setattr(request, naming, named if naming == "name" else world.song)
    if "audience" in method.input_type.fields_by_name:
        request.audience = "artifacts"  # type: ignore[attr-defined]  # as above
    return request


async def answer(world: World, service: str, method: MethodDescriptor, door: Door, caller: Caller) -> str:
    channel = world.channel(service, door, caller)
    path = f"/{method.containing_service.full_name}/{method.name}"
    request = request_of(method, world)
    options = {
        "request_serializer": GetMessageClass(method.input_type).SerializeToString,
        "response_deserializer": GetMessageClass(method.output_type).FromString,
    }
    kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
    call = getattr(channel, kind)(path, **options)
    sent = iter([request]) if method.client_streaming else request
    try:
        replies = call(sent, metadata=caller.metadata, timeout=60)
        if method.server_streaming:
            async for _reply in replies:
                replies.cancel()
                break
        else:
            await replies
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    except asyncio.CancelledError:
        return "OK"
    return "OK"


# What the cells change is not put back: they come after everything that needs the song.
DESTRUCTIVE = {"CancelSong", "DeleteSong", "UndeleteSong", "RetrySong", "DeleteProject"}


@pytest.mark.timeout(300)
async def test_every_cell_is_as_the_rules_say(world: World) -> None:
    cells: Counter[str] = Counter()
    wrong: list[str] = []
    for service, method in sorted(METHODS, key=lambda one: one[1].name in DESTRUCTIVE):
        path = f"/{method.containing_service.full_name}/{method.name}"
        rule = rule_of(path)
        doors = [Door.INTERNAL, Door.PUBLIC] if service == "gateway" else [Door.INTERNAL]
        for door in doors:
            callers = public_callers(world) if door is Door.PUBLIC else internal_callers(world, service)
            for caller in callers:
                got = await answer(world, service, method, door, caller)
                want = expected(rule, door, caller, path)
                shown = LET_IN if got not in REFUSED else got
                cells[shown] += 1
                if shown not in want:
                    wrong.append(f"{door} {method.name} by {caller.name}: {got}, should be {sorted(want)}")

    print(f"access matrix: {cells.total()} cells, {dict(cells)}", file=sys.stderr)
    assert wrong == []
    assert cells[LET_IN]


@pytest.mark.timeout(120)
async def test_a_stranger_learns_nothing_of_others_things(world: World) -> None:
    """Of things that are somebody else's: not found, by every method that names one. Models are nobody's."""
    named = [
        method
        for _service, method in METHODS
        if NAMING & set(method.input_type.fields_by_name)
        and method.GetOptions().Extensions[access_pb2.rule].resource == access_pb2.Rule.OWN
    ]
    wrong = []
    for method in named:
        for name in ("other tenant", "other owner"):
            caller = Caller(name, metadata=_bearer(world.tokens[name]))
            got = await answer(world, "gateway", method, Door.PUBLIC, caller)
            if got != "NOT_FOUND":
                wrong.append(f"{method.name} by {name}: {got}")

    assert len(named) >= 10
    assert wrong == []


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _foreign(folder: Path) -> tuple[bytes, bytes]:
    pki = folder / "foreign"
    pki.mkdir(exist_ok=True)
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    gateway = next(leaf for leaf in LEAVES if leaf.name == "gateway")
    return open_authority(pki, now).issue(gateway, key, trust_domain=TRUST_DOMAIN, now=now), _pem(key)


def _expired(home: Path) -> tuple[bytes, bytes]:
    now, key = datetime.now(UTC), ec.generate_private_key(ec.SECP256R1())
    gateway = next(leaf for leaf in LEAVES if leaf.name == "gateway")
    authority = open_authority(home / "pki", now)
    return authority.issue(gateway, key, trust_domain=TRUST_DOMAIN, now=now - timedelta(days=3)), _pem(key)
