"""What anybody sees who speaks HTTP with the mesh: songs, events, files and refusals."""

import asyncio
import base64
import hashlib
import json
import signal
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from harmonia_local import doctor
from harmonia_local.mesh import Mesh, find_mesh

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

LONG_S = 60


async def compose(user: httpx.AsyncClient, **spec: object) -> dict[str, Any]:
    answer = await user.post("/v1/songs", json={"spec": {"prompt": "rain"} | spec})
    assert answer.status_code == 202, answer.text
    song: dict[str, Any] = answer.json()
    return song


async def finished(user: httpx.AsyncClient, **spec: object) -> dict[str, Any]:
    answer = await user.post("/v1/songs", json={"spec": {"prompt": "rain"} | spec, "wait": "30s"})
    assert answer.status_code == 200, answer.text
    song: dict[str, Any] = answer.json()
    return song


Event = tuple[str, str, dict[str, Any]]


async def events(user: httpx.AsyncClient, name: str, **headers: str) -> AsyncGenerator[Event, None]:
    """Kind, id and data of each, as WHATWG's HTML §9.2.6 reads a stream."""
    async with user.stream("GET", f"/v1/{name}:watch", headers=headers) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        kind, identity, data = "message", "", ""
        async for line in answer.aiter_lines():
            field, _, value = line.partition(": ")
            match field:
                case "event":
                    kind = value
                case "id":
                    identity = value
                case "data":
                    data = value
                case "":
                    yield kind, identity, json.loads(data)
                    kind = "message"


def refused(answer: httpx.Response, status: int, reason: str, field: str = "") -> dict[str, str]:
    assert answer.status_code == status, answer.text
    error: dict[str, str] = answer.json()["error"]
    assert (error["reason"], error["field"]) == (reason, field)
    assert set(error) == {"code", "reason", "field", "message", "request_id"}
    assert error["request_id"] == answer.headers["x-request-id"]
    return error


async def answer_to(user: httpx.AsyncClient, head: str) -> str:
    """To a request whose body never comes."""
    reader, writer = await asyncio.open_connection(user.base_url.host, user.base_url.port)
    authorization = f"host: 127.0.0.1\r\nauthorization: {user.headers['authorization']}\r\nconnection: close"
    writer.write(f"{head}\r\n{authorization}\r\n\r\n".encode())
    async with asyncio.timeout(LONG_S):
        answer = await reader.read()
    writer.close()
    return answer.decode()


async def test_a_song_is_accepted_and_its_place_is_told(user):
    answer = await user.post("/v1/songs", json={"spec": {"prompt": "rain", "bpm": 84}})

    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/{answer.json()['name']}"
    assert (await user.get(answer.headers["location"])).json()["spec"] == {"prompt": "rain", "bpm": 84}


async def test_a_create_that_waits_answers_200_with_the_song(user):
    song = await finished(user)

    assert song["state"] == "SUCCEEDED"


async def test_both_spellings_of_a_field_are_read(user):
    answer = await user.post("/v1/songs", json={"spec": {"prompt": "x", "durationSeconds": 20}, "validateOnly": True})

    assert answer.status_code == 200
    assert answer.json()["spec"]["duration_seconds"] == 20


async def test_the_same_idempotency_key_gives_the_same_song(user):
    keyed = {"Idempotency-Key": "once"}
    first = await user.post("/v1/songs", json={"spec": {"prompt": "rain"}}, headers=keyed)
    second = await user.post("/v1/songs", json={"spec": {"prompt": "rain"}}, headers=keyed)
    another = await user.post("/v1/songs", json={"spec": {"prompt": "snow"}}, headers=keyed)
    contradicting = await user.post("/v1/songs", json={"spec": {}, "request_id": "twice"}, headers=keyed)

    assert first.json()["name"] == second.json()["name"]
    refused(another, 409, "REQUEST_ID_REUSED", "request_id")
    refused(contradicting, 400, "CONTRADICTORY", "request_id")


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        ('{"spec": {"prompt": "rain", "tempo": 90}}', "UNKNOWN_FIELD", "tempo"),
        ("", "MALFORMED", ""),
        ("rain", "MALFORMED", ""),
        ("[]", "MALFORMED", ""),
        ('{"spec": {"prompt": "rain", "bpm": 900}}', "OUT_OF_RANGE", "spec.bpm"),
        ('{"spec": {"prompt": "rain", "genre": "polka"}}', "UNKNOWN_VALUE", "spec.genre"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_and_says_where(user, body, reason, field):
    refused(await user.post("/v1/songs", content=body), 400, reason, field)


@pytest.mark.parametrize("path", ["songs/%FF", "models/%C3%28", "songs?filter=%FF", "songs?filter=%zz", "songs?a;b"])
async def test_an_address_that_is_no_text_is_refused(user, path):
    refused(await user.get(f"/v1/{path}"), 400, "MALFORMED")


@pytest.mark.parametrize("name", ["a%25b", "%25zz", "a%3Fb", "a%20b", "%C3%A9"])
async def test_a_name_with_signs_that_addresses_have_a_use_for_is_read_once(user, name):
    """%25 is a percent sign, and what follows it no escape."""
    answer = refused(await user.get(f"/v1/songs/{name}"), 404, "SONG_NOT_FOUND", "name")

    assert unquote(name) in answer["message"]


async def test_a_song_is_not_heard_from_where_no_song_is(user):
    song = await finished(user)
    for second in ("1e308", "1e18", "-1", "nan"):
        answer = await user.get(f"/v1/{song['name']}/audio", params={"follow": "true", "from_seconds": second})
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, "from_seconds")


async def test_a_parameter_that_is_not_known_is_refused_everywhere(user):
    song = await finished(user)

    for path in ("/v1/songs", f"/v1/{song['name']}", f"/v1/{song['name']}:watch", f"/v1/{song['name']}/audio"):
        refused(await user.get(path, params={"colour": "blue"}), 400, "UNKNOWN_FIELD", "colour")
    refused(await user.get("/v1/songs", params={"page_size": "many"}), 400, "MALFORMED", "page_size")


async def test_a_body_over_4_mib_is_refused(user):
    answer = await user.post("/v1/songs", json={"spec": {"prompt": "x" * (5 << 20)}})

    refused(answer, 413, "MESSAGE_TOO_LARGE")


async def test_paths_and_methods_that_are_not_there_are_refused_in_json(user):
    refused(await user.get("/v1/tunes"), 404, "METHOD_NOT_FOUND")
    wrong = await user.put("/v1/songs", json={})
    assert wrong.headers["allow"] == "GET, POST"
    refused(wrong, 405, "METHOD_NOT_FOUND")
    overridden = await user.post("/v1/songs", headers={"X-HTTP-Method-Override": "GET"}, content="page_size=1")
    refused(overridden, 400, "MALFORMED")


async def test_without_a_token_nothing_is_told(anybody, user):
    song = await finished(user)

    for path in ("/v1/songs", f"/v1/{song['name']}", f"/v1/{song['name']}:watch", f"/v1/{song['name']}/audio"):
        answer = await anybody.get(path)
        assert answer.headers["www-authenticate"] == "Bearer"
        refused(answer, 401, "TOKEN_MISSING")


async def test_what_belongs_to_somebody_else_is_not_there(mesh: Mesh, user, anybody):
    song = await finished(user)
    anybody.headers["authorization"] = f"Bearer {Path(mesh.info.operator_token_file).read_text().strip()}"

    for path in ("", ":watch", "/audio"):
        refused(await anybody.get(f"/v1/{song['name']}{path}"), 404, "SONG_NOT_FOUND", "name")
    for verb in ("cancel", "retry", "undelete"):
        refused(await anybody.post(f"/v1/{song['name']}:{verb}", json={}), 404, "SONG_NOT_FOUND", "name")
    refused(await anybody.delete(f"/v1/{song['name']}"), 404, "SONG_NOT_FOUND", "name")
    refused(await anybody.get(f"/v1/{song['outputs'][0]['artifact']}:download"), 404, "ARTIFACT_NOT_FOUND", "")


async def test_request_and_trace_go_through_to_the_song(user):
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01", "x-request-id": "mine-1"}
    answer = await user.post("/v1/songs", json={"spec": {"prompt": "rain"}}, headers=headers)

    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.json()["trace_id"] == trace


async def test_no_client_speaks_grpc_metadata_through_this_door(anybody, token):
    answer = await anybody.get("/v1/songs", headers={"Grpc-Metadata-Authorization": f"Bearer {token}"})
    timed = await anybody.get("/v1/songs", headers={"Grpc-Timeout": "1n", "authorization": f"Bearer {token}"})

    refused(answer, 401, "TOKEN_MISSING")
    assert timed.status_code == 200
    assert not [name for name in timed.headers if name.startswith("grpc-")]


async def test_a_watch_tells_every_state_and_its_end(user):
    song = await compose(user)
    told = [event async for event in events(user, song["name"])]
    states = [data["song"]["state"] for _, _, data in told if "song" in data]

    assert states[0] == "QUEUED"
    assert states[-1] == "SUCCEEDED"
    assert told[-1][0] == "end"
    assert all(identity == data["resume_token"] for kind, identity, data in told if kind == "message")


async def test_last_event_id_goes_on_after_that_event_and_ends_in_204(user):
    song = await finished(user)
    told = [event async for event in events(user, song["name"])]
    rest = [event async for event in events(user, song["name"], **{"last-event-id": told[2][1]})]
    after = await user.get(f"/v1/{song['name']}:watch", headers={"last-event-id": told[-2][1]})

    assert [identity for _, identity, _ in rest] == [identity for _, identity, _ in told[3:]]
    assert after.status_code == 204


async def test_one_watch_goes_on_through_a_restart_of_the_gateway(mesh: Mesh, user):
    song = await compose(user, title="slow")
    seen: list[str] = []
    etags: list[int] = []
    async with asyncio.timeout(LONG_S), aclosing(events(user, song["name"])) as told:
        async for kind, _, data in told:
            assert kind != "error", data
            seen.append(data.get("song", {}).get("state", kind))
            etags += [int(data["song"]["etag"])] if "song" in data else []
            if data.get("progress") and "restarted" not in seen:
                await mesh.restart("gateway")
                seen.append("restarted")
                assert (await user.post(f"/v1/{song['name']}:cancel", json={})).status_code in {200, 202}

    assert seen[-2:] == ["CANCELLED", "end"]
    assert etags == sorted(set(etags))  # each state once, in order


async def test_a_browser_finds_its_place_after_a_restart_of_the_door(mesh: Mesh, user):
    song = await compose(user, title="slow")
    last, states = "", []

    async def follow() -> bool:
        nonlocal last
        headers = {"last-event-id": last} if last else {}
        async for kind, identity, data in events(user, song["name"], **headers):
            last = identity or last
            if "song" in data:
                states.append(data["song"]["etag"])
            if data.get("progress") and not restarting.done():
                restarting.set_result(None)
            if kind == "end":
                return True
        return False

    restarting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(LONG_S):
        following = asyncio.create_task(follow())
        await restarting
        await mesh.restart("rest")
        assert await following is False  # drained: ended, and not by the end of the song
        await user.post(f"/v1/{song['name']}:cancel", json={})
        assert await follow()

    assert len(states) == len(set(states))  # none twice


async def test_a_door_that_was_killed_opens_at_the_same_address_and_mesh_json_knows_it(mesh: Mesh, user, home: Path):
    before = mesh.info.service("rest")
    await mesh.kill("rest", signal.SIGKILL)
    await mesh.ready("rest")
    found = find_mesh(home)
    assert found is not None
    after = found.service("rest")

    assert (await user.get("/v1/capabilities")).status_code == 200
    assert after.pid == mesh.pid("rest") != before.pid
    assert (after.metrics, after.health, after.log) == (before.metrics, before.health, before.log)
    assert "harmonia_ready 1" in (await user.get(after.metrics)).text
    assert Path(after.log).exists()
    assert doctor.rest(home) == doctor.Check("rest (optional)", True, f"{found.rest} answers")


async def test_the_master_is_served_by_ranges(user):
    song = await finished(user)
    whole = await user.get(f"/v1/{song['name']}/audio")
    part = await user.get(f"/v1/{song['name']}/audio", headers={"range": "bytes=4-7"})
    last = await user.get(f"/v1/{song['name']}/audio", headers={"range": "bytes=-3"})
    none = await user.get(f"/v1/{song['name']}/audio", headers={"range": "bytes=900000-"})
    head = await user.head(f"/v1/{song['name']}/audio")
    known = await user.get(f"/v1/{song['name']}/audio", headers={"if-none-match": whole.headers["etag"]})

    assert hashlib.sha256(whole.content).hexdigest() == song["outputs"][0]["sha256"]
    assert whole.headers["etag"] == f'"{song["outputs"][0]["sha256"]}"'
    assert (part.status_code, part.content) == (206, whole.content[4:8])
    assert part.headers["content-range"] == f"bytes 4-7/{len(whole.content)}"
    assert last.content == whole.content[-3:]
    assert none.status_code == 416
    assert head.headers["content-length"] == str(len(whole.content))
    assert known.status_code == 304


async def test_a_song_without_a_master_says_why(user):
    song = await compose(user, title="slow")
    early = await user.get(f"/v1/{song['name']}/audio")
    await user.post(f"/v1/{song['name']}:cancel", json={})
    done = await finished(user)

    refused(early, 409, "WRONG_STATE")
    refused(await user.get(f"/v1/{done['name']}/audio", params={"format": "mp3"}), 400, "UNKNOWN_VALUE", "format")
    refused(await user.get(f"/v1/{done['name']}/audio", params={"take": "7"}), 404, "ARTIFACT_NOT_FOUND", "take")


async def test_a_file_goes_in_and_comes_out_as_it_was(user):
    text = b"rain on a window\n" * 100_000  # 1.7 MB: several chunks
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(text).digest()).decode()}:"
    kept = await user.post(
        "/v1/artifacts", content=text, headers={"content-type": "text/plain", "content-digest": digest}
    )
    name = kept.json()["name"]
    back = await user.get(f"/v1/{name}:download")
    part = await user.get(f"/v1/{name}:download", headers={"range": "bytes=1000000-1000009"})

    assert kept.status_code == 201
    assert kept.headers["location"] == f"/v1/{name}"
    assert back.content == text
    assert back.headers["content-disposition"].startswith("attachment")
    assert back.headers["x-content-type-options"] == "nosniff"
    assert part.content == text[1_000_000:1_000_010]
    assert (await user.get(f"/v1/{name}")).json()["size_bytes"] == str(len(text))


async def test_a_file_that_is_not_what_it_says_is_refused(user):
    other = f"sha-256=:{base64.b64encode(bytes(32)).decode()}:"
    text = {"content-type": "text/plain"}
    mismatched = await user.post("/v1/artifacts", content=b"rain", headers=text | {"content-digest": other})
    nameless = await user.post("/v1/artifacts", content=b"rain")
    empty = await user.post("/v1/artifacts", content=b"", headers=text)
    huge = await answer_to(
        user, f"POST /v1/artifacts HTTP/1.1\r\ncontent-type: text/plain\r\ncontent-length: {300 << 20}"
    )

    assert mismatched.json()["error"]["reason"] == "DIGEST_MISMATCH"
    refused(nameless, 400, "MISSING", "Content-Type")
    refused(empty, 400, "MISSING", "body")
    assert huge.startswith("HTTP/1.1 413 ")
    assert '"reason":"TOO_LARGE"' in huge


async def test_an_upload_goes_on_where_it_broke_off(user):
    text = b"rain on a window\n" * 1000
    begun = (await user.post("/v1/uploads", json={"media_type": "text/plain", "size_bytes": len(text)})).json()
    half = await user.post(f"/v1/{begun['name']}:write", content=text[:5000])
    received = int((await user.get(f"/v1/{begun['name']}")).json()["received_bytes"])
    whole = await user.post(f"/v1/{begun['name']}:write", params={"offset": received}, content=text[received:])

    assert half.status_code == 200
    assert whole.json()["artifact"]["sha256"] == hashlib.sha256(text).hexdigest()


async def test_words_come_line_by_line(user):
    answer = await user.post("/v1/lyrics:write", json={"prompt": "rain"})
    told = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if line.startswith("data: ")]

    assert "line" in told[0]
    assert "result" in told[-2]
    refused(await user.post("/v1/lyrics:write", json={"colour": 1}), 400, "UNKNOWN_FIELD", "colour")


async def test_the_description_and_its_page_need_nothing_from_elsewhere(anybody):
    document = await anybody.get("/openapi.json")
    page = await anybody.get("/docs")
    script = await anybody.get("/pages/docs.js")

    assert document.json()["openapi"] == "3.1.0"
    for text in (page.text, script.text):
        assert "http://" not in text
        assert "https://" not in text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (await anybody.get("/healthz")).json() == {"status": "SERVING"}
