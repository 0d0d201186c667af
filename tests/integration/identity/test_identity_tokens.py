"""Whose tokens open the public door, over gRPC and over HTTP; all others are refused, and counted."""

import asyncio
import base64
import json
import re
import time
from pathlib import Path

import grpc
import httpx
import pytest

from harmonia.capability.v1 import capability_pb2, capability_pb2_grpc
from harmonia.identity.v1 import key_pb2, key_pb2_grpc
from harmonia.song.v1 import song_pb2, song_pb2_grpc
from harmonia_chassis.identity import Peer, TokenSigner, thumbprint
from harmonia_chassis.status import from_rpc_error
from harmonia_local.mesh import TRUST_DOMAIN, Mesh
from tests.integration.identity.conftest import FAILURES_A_MINUTE, IssuerProcess, bearer

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


async def reason_of(channel: grpc.aio.Channel, token: str, address: str = "") -> str:
    """Why the door stays shut; "" when it opens."""
    songs = song_pb2_grpc.SongServiceStub(channel)
    try:
        await songs.ListSongs(song_pb2.ListSongsRequest(), metadata=bearer(token, address), timeout=30)
    except grpc.aio.AioRpcError as failure:
        error = from_rpc_error(failure)
        return f"{error.code} {error.reason}"
    return ""


def refused_so_far(mesh: Mesh) -> float:
    text = httpx.get(mesh.info.service("gateway").metrics).text
    found = re.findall(r"^harmonia_tokens_refused_total\{[^}]*\} ([0-9.e+]+)$", text, re.MULTILINE)
    return sum(map(float, found))


@pytest.mark.parametrize("key", ["rsa", "ec", "ed"])
@pytest.mark.parametrize("header", [{}, {"typ": "JWT"}, {"typ": "application/at+jwt"}])
async def test_an_access_token_of_the_issuer_opens_the_door(channel, issuer, key, header):
    assert await reason_of(channel, issuer.token(key, header=header)) == ""


async def test_the_scopes_of_the_token_are_all_it_may(channel, issuer):
    capabilities = capability_pb2_grpc.CapabilityServiceStub(channel)
    request = capability_pb2.GetCapabilitiesRequest()

    await capabilities.GetCapabilities(request, metadata=bearer(issuer.token()))
    assert await reason_of(channel, issuer.token(scope="openid")) == "PERMISSION_DENIED SCOPE_MISSING"
    assert await reason_of(channel, issuer.token(scope=None, scp=["songs:read"])) == ""
    assert await reason_of(channel, issuer.token(scope="admin songs:write")) == "PERMISSION_DENIED SCOPE_MISSING"


INVALID, EXPIRED = "UNAUTHENTICATED TOKEN_INVALID", "UNAUTHENTICATED TOKEN_EXPIRED"
BAD = {
    "alg none": (lambda issuer, now: issuer.token("none", header={"kid": "ec"}), INVALID),
    "alg HS256": (lambda issuer, now: issuer.token("ec", header={"alg": "HS256", "kid": "ec"}), INVALID),
    "alg of another key": (lambda issuer, now: swapped(issuer.token("ec"), alg="RS256"), INVALID),
    "wrong aud": (lambda issuer, now: issuer.token(aud="https://other.example"), INVALID),
    "aud of others too": (
        lambda issuer, now: issuer.token(aud=["https://music.example", "https://x.example"]),
        INVALID,
    ),
    "wrong iss": (lambda issuer, now: issuer.token(iss="https://issuer.example"), INVALID),
    "expired": (lambda issuer, now: issuer.token(exp=now - 60), EXPIRED),
    "not yet valid": (lambda issuer, now: issuer.token(nbf=now + 120), INVALID),
    "without expiry": (lambda issuer, now: issuer.token(exp=None), INVALID),
    "unknown kid": (lambda issuer, now: issuer.token("unpublished"), INVALID),
    "another's signature": (lambda issuer, now: issuer.token("unpublished", header={"kid": "ec"}), INVALID),
    "key in the header": (lambda issuer, now: issuer.token(header={"jku": "http://127.0.0.1/keys"}), INVALID),
    "an ID token": (lambda issuer, now: issuer.token(nonce="n"), INVALID),
    "another type": (lambda issuer, now: issuer.token(header={"typ": "logout+jwt"}), INVALID),
    "no tenant": (lambda issuer, now: issuer.token(tenant=None), INVALID),
    "a tenant of NATS wildcards": (lambda issuer, now: issuer.token(tenant="*"), INVALID),
    "altered": (lambda issuer, now: issuer.token()[:-6] + "AAAAAA", INVALID),
    "no key at all": (lambda issuer, now: "hmk_0123456789abcdef_" + "x" * 43, INVALID),
    "oversized": (lambda issuer, now: issuer.token(more="x" * 6500), INVALID),
}


def swapped(token: str, **header: str) -> str:
    """The same with another header."""
    head, _, rest = token.partition(".")
    told = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))) | header
    return base64.urlsafe_b64encode(json.dumps(told).encode()).rstrip(b"=").decode() + "." + rest


@pytest.mark.parametrize("name", BAD)
async def test_every_other_token_is_refused_at_both_doors_and_counted(mesh: Mesh, channel, issuer, name):
    make, reason = BAD[name]
    token = make(issuer, int(time.time()))
    before = refused_so_far(mesh)
    over_grpc = await reason_of(channel, token, "198.51.100.7")
    async with httpx.AsyncClient(base_url=mesh.info.rest or "") as client:
        over_http = await client.get("/v1/songs", headers={"authorization": f"Bearer {token}"})

    assert over_grpc == reason
    assert over_http.status_code == 401
    assert over_http.json()["error"]["reason"] == reason.split()[1]
    assert refused_so_far(mesh) - before == 2


async def test_a_token_that_no_door_can_read_is_refused_before_anybody_reads_it(mesh: Mesh):
    """Headers over 16 KiB are the HTTP server's own refusal: RFC 6585."""
    async with httpx.AsyncClient(base_url=mesh.info.rest or "") as client:
        answer = await client.get("/v1/songs", headers={"authorization": f"Bearer {'x' * 30_000}"})

    assert answer.status_code == 431


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic dTpw"])
async def test_without_a_token_nobody_is_let_in_and_that_is_counted(mesh: Mesh, header):
    before = refused_so_far(mesh)
    headers = {} if header is None else {"authorization": header}
    async with httpx.AsyncClient(base_url=mesh.info.rest or "") as client:
        answer = await client.get("/v1/songs", headers=headers)

    assert answer.status_code == 401
    assert answer.json()["error"]["reason"] == "TOKEN_MISSING"
    assert refused_so_far(mesh) - before == 1


async def test_a_key_that_was_taken_back_or_has_expired_is_refused_and_counted_each_time(mesh: Mesh, channel):
    user = Path(mesh.info.token_file).read_text().strip()
    keys = key_pb2_grpc.KeyServiceStub(channel)
    made = await keys.CreateKey(key_pb2.CreateKeyRequest(scopes=["songs:read"]), metadata=bearer(user))
    short = key_pb2.CreateKeyRequest(scopes=["songs:read"])
    short.valid_for.FromMilliseconds(1000)
    expiring = await keys.CreateKey(short, metadata=bearer(user))
    opened = [await reason_of(channel, made.token)]
    await keys.RevokeKey(key_pb2.RevokeKeyRequest(name=made.key.name), metadata=bearer(user))
    async with asyncio.timeout(30):
        while not await reason_of(channel, expiring.token, "198.51.100.9"):
            await asyncio.sleep(0.05)
    before = refused_so_far(mesh)
    revoked = [await reason_of(channel, made.token, "198.51.100.9") for _ in range(2)]
    expired = [await reason_of(channel, expiring.token, "198.51.100.9") for _ in range(2)]

    assert (opened, revoked, expired) == ([""], [INVALID] * 2, [EXPIRED] * 2)
    assert refused_so_far(mesh) - before == 4


async def test_a_token_of_the_services_does_not_open_the_public_door(mesh: Mesh, channel):
    home = Path(mesh.info.ca).parents[1]
    signer = TokenSigner.from_file(home / "pki" / "token-signing.key.pem", TRUST_DOMAIN)
    certificate = (home / "pki" / "composer.pem").read_bytes()
    service = signer.service_token(Peer("composer", thumbprint(certificate)), "gateway").text
    before = refused_so_far(mesh)
    async with httpx.AsyncClient(base_url=mesh.info.rest or "") as client:
        over_http = await client.get("/v1/songs", headers={"authorization": f"Bearer {service}"})

    assert await reason_of(channel, service) == INVALID
    assert over_http.status_code == 401
    assert refused_so_far(mesh) - before == 2


async def test_unknown_keys_do_not_flood_the_issuer(channel, issuer: IssuerProcess):
    before = issuer.reads()
    for _ in range(5):
        assert await reason_of(channel, issuer.token("unpublished"), "198.51.100.8") == INVALID

    assert issuer.reads() - before <= 1


async def test_an_address_that_fails_too_often_has_to_wait_and_others_do_not(mesh: Mesh, channel):
    reasons = [await reason_of(channel, f"guess-{n}", "203.0.113.5") for n in range(FAILURES_A_MINUTE + 5)]
    token = Path(mesh.info.token_file).read_text().strip()

    assert reasons[:FAILURES_A_MINUTE] == [INVALID] * FAILURES_A_MINUTE
    assert reasons[-1] == "RESOURCE_EXHAUSTED RATE_LIMITED"
    assert await reason_of(channel, "another-guess", "203.0.113.6") == INVALID
    assert await reason_of(channel, token, "203.0.113.6") == ""


async def not_found_so_far(client: httpx.AsyncClient, mesh: Mesh) -> int:
    """As the HTTP door counts its refusals."""
    text = (await client.get(mesh.info.service("rest").metrics)).text
    found = re.findall(
        r'^harmonia_http_refused_total\{reason="(?:SONG|ARTIFACT)_NOT_FOUND"\} (\d+)$', text, re.MULTILINE
    )
    return sum(map(int, found))


async def test_another_tenants_song_is_not_there_by_any_route(mesh: Mesh, issuer):
    owner = {"authorization": f"Bearer {Path(mesh.info.token_file).read_text().strip()}"}
    stranger = {"authorization": f"Bearer {issuer.token(tenant='other', scope=' '.join(ALL))}"}
    async with httpx.AsyncClient(base_url=mesh.info.rest or "", timeout=60) as client:
        made = await client.post("/v1/songs", json={"spec": {"prompt": "rain"}, "wait": "30s"}, headers=owner)
        song = made.json()
        names = {"song": song["name"].partition("/")[2], "artifact": song["outputs"][0]["sha256"]}
        document = (await client.get("/openapi.json")).json()
        tried, before = 0, await not_found_so_far(client, mesh)
        for template, operations in document["paths"].items():
            for method, operation in operations.items():
                if not any(f"{{{name}}}" in template for name in names):
                    continue
                body = b"{}" if "requestBody" in operation else b""
                answer = await client.request(method, template.format(**names), headers=stranger, content=body)
                assert answer.status_code == 404, f"{method} {template}: {answer.text}"
                tried += 1
        listed = await client.get("/v1/songs", headers=stranger)
        counted = await not_found_so_far(client, mesh) - before

    assert tried >= 12
    assert counted == tried
    assert listed.json() == {}


ALL = ("songs:read", "songs:write", "lyrics:write", "audio:analyze", "artifacts:read", "artifacts:write", "keys:write")
