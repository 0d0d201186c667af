"""Waiting for a song in front of a terminal: what is shown, and what ctrl-C does."""

import asyncio
import sys
from contextlib import aclosing, suppress
from typing import Any

from harmonia.song.v1 import song_pb2 as pb
from harmonia_sdk.cli.faults import SongEnded
from harmonia_sdk.cli.session import Session
from harmonia_sdk.cli.show import Show, progress_shown, say
from harmonia_sdk.cli.signals import on_interrupt
from harmonia_sdk.errors import FailedPrecondition
from harmonia_sdk.song import TERMINAL


async def follow(session: Session, name: str, *, as_json: bool, resume_token: str = "") -> pb.Song | None:
    """The song as it ended. None: ctrl-C, and it goes on without us. SongEnded when it did not succeed."""
    presses: asyncio.Queue[None] = asyncio.Queue()
    with on_interrupt(lambda: presses.put_nowait(None)), progress_shown(as_json=as_json) as show:
        watching = asyncio.ensure_future(_watched(session, name, show, resume_token))
        try:
            song = await _watched_or_left(session, name, watching, presses)
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait({watching})
    return song


def left_alone(name: str) -> None:
    say(f"{name} goes on without this command; to see it, to stop it, to have it:")
    for command in ("watch", "cancel", "download"):
        print(f"  harmonia {command} {name}", flush=True)


def raise_unless_succeeded(song: pb.Song) -> None:
    if song.state != pb.Song.SUCCEEDED:
        raise SongEnded(song)


async def _watched(session: Session, name: str, show: Show, resume_token: str) -> pb.Song:
    song = pb.Song(name=name)
    async with aclosing(session.client.watch(name, resume_token=resume_token)) as events:
        async for event in events:
            song = event.song if event.HasField("song") else song
            show(event, song)
    return song if song.state in TERMINAL else await session.client.get(name)


async def _watched_or_left(
    session: Session, name: str, watching: "asyncio.Future[pb.Song]", presses: "asyncio.Queue[None]"
) -> pb.Song | None:
    """On a private mesh ctrl-C asks whether to cancel, a second one cancels; once it is cancelling, one more leaves."""
    cancelling = False
    while await _pressed(watching, presses):
        if not session.private:
            return None
        if cancelling:
            raise asyncio.CancelledError
        if cancelling := await _wants_to_cancel(watching, presses):
            with suppress(FailedPrecondition):  # it ended in this moment
                await session.client.cancel(name)
    return watching.result()


async def _pressed(watching: "asyncio.Future[pb.Song]", presses: "asyncio.Queue[None]") -> bool:
    press = asyncio.ensure_future(presses.get())
    try:
        waiting: set[asyncio.Future[Any]] = {watching, press}  # Any: they bring different things
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return not watching.done()
    finally:
        press.cancel()


async def _wants_to_cancel(watching: "asyncio.Future[pb.Song]", presses: "asyncio.Queue[None]") -> bool:
    if not sys.stdin.isatty():
        say("ctrl-C again cancels the song")
        return await _pressed(watching, presses)
    sys.stderr.write("\ncancel the song? [y/N, or ctrl-C again] ")
    sys.stderr.flush()
    press, answer = asyncio.ensure_future(_pressed(watching, presses)), asyncio.ensure_future(_typed_yes())
    try:
        await asyncio.wait({press, answer}, return_when=asyncio.FIRST_COMPLETED)
        return press.result() if press.done() else answer.result()
    finally:
        press.cancel()
        answer.cancel()


async def _typed_yes() -> bool:
    """Not input(): a thread that waits for a terminal would keep the process."""
    loop = asyncio.get_running_loop()
    typed = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), typed.set)
    try:
        await typed.wait()
        return sys.stdin.readline().strip().lower() in {"y", "yes"}
    finally:
        loop.remove_reader(sys.stdin.fileno())
