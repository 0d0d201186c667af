"""The client of a mesh, asynchronous and not. Errors are those of harmonia_sdk.errors, whatever went wrong.

Unary calls are repeated by the service config of channel.py; broken streams go on where they stopped.
"""

# ruff: noqa: A002  `filter` and `all` are names in the contract
import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from random import getrandbits
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import uuid4

import grpc
from google.protobuf.duration_pb2 import Duration

from harmonia.artifact.v1 import artifact_pb2, artifact_pb2_grpc
from harmonia.audio.v1 import audio_pb2, audio_pb2_grpc
from harmonia.capability.v1 import capability_pb2, capability_pb2_grpc
from harmonia.identity.v1 import key_pb2, key_pb2_grpc
from harmonia.lyrics.v1 import lyrics_pb2, lyrics_pb2_grpc
from harmonia.song.v1 import song_pb2 as pb
from harmonia.song.v1 import song_pb2_grpc as rpc
from harmonia.song.v1.spec_pb2 import SongSpec
from harmonia_chassis.status import from_rpc_error, rpc_errors
from harmonia_sdk import transfer
from harmonia_sdk.channel import open_channel
from harmonia_sdk.endpoint import Endpoint, local_endpoint, read_ca, remote_endpoint
from harmonia_sdk.errors import InvalidInput, NotFound, Reason, Unavailable
from harmonia_sdk.models import AsyncModels
from harmonia_sdk.patience import PATIENCE_S, Patience
from harmonia_sdk.projects import AsyncProjects, Projects
from harmonia_sdk.sections import redrawn
from harmonia_sdk.settings import default_home
from harmonia_sdk.shares import AsyncShares, Shares
from harmonia_sdk.song import TERMINAL, AsyncSong, Song
from harmonia_sdk.spec import fill, paths_of, song_spec

T = TypeVar("T")

CALL_S = 20.0
ANALYZE_S = 120.0
MASTER_S = 300.0
SILENCE_S = 40.0  # a heartbeat comes every 15 s
RATE_HZ = 48_000  # of what is listened to: stereo, 16 bits
FRAME_BYTES = 4
PAGE_SIZE = 200


class AsyncClient:
    """Of the local mesh, or of `server` ("host:port"). `token`: the user's. `ca`: file or PEM, for a private CA."""

    def __init__(
        self, server: str = "", *, token: str = "", ca: Path | bytes | None = None, home: Path | None = None
    ) -> None:
        self.endpoint = find_endpoint(server, token=token, ca=ca, home=home)

    @classmethod
    def at(cls, endpoint: Endpoint) -> Self:
        client = cls.__new__(cls)
        client.endpoint = endpoint
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        if "_channel" in self.__dict__:
            await self._channel.close()

    async def compose(self, prompt: str = "", **fields: object) -> AsyncSong:
        """Accepted, not yet made. fields: of SongSpec by name, parts as mappings: bpm=84, outputs={"stems": False}."""
        return AsyncSong(self, await self.create(song_spec(prompt, fields)))

    async def create(
        self, spec: SongSpec, *, request_id: str = "", validate_only: bool = False, wait: timedelta = timedelta(0)
    ) -> pb.Song:
        """The same request_id gives the same song; without one, each call is a new song. wait: at most 60 s."""
        request = pb.CreateSongRequest(
            spec=spec, request_id=request_id or uuid4().hex, validate_only=validate_only, wait=_duration(wait)
        )
        with rpc_errors():
            return await self._songs.CreateSong(request, timeout=CALL_S + wait.total_seconds())

    async def revise(
        self,
        name: str,
        *,
        redraw: Sequence[str] = (),
        anew: Sequence[str] = (),
        from_stage: str = "",
        **fields: object,
    ) -> AsyncSong:
        """A new song out of one that has ended. fields: of SongSpec, what is to be different; anew: fields that are to
        be chosen again; redraw: sections, by name or number, that are to be drawn again. What none of them touches is
        taken over. from_stage: "write", "compose" or "master"."""
        changes = SongSpec()
        fill(changes, fields)
        if redraw:
            changes.sections.extend(redrawn(await self.get(name), redraw, getrandbits(64)))
        return AsyncSong(self, await self.revise_spec(name, changes, anew=anew, from_stage=from_stage))

    async def revise_spec(
        self,
        name: str,
        changes: SongSpec,
        *,
        anew: Sequence[str] = (),
        from_stage: str = "",
        request_id: str = "",
        validate_only: bool = False,
        wait: timedelta = timedelta(0),
    ) -> pb.Song:
        """The same request_id gives the same song; without one, each call is a new song. wait: at most 60 s."""
        request = pb.ReviseSongRequest(
            name=song_name(name),
            changes=changes,
            fields=[*paths_of(changes), *anew] if anew else (),
            from_stage=from_stage,
            request_id=request_id or uuid4().hex,
            validate_only=validate_only,
            wait=_duration(wait),
        )
        with rpc_errors():
            return await self._songs.ReviseSong(request, timeout=CALL_S + wait.total_seconds())

    async def batch_create(self, specs: Sequence[SongSpec]) -> pb.BatchCreateSongsResponse:
        """At most 100, in the background lane; a result per spec."""
        requests = [pb.CreateSongRequest(spec=spec, request_id=uuid4().hex) for spec in specs]
        with rpc_errors():
            return await self._songs.BatchCreateSongs(pb.BatchCreateSongsRequest(requests=requests), timeout=CALL_S)

    async def estimate(self, spec: SongSpec) -> pb.Estimate:
        with rpc_errors():
            return await self._songs.EstimateSong(pb.EstimateSongRequest(spec=spec), timeout=CALL_S)

    async def get(self, name: str) -> pb.Song:
        with rpc_errors():
            return await self._songs.GetSong(pb.GetSongRequest(name=song_name(name)), timeout=CALL_S)

    async def song(self, name: str) -> AsyncSong:
        return AsyncSong(self, await self.get(name))

    async def list(
        self, *, filter: str = "", order_by: str = "", limit: int = 50, show_deleted: bool = False, min_etag: str = ""
    ) -> pb.ListSongsResponse:
        """At most `limit` songs, over as many pages as that takes. filter: AIP-160, `state = FAILED`."""
        found = pb.ListSongsResponse()
        while True:
            request = pb.ListSongsRequest(
                filter=filter,
                order_by=order_by,
                page_size=min(limit - len(found.songs), PAGE_SIZE),
                page_token=found.next_page_token,
                min_etag=min_etag,
                show_deleted=show_deleted,
            )
            with rpc_errors():
                page = await self._songs.ListSongs(request, timeout=CALL_S)
            found.songs.extend(page.songs)
            found.next_page_token, found.total_size = page.next_page_token, page.total_size
            if not page.next_page_token or len(found.songs) >= limit:
                return found

    async def search(
        self, query: str = "", *, like: str = "", filter: str = "", limit: int = 50, min_etag: str = ""
    ) -> pb.SearchSongsResponse:
        """Songs by words, or by the song that they are to sound `like`; the best first, at most `limit`."""
        found = pb.SearchSongsResponse()
        while True:
            request = pb.SearchSongsRequest(
                query=query,
                like=song_name(like) if like else "",
                filter=filter,
                page_size=min(limit - len(found.matches), PAGE_SIZE),
                page_token=found.next_page_token,
                min_etag=min_etag,
            )
            with rpc_errors():
                page = await self._songs.SearchSongs(request, timeout=CALL_S)
            found.matches.extend(page.matches)
            found.next_page_token, found.total_size = page.next_page_token, page.total_size
            if not page.next_page_token or len(found.matches) >= limit:
                return found

    async def watch(
        self, name: str, *, resume_token: str = "", patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[pb.SongEvent, None]:
        """Every state, then progress, until the song has ended. A broken stream goes on after the last event."""
        token, last = resume_token, pb.Song.UNSPECIFIED
        patience = Patience(patience_s)
        while True:
            call = self._songs.WatchSong(pb.WatchSongRequest(name=song_name(name), resume_token=token))
            try:
                async for event in _read_all(call, pb.SongEvent):
                    patience.heard()
                    token = event.resume_token or token
                    last = event.song.state if event.HasField("song") else last
                    yield event
                if last in TERMINAL or await self._has_ended(name):
                    return
            except grpc.aio.AioRpcError as failure:
                await patience.wait_or_raise(from_rpc_error(failure))
            except TimeoutError:
                await patience.wait_or_raise(Unavailable(f"nothing heard of {name}", reason=Reason.UNREACHABLE))
            finally:
                call.cancel()

    async def listen(
        self, name: str, *, from_seconds: float = 0.0, take: int = 1, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[pb.AudioChunk, None]:
        """48 kHz stereo s16le, from previews while it is made, then from the master; each chunk begins where the last
        one ended, also over a broken stream. FailedPrecondition when the song comes to nothing."""
        patience = Patience(patience_s)
        while True:
            request = pb.ListenSongRequest(name=song_name(name), from_seconds=from_seconds, take=take)
            call = self._songs.ListenSong(request)
            try:
                async for chunk in _read_all(call, pb.AudioChunk):
                    patience.heard()
                    if chunk.pcm:
                        from_seconds = (chunk.position + len(chunk.pcm) // FRAME_BYTES) / RATE_HZ
                        yield chunk
            except grpc.aio.AioRpcError as failure:
                await patience.wait_or_raise(from_rpc_error(failure))
            except TimeoutError:
                await patience.wait_or_raise(Unavailable(f"nothing heard of {name}", reason=Reason.UNREACHABLE))
            else:
                return
            finally:
                call.cancel()

    async def cancel(self, name: str, *, etag: str = "") -> pb.Song:
        with rpc_errors():
            return await self._songs.CancelSong(pb.CancelSongRequest(name=song_name(name), etag=etag), timeout=CALL_S)

    async def retry(self, name: str, *, etag: str = "") -> pb.Song:
        with rpc_errors():
            return await self._songs.RetrySong(pb.RetrySongRequest(name=song_name(name), etag=etag), timeout=CALL_S)

    async def batch_retry(self, filter: str, *, validate_only: bool = False) -> pb.BatchRetrySongsResponse:
        """All failed, cancelled and expired songs that match; with validate_only it says which."""
        request = pb.BatchRetrySongsRequest(filter=filter, validate_only=validate_only)
        with rpc_errors():
            return await self._songs.BatchRetrySongs(request, timeout=CALL_S)

    async def delete(self, name: str, *, etag: str = "") -> pb.Song:
        """Can be undone for 30 days."""
        with rpc_errors():
            return await self._songs.DeleteSong(pb.DeleteSongRequest(name=song_name(name), etag=etag), timeout=CALL_S)

    async def batch_delete(self, filter: str, *, validate_only: bool = False) -> pb.BatchDeleteSongsResponse:
        """At most 200 of those that match, the oldest first; with validate_only it says which, and how many in all."""
        request = pb.BatchDeleteSongsRequest(filter=filter, validate_only=validate_only)
        with rpc_errors():
            return await self._songs.BatchDeleteSongs(request, timeout=3 * CALL_S)

    async def undelete(self, name: str) -> pb.Song:
        with rpc_errors():
            return await self._songs.UndeleteSong(pb.UndeleteSongRequest(name=song_name(name)), timeout=CALL_S)

    async def upload(self, path: Path) -> artifact_pb2.Artifact:
        return await transfer.upload(self._artifacts, path)

    async def download(self, artifact: str, to: Path) -> Path:
        """artifact: "artifacts/{sha256}". The file appears whole, its digest checked, or not at all."""
        await transfer.download(self._artifacts, artifact, to)
        return to

    async def collect_garbage(self, *, dry_run: bool = False) -> AsyncIterator[artifact_pb2.CollectGarbageResponse]:
        """For operators. What is found and done, as it happens; the summary last."""
        call = self._artifacts.CollectGarbage(artifact_pb2.CollectGarbageRequest(validate_only=dry_run))
        try:
            with rpc_errors():
                async for part in call:
                    yield part
        finally:
            call.cancel()

    async def analyze(self, path: Path, *, picture: bool = False) -> audio_pb2.AnalyzeResponse:
        """Uploads the recording and measures it; with picture, names a PNG to download within 24 h."""
        uploaded = await self.upload(path)
        request = audio_pb2.AnalyzeRequest(artifact=uploaded.name, picture=picture)
        with rpc_errors():
            return await self._audio.Analyze(request, timeout=ANALYZE_S)

    async def master(
        self, path: Path, wanted: audio_pb2.MasterRequest | None = None
    ) -> AsyncGenerator[audio_pb2.MasterResponse, None]:
        """Uploads the recording and masters it: progress as it comes, then the result, whose files may be downloaded.

        wanted: all but the artifact.
        """
        uploaded = await self.upload(path)
        request = audio_pb2.MasterRequest()
        request.CopyFrom(wanted or request)
        request.artifact = uploaded.name
        call = self._audio.Master(request, timeout=MASTER_S)
        try:
            with rpc_errors():
                async for event in call:
                    yield event
        finally:
            call.cancel()

    async def understand(self, prompt: str, *, spec: SongSpec | None = None) -> lyrics_pb2.ReadPromptResponse:
        """What a prompt would be taken to mean. Fields that are set in `spec` win over it."""
        request = lyrics_pb2.ReadPromptRequest(prompt=prompt, spec=spec)
        with rpc_errors():
            return await self._lyrics.ReadPrompt(request, timeout=CALL_S)

    async def lyrics(
        self, prompt: str, *, seed: int = 0, language: str = ""
    ) -> AsyncGenerator[lyrics_pb2.WriteLyricsResponse, None]:
        """Line by line, then all of it."""
        request = lyrics_pb2.WriteLyricsRequest(prompt=prompt, seed=seed, language=language)
        call = self._lyrics.WriteLyrics(request, timeout=ANALYZE_S)
        try:
            with rpc_errors():
                async for event in call:
                    yield event
        finally:
            call.cancel()

    async def create_key(
        self,
        display_name: str = "",
        *,
        scopes: Sequence[str] = (),
        valid_for: timedelta = timedelta(0),
        tenant: str = "",
        owner: str = "",
        operator: bool = False,
    ) -> key_pb2.CreateKeyResponse:
        """Its token is in the answer and nowhere else. valid_for: 0 for ever. The last three are for operators."""
        request = key_pb2.CreateKeyRequest(
            display_name=display_name,
            scopes=scopes,
            valid_for=_duration(valid_for),
            tenant=tenant,
            owner=owner,
            operator=operator,
        )
        with rpc_errors():
            return await self._keys.CreateKey(request, timeout=CALL_S)

    async def list_keys(self, *, show_ended: bool = False, all: bool = False) -> key_pb2.ListKeysResponse:
        with rpc_errors():
            request = key_pb2.ListKeysRequest(show_ended=show_ended, all=all)
            return await self._keys.ListKeys(request, timeout=CALL_S)

    async def revoke_key(self, name: str) -> key_pb2.Key:
        """name: "keys/…"."""
        with rpc_errors():
            return await self._keys.RevokeKey(key_pb2.RevokeKeyRequest(name=name), timeout=CALL_S)

    async def capabilities(self) -> capability_pb2.Capabilities:
        with rpc_errors():
            return await self._capabilities.GetCapabilities(capability_pb2.GetCapabilitiesRequest(), timeout=CALL_S)

    async def _has_ended(self, name: str) -> bool:
        """Whether a watch that ended without saying so had nothing more to say; a draining server ends it too."""
        song = await self.get(name)
        return song.state in TERMINAL or song.HasField("delete_time")

    # Opened at the first call, for a channel belongs to the event loop it was opened in.
    @cached_property
    def _keys(self) -> "key_pb2_grpc.KeyServiceAsyncStub":
        return key_pb2_grpc.KeyServiceStub(self._channel)

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        return open_channel(self.endpoint)

    @cached_property
    def _songs(self) -> "rpc.SongServiceAsyncStub":
        return rpc.SongServiceStub(self._channel)

    @cached_property
    def _artifacts(self) -> "artifact_pb2_grpc.ArtifactServiceAsyncStub":
        return artifact_pb2_grpc.ArtifactServiceStub(self._channel)

    @cached_property
    def _audio(self) -> "audio_pb2_grpc.AudioServiceAsyncStub":
        return audio_pb2_grpc.AudioServiceStub(self._channel)

    @cached_property
    def projects(self) -> AsyncProjects:
        return AsyncProjects(self._channel)

    @cached_property
    def shares(self) -> AsyncShares:
        return AsyncShares(self._channel)

    @cached_property
    def models(self) -> AsyncModels:
        return AsyncModels(self._channel)

    @cached_property
    def _lyrics(self) -> "lyrics_pb2_grpc.LyricsServiceAsyncStub":
        return lyrics_pb2_grpc.LyricsServiceStub(self._channel)

    @cached_property
    def _capabilities(self) -> "capability_pb2_grpc.CapabilityServiceAsyncStub":
        return capability_pb2_grpc.CapabilityServiceStub(self._channel)


class Client:
    """AsyncClient for programs without an event loop; its own runs on a thread until the client is closed."""

    def __init__(
        self, server: str = "", *, token: str = "", ca: Path | bytes | None = None, home: Path | None = None
    ) -> None:
        self._client = AsyncClient(server, token=token, ca=ca, home=home)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="harmonia-client", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self.run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def compose(self, prompt: str = "", **fields: object) -> Song:
        """Accepted, not yet made. fields: of SongSpec by name, parts as mappings: bpm=84, outputs={"stems": False}."""
        return Song(self, self.run(self._client.compose(prompt, **fields)))

    def create(
        self, spec: SongSpec, *, request_id: str = "", validate_only: bool = False, wait: timedelta = timedelta(0)
    ) -> pb.Song:
        """The same request_id gives the same song; without one, each call is a new song. wait: at most 60 s."""
        return self.run(self._client.create(spec, request_id=request_id, validate_only=validate_only, wait=wait))

    def revise(
        self,
        name: str,
        *,
        redraw: Sequence[str] = (),
        anew: Sequence[str] = (),
        from_stage: str = "",
        **fields: object,
    ) -> Song:
        """A new song out of one that has ended. fields: of SongSpec, what is to be different; anew: fields that are to
        be chosen again; redraw: sections, by name or number, that are to be drawn again. What none of them touches is
        taken over. from_stage: "write", "compose" or "master"."""
        revised = self._client.revise(name, redraw=redraw, anew=anew, from_stage=from_stage, **fields)
        return Song(self, self.run(revised))

    def batch_create(self, specs: Sequence[SongSpec]) -> pb.BatchCreateSongsResponse:
        """At most 100, in the background lane; a result per spec."""
        return self.run(self._client.batch_create(specs))

    def estimate(self, spec: SongSpec) -> pb.Estimate:
        return self.run(self._client.estimate(spec))

    def get(self, name: str) -> pb.Song:
        return self.run(self._client.get(name))

    def song(self, name: str) -> Song:
        return Song(self, self.run(self._client.song(name)))

    def list(
        self, *, filter: str = "", order_by: str = "", limit: int = 50, show_deleted: bool = False, min_etag: str = ""
    ) -> pb.ListSongsResponse:
        """At most `limit` songs, over as many pages as that takes. filter: AIP-160, `state = FAILED`."""
        return self.run(
            self._client.list(
                filter=filter, order_by=order_by, limit=limit, show_deleted=show_deleted, min_etag=min_etag
            )
        )

    def search(
        self, query: str = "", *, like: str = "", filter: str = "", limit: int = 50, min_etag: str = ""
    ) -> pb.SearchSongsResponse:
        """Songs by words, or by the song that they are to sound `like`; the best first, at most `limit`."""
        return self.run(self._client.search(query, like=like, filter=filter, limit=limit, min_etag=min_etag))

    def watch(self, name: str, *, resume_token: str = "") -> Iterator[pb.SongEvent]:
        """Every state, then progress, until the song has ended. A broken stream goes on after the last event."""
        return self.iterate(self._client.watch(name, resume_token=resume_token))

    def listen(self, name: str, *, from_seconds: float = 0.0, take: int = 1) -> Iterator[pb.AudioChunk]:
        """48 kHz stereo s16le, from previews while it is made, then from the master."""
        return self.iterate(self._client.listen(name, from_seconds=from_seconds, take=take))

    def cancel(self, name: str, *, etag: str = "") -> pb.Song:
        return self.run(self._client.cancel(name, etag=etag))

    def retry(self, name: str, *, etag: str = "") -> pb.Song:
        return self.run(self._client.retry(name, etag=etag))

    def batch_retry(self, filter: str, *, validate_only: bool = False) -> pb.BatchRetrySongsResponse:
        """All failed, cancelled and expired songs that match; with validate_only it says which."""
        return self.run(self._client.batch_retry(filter, validate_only=validate_only))

    def delete(self, name: str, *, etag: str = "") -> pb.Song:
        """Can be undone for 30 days."""
        return self.run(self._client.delete(name, etag=etag))

    def batch_delete(self, filter: str, *, validate_only: bool = False) -> pb.BatchDeleteSongsResponse:
        """At most 200 of those that match, the oldest first; with validate_only it says which, and how many in all."""
        return self.run(self._client.batch_delete(filter, validate_only=validate_only))

    def undelete(self, name: str) -> pb.Song:
        return self.run(self._client.undelete(name))

    def upload(self, path: Path) -> artifact_pb2.Artifact:
        return self.run(self._client.upload(path))

    def download(self, artifact: str, to: Path) -> Path:
        """artifact: "artifacts/{sha256}". The file appears whole, its digest checked, or not at all."""
        return self.run(self._client.download(artifact, to))

    def analyze(self, path: Path, *, picture: bool = False) -> audio_pb2.AnalyzeResponse:
        """Uploads the recording and measures it; with picture, names a PNG to download within 24 h."""
        return self.run(self._client.analyze(path, picture=picture))

    def master(self, path: Path, wanted: audio_pb2.MasterRequest | None = None) -> Iterator[audio_pb2.MasterResponse]:
        """Uploads the recording and masters it: progress as it comes, then the result, whose files may be downloaded.

        wanted: all but the artifact.
        """
        return self.iterate(self._client.master(path, wanted))

    def understand(self, prompt: str, *, spec: SongSpec | None = None) -> lyrics_pb2.ReadPromptResponse:
        """What a prompt would be taken to mean. Fields that are set in `spec` win over it."""
        return self.run(self._client.understand(prompt, spec=spec))

    def lyrics(self, prompt: str, *, seed: int = 0, language: str = "") -> Iterator[lyrics_pb2.WriteLyricsResponse]:
        """Line by line, then all of it."""
        return self.iterate(self._client.lyrics(prompt, seed=seed, language=language))

    @property
    def projects(self) -> Projects:
        return Projects(self, lambda: self._client.projects)

    @property
    def shares(self) -> Shares:
        return Shares(self, lambda: self._client.shares)

    def capabilities(self) -> capability_pb2.Capabilities:
        return self.run(self._client.capabilities())

    def run(self, work: Coroutine[Any, Any, T]) -> T:  # Any: what a coroutine is sent and yields nobody names
        """Of the client's own coroutines; ctrl-C cancels the one that runs."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def iterate(self, items: AsyncGenerator[T, None]) -> Iterator[T]:
        """Leaving early ends the stream at the server too."""
        end = object()
        try:
            while (item := self.run(_next_of(items, end))) is not end:
                yield item  # type: ignore[misc]  # not `end`, so a T
        finally:
            self.run(items.aclose())


def find_endpoint(server: str, *, token: str, ca: Path | bytes | None, home: Path | None) -> Endpoint:
    """The mesh of `server`, else the one that runs in the home; Unavailable when none does."""
    if server:
        return remote_endpoint(server, token=token, ca=read_ca(ca) if isinstance(ca, Path) else ca)
    place = home or default_home()
    if (found := local_endpoint(place)) is None:
        message = f"no mesh runs in {place}: start one with `harmonia up`, or name a server"
        raise Unavailable(message, reason=Reason.UNREACHABLE, field="home")
    return found


def song_name(text: str) -> str:
    """The name of a song, from what people write: with or without "songs/"."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise NotFound("no song has such a name", reason=Reason.SONG_NOT_FOUND, field="name") from exc
    return text if text.startswith("songs/") else f"songs/{text}"


def _duration(span: timedelta) -> Duration | None:
    if span < timedelta(0):
        raise InvalidInput(f"wait is 0 s or more, not {span}", reason=Reason.OUT_OF_RANGE, field="wait")
    duration = Duration()
    duration.FromTimedelta(span)
    return duration if span else None


async def _read_all(call: "grpc.aio.UnaryStreamCall[Any, T]", kind: type[T]) -> AsyncIterator[T]:
    """Any: of whatever request. Raises TimeoutError when nothing comes for longer than heartbeats are apart."""
    while True:
        async with asyncio.timeout(SILENCE_S):
            message = await call.read()
        if not isinstance(message, kind):
            return
        yield message


async def _next_of(items: AsyncIterator[T], end: object) -> T | object:
    return await anext(items, end)
