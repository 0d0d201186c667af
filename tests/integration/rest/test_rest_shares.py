"""Links to songs: what they open, for whom, and that nothing else opens by them."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from harmonia_local.mesh import Mesh

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

Made = dict[str, Any]


async def finished(user: httpx.AsyncClient, **spec: object) -> Made:
    answer = await user.post(
        "/v1/songs", json={"spec": {"prompt": "rain", "title": "Rain <b>&</b> Tea"} | spec, "wait": "30s"}
    )
    assert answer.status_code == 200, answer.text
    song: Made = answer.json()
    return song


async def shared(user: httpx.AsyncClient, song: Made, **how: object) -> Made:
    answer = await user.post("/v1/shares", json={"song": song["name"]} | how)
    assert answer.status_code == 200, answer.text
    made: Made = answer.json()
    return made


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():
            await asyncio.sleep(0.05)


async def test_a_link_opens_a_page_and_its_sound_without_credentials(
    user: httpx.AsyncClient, anybody: httpx.AsyncClient, mesh: Mesh
) -> None:
    song = await finished(user)
    made = await shared(user, song, valid_for="3600s")
    page = await anybody.get(made["path"])
    (source,) = re.findall(r'<source src="([^"]+)"', page.text)
    sound = await anybody.get(source)
    part = await anybody.get(source, headers={"range": "bytes=4-7"})
    master = await user.get(f"/v1/{song['name']}/audio")

    assert made["url"] == f"{mesh.info.rest}{made['path']}"
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "Rain &lt;b&gt;&amp;&lt;/b&gt; Tea" in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-robots-tag"] == "noindex"
    assert song["name"] not in page.text
    assert sound.content == master.content
    assert (part.status_code, part.content) == (206, master.content[4:8])


async def test_audio_is_the_sound_itself_and_formats_may_be_saved(
    user: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    song = await finished(user)
    audio = await anybody.get((await shared(user, song, what="AUDIO"))["path"])
    page = await anybody.get((await shared(user, song, what="FORMATS"))["path"])
    (link,) = re.findall(r'<a href="([^"]+)" download', page.text)
    saved = await anybody.get(link)

    assert audio.headers["content-type"] == "audio/wav"
    assert audio.headers["content-disposition"].startswith("inline")
    assert saved.headers["content-disposition"].startswith("attachment")
    assert saved.content == audio.content


async def test_links_that_open_nothing_are_refused_alike(user: httpx.AsyncClient, anybody: httpx.AsyncClient) -> None:
    song, other = await finished(user), await finished(user)
    good = (await shared(user, song))["path"]
    revoked = await shared(user, song)
    await user.delete(f"/v1/{revoked['share']['name']}")
    of_a_deleted_song = await shared(user, other)
    await user.delete(f"/v1/{other['name']}")
    matched = re.fullmatch(r"(.+)_([0-9a-f]{8})_(.{43})", good)
    assert matched
    head, expires, signature = matched.groups()
    later = f"{int(expires, 16) + 86400:08x}"
    flipped = signature[:5] + ("A" if signature[5] != "A" else "B") + signature[6:]
    someone_elses = (await shared(user, song))["path"]
    tampered = [
        revoked["path"],
        of_a_deleted_song["path"],
        f"{head}_{later}_{signature}",
        f"{head}_{expires}_{flipped}",
        f"{someone_elses[:-43]}{signature}",
        f"/s/hml_{'0' * 32}_{expires}_{signature}",
        "/s/nonsense",
        "/s/",
        f"{good}/%2e%2e%2f%2e%2e%2fv1%2fsongs",
        f"{good}/other.mp3",
        f"{good}?format=flac",
    ]
    answers = [await anybody.get(httpx.URL(str(anybody.base_url), raw_path=path.encode())) for path in tampered]
    alike = {(answer.status_code, answer.text, answer.headers["content-type"]) for answer in answers}

    assert (await anybody.get(good)).status_code == 200
    assert len(alike) == 1, alike
    assert alike.pop()[0] == 404


async def test_a_link_that_has_expired_is_refused_like_one_that_never_was(
    user: httpx.AsyncClient, anybody: httpx.AsyncClient
) -> None:
    song = await finished(user)
    made = await shared(user, song, valid_for="60s")
    matched = re.search(r"_([0-9a-f]{8})_.{43}$", made["path"])
    assert matched
    ended = int(matched[1], 16)

    assert abs(ended - time.time() - 60) < 10
    for wrong in ("59s", "0s", "604801s", "-5s"):
        answer = await user.post("/v1/shares", json={"song": song["name"], "valid_for": wrong})
        assert (answer.status_code, answer.json()["error"]["field"]) == (400, "valid_for")
    assert (await anybody.get(made["path"])).status_code == 200


async def test_the_token_of_a_link_opens_nothing_else(user: httpx.AsyncClient, anybody: httpx.AsyncClient) -> None:
    song = await finished(user)
    token = (await shared(user, song))["path"].removeprefix("/s/")
    with_it = {"authorization": f"Bearer {token}"}
    for method, path in (
        ("GET", f"/v1/{song['name']}"),
        ("GET", f"/v1/{song['name']}/audio"),
        ("GET", "/v1/songs"),
        ("DELETE", f"/v1/{song['name']}"),
        ("GET", "/v1/shares"),
        ("GET", "/v1/keys"),
        ("GET", f"/v1/artifacts/{song['outputs'][0]['sha256']}:download"),
    ):
        answer = await anybody.request(method, path, headers=with_it)
        assert (answer.status_code, answer.json()["error"]["reason"]) == (403, "SCOPE_MISSING"), path
    opened = await anybody.get("/v1/shared", headers=with_it)
    users = await user.get("/v1/shared")

    assert opened.json()["title"] == "Rain <b>&</b> Tea"
    assert (users.status_code, users.json()["error"]["reason"]) == (403, "SCOPE_MISSING")


async def test_openings_are_counted_once_each_and_shares_are_on_record(
    user: httpx.AsyncClient, anybody: httpx.AsyncClient, mesh: Mesh
) -> None:
    song = await finished(user)
    made = await shared(user, song)
    for _ in range(3):
        page = await anybody.get(made["path"])
    source = re.findall(r'<source src="([^"]+)"', page.text)[0]
    await anybody.get(source)
    await anybody.head(made["path"])

    async def counted() -> bool:
        listed = (await user.get("/v1/shares", params={"song": song["name"]})).json()["shares"]
        return [one.get("opens") for one in listed] == ["3"]

    await until(counted)
    await user.delete(f"/v1/{made['share']['name']}")
    operator = Path(mesh.info.operator_token_file).read_text().strip()
    records = await anybody.get("/v1/auditRecords", headers={"authorization": f"Bearer {operator}"})
    told = [one["action"] for one in records.json()["records"] if one["target"] == made["share"]["name"]]
    left = (await user.get("/v1/shares", params={"song": song["name"]})).json()
    ended = (await user.get("/v1/shares", params={"song": song["name"], "show_ended": "true"})).json()

    assert told == ["share.revoked", "share.created"]
    assert left == {}
    assert "revoke_time" in ended["shares"][0]


async def test_others_cannot_share_list_or_revoke(
    user: httpx.AsyncClient, anybody: httpx.AsyncClient, mesh: Mesh
) -> None:
    song = await finished(user)
    made = await shared(user, song)
    operator = Path(mesh.info.operator_token_file).read_text().strip()
    theirs = {"authorization": f"Bearer {operator}"}
    create = await anybody.post("/v1/shares", json={"song": song["name"]}, headers=theirs)
    of_it = await anybody.get("/v1/shares", params={"song": song["name"]}, headers=theirs)
    revoke = await anybody.delete(f"/v1/{made['share']['name']}", headers=theirs)

    assert (create.status_code, of_it.status_code, revoke.status_code) == (404, 404, 404)
    assert (await anybody.get("/v1/shares", headers=theirs)).json() == {}
    assert (await anybody.get(made["path"])).status_code == 200


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({"formats": ["mp3"]}, "formats[0]"),
        ({"formats": ["wav", "wma"]}, "formats[1]"),
        ({"what": 9}, "what"),
        ({"song": "songs/x"}, "song"),
    ],
)
async def test_what_cannot_be_shared_is_refused_by_field(
    user: httpx.AsyncClient, how: dict[str, object], field: str
) -> None:
    song = await finished(user)
    answer = await user.post("/v1/shares", json={"song": song["name"]} | how)

    assert answer.status_code in {400, 404}
    assert answer.json()["error"]["field"] == field
