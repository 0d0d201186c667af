"""The client against a door that misbehaves in the ways networks and processes do."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # ships no types

from harmonia.artifact.v1 import artifact_pb2 as files_pb
from harmonia.song.v1 import song_pb2 as pb
from harmonia.song.v1.spec_pb2 import SongSpec
from harmonia_sdk import AsyncClient, Client
from harmonia_sdk.endpoint import Endpoint
from harmonia_sdk.errors import Internal, InvalidInput, NotFound, Reason, Unauthenticated, Unavailable

Context = grpc.ServicerContext


Serve = Callable[..., Endpoint]


def at(state: "pb.Song.State.ValueType", token: str) -> pb.SongEvent:
    return pb.SongEvent(resume_token=token, song=pb.Song(name="songs/1", state=state))


class BreaksOnce:
    """Sends two events, breaks; goes on after the token it is asked to."""

    events = (at(pb.Song.QUEUED, "a"), at(pb.Song.RUNNING, "b"), at(pb.Song.SUCCEEDED, "c"))

    def __init__(self) -> None:
        self.asked: list[str] = []

    def WatchSong(self, request: pb.WatchSongRequest, context: Context) -> Iterator[pb.SongEvent]:
        self.asked.append(request.resume_token)
        if not request.resume_token:
            yield from self.events[:2]
            context.abort(grpc.StatusCode.UNAVAILABLE, "going down")
        yield from self.events[2:]


async def test_a_broken_watch_goes_on_after_the_last_event(serve: Serve) -> None:
    songs = BreaksOnce()

    async with AsyncClient.at(serve(songs=songs)) as client:
        seen = [event.resume_token async for event in client.watch("songs/1")]

    assert seen == ["a", "b", "c"]
    assert songs.asked == ["", "b"]


class EndsEarly:
    """A draining server ends the stream with OK in the middle."""

    def __init__(self) -> None:
        self.watches = 0

    def WatchSong(self, request: pb.WatchSongRequest, context: Context) -> Iterator[pb.SongEvent]:
        self.watches += 1
        yield at(pb.Song.RUNNING, "a") if self.watches == 1 else at(pb.Song.CANCELLED, "b")

    def GetSong(self, request: pb.GetSongRequest, context: Context) -> pb.Song:
        return pb.Song(name=request.name, state=pb.Song.RUNNING)


async def test_a_watch_that_ends_before_the_song_does_is_taken_up_again(serve: Serve) -> None:
    async with AsyncClient.at(serve(songs=EndsEarly())) as client:
        seen = [event.resume_token async for event in client.watch("1")]

    assert seen == ["a", "b"]


async def test_a_watch_of_no_song_is_not_found_and_not_repeated(serve: Serve) -> None:
    class Nobody:
        watches = 0

        def WatchSong(self, request: pb.WatchSongRequest, context: Context) -> Iterator[pb.SongEvent]:
            self.watches += 1
            context.abort(grpc.StatusCode.NOT_FOUND, f"there is no {request.name}")
            yield pb.SongEvent()

    songs = Nobody()
    async with AsyncClient.at(serve(songs=songs)) as client:
        with pytest.raises(NotFound, match="there is no songs/1"):
            await anext(client.watch("1"))

    assert songs.watches == 1


class Flaky:
    """Answers CreateSong at the third try."""

    def __init__(self) -> None:
        self.requests: list[pb.CreateSongRequest] = []
        self.tokens: list[str | bytes] = []

    def CreateSong(self, request: pb.CreateSongRequest, context: Context) -> pb.Song:
        self.requests.append(request)
        self.tokens.append(dict(context.invocation_metadata()).get("authorization", ""))
        if len(self.requests) < 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "starting")
        return pb.Song(name="songs/1", spec=request.spec)


async def test_create_is_repeated_with_one_request_id_and_the_token(serve: Serve) -> None:
    songs = Flaky()

    async with AsyncClient.at(serve(songs=songs)) as client:
        song = await client.create(SongSpec(prompt="rain"))

    assert song.name == "songs/1"
    assert len({request.request_id for request in songs.requests}) == 1
    assert songs.requests[0].request_id
    assert set(songs.tokens) == {"Bearer user-token"}


async def test_an_error_of_the_server_arrives_as_its_class_with_field_and_reason(serve: Serve) -> None:
    class Refuses:
        def CreateSong(self, request: pb.CreateSongRequest, context: Context) -> pb.Song:
            status = status_pb2.Status(code=3, message="spec.bpm is 40 to 240, not 900")
            status.details.add().Pack(error_details_pb2.ErrorInfo(reason="OUT_OF_RANGE", domain="harmonia"))
            violation = error_details_pb2.BadRequest.FieldViolation(field="spec.bpm")
            status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
            context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, status.message)

    async with AsyncClient.at(serve(songs=Refuses())) as client:
        with pytest.raises(InvalidInput, match="40 to 240") as caught:
            await client.create(SongSpec(bpm=900))

    assert (caught.value.field, caught.value.reason) == ("spec.bpm", Reason.OUT_OF_RANGE)


async def test_a_listing_walks_the_pages_up_to_its_limit(serve: Serve) -> None:
    class Many:
        def ListSongs(self, request: pb.ListSongsRequest, context: Context) -> pb.ListSongsResponse:
            first = int(request.page_token or 0)
            names = range(first, min(first + request.page_size, 500))
            songs = [pb.Song(name=f"songs/{n}") for n in names]
            return pb.ListSongsResponse(songs=songs, next_page_token=str(names[-1] + 1), total_size=500)

    async with AsyncClient.at(serve(songs=Many())) as client:
        found = await client.list(limit=450)

    assert [song.name for song in found.songs] == [f"songs/{n}" for n in range(450)]
    assert found.total_size == 500


async def test_nobody_at_the_address_is_unavailable(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        async with AsyncClient("127.0.0.1:1", token="t") as client:
            await client.get("songs/1")


def test_a_home_without_a_mesh_is_unavailable_and_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="harmonia up"):
        Client(home=tmp_path)


def test_the_client_without_a_loop_does_what_the_other_does(serve: Serve) -> None:
    songs = BreaksOnce()
    endpoint = serve(songs=songs)

    with Client(endpoint.address, token=endpoint.token, ca=endpoint.ca) as client:
        seen = [event.resume_token for event in client.watch("songs/1")]

    assert seen == ["a", "b", "c"]


def test_leaving_a_watch_early_ends_it_at_the_server(serve: Serve) -> None:
    ended = threading.Event()

    class Endless:
        def WatchSong(self, request: pb.WatchSongRequest, context: Context) -> Iterator[pb.SongEvent]:
            context.add_callback(ended.set)
            while not ended.is_set():
                yield at(pb.Song.RUNNING, "a")
                ended.wait(0.01)

    endpoint = serve(songs=Endless())
    with Client(endpoint.address, token=endpoint.token, ca=endpoint.ca) as client:
        for _ in client.watch("songs/1"):
            break

        assert ended.wait(5)


def test_a_server_that_the_ca_does_not_vouch_for_is_refused(serve: Serve) -> None:
    endpoint = serve()

    with Client(endpoint.address, token="t") as client, pytest.raises(Unavailable):
        client.get("songs/1")


def test_the_errors_of_the_tree_are_the_ones_of_the_mesh() -> None:
    from harmonia_chassis import errors

    assert Unauthenticated is errors.Unauthenticated


CONTENT = bytes(range(256)) * 4096  # 1 MiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Store:
    """Serves `content` and breaks the first `breaks` streams after `after` bytes."""

    def __init__(self, content: bytes = CONTENT, *, breaks: int = 0, after: int = 300_000) -> None:
        self.content, self.breaks, self.after = content, breaks, after
        self.offsets: list[int] = []

    def DownloadArtifact(
        self, request: files_pb.DownloadArtifactRequest, context: Context
    ) -> Iterator[files_pb.DownloadArtifactResponse]:
        self.offsets.append(request.offset)
        yield files_pb.DownloadArtifactResponse(artifact=files_pb.Artifact(name=request.name))
        for at_byte in range(request.offset, len(self.content), 100_000):
            if len(self.offsets) <= self.breaks and at_byte >= request.offset + self.after:
                context.abort(grpc.StatusCode.UNAVAILABLE, "lost")
            yield files_pb.DownloadArtifactResponse(chunk=self.content[at_byte : at_byte + 100_000])


async def test_a_broken_download_goes_on_from_its_offset(serve: Serve, tmp_path: Path) -> None:
    store = Store(breaks=2)

    async with AsyncClient.at(serve(artifacts=store)) as client:
        await client.download(f"artifacts/{DIGEST}", tmp_path / "master.wav")

    assert (tmp_path / "master.wav").read_bytes() == CONTENT
    assert store.offsets == [0, 300_000, 600_000]
    assert [path.name for path in tmp_path.iterdir()] == ["master.wav"]


async def test_a_download_with_another_content_leaves_nothing(serve: Serve, tmp_path: Path) -> None:
    async with AsyncClient.at(serve(artifacts=Store(CONTENT[:-1] + b"?"))) as client:
        with pytest.raises(Internal, match="another content") as caught:
            await client.download(f"artifacts/{DIGEST}", tmp_path / "master.wav")

    assert caught.value.reason == Reason.DIGEST_MISMATCH
    assert list(tmp_path.iterdir()) == []


async def test_what_an_earlier_try_left_is_used_when_it_is_good(serve: Serve, tmp_path: Path) -> None:
    store = Store()
    (tmp_path / f".a.wav.{DIGEST[:12]}.part").write_bytes(CONTENT[:500_000])

    async with AsyncClient.at(serve(artifacts=store)) as client:
        await client.download(f"artifacts/{DIGEST}", tmp_path / "a.wav")

    assert store.offsets == [500_000]
    assert (tmp_path / "a.wav").read_bytes() == CONTENT


async def test_what_an_earlier_try_left_is_dropped_when_it_is_bad(serve: Serve, tmp_path: Path) -> None:
    store = Store()
    (tmp_path / f".a.wav.{DIGEST[:12]}.part").write_bytes(b"x" * 500_000)

    async with AsyncClient.at(serve(artifacts=store)) as client:
        await client.download(f"artifacts/{DIGEST}", tmp_path / "a.wav")

    assert store.offsets == [500_000, 0]
    assert (tmp_path / "a.wav").read_bytes() == CONTENT


async def test_an_upload_names_its_digest_and_sends_every_byte(serve: Serve, tmp_path: Path) -> None:
    class Takes:
        def UploadArtifact(
            self, request_iterator: Iterator[files_pb.UploadArtifactRequest], context: Context
        ) -> files_pb.Artifact:
            header, *chunks = request_iterator
            content = b"".join(part.chunk for part in chunks)
            assert max(len(part.chunk) for part in chunks) <= 256 * 1024
            digest = hashlib.sha256(content).hexdigest()
            media_type = header.header.media_type
            return files_pb.Artifact(name=f"artifacts/{digest}", sha256=header.header.sha256, media_type=media_type)

    path = tmp_path / "take.wav"
    path.write_bytes(CONTENT)
    async with AsyncClient.at(serve(artifacts=Takes())) as client:
        uploaded = await client.upload(path)

    assert (uploaded.name, uploaded.sha256, uploaded.media_type) == (f"artifacts/{DIGEST}", DIGEST, "audio/wav")


async def test_a_file_that_is_not_there_is_refused_by_name(serve: Serve, tmp_path: Path) -> None:
    async with AsyncClient.at(serve()) as client:
        with pytest.raises(InvalidInput, match=r"gone\.wav") as caught:
            await client.upload(tmp_path / "gone.wav")

    assert caught.value.field == "file"
