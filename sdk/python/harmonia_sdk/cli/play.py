"""`harmonia play`: a song, heard while it is made."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command
from harmonia_sdk.errors import Conflict, FailedPrecondition, HarmoniaError, InvalidInput, NotFound, Reason

if TYPE_CHECKING:
    from harmonia_sdk.cli.session import Session

STDOUT = "-"
FRAME_BYTES = 4
RATE_HZ = 48_000


def register(app: typer.Typer) -> None:
    add_command(app, "play", play)


async def play(
    common: Common,
    *,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Default: the newest song.")] = "",
    from_seconds: Annotated[float, typer.Option("--from", metavar="SECONDS")] = 0.0,
    take: Annotated[int, typer.Option(metavar="N", help="Of a song with variations.")] = 1,
    out: Annotated[
        str, typer.Option(metavar="FILE.wav|-", help="Write the sound instead of playing it; - is standard output.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace FILE.wav.")] = False,
) -> None:
    """Plays a song, also while it is made: previews first, then the master."""
    from harmonia_sdk.cli.players import find_player
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json, say

    if out == STDOUT and common.json:
        raise InvalidInput("--out - and --json both want standard output", reason=Reason.CONTRADICTORY, field="out")
    if out and out != STDOUT:
        _make_room(Path(out), force=force)
    player = "" if out else find_player()
    async with session(common) as mesh:
        wanted = name or await _newest(mesh)
        if not (common.json or out):
            say(f"playing {wanted} with {player}")
        heard = Heard(mesh, wanted, from_seconds=from_seconds, take=take)
        await heard.written(out) if out else await heard.played(player)
    if common.json:
        print_json({"name": wanted, "seconds": heard.seconds, "preview_seconds": heard.preview_seconds})
    elif out and out != STDOUT:
        print(out)


async def _newest(mesh: "Session") -> str:
    found = await mesh.client.list(limit=1)
    if not found.songs:
        raise NotFound("there are no songs yet: `harmonia compose` makes one", reason=Reason.SONG_NOT_FOUND)
    return found.songs[0].name


def _make_room(path: Path, *, force: bool) -> None:
    from harmonia_sdk.folder import check_writable

    if path.is_dir():
        raise InvalidInput(f"{path} is a folder: name a file", reason=Reason.MALFORMED, field="out")
    if path.exists() and not force:
        message = f"{path} is there: name another file, or say --force to replace it"
        raise Conflict(message, reason=Reason.WRONG_STATE, field="out")
    if not path.absolute().parent.is_dir():
        raise InvalidInput(f"{path.parent} is no folder", reason=Reason.MALFORMED, field="out")
    check_writable(path.parent)


class Heard:
    """One song on its way to somebody's ears, and how much of it got there."""

    def __init__(self, mesh: "Session", name: str, *, from_seconds: float = 0.0, take: int = 1) -> None:
        self._mesh = mesh
        self._name = name
        self._from_seconds = from_seconds
        self._take = take
        self.seconds = 0.0
        self.preview_seconds = 0.0

    async def played(self, player: str) -> None:
        from harmonia_sdk.cli.players import playing

        async with playing(player) as to:
            async with aclosing(self._chunks()) as chunks:
                async for pcm in chunks:
                    if not await to.play(pcm):
                        break
            await to.finish()

    async def written(self, out: str) -> None:
        from harmonia_sdk.wave import WaveFile, header

        if out != STDOUT:
            with closing(WaveFile(Path(out))) as file:
                async with aclosing(self._chunks()) as chunks:
                    async for pcm in chunks:
                        await asyncio.to_thread(file.write, pcm)
            return
        before = header()
        async with aclosing(self._chunks()) as chunks:
            async for pcm in chunks:
                sys.stdout.buffer.write(before + pcm)
                sys.stdout.buffer.flush()
                before = b""

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        """SongEnded for a song that comes to nothing, as for every command that waits for one."""
        from harmonia.song.v1 import song_pb2 as pb
        from harmonia_sdk.cli.follow import raise_unless_succeeded

        listening = self._mesh.client.listen(self._name, from_seconds=self._from_seconds, take=self._take)
        try:
            async with aclosing(listening) as chunks:
                async for chunk in chunks:
                    seconds = len(chunk.pcm) / FRAME_BYTES / RATE_HZ
                    self.seconds += seconds
                    self.preview_seconds += seconds if chunk.source == pb.AudioChunk.PREVIEW else 0.0
                    yield chunk.pcm
        except FailedPrecondition:
            song = await self._mesh.client.get(self._name)
            if song.state in (pb.Song.FAILED, pb.Song.CANCELLED, pb.Song.EXPIRED):
                raise_unless_succeeded(song)
            raise


async def play_beside(mesh: "Session", name: str, player: str) -> None:
    """While a command does something else: what goes wrong with the player is said, and no more."""
    from harmonia_sdk.cli.show import say

    try:
        await Heard(mesh, name).played(player)
    except HarmoniaError as error:
        say(f"not played: {error.message}")
