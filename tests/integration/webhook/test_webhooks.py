"""Webhooks: told once, signed, again after a failure; and never to an address inside."""

import asyncio
import hashlib
import hmac
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from harmonia.song.v1 import spec_pb2
from harmonia.webhook.v1 import webhook_pb2 as pb
from harmonia.webhook.v1 import webhook_pb2_grpc as rpc
from harmonia_chassis.errors import InvalidInput
from harmonia_chassis.status import from_rpc_error
from harmonia_gateway.outside import Address, AddressRefused, NoAnswer, Outside
from harmonia_local.mesh import Mesh, running_mesh
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.song import AsyncSong
from tests.receiver import Receiver, make_certificate, receiving

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(150)]

SMALL = Path(__file__).parents[1] / "gateway" / "small_service.py"
COMMANDS = {name: (sys.executable, str(SMALL), name) for name in ("lyricist", "composer", "mastering")}
LONG_S = 60


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("receiver") / "receiver.pem"
    make_certificate(path)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mesh(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> AsyncIterator[Mesh]:
    environment = {"HARMONIA_WEBHOOK_ALLOW": "127.0.0.1/32", "HARMONIA_WEBHOOK_CA": str(certificate)}
    home = tmp_path_factory.mktemp("home")
    async with running_mesh(home, commands=COMMANDS, environment=environment, lease_s=2, say=lambda _: None) as mesh:
        yield mesh


@pytest_asyncio.fixture(loop_scope="module")
async def hooks(mesh: Mesh) -> AsyncIterator["rpc.WebhookServiceAsyncStub"]:
    tls = grpc.ssl_channel_credentials(Path(mesh.info.ca).read_bytes())
    token = grpc.access_token_call_credentials(Path(mesh.info.token_file).read_text().strip())
    credentials = grpc.composite_channel_credentials(tls, token)
    async with grpc.aio.secure_channel(mesh.info.grpc, credentials) as channel:
        yield rpc.WebhookServiceStub(channel)


@pytest_asyncio.fixture(loop_scope="module")
async def client(mesh: Mesh) -> AsyncIterator[AsyncClient]:
    token = Path(mesh.info.token_file).read_text().strip()
    async with AsyncClient(mesh.info.grpc, token=token, ca=Path(mesh.info.ca)) as client:
        yield client


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LONG_S):
        while not await condition():
            await asyncio.sleep(0.05)


async def delivered(hooks: "rpc.WebhookServiceAsyncStub", name: str, song: str) -> list[pb.Delivery]:
    answer = await hooks.ListDeliveries(pb.ListDeliveriesRequest(name=name))
    return [one for one in answer.deliveries if one.song == song]


async def test_the_end_of_a_song_is_told_once_and_signed(hooks, client, certificate):
    async with receiving(Receiver(), certificate) as receiver:
        made = await hooks.CreateWebhook(pb.CreateWebhookRequest(url=f"https://localhost:{receiver.port}/end"))
        song = await client.create(spec_pb2.SongSpec(prompt="techno"))

        async def told() -> bool:
            return any(
                one.state == pb.Delivery.DELIVERED for one in await delivered(hooks, made.webhook.name, song.name)
            )

        await until(told)
        await hooks.DeleteWebhook(pb.DeleteWebhookRequest(name=made.webhook.name))
    ((headers, body),) = receiver.received
    at, _, sent = headers["harmonia-signature"].removeprefix("t=").partition(",v1=")
    expected = hmac.new(made.secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()

    assert sent == expected
    assert json.loads(body)["type"] == "song.ended"
    assert json.loads(body)["song"]["name"] == song.name
    assert json.loads(body)["song"]["state"] == "SUCCEEDED"
    assert json.loads(body)["id"] == headers["harmonia-delivery"]


async def test_a_receiver_that_was_down_gets_its_event_once_though_the_gateway_restarts(
    mesh: Mesh, hooks, client, certificate
):
    async with receiving(Receiver(), certificate) as receiver:
        pass  # its port is known, and nobody listens
    made = await hooks.CreateWebhook(pb.CreateWebhookRequest(url=f"https://127.0.0.1:{receiver.port}/end"))
    song = await client.create(spec_pb2.SongSpec(prompt="techno"))

    async def tried_twice() -> bool:
        return any(one.attempts >= 2 for one in await delivered(hooks, made.webhook.name, song.name))

    await until(tried_twice)
    await mesh.restart("gateway")
    async with receiving(receiver, certificate):

        async def told() -> bool:
            return any(
                one.state == pb.Delivery.DELIVERED for one in await delivered(hooks, made.webhook.name, song.name)
            )

        await until(told)
    (delivery,) = await delivered(hooks, made.webhook.name, song.name)
    await hooks.DeleteWebhook(pb.DeleteWebhookRequest(name=made.webhook.name))

    assert len(receiver.received) == 1
    assert delivery.attempts >= 3
    assert delivery.outcome == "204"


async def test_a_song_that_names_an_address_is_told_there_signed_and_no_other_is(hooks, client, certificate):
    async with receiving(Receiver(), certificate) as receiver:
        base = f"https://localhost:{receiver.port}/songs"
        made = await hooks.CreateWebhook(pb.CreateWebhookRequest(url=base, named_only=True))
        unnamed = await client.create(spec_pb2.SongSpec(prompt="techno"))
        named = await client.create(spec_pb2.SongSpec(prompt="techno", webhook=f"{base}/42?token=x"))

        async def told() -> bool:
            return any(
                one.state == pb.Delivery.DELIVERED for one in await delivered(hooks, made.webhook.name, named.name)
            )

        await until(told)
        await AsyncSong(client, unnamed).wait()
        (delivery,) = (await hooks.ListDeliveries(pb.ListDeliveriesRequest(name=made.webhook.name))).deliveries
        await hooks.DeleteWebhook(pb.DeleteWebhookRequest(name=made.webhook.name))
    ((headers, body),) = receiver.received
    at, _, sent = headers["harmonia-signature"].removeprefix("t=").partition(",v1=")

    assert receiver.targets == ["/songs/42?token=x"]
    assert delivery.url == f"{base}/42?token=x"
    assert json.loads(body)["song"]["name"] == named.name
    assert sent == hmac.new(made.secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()


async def test_a_song_names_only_an_address_of_its_owners_webhooks(mesh: Mesh, hooks, client, certificate):
    async with receiving(Receiver(), certificate) as receiver:
        base = f"https://localhost:{receiver.port}/songs"
        made = await hooks.CreateWebhook(pb.CreateWebhookRequest(url=base, named_only=True))
    operator = Path(mesh.info.operator_token_file).read_text().strip()
    async with AsyncClient(mesh.info.grpc, token=operator, ca=Path(mesh.info.ca)) as stranger:
        for who, url in (
            (stranger, base),
            (client, f"https://localhost:{receiver.port}/"),
            (client, f"{base}-else"),
            (client, f"{base}/../admin"),
            (client, f"{base}/%2e%2e/admin"),
            (client, "https://localhost/songs"),
            (client, f"https://user@localhost:{receiver.port}/songs"),
            (client, "https://169.254.169.254/"),
        ):
            with pytest.raises(InvalidInput) as refused:
                await who.create(spec_pb2.SongSpec(prompt="techno", webhook=url))
            assert refused.value.field == "spec.webhook", url
    song = await client.create(spec_pb2.SongSpec(prompt="techno", webhook=base), validate_only=True)
    await hooks.DeleteWebhook(pb.DeleteWebhookRequest(name=made.webhook.name))
    with pytest.raises(InvalidInput, match="CreateWebhook"):
        await client.create(spec_pb2.SongSpec(prompt="techno", webhook=base))

    assert song.spec.webhook == base


async def test_a_redirect_is_not_followed(hooks, client, certificate):
    async with receiving(Receiver(), certificate) as target, receiving(Receiver(), certificate) as receiver:
        receiver.answer = f"302 Found\r\nlocation: https://localhost:{target.port}/"
        made = await hooks.CreateWebhook(pb.CreateWebhookRequest(url=f"https://localhost:{receiver.port}/"))
        song = await client.create(spec_pb2.SongSpec(prompt="techno"))

        async def over() -> bool:
            return any(one.state == pb.Delivery.FAILED for one in await delivered(hooks, made.webhook.name, song.name))

        await until(over)
        (delivery,) = await delivered(hooks, made.webhook.name, song.name)
        await hooks.DeleteWebhook(pb.DeleteWebhookRequest(name=made.webhook.name))

    assert delivery.outcome == "redirected"
    assert len(receiver.received) == 1
    assert target.received == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://user@example.com/",
        "https:///nowhere",
        "ftp://example.com/",
        "https://127.0.0.2/",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://172.16.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://[64:ff9b::a00:1]/",
        "https://[2002:a00:1::]/",
        "https://224.0.0.1/",
        "https://2130706434/",  # 127.0.0.2 as one number
        "https://0x7f.0.0.2/",
        "https://" + "x" * 2000 + ".example/",
    ],
)
async def test_an_address_inside_is_refused_when_it_is_named(hooks, url):
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await hooks.CreateWebhook(pb.CreateWebhookRequest(url=url))
    error = from_rpc_error(refused.value)

    assert isinstance(error, InvalidInput)
    assert error.field == "url"


async def test_webhooks_of_others_are_not_there(mesh: Mesh, hooks, certificate):
    async with receiving(Receiver(), certificate) as receiver:
        made = await hooks.CreateWebhook(pb.CreateWebhookRequest(url=f"https://localhost:{receiver.port}/"))
    stranger = (("authorization", f"Bearer {Path(mesh.info.operator_token_file).read_text().strip()}"),)
    tls = grpc.ssl_channel_credentials(Path(mesh.info.ca).read_bytes())
    async with grpc.aio.secure_channel(mesh.info.grpc, tls) as channel:
        theirs = rpc.WebhookServiceStub(channel)
        for call in (
            theirs.DeleteWebhook(pb.DeleteWebhookRequest(name=made.webhook.name), metadata=stranger),
            theirs.ListDeliveries(pb.ListDeliveriesRequest(name=made.webhook.name), metadata=stranger),
        ):
            with pytest.raises(grpc.aio.AioRpcError, match="ListWebhooks"):
                await call
        listed = await theirs.ListWebhooks(pb.ListWebhooksRequest(), metadata=stranger)
    await hooks.DeleteWebhook(pb.DeleteWebhookRequest(name=made.webhook.name))

    assert list(listed.webhooks) == []


async def test_a_name_that_changes_its_mind_is_refused_when_it_is_called(certificate):
    """DNS rebinding: public when it was checked, loopback when it is called."""
    meanings = [["93.184.215.14"], ["127.0.0.1"], ["93.184.215.14", "10.0.0.1"]]

    async def rebinding(host: str, port: int) -> Sequence[Address]:
        return [ip_address(one) for one in meanings.pop(0)]

    async with receiving(Receiver(), certificate) as receiver:
        outside = Outside((), authorities=certificate.read_text(), resolve=rebinding)
        url = f"https://rebinding.example:{receiver.port}/"
        await outside.check(url, field="url")
        for _ in range(2):
            with pytest.raises(AddressRefused, match="no public address"):
                await outside.post(url, b"{}", {})
        await outside.aclose()

    assert receiver.received == []


async def test_the_connection_goes_to_the_address_that_was_checked_and_tls_asks_for_the_name(certificate):
    asked: list[str] = []

    async def pinned(host: str, port: int) -> Sequence[Address]:
        asked.append(host)
        return [ip_address("127.0.0.1")]

    allowed = (ip_network("127.0.0.0/8"),)
    async with receiving(Receiver(), certificate) as receiver:
        outside = Outside(allowed, authorities=certificate.read_text(), resolve=pinned)

        assert await outside.post(f"https://localhost:{receiver.port}/", b"{}", {}) == 204
        with pytest.raises(NoAnswer):  # the certificate is for localhost
            await outside.post(f"https://other.example:{receiver.port}/", b"{}", {})
        await outside.aclose()

    assert asked == ["localhost", "other.example"]
