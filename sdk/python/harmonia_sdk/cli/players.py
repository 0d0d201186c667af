"""Programs that play sound: which there are, and how each takes a stream of 48 kHz stereo s16le."""

import asyncio
import shutil
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol

from harmonia_sdk.errors import FailedPrecondition, Reason
from harmonia_sdk.wave import WaveFile, header

_WAVE_IN = {
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "error", "-probesize", "4096", "-analyzeduration", "0", "-i", "-"),
    "mpv": ("--no-video", "--really-quiet", "-"),
}
_PCM_IN = {
    "pw-play": ("--format", "s16", "--rate", "48000", "--channels", "2", "-"),
    "paplay": ("--raw", "--format=s16le", "--rate=48000", "--channels=2"),
    "aplay": ("-q", "-t", "raw", "-f", "S16_LE", "-r", "48000", "-c", "2", "-"),
    "play": ("-q", "-t", "raw", "-e", "signed", "-b", "16", "-c", "2", "-r", "48000", "-"),
}
# Takes files only, and so plays a song when all of it is there.
_FILE_IN = "afplay"
_CLEARING_AWAY_S = 2.0


class Player(Protocol):
    async def play(self, pcm: bytes) -> bool:
        """False when nobody listens any more."""

    async def finish(self) -> None:
        """Until the last of it has sounded. Raises FailedPrecondition when the player failed."""


def find_player() -> str:
    """Raises FailedPrecondition with what to install."""
    for name in (*_WAVE_IN, *_PCM_IN, _FILE_IN):
        if shutil.which(name):
            return name
    message = (
        "no player is installed: install ffmpeg (its ffplay), mpv, PipeWire, PulseAudio or ALSA tools, or say --out"
    )
    raise FailedPrecondition(message, reason=Reason.NOT_SUPPORTED, field="play")


@asynccontextmanager
async def playing(name: str) -> AsyncIterator[Player]:
    """Ends with the block: what still sounds then is cut off."""
    if name == _FILE_IN:
        with tempfile.TemporaryDirectory(prefix="harmonia-") as folder:
            yield _Later(name, Path(folder) / "song.wav")
        return
    arguments = _WAVE_IN.get(name) or _PCM_IN[name]
    # In a session of its own: ctrl-C is for the command, which then ends the player.
    process = await asyncio.create_subprocess_exec(
        name, *arguments, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, start_new_session=True
    )
    try:
        player = _Piped(name, process)
        if name in _WAVE_IN:
            await player.play(header())
        yield player
    finally:
        await _ended(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_CLEARING_AWAY_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class _Piped:
    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process
        self._left_early = False

    async def play(self, pcm: bytes) -> bool:
        assert self._process.stdin is not None
        self._left_early = self._process.returncode is not None
        if self._left_early:
            return False
        try:
            self._process.stdin.write(pcm)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            self._left_early = True
        return not self._left_early

    async def finish(self) -> None:
        left_early = self._left_early or self._process.returncode is not None
        # Nothing more to write, and so the end of it: communicate() alone leaves the pipe open on Python 3.11.
        _, said = await self._process.communicate(b"")
        # ffplay without a sound device complains, and ends as if all were well.
        raise_unless_played(self._name, self._process.returncode or (1 if left_early and said else 0), said)


class _Later:
    def __init__(self, name: str, path: Path) -> None:
        self._name = name
        self._path = path
        self._file = WaveFile(path)

    async def play(self, pcm: bytes) -> bool:
        await asyncio.to_thread(self._file.write, pcm)
        return True

    async def finish(self) -> None:
        self._file.close()
        process = await asyncio.create_subprocess_exec(
            self._name, str(self._path), stdout=DEVNULL, stderr=PIPE, start_new_session=True
        )
        try:
            _, said = await process.communicate()
        finally:
            await _ended(process)
        raise_unless_played(self._name, process.returncode or 0, said)


def raise_unless_played(name: str, code: int, said: bytes) -> None:
    """Raises FailedPrecondition, with the player's last words."""
    if code == 0:
        return
    lines = said.decode(errors="replace").strip().splitlines()
    why = f": {lines[-1].strip()}" if lines else ""
    message = f"{name} played nothing{why}; is there a sound device? `harmonia play --out FILE.wav` writes the sound"
    raise FailedPrecondition(message, reason=Reason.NOT_SUPPORTED, field="play")
