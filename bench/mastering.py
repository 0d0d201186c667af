"""The meter and the limiter against libebur128 and ffmpeg, on one core and in the same run; and memory.

Three minutes of techno by the arranger. Seconds are those of the processor, of this process and its children, the least
of three rounds; in each round everybody takes a turn. ffmpeg starts, reads and, where it masters, writes a WAVE file in
that time, which is 2 % of it. M1 to M12 are the table `standards`.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import soundfile

from bench.made import RATE_HZ, Song, ffmpeg, libebur128, made
from bench.table import Row
from harmonia_mastering import loudness
from harmonia_mastering.master import PRESETS, Preset, Target, master

LONG_S = 180.0
ROUNDS = 3
DEFAULT = Target(-14.0, -1.0, 0.5)


async def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="harmonia-bench-") as folder:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        return await asyncio.to_thread(lambda: list(_rows(Path(folder))))


def _rows(folder: Path) -> Iterator[Row]:
    yield from _speeds(made(folder, "techno", 1, seconds=LONG_S), folder)
    yield _memory()


def _speeds(song: Song, folder: Path) -> Iterator[Row]:
    samples, wav = song.samples(), folder / "long.wav"
    interleaved = np.ascontiguousarray(samples.T.ravel())
    soundfile.write(wav, samples.T, RATE_HZ, subtype="PCM_24")
    loudness.measure(samples, RATE_HZ)
    master(samples[:, : 10 * RATE_HZ].copy(), RATE_HZ, DEFAULT)
    best = _best(
        {
            "meter": lambda: loudness.measure(samples, RATE_HZ),
            "libebur128": lambda: libebur128(interleaved),
            "ebur128": lambda: ffmpeg(wav, "ebur128=peak=true"),
            "master": lambda: master(samples, RATE_HZ, DEFAULT),
            "plain": lambda: master(samples, RATE_HZ, PRESETS[Preset.STREAMING]),
            "loudnorm": lambda: _loudnorm(wav, folder / "normal.wav"),
        }
    )
    speed = {name: samples.shape[1] / RATE_HZ / seconds for name, seconds in best.items()}

    def beside(name: str, ours: str) -> str:
        return f"{speed[name]:.0f}×: we are {speed[ours] / speed[name]:.1f}× as fast"

    yield Row("meter I+M+S+LRA+TP, 180 s stereo 48 kHz, one core", f"{speed['meter']:.0f}× real time", "≥ 700×")
    yield Row("… libebur128, the same readings", beside("libebur128", "meter"), "≥ 2×")
    yield Row("… ffmpeg ebur128=peak=true", beside("ebur128", "meter"))
    yield Row("master to -14 LUFS, intensity 0.5", f"{speed['master']:.0f}× real time", "≥ 100×")
    yield Row("… without tone and glue", f"{speed['plain']:.0f}×", "≥ 100×")
    yield Row("… ffmpeg loudnorm, two passes", beside("loudnorm", "master"), "≥ 5×")


def _best(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            began = _cpu_s()
            work()
            taken[name].append(max(_cpu_s() - began, 1e-3))
    return {name: min(seconds) for name, seconds in taken.items()}


def _cpu_s() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _loudnorm(file: Path, to: Path) -> None:
    wanted = "loudnorm=I=-14:TP=-1:LRA=11"
    told = ffmpeg(file, f"{wanted}:print_format=json")
    names = ("input_i", "input_tp", "input_lra", "input_thresh", "target_offset")
    found = {name: re.findall(rf'"{name}" : "([^"]+)"', told)[-1] for name in names}
    measured = ":".join(f"measured_{name[6:].upper()}={found[name]}" for name in names[:3])
    measured += f":measured_thresh={found['input_thresh']}:offset={found['target_offset']}:linear=true"
    ffmpeg(file, f"{wanted}:{measured}", "-ar", str(RATE_HZ), "-f", "wav", str(to))


def _memory() -> Row:
    """Of a process of its own: 20 minutes of stereo, measured and then mastered."""
    code = (
        "import numpy as np, resource\n"
        "from harmonia_mastering.loudness import measure\n"
        "from harmonia_mastering.master import Target, master\n"
        "rng = np.random.default_rng(0)\n"
        f"samples = np.empty((2, 1200 * {RATE_HZ}), dtype=np.float32)\n"
        "for channel in samples:\n"
        "    rng.random(dtype=np.float32, out=channel)\n"
        "    channel -= 0.5\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        f"measure(samples, {RATE_HZ})\n"
        "print(peak())\n"
        f"master(samples, {RATE_HZ}, Target(-14.0, -1.0, 0.5))\n"
        "print(peak())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    measured, mastered = map(float, done.stdout.split())
    sound = 1200 * RATE_HZ * 2 * 4 / 2**20
    told = f"{measured:.0f}, {mastered:.0f} MiB, of which {sound:.0f} are the sound"
    return Row("memory, 20 minutes of stereo: measured, mastered", told)
