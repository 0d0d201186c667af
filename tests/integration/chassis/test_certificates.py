"""Certificates: who may connect, and how they are renewed while everything runs."""

import asyncio
import shutil
import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from harmonia.store.v1 import store_pb2 as pb
from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia_chassis.access import current_peer
from harmonia_chassis.channel import Channels
from harmonia_chassis.errors import Unauthenticated, Unavailable
from harmonia_chassis.identity import CertificateFiles, Token, TokenSource
from harmonia_chassis.server import Limits
from harmonia_chassis.status import rpc_errors
from harmonia_chassis.telemetry import Metrics
from tests.integration.chassis.small_mesh import Authority, Files, Mesh, caller, until


async def stat(channel: grpc.aio.Channel, mesh: Mesh) -> None:
    with rpc_errors():
        request = pb.StatRequest()
        await rpc.StoreServiceStub(channel).Stat(request, metadata=(("hm-grant", mesh.grant()),), timeout=60)


async def connects(mesh: Mesh, files: Files) -> None:
    """Only the token is missing then: what the same call without these files meets is the door."""
    async with caller(mesh.at["artifacts"], files, server_name="artifacts.harmonia") as channel:
        with pytest.raises(Unauthenticated):
            await stat(channel, mesh)


async def served_certificate(address: str, files: Files) -> bytes:
    """The leaf a new connection is shown, as DER; read by OpenSSL and not by gRPC."""
    context = ssl.create_default_context(cafile=str(files.ca))
    context.load_cert_chain(files.cert, files.key)
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname="artifacts.harmonia")
    leaf: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return leaf


def der(files: Files) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files.cert.read_text())


async def test_strangers_are_not_even_connected(mesh: Mesh, tmp_path: Path) -> None:
    await mesh.start_shelf()
    foreign = Authority(tmp_path / "foreign").issue("composer")
    shutil.copy(mesh.authority.directory / "ca.pem", foreign.ca)
    expired = mesh.authority.issue("composer", life=timedelta(minutes=-1), file="expired")

    await connects(mesh, mesh.authority.issue("composer", file="known"))
    for files in (foreign, expired):
        async with caller(mesh.at["artifacts"], files, server_name="artifacts.harmonia") as channel:
            with pytest.raises(Unavailable):
                await stat(channel, mesh)


async def test_neither_plaintext_nor_tls_without_a_certificate_gets_in(mesh: Mesh) -> None:
    await mesh.start_shelf()
    anonymous = grpc.ssl_channel_credentials((mesh.authority.directory / "ca.pem").read_bytes())
    options = [("grpc.ssl_target_name_override", "artifacts.harmonia")]

    await connects(mesh, mesh.authority.issue("composer", file="known"))
    async with grpc.aio.insecure_channel(mesh.at["artifacts"]) as channel:
        with pytest.raises(Unavailable):
            await stat(channel, mesh)
    async with grpc.aio.secure_channel(mesh.at["artifacts"], anonymous, options) as channel:
        with pytest.raises(Unavailable):
            await stat(channel, mesh)


async def test_a_service_at_the_address_of_another_is_not_believed(mesh: Mesh, tmp_path: Path) -> None:
    await mesh.start_shelf()
    files = mesh.authority.issue("composer", file="own")
    foreign = Authority(tmp_path / "foreign").issue("composer")

    async def no_token(_audience: str) -> Token:
        raise AssertionError("no token is sent to whom is not known")

    for name, own in (("mastering", files), ("artifacts", foreign)):
        channels = Channels(
            {name: mesh.at["artifacts"]},
            CertificateFiles(own.cert, own.key, own.ca),
            TokenSource(no_token),
            Metrics(),
        )
        channel = channels.to(name)
        ready = asyncio.ensure_future(channel.channel_ready())
        await until(lambda: channel.get_state(True) is grpc.ChannelConnectivity.TRANSIENT_FAILURE)  # noqa: B023
        ready.cancel()
        await channels.close()


async def test_a_server_shows_its_renewed_certificate_to_new_connections_and_keeps_the_old_ones(mesh: Mesh) -> None:
    await mesh.start_shelf()
    composer = await mesh.client("composer")
    probe = mesh.authority.issue("mastering", file="probe")
    await stat(composer.channel("artifacts"), mesh)
    before = await served_certificate(mesh.at["artifacts"], probe)

    renewed = mesh.authority.issue("artifacts")
    after = await served_certificate(mesh.at["artifacts"], probe)

    assert before != after == der(renewed)
    await stat(composer.channel("artifacts"), mesh)


async def test_a_client_takes_its_renewed_certificate_with_a_token_bound_to_it(mesh: Mesh) -> None:
    mesh.limits = Limits(look_at_certificate=timedelta(seconds=0.05))
    shelf = await mesh.start_shelf()
    composer = await mesh.client("composer")
    stub = rpc.StoreServiceStub(composer.channel("artifacts"))
    seen: list[str] = []
    hold = asyncio.Event()

    async def note(_context: Any) -> None:
        seen.append(current_peer().thumbprint)
        if len(seen) == 1:
            await hold.wait()

    shelf.behave = note
    metadata = (("hm-grant", mesh.grant()),)
    under_way = stub.Stat(pb.StatRequest(), metadata=metadata)
    await until(lambda: len(seen) == 1)
    exchanges = mesh.tokens.exchanges

    old = composer.certificates.current
    mesh.authority.issue("composer")
    await until(lambda: composer.certificates.current != old)
    # The channels follow in the same step of the loop or the next.
    await asyncio.sleep(0)
    await stub.Stat(pb.StatRequest(), metadata=metadata)

    assert seen == [old.thumbprint, composer.certificates.current.thumbprint]
    assert mesh.tokens.exchanges > exchanges
    hold.set()
    assert await under_way == pb.StatResponse()


def test_a_pair_that_does_not_fit_is_not_taken(authority: Authority) -> None:
    files = authority.issue("composer")
    found = files.certificate()
    before = found.current
    other = authority.issue("composer", file="next")

    shutil.copy(other.cert, files.cert)
    assert not found.changed()
    assert found.current == before

    files.cert.write_text("half of a certif")
    assert not found.changed()
    files.cert.unlink()
    assert not found.changed()

    shutil.copy(other.cert, files.cert)
    shutil.copy(other.key, files.key)
    assert found.changed()
    assert found.current.thumbprint == other.certificate().current.thumbprint
    assert not found.changed()
