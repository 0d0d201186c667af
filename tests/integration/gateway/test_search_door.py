"""SearchSongs at the public door: what hostile people get, and what others do not."""

import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from harmonia.song.v1 import song_pb2 as pb
from harmonia.song.v1 import song_pb2_grpc, spec_pb2
from harmonia_chassis.status import from_rpc_error

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(120)]


@pytest.fixture
def songs(door: Any) -> Any:
    return door.stub(song_pb2_grpc.SongServiceStub)


async def made(songs: Any, title: str) -> pb.Song:
    spec = spec_pb2.SongSpec(prompt="techno", title=title, labels={"shelf": "Höstlöv"})
    song: pb.Song = await songs.CreateSong(pb.CreateSongRequest(spec=spec, wait=Duration(seconds=30)))
    assert song.state == pb.Song.SUCCEEDED
    return song


async def test_a_song_is_found_as_soon_as_its_etag_is_asked_for(songs: Any) -> None:
    song = await made(songs, "Blåbær Syltetøy")
    found = await songs.SearchSongs(pb.SearchSongsRequest(query="blabær* hostlov", min_etag=song.etag))
    elsewhere = await songs.SearchSongs(pb.SearchSongsRequest(query="blabær", filter="state = FAILED"))

    assert [match.song.name for match in found.matches] == [song.name]
    assert {passage.field for passage in found.matches[0].passages} == {"title", "labels"}
    assert 0 < found.matches[0].score < 1
    assert elsewhere.total_size == 0


async def test_words_too_long_for_the_record_are_found_once_they_are_read_from_the_store(songs: Any) -> None:
    text = "[verse]\n" + "la la la\n" * 300 + "zanzibar at dawn\n"
    lyrics = spec_pb2.LyricsSpec(mode=spec_pb2.LyricsSpec.TEXT, text=text)
    song = await songs.CreateSong(pb.CreateSongRequest(spec=spec_pb2.SongSpec(prompt="techno", lyrics=lyrics)))
    assert song.spec.lyrics.HasField("text_artifact")
    async with asyncio.timeout(60):
        while not (found := await songs.SearchSongs(pb.SearchSongsRequest(query='"zanzibar at dawn"'))).matches:
            await asyncio.sleep(0.05)

    assert [match.song.name for match in found.matches] == [song.name]
    assert [passage.field for passage in found.matches[0].passages] == ["lyrics"]


async def test_others_find_nothing_and_learn_nothing(songs: Any, stranger: Any) -> None:
    song = await made(songs, "Unheard")
    found = await stranger.SearchSongs(pb.SearchSongsRequest(query="unheard", min_etag=song.etag))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stranger.SearchSongs(pb.SearchSongsRequest(like=song.name))
    error = from_rpc_error(refused.value)

    assert found.total_size == 0
    assert (error.code, error.reason, error.field) == ("NOT_FOUND", "SONG_NOT_FOUND", "like")


async def test_a_song_that_was_not_measured_is_like_no_other(songs: Any) -> None:
    """The small services of these tests measure nothing."""
    song = await made(songs, "Unmeasured")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await songs.SearchSongs(pb.SearchSongsRequest(like=song.name, min_etag=song.etag))

    assert from_rpc_error(refused.value).reason == "WRONG_STATE"


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.SearchSongsRequest(), "query"),
        (pb.SearchSongsRequest(query="a", like="songs/x"), "query"),
        (pb.SearchSongsRequest(query="a" * 201), "query"),
        (pb.SearchSongsRequest(query="\0"), "query"),
        (pb.SearchSongsRequest(query="***"), "query"),
        (pb.SearchSongsRequest(query="a", filter="in_title = x"), "filter"),
        (pb.SearchSongsRequest(query="a", filter="rowid = 1"), "filter"),
        (pb.SearchSongsRequest(query="a", page_size=-1), "page_size"),
        (pb.SearchSongsRequest(query="a", page_token="W10="), "page_token"),
        (pb.SearchSongsRequest(query="a", min_etag="x"), "min_etag"),
    ],
)
async def test_what_cannot_be_searched_for_is_refused_by_field(
    songs: Any, request_: pb.SearchSongsRequest, field: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await songs.SearchSongs(request_)
    error = from_rpc_error(refused.value)

    assert (error.code, error.field) == ("INVALID_ARGUMENT", field)


async def test_no_query_is_a_defect_of_the_server(songs: Any) -> None:
    pieces = [*"\"*():^{}+-';\\%éa", "NEAR(", "AND", "OR", "NOT"]
    queries = [f"{one}{two} {three}" for one in pieces for two in pieces for three in ("a", '"', "*")]
    at_once = asyncio.Semaphore(20)
    codes = await asyncio.gather(*(code_of(songs, query, at_once) for query in queries))

    assert set(codes) <= {"OK", "INVALID_ARGUMENT"}
    assert len(codes) == len(queries)


async def code_of(songs: Any, query: str, at_once: asyncio.Semaphore) -> str:
    try:
        async with at_once:
            await songs.SearchSongs(pb.SearchSongsRequest(query=query))
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"
