"""API keys from their making to their end."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import grpc
import psutil
import pytest

from harmonia.identity.v1 import key_pb2, key_pb2_grpc
from harmonia_chassis.identity import BOOTSTRAP, BOOTSTRAP_AUDIENCE, TokenSigner
from harmonia_chassis.status import from_rpc_error
from harmonia_local.mesh import TRUST_DOMAIN, Mesh
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.errors import InvalidInput, NotFound, PermissionDenied, Unauthenticated

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


def client_of(mesh: Mesh, token: str) -> AsyncClient:
    return AsyncClient(mesh.info.grpc, token=token, ca=Path(mesh.info.ca))


@pytest.fixture
def user(mesh: Mesh) -> str:
    return Path(mesh.info.token_file).read_text().strip()


@pytest.fixture
def operator(mesh: Mesh) -> str:
    return Path(mesh.info.operator_token_file).read_text().strip()


async def test_a_key_opens_the_door_until_it_is_revoked(mesh: Mesh, user):
    async with client_of(mesh, user) as mine:
        made = await mine.create_key("ci", valid_for=timedelta(days=1))
        async with client_of(mesh, made.token) as program:
            await program.list()
            revoked = await mine.revoke_key(made.key.name)
            with pytest.raises(Unauthenticated, match="not known here"):
                await program.list()
        again = await mine.revoke_key(made.key.name)
        shown = {key.name for key in (await mine.list_keys()).keys}
        ended = {key.name for key in (await mine.list_keys(show_ended=True)).keys}

    assert made.token.startswith(f"{made.key.prefix}_")
    assert revoked.HasField("revoke_time")
    assert again == revoked
    assert made.key.name not in shown
    assert made.key.name in ended


async def test_a_key_may_what_it_was_given_and_never_more_than_its_maker(mesh: Mesh, user):
    async with client_of(mesh, user) as mine:
        narrow = await mine.create_key(scopes=["songs:read", "keys:write"])
        usual = await mine.create_key()
        with pytest.raises(PermissionDenied, match="admin"):
            await mine.create_key(scopes=["admin"])
        with pytest.raises(PermissionDenied, match="for operators"):
            await mine.create_key(owner="somebody")
        with pytest.raises(InvalidInput, match="no scope 'songs:steal'"):
            await mine.create_key(scopes=["songs:steal"])
        with pytest.raises(PermissionDenied, match="see the keys of others"):
            await mine.list_keys(all=True)
    async with client_of(mesh, narrow.token) as program:
        await program.list()
        with pytest.raises(PermissionDenied, match="songs:write"):
            await program.compose("rain")
        with pytest.raises(PermissionDenied, match="songs:write"):
            await program.create_key(scopes=["songs:write"])
    async with client_of(mesh, usual.token) as program:
        with pytest.raises(PermissionDenied, match="keys:write"):
            await program.create_key()

    assert "keys:write" not in usual.key.scopes


async def test_keys_of_others_are_not_there(mesh: Mesh, user, operator):
    async with client_of(mesh, user) as mine, client_of(mesh, operator) as admin:
        others = await admin.create_key("theirs", tenant="acme", owner="bob")
        with pytest.raises(NotFound, match="keys/"):
            await mine.revoke_key(others.key.name)
        with pytest.raises(NotFound, match="'songs/1'"):
            await mine.revoke_key("songs/1")
        own = {key.name for key in (await mine.list_keys()).keys}
        everybody = {key.name for key in (await admin.list_keys(all=True)).keys}
        await admin.revoke_key(others.key.name)

    assert others.key.name not in own
    assert others.key.name in everybody


async def test_a_mesh_without_people_is_opened_by_one_bootstrap_token_once(mesh: Mesh):
    home = Path(mesh.info.ca).parents[1]
    signer = TokenSigner.from_file(home / "pki" / "token-signing.key.pem", TRUST_DOMAIN)
    token = signer.other(BOOTSTRAP, BOOTSTRAP_AUDIENCE, subject="bootstrap", life=timedelta(minutes=15))
    late = signer.other(BOOTSTRAP, BOOTSTRAP_AUDIENCE, subject="bootstrap", life=timedelta(minutes=-5))
    async with client_of(mesh, token) as first:
        made = await first.create_key("the operator's", tenant="acme", owner="root", operator=True, scopes=["admin"])
        with pytest.raises(Unauthenticated, match="good for one call"):
            await first.list_keys()
    async with client_of(mesh, late) as too_late:
        with pytest.raises(Unauthenticated, match="expired"):
            await too_late.list_keys()

    assert made.key.operator
    assert made.key.scopes == ["admin"]


async def test_beside_the_gateway_anybody_with_its_key_makes_the_first_token(mesh: Mesh):
    """As `kubectl exec` does it: in the gateway's own environment."""
    environment = psutil.Process(mesh.pid("gateway")).environ()
    command = [sys.executable, "-m", "harmonia_gateway.bootstrap_token"]
    ran = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    async with client_of(mesh, ran.stdout.strip()) as first:
        made = await first.create_key("the cluster's", owner="root", operator=True, scopes=["admin", "keys:write"])
        with pytest.raises(Unauthenticated, match="good for one call"):
            await first.list_keys()
    async with client_of(mesh, made.token) as operator:
        person = await operator.create_key("somebody", tenant="acme", owner="alice", scopes=["songs:read"])

    assert person.key.owner == "alice"


async def test_what_is_done_to_keys_is_on_record_for_operators(mesh: Mesh, channel, user, operator):
    async with client_of(mesh, user) as mine:
        made = await mine.create_key("recorded")
        await mine.revoke_key(made.key.name)
    keys = key_pb2_grpc.KeyServiceStub(channel)
    request = key_pb2.ListAuditRecordsRequest(page_size=2)
    records = (await keys.ListAuditRecords(request, metadata=(("authorization", f"Bearer {operator}"),))).records
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await keys.ListAuditRecords(request, metadata=(("authorization", f"Bearer {user}"),))

    assert [(one.action, one.target, one.actor) for one in records] == [
        ("key.revoked", made.key.name, "user"),
        ("key.created", made.key.name, "user"),
    ]
    assert records[0].address == "127.0.0.1"
    assert from_rpc_error(refused.value).reason == "CALLER_REFUSED"


async def test_no_file_of_the_home_holds_a_token_that_was_made(mesh: Mesh, user):
    async with client_of(mesh, user) as mine:
        made = await mine.create_key("secret")
    home = Path(mesh.info.ca).parents[1]
    holders = [path for path in home.rglob("*") if path.is_file() and made.token.encode() in path.read_bytes()]

    assert holders == []
