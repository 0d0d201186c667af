"""A WAVE file that is written before anybody knows how long it will be: 48 kHz, stereo, 16 bits."""

import struct
from pathlib import Path
from typing import BinaryIO

RATE_HZ = 48_000
FRAME_BYTES = 4
HEADER_BYTES = 44
# What players and ffmpeg take for "until it ends".
ENDLESS = 0xFFFFFFFF


def header(data_bytes: int | None = None) -> bytes:
    """None: of a stream."""
    data = ENDLESS if data_bytes is None else data_bytes
    whole = ENDLESS if data_bytes is None else data_bytes + HEADER_BYTES - 8
    layout = struct.pack("<HHIIHH", 1, 2, RATE_HZ, RATE_HZ * FRAME_BYTES, FRAME_BYTES, 16)
    return b"".join(
        (
            *(b"RIFF", struct.pack("<I", whole), b"WAVE"),
            *(b"fmt ", struct.pack("<I", 16), layout),
            *(b"data", struct.pack("<I", data)),
        )
    )


class WaveFile:
    """There once it holds something; can be played while it grows, and knows its length once it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def write(self, pcm: bytes) -> None:
        if self._file is None:
            self._file = self._path.open("wb")
            self._file.write(header())
        self._file.write(pcm)
        self._file.flush()

    def close(self) -> None:
        if self._file is None:
            return
        data_bytes = self._file.tell() - HEADER_BYTES
        self._file.seek(0)
        self._file.write(header(data_bytes))
        self._file.close()
