"""Projects over HTTP: made, ordered, and downloaded as a zip in pieces."""

import io
import zipfile

import httpx
import pytest

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


async def test_a_project_is_made_ordered_and_exported_in_ranges(user: httpx.AsyncClient) -> None:
    asked = {"spec": {"prompt": "rain", "title": "Rain"}, "wait": "30s"}
    songs = [(await user.post("/v1/songs", json=asked)).json()["name"] for _ in range(2)]
    project = (await user.post("/v1/projects", json={"title": "Tea", "songs": songs})).json()
    ordered = (await user.post(f"/v1/{project['name']}:order", json={"songs": songs[1:]})).json()
    whole = await user.get(f"/v1/{project['name']}:export")
    etag = whole.headers["etag"]
    half = len(whole.content) // 2
    first = await user.get(f"/v1/{project['name']}:export", headers={"range": f"bytes=0-{half - 1}"})
    rest = await user.get(f"/v1/{project['name']}:export", headers={"range": f"bytes={half}-", "if-range": etag})
    behind = await user.get(f"/v1/{project['name']}:export", headers={"range": f"bytes={len(whole.content)}-"})
    await user.post(f"/v1/{project['name']}:order", json={"songs": songs})
    changed = await user.get(f"/v1/{project['name']}:export", headers={"range": f"bytes={half}-", "if-range": etag})

    assert [entry["song"] for entry in ordered["songs"]] == songs[::-1]
    assert whole.headers["content-type"] == "application/zip"
    assert whole.headers["content-disposition"] == "attachment; filename=tea.zip"
    assert (first.status_code, rest.status_code, behind.status_code) == (206, 206, 416)
    assert first.content + rest.content == whole.content
    with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
        assert archive.testzip() is None
        assert "tea/1-rain/master.wav" in archive.namelist()
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


async def test_a_project_of_nobody_is_not_found(user: httpx.AsyncClient) -> None:
    for answer in (
        await user.get(f"/v1/projects/{'0' * 32}"),
        await user.get(f"/v1/projects/{'0' * 32}:export"),
        await user.delete(f"/v1/projects/{'0' * 32}"),
        await user.post(f"/v1/projects/{'0' * 32}:add", json={}),
    ):
        assert (answer.status_code, answer.json()["error"]["reason"]) == (404, "PROJECT_NOT_FOUND")
