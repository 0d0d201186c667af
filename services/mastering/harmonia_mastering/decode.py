"""Recordings that people sent, decoded in a child process that may use only so much time and memory.

`python -m harmonia_mastering.decode IN OUT` writes interleaved float32 to OUT and answers with a line of JSON: the
layout, or what is wrong. A decoder that is driven to crash or to loop by what it reads takes down that child only.
"""

import asyncio
import contextlib
import json
import resource
import sys
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_mastering.layout import check_layout

# As the public contract calls the recording.
FIELD = "artifact"
MAX_BYTES = 200 * 2**20
MAX_SECONDS = 20 * 60
_PATIENCE = timedelta(seconds=90)
_CPU_S = 60
# Of decoded sound: 20 minutes of six channels at 48 kHz. A small file may hold hours of silence on many channels.
_MOST_SOUND_BYTES = 20 * 60 * 48_000 * 6 * 4
# Decoded sound is written as it comes, not held: this is for Python, its libraries and a decoder's state.
_MEMORY_BYTES = 2 * 2**30
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Recording:
    """samples: float32 [channels, n]."""

    samples: NDArray[np.float32]
    rate_hz: int


@dataclass(frozen=True, slots=True)
class _Layout:
    rate_hz: int
    channels: int


async def decode(source: Path) -> Recording:
    """Any audio file that libsndfile knows: WAV, AIFF, FLAC, MP3, Ogg, Opus, …

    Raises InvalidInput: TOO_LARGE over 200 MiB or 20 minutes, NOT_SUPPORTED for a layout that mastering does not take,
    AUDIO_UNREADABLE for what is no sound or holds numbers that are not finite.
    """
    raw = source.with_name(f"{source.name}.f32")
    try:
        layout = await _in_child(source, raw)
        return await asyncio.to_thread(_read, raw, layout)
    finally:
        raw.unlink(missing_ok=True)


def read_own(source: Path) -> Recording:
    """A file that this mesh made itself: decoded on the spot. Raises InvalidInput as decode does."""
    import soundfile

    try:
        samples, rate_hz = soundfile.read(source, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise _unreadable(_why(error)) from error
    check_layout(samples.shape[1], rate_hz)
    return Recording(np.ascontiguousarray(samples.T), rate_hz)


async def _in_child(source: Path, raw: Path) -> _Layout:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "harmonia_mastering.decode", str(source), str(raw)),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            said, _ = await process.communicate()
    except TimeoutError as error:
        raise _unreadable("decoding it does not end") from error
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode:
        raise _unreadable("it brings the decoder down")
    answer = json.loads(said)
    if "reason" in answer:
        raise InvalidInput(answer["message"], reason=Reason(answer["reason"]), field=FIELD)
    return _Layout(**answer)


def _read(raw: Path, layout: _Layout) -> Recording:
    samples = np.fromfile(raw, dtype=np.float32).reshape(-1, layout.channels)
    if not np.isfinite(samples).all():
        raise _unreadable("it holds numbers that are not finite")
    return Recording(np.ascontiguousarray(samples.T), layout.rate_hz)


def _why(error: Exception) -> str:
    """libsndfile's own words, without the path of a temporary file."""
    words = getattr(error, "error_string", "") or "its data are damaged"
    return str(words).rstrip(". ").casefold() if str(words).isascii() else "its data are damaged"


def _unreadable(why: str) -> InvalidInput:
    return InvalidInput(f"not audio that can be decoded: {why}", reason=Reason.AUDIO_UNREADABLE, field=FIELD)


def _decode_to(source: Path, raw: Path) -> _Layout:
    import soundfile

    if source.stat().st_size > MAX_BYTES:
        raise InvalidInput(f"the file has more than {MAX_BYTES >> 20} MiB", reason=Reason.TOO_LARGE)
    try:
        with soundfile.SoundFile(source) as file, raw.open("wb") as out:
            layout = _Layout(rate_hz=file.samplerate, channels=file.channels)
            check_layout(layout.channels, layout.rate_hz)
            left = MAX_SECONDS * layout.rate_hz
            while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
                left -= len(block)
                if left < 0:
                    raise InvalidInput(f"it is longer than {MAX_SECONDS // 60} minutes", reason=Reason.TOO_LARGE)
                if out.tell() + block.nbytes > _MOST_SOUND_BYTES:
                    message = f"it holds more than {_MOST_SOUND_BYTES >> 20} MiB of sound"
                    raise InvalidInput(message, reason=Reason.TOO_LARGE)
                out.write(block.tobytes())
    except soundfile.SoundFileError as error:
        raise _unreadable(_why(error)) from error
    return layout


def main(source: str, raw: str) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer: dict[str, object] = asdict(_decode_to(Path(source), Path(raw)))
    except InvalidInput as error:
        answer = {"reason": error.reason, "message": error.message}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
