"""Audio of the store on this disk, for as long as somebody listens to it: fetched once for all listeners."""

import asyncio
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import Internal, Reason
from harmonia_chassis.store import StoreClient
from harmonia_gateway.level import RATE, Sound


@dataclass(slots=True)
class _Copy:
    path: Path
    listeners: int = 0
    fetching: asyncio.Lock = field(default_factory=asyncio.Lock)


class Recordings:
    """`folder` is emptied: what a killed process left there is of no use."""

    def __init__(self, store: StoreClient, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._copies: dict[str, _Copy] = {}
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)

    @asynccontextmanager
    async def opened(self, ref: type_pb2.ArtifactRef, grant: str) -> AsyncIterator["Recording"]:
        """Raises NotFound when the store has it no more."""
        copy = self._copies.setdefault(ref.sha256, _Copy(self._folder / ref.sha256))
        copy.listeners += 1
        try:
            async with copy.fetching:
                if not await asyncio.to_thread(copy.path.exists):
                    await self._store.fetch(ref, grant, copy.path)
            recording = await asyncio.to_thread(Recording, copy.path)
            try:
                yield recording
            finally:
                recording.close()
        finally:
            copy.listeners -= 1
            if not copy.listeners:
                del self._copies[ref.sha256]
                copy.path.unlink(missing_ok=True)


class Recording:
    """48 kHz stereo, as everything that the mesh makes."""

    def __init__(self, path: Path) -> None:
        self._file = soundfile.SoundFile(path)
        # A listener who leaves closes the file while its thread may still read: libsndfile would not survive that.
        self._using = threading.Lock()
        if (self._file.samplerate, self._file.channels) != (RATE, 2):
            self._file.close()
            raise Internal(f"{path.name} is not 48 kHz stereo", reason=Reason.INTERNAL)

    @property
    def frames(self) -> int:
        return int(self._file.frames)

    def close(self) -> None:
        with self._using:
            self._file.close()

    async def read(self, start: int, frames: int) -> Sound:
        """float32 [at most frames, 2]; empty behind the end."""
        return await asyncio.to_thread(self._read, start, frames)

    def _read(self, start: int, frames: int) -> Sound:
        with self._using:
            start = max(0, start)
            if self._file.closed or start >= self._file.frames:
                return np.zeros((0, 2), dtype=np.float32)
            if self._file.tell() != start:
                self._file.seek(start)
            sound: Sound = self._file.read(frames, dtype="float32", always_2d=True)
            return sound
