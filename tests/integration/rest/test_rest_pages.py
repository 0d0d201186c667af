"""Browsers at the HTTP door: sessions, and what pages of other sites may not do."""

import httpx
import pytest

from harmonia_local.home import Home
from harmonia_local.mesh import Mesh
from harmonia_local.rest import new_link

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]

FRIEND = "https://studio.example"
STRANGER = "https://evil.example"


async def sign_in(browser: httpx.AsyncClient, token: str) -> httpx.Response:
    return await browser.post("/session", json={"token": token}, headers={"origin": str(browser.base_url).rstrip("/")})


async def test_the_link_opens_one_session_and_no_other(mesh: Mesh, home, anybody, token):
    assert mesh.info.rest
    link = new_link(Home.at(home), mesh.info.rest).partition("#")[2]
    wrong = await anybody.post("/session", json={"link": "x" * 43})
    first = await anybody.post("/session", json={"link": link})
    songs = await anybody.get("/v1/songs")
    again = await anybody.post("/session", json={"link": link})
    cookie = first.headers["set-cookie"]

    assert mesh.info.link is not None
    assert mesh.info.link.startswith(f"{mesh.info.rest}/#")
    assert wrong.status_code == again.status_code == 401
    assert first.status_code == 204
    assert songs.status_code == 200
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert token not in cookie


async def test_a_session_is_for_pages_of_this_server_alone(anybody, token):
    await sign_in(anybody, token)
    own = str(anybody.base_url).rstrip("/")
    spec = {"spec": {"prompt": "rain"}, "validate_only": True}

    assert (await anybody.post("/v1/songs", json=spec, headers={"origin": own})).status_code == 200
    for headers in ({"origin": STRANGER}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {}):
        assert (await anybody.post("/v1/songs", json=spec, headers=headers)).status_code == 401
    assert (await anybody.get("/v1/songs", headers={"sec-fetch-site": "cross-site"})).status_code == 401


async def test_a_session_ends_when_it_is_closed_and_cannot_be_made_up(anybody, token):
    await sign_in(anybody, token)
    sealed = anybody.cookies["harmonia"]
    assert (await anybody.delete("/session")).status_code == 204
    without = await anybody.get("/v1/songs")
    anybody.cookies.set("harmonia", sealed[:-4] + "AAAA")
    altered = await anybody.get("/v1/songs")

    assert without.status_code == altered.status_code == 401


async def test_a_token_that_is_not_known_opens_no_session(anybody):
    answer = await sign_in(anybody, "made-up")

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


async def test_another_name_that_leads_here_is_not_answered(user):
    """DNS rebinding: a page of evil.example whose name now means 127.0.0.1."""
    answer = await user.get("/v1/songs", headers={"host": "evil.example"})

    assert answer.status_code == 403
    assert answer.json()["error"]["field"] == "Host"


async def test_pages_of_configured_origins_may_call_and_no_others(user):
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    friend = await user.options("/v1/songs", headers={"origin": FRIEND} | asked)
    stranger = await user.options("/v1/songs", headers={"origin": STRANGER} | asked)
    read = await user.get("/v1/songs", headers={"origin": FRIEND})

    assert friend.status_code == 204
    assert friend.headers["access-control-allow-origin"] == FRIEND
    assert "access-control-allow-credentials" not in friend.headers
    assert "access-control-allow-origin" not in stranger.headers
    assert read.headers["access-control-allow-origin"] == FRIEND
