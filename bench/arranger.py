"""A brief to its mastered WAV, without a mesh: processor seconds and memory, each song in a process of its own.

And on a mesh: how long after CreateSong the first of it is heard.
"""

import asyncio
import json
import resource
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import soundfile

from bench.meshes import real_mesh
from bench.table import Row, spread
from harmonia.song.v1 import spec_pb2
from harmonia_composer.engine import Brief, Order, Unheard
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_mastering import encode
from harmonia_mastering.master import PRESETS, Preset, master
from harmonia_mastering.tags import Tags

PROMPT = "warm lo-fi hip-hop for a rainy evening, 84 bpm, A minor"
SUBMISSIONS = 5


@dataclass(frozen=True, slots=True)
class Made:
    """Seconds of the processor for composing and for mastering to a 24-bit WAV; MB of memory after composing."""

    composed_s: float
    mastered_s: float
    resident_mb: float
    unchecked_s: float


class Watch(Unheard):
    """The longest time between two questions whether to go on, in processor seconds."""

    def __init__(self) -> None:
        self._last, self.longest_s = time.process_time(), 0.0

    def check(self) -> None:
        now = time.process_time()
        self.longest_s, self._last = max(self.longest_s, now - self._last), now


def made(genre: str, seconds: float) -> Made:
    """After a warm-up: what compiling takes is `bench start`'s."""
    arranger = Arranger()
    arranger.warm_up()
    with tempfile.TemporaryDirectory() as folder:
        watch, began = Watch(), time.process_time()
        order = Order(Brief(genre=genre, duration_seconds=seconds), seed=1)
        (take,) = arranger.compose(order, folder=Path(folder), listener=watch)
        composed_s = time.process_time() - began
        resident_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        samples, rate_hz = soundfile.read(take.premaster, dtype="float32", always_2d=True)
        short = samples[: 5 * rate_hz].T
        master(short, rate_hz, PRESETS[Preset.STREAMING])
        began = time.process_time()
        mastered = master(samples.T, rate_hz, PRESETS[Preset.STREAMING])
        encode.wav(mastered.samples, rate_hz, Tags(), BytesIO())
        return Made(composed_s, time.process_time() - began, resident_mb, watch.longest_s)


async def rows() -> list[Row]:
    songs = {genre: await _in_a_child(genre, 60) for genre in sorted(GENRES)}
    found = [
        Row(f"60 s of {genre}, processor", f"{one.composed_s:.2f} s + master {one.mastered_s:.2f} s", "≤ 3 s")
        for genre, one in songs.items()
    ]
    total = [one.composed_s + one.mastered_s for one in songs.values()]
    found.append(Row("60 s of any genre, brief to mastered WAV, processor", spread(total), "≤ 3 s (1.5 s)"))
    for seconds in (60, 600):
        one = songs["pop"] if seconds == 60 else await _in_a_child("pop", seconds)
        found += [
            Row(f"{seconds} s of pop, memory of the process that composes", f"{one.resident_mb:.0f} MB", "≤ 500 MB"),
            Row(f"{seconds} s of pop, composing unasked at most", f"{one.unchecked_s:.2f} s", "≤ 0.3 s"),
        ]
    return [*found, await _first_heard()]


async def _in_a_child(genre: str, seconds: float) -> Made:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.arranger", genre, str(seconds), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert child.returncode == 0
    return Made(**json.loads(out))


async def _first_heard() -> Row:
    waits = []
    async with real_mesh() as measured:
        for seed in range(SUBMISSIONS):
            began = time.monotonic()
            song = await measured.client.create(spec_pb2.SongSpec(prompt=PROMPT, duration_seconds=60, seed=seed))
            async for _ in measured.client.listen(song.name):
                waits.append(time.monotonic() - began)
                break
            # The next one should not wait for this one.
            async for _ in measured.client.watch(song.name):
                pass
    return Row("60 s of lo-fi hip-hop, CreateSong to its first sound", spread(waits), "≤ 1.5 s")


def main() -> None:
    genre, seconds = sys.argv[1:]
    print(json.dumps(asdict(made(genre, float(seconds)))))


if __name__ == "__main__":
    main()
