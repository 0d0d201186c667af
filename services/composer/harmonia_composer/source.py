"""The recording that a song begins with and goes on from: whatever people sent, as mono sound that an engine can hear.

It is decoded in a child process that may use only so much time and memory, so that a file that drives a decoder to
crash or to loop takes down that child only. `python -m harmonia_composer.source IN OUT MOST_SECONDS` writes float32
mono to OUT, of all channels the mean, and answers with a line of JSON: what was heard, or what is wrong.
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

from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_composer.engine import Source

FIELD = "conditioning.continue_from"
MAX_BYTES = 200 * 2**20
MAX_SECONDS = 20 * 60
# Less is nothing to go on from, and no song is worth drawing that goes on for less.
LEAST_SECONDS = 1.0
_MAX_CHANNELS = 6
_RATES_HZ = (8_000, 384_000)
_PATIENCE = timedelta(seconds=90)
_CPU_S = 60
_MEMORY_BYTES = 2 * 2**30
_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True)
class Heard:
    """`seconds` of the whole recording, and its highest sample; what is beyond the most that was asked for is not
    written."""

    rate_hz: int
    seconds: float
    peak: float


async def source_of(file: Path, ref: type_pb2.ArtifactRef, *, start_s: float | None, song_s: float) -> Source:
    """`start_s`: where the song goes on; None: at the end. `song_s`: how long the song is to be.

    Raises InvalidInput for what cannot be decoded, is too large, or leaves too little to hear or to draw.
    """
    raw = file.with_name(f"{file.name}.f32")
    most_s = song_s if start_s is None else start_s
    heard = await _in_child(file, raw, most_s)
    taken_s = heard.seconds if start_s is None else start_s
    if taken_s < LEAST_SECONDS:
        _refuse(f"is {taken_s:.3g} s long: at least {LEAST_SECONDS:g} s are needed to go on from")
    if taken_s > heard.seconds:
        message = f"is {start_s:g}, and the recording is {heard.seconds:.1f} s long: leave it out, or give less"
        _refuse(message, field="conditioning.start_seconds")
    if taken_s + LEAST_SECONDS > song_s:
        _refuse(
            f"is {song_s:g}, and {taken_s:.1f} s of it are the recording that it goes on from: give at least "
            f"{taken_s + LEAST_SECONDS:.1f}, or go on from an earlier place by conditioning.start_seconds",
            field="duration_seconds",
        )
    return Source(raw, heard.rate_hz, peak=heard.peak, seconds=taken_s, recipe=f"{ref.sha256} {taken_s}")


def check_size(ref: type_pb2.ArtifactRef) -> None:
    if ref.size_bytes > MAX_BYTES:
        _refuse(f"has {ref.size_bytes >> 20} MiB: at most {MAX_BYTES >> 20} MiB are taken", reason=Reason.TOO_LARGE)


def _refuse(why: str, *, field: str = FIELD, reason: Reason = Reason.OUT_OF_RANGE) -> None:
    raise InvalidInput(f"{field} {why}", reason=reason, field=field)


async def _in_child(file: Path, raw: Path, most_s: float) -> Heard:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "harmonia_composer.source", str(file), str(raw), str(most_s)),
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
    return Heard(**answer)


def _unreadable(why: str) -> InvalidInput:
    return InvalidInput(f"{FIELD} is no recording that can be decoded: {why}", reason=Reason.AUDIO_UNREADABLE)


def _decode_to(source: Path, raw: Path, most_s: float) -> Heard:
    import soundfile

    try:
        with soundfile.SoundFile(source) as file, raw.open("wb") as out:
            _check_layout(file.channels, file.samplerate)
            left, frames, peak = round(most_s * file.samplerate), 0, 0.0
            while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
                frames += len(block)
                if frames > MAX_SECONDS * file.samplerate:
                    _refuse(f"is longer than {MAX_SECONDS // 60} minutes", reason=Reason.TOO_LARGE)
                if not np.isfinite(block).all():
                    raise _unreadable("it holds numbers that are not finite")
                mono = block.mean(axis=1)
                peak = max(peak, float(np.abs(mono).max()))
                out.write(mono[: max(left, 0)].astype("<f4").tobytes())
                left -= len(mono)
            return Heard(file.samplerate, frames / file.samplerate, peak)
    except soundfile.SoundFileError as error:
        words = str(getattr(error, "error_string", ""))  # without the path of a temporary file
        raise _unreadable(words.rstrip(". ").casefold() or "its data are damaged") from error


def _check_layout(channels: int, rate_hz: int) -> None:
    low, high = _RATES_HZ
    if channels > _MAX_CHANNELS or not low <= rate_hz <= high:
        message = f"has {channels} channels at {rate_hz} Hz: up to {_MAX_CHANNELS} at {low} to {high} Hz are taken"
        _refuse(message, reason=Reason.NOT_SUPPORTED)


def main(source: str, raw: str, most_s: str) -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer: dict[str, object] = asdict(_decode_to(Path(source), Path(raw), float(most_s)))
    except InvalidInput as error:
        answer = {"reason": error.reason, "message": error.message}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
