"""Songs found by words and by sound in a projection that a real stream feeds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from harmonia.job.v1 import job_pb2 as pb
from harmonia_chassis import jobs as story
from harmonia_chassis.job_stream import JobStream, Stored
from harmonia_chassis.telemetry import Metrics
from harmonia_gateway import filters, texts
from harmonia_gateway.finder import Asked, Finder, Page, Place
from harmonia_gateway.projection import Projection

NewJob = Callable[..., pb.Job]


@asynccontextmanager
async def finding(jobs: JobStream, folder: Path) -> AsyncIterator[tuple[Projection, Finder]]:
    projection = Projection(folder, jobs, on_change=lambda _record: None, metrics=Metrics())
    finder, ready = Finder(projection.file), asyncio.Event()
    running = asyncio.create_task(projection.run(ready.set))
    await asyncio.wait_for(ready.wait(), 60)
    try:
        yield projection, finder
    finally:
        running.cancel()
        await asyncio.wait([running])
        await finder.aclose()
        projection.close()


async def kept(jobs: JobStream, job: pb.Job, *, title: str = "", lyrics: str = "", bpm: float = 0) -> Stored:
    job.spec.title, job.spec.lyrics.text = title, lyrics
    if bpm:
        job.state = pb.Job.SUCCEEDED
        take = job.stages[2].result.master.takes.add(take=1)
        take.analysis.tempo.measured, take.analysis.tempo.confidence = bpm, 1
        take.analysis.key.measured, take.analysis.key.confidence = "A minor", 1
    return await jobs.create(job)


def asked(*, size: int = 10, after: Place | None = None, where: str = "", owner: str = "o") -> Asked:
    return Asked("t1", owner, filters.parse_filter(where), size, after)


async def search(finder: Finder, query: str, **how: object) -> Page:
    return await finder.by_words(texts.question(query), asked(**how))  # type: ignore[arg-type]  # of asked


def names(page: Page | None) -> list[str]:
    return [match.song.job.id for match in page.matches] if page else []


async def test_a_title_is_worth_more_than_lyrics_and_the_reason_is_told(
    gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    in_lyrics = await kept(gateway, new_job(), title="Slow", lyrics="[verse]\nwaiting for the rain to end")
    in_title = await kept(gateway, new_job(), title="Rain at Six")
    await kept(gateway, new_job(), title="Sun")
    async with finding(gateway, tmp_path) as (_projection, finder):
        page = await search(finder, "rain")

    assert names(page) == [in_title.job.id, in_lyrics.job.id]
    assert page.total == 2
    assert page.matches[0].score > page.matches[1].score
    (passage,) = page.matches[1].passages
    assert (passage.field, [part.text for part in passage.parts if part.found]) == ("lyrics", ["rain"])
    assert "".join(part.text for part in passage.parts).split() == ["waiting", "for", "the", "rain", "to", "end"]


async def test_pages_stay_as_they_are_while_songs_come_and_go(
    gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    made = [await kept(gateway, new_job(), title=f"Rain {n}", lyrics="rain " * n) for n in range(7)]
    async with finding(gateway, tmp_path) as (projection, finder):
        whole = names(await search(finder, "rain"))
        first = await search(finder, "rain", size=3)
        await kept(gateway, new_job(), title="Rain rain rain", lyrics="rain " * 50)
        gone = await gateway.change("t1", first.matches[0].song.job.id, lambda _: story.Delete(), now=_now)
        assert gone is not None
        assert await projection.wait_for(gone.seq, 60)
        second = await search(finder, "rain", size=3, after=first.last)
        third = await search(finder, "rain", size=3, after=second.last)

    assert [*names(first), *names(second), *names(third)] == whole
    assert sorted(whole) == sorted(one.job.id for one in made)
    assert third.last is None


async def test_songs_of_others_and_deleted_ones_are_not_found(
    gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    await kept(gateway, new_job("t2"), title="Rain", bpm=120)
    mine = await kept(gateway, new_job(), title="Rain", bpm=120)
    gone = await kept(gateway, new_job(), title="Rain", bpm=120)
    await gateway.change("t1", gone.job.id, lambda _: story.Delete(), now=_now)
    async with finding(gateway, tmp_path) as (_projection, finder):
        assert names(await search(finder, "rain")) == [mine.job.id]
        assert names(await search(finder, "rain", owner="somebody else")) == []
        assert names(await search(finder, "rain", where="state = FAILED")) == []
        assert names(await finder.by_sound(mine.job.id, asked())) == []
        assert await finder.by_sound(mine.job.id, asked(owner="somebody else")) is None


async def test_what_sounds_like_a_song_comes_first_and_says_why(
    gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    one = await kept(gateway, new_job(), bpm=84)
    near = await kept(gateway, new_job(), bpm=170)
    far = await kept(gateway, new_job(), bpm=119)
    unmeasured = await kept(gateway, new_job())
    async with finding(gateway, tmp_path) as (_projection, finder):
        page = await finder.by_sound(one.job.id, asked())
        nothing = await finder.by_sound(unmeasured.job.id, asked())
        pages = [await finder.by_sound(one.job.id, asked(size=1))]
        assert pages[0] is not None
        pages.append(await finder.by_sound(one.job.id, asked(size=1, after=pages[0].last)))

    assert names(page) == [near.job.id, far.job.id]
    assert page is not None
    assert ("tempo", "84 bpm", "170 bpm") in [(e.feature, e.here, e.there) for e in page.matches[0].likenesses]
    assert nothing is None
    assert [*names(pages[0]), *names(pages[1])] == [near.job.id, far.job.id]


async def test_another_projection_of_the_same_stream_finds_the_same(
    gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    for n in range(5):
        await kept(gateway, new_job(), title=f"Rain {n}", lyrics="rain " * n, bpm=100 + n)
    found = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        async with finding(gateway, tmp_path / folder) as (_projection, finder):
            found.append(names(await search(finder, "rain")))

    assert found[0] == found[1]
    assert len(found[0]) == 5


async def test_words_that_change_are_found_anew_and_those_of_the_store_once_they_are_read(
    gateway: JobStream, new_job: NewJob, tmp_path: Path
) -> None:
    job = new_job()
    job.spec.lyrics.text_artifact.sha256 = "ab" * 32
    stored = await kept(gateway, job, title="Slow")
    stored.job.spec.lyrics.ClearField("text")
    async with finding(gateway, tmp_path) as (projection, finder):
        before = names(await search(finder, "tide"))
        (unread,) = projection.unread()
        projection.read(unread, "the tide is out")
        after = names(await search(finder, "tide"))
        changed = await gateway.change("t1", job.id, lambda _: story.Cancel(), now=_now)
        assert changed is not None
        assert await projection.wait_for(changed.seq, 60)
        still = names(await search(finder, "tide"))

    assert (before, after, still) == ([], [job.id], [job.id])
    assert (unread.sha256, unread.plain) == ("ab" * 32, True)


def _now() -> datetime:
    return datetime.now(UTC)
