"""What users get from the public door, and what they cannot."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from harmonia.artifact.v1 import artifact_pb2, artifact_pb2_grpc
from harmonia.audio.v1 import audio_pb2, audio_pb2_grpc
from harmonia.capability.v1 import capability_pb2, capability_pb2_grpc
from harmonia.identity.v1 import identity_pb2, identity_pb2_grpc
from harmonia.lyrics.v1 import lyrics_pb2, lyrics_pb2_grpc
from harmonia.song.v1 import song_pb2 as pb
from harmonia.song.v1 import song_pb2_grpc, spec_pb2
from harmonia_chassis import errors
from harmonia_chassis.errors import HarmoniaError
from harmonia_chassis.status import from_rpc_error

pytestmark = pytest.mark.asyncio(loop_scope="module")

State = pb.Song.State


@pytest.fixture
def songs(door: Any) -> Any:
    return door.stub(song_pb2_grpc.SongServiceStub)


@pytest.fixture
def files(door: Any) -> Any:
    return door.stub(artifact_pb2_grpc.ArtifactServiceStub)


@contextmanager
def refused(kind: type[HarmoniaError], reason: str, *, told: str = "", field: str | None = None):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    error = from_rpc_error(caught.value)
    assert type(error) is kind, error
    assert error.reason == reason
    assert told in error.message
    if field is not None:
        assert error.field == field


def request(title: str = "", *, request_id: str = "", wait_s: int = 0, **fields: Any) -> pb.CreateSongRequest:
    spec = json_format.ParseDict({"prompt": "rain", "title": title, **fields}, spec_pb2.SongSpec())
    made = pb.CreateSongRequest(spec=spec, request_id=request_id)
    if wait_s:
        made.wait.FromSeconds(wait_s)
    return made


async def settle(songs: Any, name: str, *states: str) -> pb.Song:
    async with asyncio.timeout(60):
        async for event in songs.WatchSong(pb.WatchSongRequest(name=name)):
            if event.HasField("song") and State.Name(event.song.state) in states:
                song: pb.Song = await songs.GetSong(pb.GetSongRequest(name=name))
                return song
    raise AssertionError(f"{name} was never in {states}")


async def test_a_song_is_made_and_waited_for(songs):
    song = await songs.CreateSong(request(wait_s=60))

    assert song.state == pb.Song.SUCCEEDED
    assert [o.file for o in song.outputs] == ["master.wav"]
    assert (song.resolved.bpm, song.resolved.key) == (120, "A minor")


async def test_a_wait_that_is_over_answers_with_the_song_as_it_is(songs):
    began = time.monotonic()
    song = await songs.CreateSong(request("slow", wait_s=1))

    assert song.state in (pb.Song.QUEUED, pb.Song.RUNNING)
    assert time.monotonic() - began > 0.9
    await songs.CancelSong(pb.CancelSongRequest(name=song.name))
    await settle(songs, song.name, "CANCELLED")


async def test_the_same_request_id_gives_the_same_song(songs):
    twice = request(request_id=uuid.uuid4().hex, bpm=99)

    first, second = await asyncio.gather(songs.CreateSong(twice), songs.CreateSong(twice))

    assert first.name == second.name
    with refused(errors.Conflict, "REQUEST_ID_REUSED", field="request_id"):
        await songs.CreateSong(request(request_id=twice.request_id, bpm=98))
    await songs.DeleteSong(pb.DeleteSongRequest(name=first.name))
    assert (await songs.CreateSong(twice)).name == first.name


async def test_validate_only_keeps_nothing(songs):
    before = (await songs.ListSongs(pb.ListSongsRequest(page_size=1))).total_size
    checked = request()
    checked.validate_only = True

    song = await songs.CreateSong(checked)

    assert (song.name, song.etag, song.resolved.engine) == ("", "", "arranger")
    assert (await songs.ListSongs(pb.ListSongsRequest(page_size=1))).total_size == before
    checked.spec.bpm = 999
    with refused(errors.InvalidInput, "OUT_OF_RANGE", field="spec.bpm"):
        await songs.CreateSong(checked)


async def test_bad_input_names_the_field_and_starts_nothing(songs):
    before = (await songs.ListSongs(pb.ListSongsRequest())).total_size
    for fields, reason, field in (
        ({"bpm": 400}, "OUT_OF_RANGE", "spec.bpm"),
        ({"bpm": "NaN"}, "MALFORMED", "spec.bpm"),
        ({"prompt": "x" * 10_000}, "TOO_LONG", "spec.prompt"),
        ({"webhook": "https://example.org"}, "UNKNOWN_VALUE", "spec.webhook"),
        ({"sampling": {"top_k": 3}}, "NOT_SUPPORTED", "spec.sampling.top_k"),
    ):
        with refused(errors.InvalidInput, reason, field=field):
            await songs.CreateSong(request(**fields))
    unknown = request()
    unknown.spec.MergeFromString(b"\xf8\x06\x01")
    with refused(errors.InvalidInput, "UNKNOWN_FIELD", told="111", field="spec"):
        await songs.CreateSong(unknown)
    with refused(errors.InvalidInput, "OUT_OF_RANGE", field="wait"):
        await songs.CreateSong(request(wait_s=61))
    with refused(errors.InvalidInput, "TOO_LONG", field="request_id"):
        await songs.CreateSong(request(request_id="x" * 65))

    assert (await songs.ListSongs(pb.ListSongsRequest())).total_size == before


async def test_a_failed_song_says_why_and_can_be_retried(songs):
    song = await songs.CreateSong(request("fail", wait_s=60))

    assert (song.state, song.error.reason) == (pb.Song.FAILED, "ENGINE_FAILED")
    again = await songs.RetrySong(pb.RetrySongRequest(name=song.name, etag=song.etag))
    assert again.state in (pb.Song.QUEUED, pb.Song.RUNNING)
    with refused(errors.Conflict, "ETAG_MISMATCH", field="etag"):
        await songs.RetrySong(pb.RetrySongRequest(name=song.name, etag=song.etag))
    await settle(songs, song.name, "FAILED")


async def test_a_song_in_the_wrong_state_says_which(songs):
    song = await songs.CreateSong(request(wait_s=60))

    with refused(errors.FailedPrecondition, "WRONG_STATE", told="SUCCEEDED"):
        await songs.CancelSong(pb.CancelSongRequest(name=song.name))
    with refused(errors.FailedPrecondition, "WRONG_STATE", told="SUCCEEDED"):
        await songs.RetrySong(pb.RetrySongRequest(name=song.name))
    with refused(errors.FailedPrecondition, "WRONG_STATE", told="SUCCEEDED"):
        await songs.UndeleteSong(pb.UndeleteSongRequest(name=song.name))


async def test_a_running_song_is_cancelled_within_half_a_second_of_a_step(songs):
    song = await songs.CreateSong(request("slow"))
    await settle(songs, song.name, "RUNNING")
    began = time.monotonic()

    cancelled = await songs.CancelSong(pb.CancelSongRequest(name=song.name))
    await settle(songs, song.name, "CANCELLED")

    assert State.Name(cancelled.state) in ("CANCELLING", "CANCELLED")
    assert time.monotonic() - began < 3  # the contract is 0.5 s; without the message it takes a lease, 2 s, and a sweep
    assert (await songs.CancelSong(pb.CancelSongRequest(name=song.name))).state == pb.Song.CANCELLED


async def test_a_deleted_song_is_hidden_and_comes_back(songs):
    song = await songs.CreateSong(request(wait_s=60, labels={"only": "this"}))
    listed = pb.ListSongsRequest(filter="labels.only = this")

    deleted = await songs.DeleteSong(pb.DeleteSongRequest(name=song.name))

    assert deleted.HasField("delete_time")
    assert deleted.state == pb.Song.SUCCEEDED
    listed.min_etag = deleted.etag
    assert not (await songs.ListSongs(listed)).songs
    listed.show_deleted = True
    assert [s.name for s in (await songs.ListSongs(listed)).songs] == [song.name]
    back = await songs.UndeleteSong(pb.UndeleteSongRequest(name=song.name))
    assert not back.HasField("delete_time")
    assert list(back.outputs) == list(song.outputs)


async def test_a_watch_goes_on_after_its_token(songs):
    song = await songs.CreateSong(request(wait_s=60))

    whole = [event async for event in songs.WatchSong(pb.WatchSongRequest(name=song.name))]
    middle = whole[2].resume_token
    rest = [e async for e in songs.WatchSong(pb.WatchSongRequest(name=song.name, resume_token=middle))]

    assert [e.song.etag for e in rest] == [e.song.etag for e in whole[3:]]
    assert whole[-1].song.state == pb.Song.SUCCEEDED
    with refused(errors.InvalidInput, "MALFORMED", field="resume_token"):
        await anext(aiter(songs.WatchSong(pb.WatchSongRequest(name=song.name, resume_token="x"))))


async def test_names_that_are_no_songs_are_not_found(songs):
    for name in ("songs/1", "x", "", "songs/" + "0" * 32, "songs/*", "songs/" + "0" * 31 + ">"):
        with refused(errors.NotFound, "SONG_NOT_FOUND", field="name"):
            await songs.GetSong(pb.GetSongRequest(name=name))
        with refused(errors.NotFound, "SONG_NOT_FOUND"):
            await songs.DeleteSong(pb.DeleteSongRequest(name=name))
        with refused(errors.NotFound, "SONG_NOT_FOUND"):
            await anext(aiter(songs.WatchSong(pb.WatchSongRequest(name=name))))


async def test_somebody_elses_song_is_not_there(songs, mesh, stranger):
    song = await songs.CreateSong(request(wait_s=60))

    with refused(errors.NotFound, "SONG_NOT_FOUND"):
        await stranger.GetSong(pb.GetSongRequest(name=song.name))
    with refused(errors.NotFound, "SONG_NOT_FOUND"):
        await stranger.CancelSong(pb.CancelSongRequest(name=song.name))
    with refused(errors.NotFound, "SONG_NOT_FOUND"):
        await anext(aiter(stranger.WatchSong(pb.WatchSongRequest(name=song.name))))
    assert not (await stranger.ListSongs(pb.ListSongsRequest(show_deleted=True))).songs


async def test_pages_hold_every_song_once(songs):
    label = uuid.uuid4().hex
    made = {(await songs.CreateSong(request(wait_s=60, labels={"page": label}))).name for _ in range(3)}
    listed = pb.ListSongsRequest(filter=f"labels.page = {label}", page_size=2)

    first = await songs.ListSongs(listed)
    listed.page_token = first.next_page_token
    second = await songs.ListSongs(listed)

    assert {s.name for s in (*first.songs, *second.songs)} == made
    assert (first.total_size, len(first.songs), len(second.songs), second.next_page_token) == (3, 2, 1, "")
    listed.filter = "state = FAILED"
    with refused(errors.InvalidInput, "MALFORMED", field="page_token"):
        await songs.ListSongs(listed)
    with refused(errors.InvalidInput, "UNKNOWN_VALUE", told="character 1", field="filter"):
        await songs.ListSongs(pb.ListSongsRequest(filter="tenant = other"))


async def test_a_batch_answers_each_request_by_itself(songs):
    good, bad = request(), request(bpm=1)

    batch = await songs.BatchCreateSongs(pb.BatchCreateSongsRequest(requests=[good, bad, good]))

    assert [r.WhichOneof("result") for r in batch.results] == ["song", "error", "song"]
    assert batch.results[1].error.field == "spec.bpm"
    assert (await settle(songs, batch.results[0].song.name, "SUCCEEDED")).resolved.batch
    with refused(errors.InvalidInput, "OUT_OF_RANGE", field="requests"):
        await songs.BatchCreateSongs(pb.BatchCreateSongsRequest())


async def test_retrying_by_filter_tells_first_and_does_then(songs):
    label = uuid.uuid4().hex
    song = await songs.CreateSong(request("fail", wait_s=60, labels={"again": label}))
    await songs.ListSongs(pb.ListSongsRequest(min_etag=song.etag))
    wanted = pb.BatchRetrySongsRequest(filter=f"labels.again = {label}", validate_only=True)

    told = await songs.BatchRetrySongs(wanted)
    assert (await songs.GetSong(pb.GetSongRequest(name=song.name))).etag == song.etag
    wanted.validate_only = False
    done = await songs.BatchRetrySongs(wanted)

    assert [s.name for s in told.songs] == [s.name for s in done.songs] == [song.name]
    assert done.songs[0].etag != song.etag
    await settle(songs, song.name, "FAILED")


async def test_a_tenant_has_at_most_so_many_unfinished_songs(songs):
    asked = [request("slow", request_id=uuid.uuid4().hex) for _ in range(5)]
    running = [await songs.CreateSong(one) for one in asked]

    with refused(errors.QuotaExceeded, "TENANT_UNFINISHED") as _:
        await songs.CreateSong(request("slow", request_id=uuid.uuid4().hex))
    assert (await songs.CreateSong(asked[0])).name == running[0].name  # it is not one more
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await songs.CreateSong(request("slow"))
    assert from_rpc_error(caught.value).retry_after is not None
    for song in running:
        await songs.CancelSong(pb.CancelSongRequest(name=song.name))
    for song in running:
        await settle(songs, song.name, "CANCELLED")
    assert (await songs.CreateSong(request(wait_s=60))).state == pb.Song.SUCCEEDED


async def test_an_estimate_says_what_it_would_take(songs):
    estimate = await songs.EstimateSong(pb.EstimateSongRequest(spec=request(duration_seconds=120).spec))

    assert estimate.engine == "arranger"
    assert estimate.cpu_seconds > 120 * 0.03


async def test_long_words_travel_beside_the_song(songs):
    text = "[verse]\n" + "rain on the window\n" * 300
    song = await songs.CreateSong(request(wait_s=60, lyrics={"text": text}))

    assert song.spec.lyrics.text == ""
    assert song.spec.lyrics.text_artifact.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert song.warnings == [text]  # as the lyricist read it
    again = await songs.CreateSong(pb.CreateSongRequest(spec=song.resolved))
    assert again.resolved.lyrics == song.resolved.lyrics
    with refused(errors.InvalidInput, "ARTIFACT_NOT_FOUND", field="spec.lyrics.text_artifact"):
        await songs.CreateSong(request(lyrics={"text_artifact": {"sha256": "0" * 64}}))


async def test_capabilities_are_those_of_the_services(door):
    found = await door.stub(capability_pb2_grpc.CapabilityServiceStub).GetCapabilities(
        capability_pb2.GetCapabilitiesRequest()
    )

    assert [engine.name for engine in found.engines] == ["arranger"]
    assert [list(f.values) for f in found.engines[0].fields if f.field == "language"] == [["en"]]
    assert list(found.formats) == ["wav", "flac", "mp3"]
    assert found.limits.upload_bytes == 200 * 1024 * 1024


async def test_a_prompt_is_read_for_the_caller(door):
    lyrics = door.stub(lyrics_pb2_grpc.LyricsServiceStub)
    read = await lyrics.ReadPrompt(lyrics_pb2.ReadPromptRequest(prompt="rain", spec=spec_pb2.SongSpec(title="T")))

    assert read.brief.title == "T"
    assert list(read.warnings) == ["user"]  # whom the grant names
    with refused(errors.InvalidInput, "TOO_LONG", field="spec.prompt"):
        await lyrics.ReadPrompt(lyrics_pb2.ReadPromptRequest(prompt="x" * 2001))
    events = [e async for e in lyrics.WriteLyrics(lyrics_pb2.WriteLyricsRequest(prompt="rain"))]
    assert events[0].line.line.text == "about rain"
    assert events[-1].result.title == "Rain"


async def parts(header: artifact_pb2.UploadArtifactRequest.Header, *chunks: bytes) -> AsyncIterator[Any]:
    yield artifact_pb2.UploadArtifactRequest(header=header)
    for chunk in chunks:
        yield artifact_pb2.UploadArtifactRequest(chunk=chunk)


async def test_a_file_goes_up_and_comes_back(files, door):
    body = b"words " * 100_000
    header = artifact_pb2.UploadArtifactRequest.Header(media_type="text/plain", size_bytes=len(body))
    chunks = [body[at : at + 200_000] for at in range(0, len(body), 200_000)]

    stored = await files.UploadArtifact(parts(header, *chunks))
    down = [p async for p in files.DownloadArtifact(artifact_pb2.DownloadArtifactRequest(name=stored.name, offset=6))]

    assert stored.sha256 == hashlib.sha256(body).hexdigest()
    assert down[0].artifact == stored
    assert b"".join(p.chunk for p in down) == body[6:]
    assert await files.GetArtifact(artifact_pb2.GetArtifactRequest(name=stored.name)) == stored
    assert (await files.VerifyArtifact(artifact_pb2.VerifyArtifactRequest(name=stored.name))).intact
    analysis = await door.stub(audio_pb2_grpc.AudioServiceStub).Analyze(audio_pb2.AnalyzeRequest(artifact=stored.name))
    assert analysis.duration_seconds == len(body)


@pytest.mark.parametrize(
    ("sized", "chunks", "reason", "field"),
    [
        (3, (b"four",), "TOO_LARGE", "chunk"),
        (0, (b"x" * (256 * 1024 + 1),), "TOO_LARGE", "chunk"),
        (300 * 1024 * 1024, (), "TOO_LARGE", "header.size_bytes"),
    ],
)
async def test_an_upload_over_its_limits_is_refused(sized, chunks, reason, field, files):
    header = artifact_pb2.UploadArtifactRequest.Header(media_type="text/plain", size_bytes=sized)

    with refused(errors.InvalidInput, reason, field=field):
        await files.UploadArtifact(parts(header, *chunks))


async def test_a_wrong_digest_is_refused(files):
    header = artifact_pb2.UploadArtifactRequest.Header(sha256="0" * 64, media_type="text/plain")

    with refused(errors.InvalidInput, "DIGEST_MISMATCH"):
        await files.UploadArtifact(parts(header, b"something"))


async def test_names_that_are_no_artifacts_are_not_found(files, door):
    for name in ("artifacts/1", "", "artifacts/" + "0" * 64):
        with refused(errors.NotFound, "ARTIFACT_NOT_FOUND"):
            await files.GetArtifact(artifact_pb2.GetArtifactRequest(name=name))
        with refused(errors.NotFound, "ARTIFACT_NOT_FOUND"):
            await anext(aiter(files.DownloadArtifact(artifact_pb2.DownloadArtifactRequest(name=name))))
        with refused(errors.NotFound, "ARTIFACT_NOT_FOUND"):
            await door.stub(audio_pb2_grpc.AudioServiceStub).Analyze(audio_pb2.AnalyzeRequest(artifact=name))


async def test_an_unknown_token_opens_nothing(mesh, open_channel):
    for token, reason in (("x" * 43, "TOKEN_INVALID"), ("a.b.c", "TOKEN_INVALID"), ("x" * 9000, "TOKEN_INVALID")):
        stub = song_pb2_grpc.SongServiceStub(open_channel(token))
        with refused(errors.Unauthenticated, reason):
            await stub.ListSongs(pb.ListSongsRequest())


async def test_services_are_not_served_in_public(door):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await door.stub(identity_pb2_grpc.TokenServiceStub).Jwks(identity_pb2.JwksRequest())

    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_nothing_a_user_wrote_is_in_the_logs(songs, mesh):
    secret = uuid.uuid4().hex
    await songs.CreateSong(request(prompt=f"about {secret}", wait_s=60, lyrics={"text": f"{secret} sings"}))
    with pytest.raises(grpc.aio.AioRpcError):
        await songs.CreateSong(request(genre=secret))

    logs = [Path(service.log).read_text() for service in mesh.info.services]

    assert any("harmonia.song.v1.SongService/CreateSong" in log for log in logs)
    assert not any(secret in log for log in logs)
