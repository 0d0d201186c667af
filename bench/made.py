"""Songs to measure, and what others measure in them."""

import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyebur128
from numpy.typing import NDArray

from harmonia_composer.engine import Brief, Order, Unheard
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.arranger.moods import MOODS
from harmonia_mastering.decode import read_own
from harmonia_mastering.key import NAMES
from harmonia_mastering.true_peak import Samples

RATE_HZ = 48_000


@dataclass(frozen=True)
class Song:
    name: str
    file: Path
    bpm: float
    key: str

    def samples(self) -> Samples:
        return read_own(self.file).samples


def made(folder: Path, genre: str, seed: int, *, seconds: float = 60.0, varied: bool = False) -> Song:
    """Even seeds play at the genre's own tempo, odd ones at one of 65 to 175; keys by chance. varied: by chance too a
    mood, the density, a length of 40 to 90 s and, in every sixth song, 3/4."""
    rng = np.random.default_rng(seed)
    name = f"{NAMES[rng.integers(12)]} {('major', 'minor')[rng.integers(2)]}"
    bpm = float(round(rng.uniform(65, 175), 1)) if seed % 2 else 0.0
    brief = Brief(genre=genre, key=name, bpm=bpm, duration_seconds=seconds)
    if varied:
        brief = replace(
            brief,
            moods=(str(rng.choice(sorted(MOODS))),),
            complexity=float(rng.uniform(0.1, 0.9)),
            duration_seconds=float(rng.integers(40, 91)),
            time_signature="3/4" if seed % 6 == 0 else "",
        )
    take = Arranger().compose(
        Order(brief, seed=seed, stems=False), folder=folder / f"{genre}-{seed}-{seconds:g}", listener=Unheard()
    )[0]
    assert take.midi
    tempo_event = re.search(rb"\xff\x51\x03(...)", take.midi.read_bytes(), re.DOTALL)
    assert tempo_event
    return Song(f"{genre} {seed}", take.premaster, 60e6 / int.from_bytes(tempo_event[1], "big"), name)


def libebur128(interleaved: NDArray[np.float32]) -> tuple[float, float, float]:
    """Integrated loudness, range and true peak of stereo at 48 kHz, and momentary and short-term on the way."""
    mode = pyebur128.MeasurementMode
    modes = mode.MODE_I | mode.MODE_M | mode.MODE_S | mode.MODE_LRA | mode.MODE_TRUE_PEAK
    state = pyebur128.R128State(2, RATE_HZ, modes)
    state.add_frames(interleaved, interleaved.size // 2)
    peak = max(pyebur128.get_true_peak(state, channel) for channel in (0, 1))
    return pyebur128.get_loudness_global(state), pyebur128.get_loudness_range(state), float(20 * np.log10(peak))


def ffmpeg(file: Path, filters: str, *to: str) -> str:
    """What it says."""
    form = file.suffix[1:].replace("opus", "ogg")
    command = ["ffmpeg", "-nostats", "-v", "info", "-threads", "1", "-y", "-f", form, "-i", str(file), "-af", filters]
    done = subprocess.run([*command, *(to or ("-f", "null", "-"))], check=True, capture_output=True, text=True)
    return done.stderr
