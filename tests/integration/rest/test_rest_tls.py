"""The HTTP door as a network sees it: its certificate, which is renewed while it runs, and how it drains."""

import asyncio
import json
import os
import signal
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from harmonia_local.certificates import issue_stale, open_authority
from harmonia_local.mesh import TRUST_DOMAIN, Mesh
from tests.rest_door import built_rest

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

LONG_S = 60


@dataclass
class Door:
    process: asyncio.subprocess.Process
    ready: Path
    log: Path

    @cached_property
    def doors(self) -> dict[str, str]:
        """Where it answers, by its own word; the file is gone once it drains."""
        said: dict[str, str] = json.loads(self.ready.read_text())
        return said

    @property
    def address(self) -> str:
        return self.doors["http"]

    @property
    def metrics(self) -> str:
        return f"http://{self.doors['metrics']}/metrics"


@asynccontextmanager
async def opened(folder: Path, **settings: str) -> AsyncIterator[Door]:
    ready, log = folder / "rest.ready", folder / "rest.log"
    environment = {f"HARMONIA_{name}": value for name, value in settings.items()}
    environment |= {"HARMONIA_LISTEN": "127.0.0.1:0", "HARMONIA_READY_FILE": str(ready)}
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(built_rest(), env=environment, stdout=out, stderr=out)
    try:
        async with asyncio.timeout(LONG_S):
            while not ready.exists():
                assert process.returncode is None, log.read_text()
                await asyncio.sleep(0.02)
        yield Door(process, ready, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def issue(pki: Path, at: datetime) -> bytes:
    """A leaf for localhost into public.pem; in DER."""
    issue_stale(open_authority(pki, at), pki, trust_domain=TRUST_DOMAIN, now=at, keep_keys=False)
    return ssl.PEM_cert_to_DER_cert((pki / "public.pem").read_text())


async def shown(door: Door, pki: Path) -> bytes:
    """The certificate of a new connection that trusts the mesh's authority."""
    host, port = door.address.rsplit(":", 1)
    trust = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    _, writer = await asyncio.open_connection(host, int(port), ssl=trust, server_hostname="localhost")
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return found


async def test_a_certificate_that_is_renewed_is_shown_at_once_and_half_a_pair_never(tmp_path: Path) -> None:
    pki, now = tmp_path / "pki", datetime.now(UTC)
    pki.mkdir()
    first = issue(pki, now - timedelta(hours=13))
    settings = {
        "GATEWAY_PUBLIC_ADDRESS": "127.0.0.1:1",
        "TLS_CA": str(pki / "ca.pem"),
        "HTTP_TLS_CERT": str(pki / "public.pem"),
        "HTTP_TLS_KEY": str(pki / "public.key.pem"),
    }
    async with opened(tmp_path, **settings) as door:
        before = await shown(door, pki)
        key = (pki / "public.key.pem").read_bytes()
        second = issue(pki, now)
        fitting = (pki / "public.key.pem").read_bytes()
        (pki / "public.key.pem").write_bytes(key)  # as a reader sees it between the two files
        between = await shown(door, pki)
        (pki / "public.key.pem").write_bytes(fitting)
        after = await shown(door, pki)

    assert (before, between, after) == (first, first, second)
    assert "certificate is not taken" in door.log.read_text()


async def test_over_tls_the_session_is_for_this_host_alone(mesh: Mesh, token: str, tmp_path: Path) -> None:
    pki = Path(mesh.info.ca).parent
    key = tmp_path / "session.key"
    key.write_bytes(os.urandom(32))
    settings = {
        "GATEWAY_PUBLIC_ADDRESS": mesh.info.grpc,
        "TLS_CA": mesh.info.ca,
        "HTTP_TLS_CERT": str(pki / "public.pem"),
        "HTTP_TLS_KEY": str(pki / "public.key.pem"),
        "SESSION_KEY": str(key),
    }
    async with opened(tmp_path, **settings) as door:
        trust = ssl.create_default_context(cafile=mesh.info.ca)
        origin = f"https://{door.address}"
        async with httpx.AsyncClient(base_url=origin, verify=trust, timeout=60) as browser:
            answer = await browser.post("/session", json={"token": token}, headers={"origin": origin})
            songs = await browser.get("/v1/songs")

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-harmonia=")
    assert {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert songs.status_code == 200


async def test_told_to_end_it_ends_streams_answers_what_it_began_and_leaves_with_0(
    mesh: Mesh, token: str, tmp_path: Path
) -> None:
    settings = {"GATEWAY_PUBLIC_ADDRESS": mesh.info.grpc, "TLS_CA": mesh.info.ca, "DRAIN_GRACE_S": "20"}
    headers = {"authorization": f"Bearer {token}"}
    async with (
        opened(tmp_path, **settings) as door,
        httpx.AsyncClient(base_url=f"http://{door.address}", headers=headers, timeout=60) as user,
    ):
        spec = {"prompt": "rain", "title": "slow"}
        song = (await user.post("/v1/songs", json={"spec": spec})).json()["name"]
        async with asyncio.timeout(LONG_S), user.stream("GET", f"/v1/{song}:watch") as watch:
            lines = watch.aiter_lines()
            await anext(lines)
            held = asyncio.create_task(user.post("/v1/songs", json={"spec": spec, "wait": "5s"}))
            while await open_requests(user, door.metrics) < 2:
                await asyncio.sleep(0.02)
            assert await health(door, "ready") == health_pb2.HealthCheckResponse.SERVING
            door.process.send_signal(signal.SIGTERM)
            while await health(door, "ready") == health_pb2.HealthCheckResponse.SERVING:
                await asyncio.sleep(0.02)
            living = await health(door, "live")
            async for _ in lines:
                pass  # ended by the door, with the connection whole
            answered = await held
            status = await door.process.wait()
    for name in (song, answered.json()["name"]):
        await cancel(mesh, token, name)
    log = [json.loads(line) for line in door.log.read_text().splitlines()]

    assert status == 0
    assert living == health_pb2.HealthCheckResponse.SERVING
    assert answered.status_code == 202
    assert not door.ready.exists()
    assert [line["event"] for line in log if line["event"] != "http"] == ["ready", "draining", "stopped"]


async def health(door: Door, service: str) -> int:
    async with grpc.aio.insecure_channel(door.doors["health"]) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        return int((await check(health_pb2.HealthCheckRequest(service=service))).status)


async def open_requests(client: httpx.AsyncClient, metrics: str) -> int:
    lines = (await client.get(metrics)).text.splitlines()
    return next(int(one.split()[1]) for one in lines if one.startswith("http_server_open_requests "))


async def cancel(mesh: Mesh, token: str, name: str) -> None:
    async with httpx.AsyncClient(base_url=mesh.info.rest or "", headers={"authorization": f"Bearer {token}"}) as user:
        await user.post(f"/v1/{name}:cancel", json={})
