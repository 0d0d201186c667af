"""Songs deleted by filter: what a dry run counts is what goes, and nobody else's."""

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


async def made(songs: Any, shelf: str, *, title: str = "", wait_s: int = 30) -> pb.Song:
    spec = spec_pb2.SongSpec(prompt="techno", title=title, labels={"shelf": shelf})
    song: pb.Song = await songs.CreateSong(pb.CreateSongRequest(spec=spec, wait=Duration(seconds=wait_s)))
    return song


def names(answer: Any) -> list[str]:
    return [song.name for song in answer.songs]


async def test_a_dry_run_counts_what_then_goes_and_asking_again_finds_none(songs: Any, stranger: Any) -> None:
    kept = await made(songs, "kept")
    gone = [await made(songs, "gone") for _ in range(3)]
    await songs.GetSong(pb.GetSongRequest(name=gone[-1].name))
    which = "labels.shelf = gone"
    await songs.ListSongs(pb.ListSongsRequest(min_etag=gone[-1].etag))
    dry = await songs.BatchDeleteSongs(pb.BatchDeleteSongsRequest(filter=which, validate_only=True))
    theirs = await stranger.BatchDeleteSongs(pb.BatchDeleteSongsRequest(filter=which))
    deleted = await songs.BatchDeleteSongs(pb.BatchDeleteSongsRequest(filter=which))
    again = await songs.BatchDeleteSongs(pb.BatchDeleteSongsRequest(filter=which))

    assert names(dry) == [song.name for song in gone]
    assert (dry.total_size, theirs.total_size, deleted.total_size, again.total_size) == (3, 0, 3, 0)
    assert not any(song.HasField("delete_time") for song in dry.songs)
    assert names(deleted) == names(dry)
    assert all(song.HasField("delete_time") for song in deleted.songs)
    assert not (await songs.GetSong(pb.GetSongRequest(name=kept.name))).HasField("delete_time")


async def test_a_song_that_runs_is_stopped_and_met_once(songs: Any) -> None:
    song = await made(songs, "running", title="slow", wait_s=0)
    await songs.ListSongs(pb.ListSongsRequest(min_etag=song.etag))
    which = pb.BatchDeleteSongsRequest(filter="labels.shelf = running")
    deleted = await songs.BatchDeleteSongs(which)
    again = await songs.BatchDeleteSongs(which)
    async for _event in songs.WatchSong(pb.WatchSongRequest(name=song.name)):
        pass

    assert names(deleted) == [song.name]
    assert names(again) == []


@pytest.mark.parametrize("text", ["", "  ", "state", "leaving = 1", "1 = 1"])
async def test_a_filter_that_is_empty_or_none_deletes_nothing(songs: Any, text: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await songs.BatchDeleteSongs(pb.BatchDeleteSongsRequest(filter=text))
    error = from_rpc_error(refused.value)

    assert (error.code, error.field) == ("INVALID_ARGUMENT", "filter")
