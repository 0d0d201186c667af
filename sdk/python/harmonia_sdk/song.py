"""A song as a program holds it: how far it is, what became of it, and its files."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harmonia.song.v1 import song_pb2 as pb
from harmonia_chassis.status import from_problem
from harmonia_sdk.errors import Cancelled, DeadlineExceeded, Reason
from harmonia_sdk.folder import free_folder, save

if TYPE_CHECKING:
    from harmonia_sdk.client import AsyncClient, Client

TERMINAL = frozenset({pb.Song.SUCCEEDED, pb.Song.FAILED, pb.Song.CANCELLED, pb.Song.EXPIRED})


@dataclass(frozen=True, slots=True)
class Progress:
    """state: "RUNNING". stage: "compose", "" before the first. Fractions are 0 to 1, of the stage and of the song."""

    state: str
    stage: str
    stage_fraction: float
    fraction: float
    eta_s: float | None
    message: str


class AsyncSong:
    def __init__(self, client: "AsyncClient", message: pb.Song) -> None:
        self._client = client
        self.message = message

    @property
    def name(self) -> str:
        return self.message.name

    @property
    def state(self) -> str:
        return pb.Song.State.Name(self.message.state)

    @property
    def title(self) -> str:
        return self.message.resolved.title or self.message.spec.title

    @property
    def ended(self) -> bool:
        return self.message.state in TERMINAL

    async def progress(self) -> AsyncGenerator[Progress, None]:
        """Until it has ended, however it did."""
        async with aclosing(self._client.watch(self.name)) as events:
            async for event in events:
                if event.HasField("song"):
                    self.message = event.song
                if (told := progress_of(event, self.message)) is not None:
                    yield told

    async def wait(self) -> "AsyncSong":
        """Returns when it is made; raises why it is not."""
        if not self.ended:
            async with aclosing(self.progress()) as told:
                async for _ in told:
                    pass
            self.message = await self._client.get(self.name)
        raise_unless_made(self.message)
        return self

    async def save(self, folder: Path | str | None = None, *, force: bool = False) -> Path:
        """Waits for it, then writes its folder: `folder`, or ./<slug of the title>, then -2. Returns where."""
        await self.wait()
        place = Path(folder) if folder is not None else free_folder(self.message, Path())
        await save(self._client, self.message, place, force=force)
        return place

    def listen(self, *, from_seconds: float = 0.0, take: int = 1) -> AsyncGenerator[pb.AudioChunk, None]:
        """48 kHz stereo s16le while it is made; `position` is in frames, each chunk begins where the last one ended."""
        return self._client.listen(self.name, from_seconds=from_seconds, take=take)

    async def cancel(self) -> None:
        self.message = await self._client.cancel(self.name)

    async def refresh(self) -> None:
        self.message = await self._client.get(self.name)


class Song:
    def __init__(self, client: "Client", song: AsyncSong) -> None:
        self._client = client
        self._song = song

    @property
    def message(self) -> pb.Song:
        return self._song.message

    @property
    def name(self) -> str:
        return self._song.name

    @property
    def state(self) -> str:
        return self._song.state

    @property
    def title(self) -> str:
        return self._song.title

    @property
    def ended(self) -> bool:
        return self._song.ended

    def progress(self) -> Iterator[Progress]:
        """Until it has ended, however it did."""
        return self._client.iterate(self._song.progress())

    def wait(self) -> "Song":
        """Returns when it is made; raises why it is not."""
        self._client.run(self._song.wait())
        return self

    def save(self, folder: Path | str | None = None, *, force: bool = False) -> Path:
        """Waits for it, then writes its folder: `folder`, or ./<slug of the title>, then -2. Returns where."""
        return self._client.run(self._song.save(folder, force=force))

    def listen(self, *, from_seconds: float = 0.0, take: int = 1) -> Iterator[pb.AudioChunk]:
        """48 kHz stereo s16le while it is made; `position` is in frames, each chunk begins where the last one ended."""
        return self._client.listen(self.name, from_seconds=from_seconds, take=take)

    def cancel(self) -> None:
        self._client.run(self._song.cancel())

    def refresh(self) -> None:
        self._client.run(self._song.refresh())


def progress_of(event: pb.SongEvent, song: pb.Song) -> Progress | None:
    """`song`: as it was last told. None for a heartbeat, and for what a stage says after it was over."""
    state = pb.Song.State.Name(song.state)
    if event.HasField("progress"):
        told = event.progress
        if told.stage in {stage.name for stage in song.stages if stage.state == pb.Song.SUCCEEDED}:
            return None
        eta_s = told.eta.ToTimedelta().total_seconds() if told.HasField("eta") else None
        return Progress(state, told.stage, told.stage_progress, told.progress, eta_s, told.message)
    if not event.HasField("song"):
        return None
    stage = next((stage for stage in song.stages if stage.state != pb.Song.SUCCEEDED), pb.StageStatus())
    eta_s = song.eta.ToTimedelta().total_seconds() if song.HasField("eta") else None
    return Progress(state, stage.name, stage.progress, song.progress, eta_s, "")


def raise_unless_made(song: pb.Song) -> None:
    if song.state == pb.Song.FAILED:
        raise from_problem(song.error)
    if song.state == pb.Song.CANCELLED:
        raise Cancelled(f"{song.name} was cancelled", reason=Reason.CANCELLED)
    if song.state == pb.Song.EXPIRED:
        raise DeadlineExceeded(f"{song.name} was not made before its deadline", reason=Reason.DEADLINE)
