"""What the first song would wait for, done before the service is ready."""

from dataclasses import replace

import numpy as np

from harmonia_mastering.cover import cover_png
from harmonia_mastering.key import key
from harmonia_mastering.master import PRESETS, Preset, master
from harmonia_mastering.tempo import tempo


def warm_up() -> None:
    """Compiles the kernels, or loads them from numba's cache, by mastering two seconds of noise. Runs in a thread."""
    import soundfile  # noqa: F401  loads libsndfile

    # Bright and in bursts, so that tone and glue have something to do.
    bursts = np.repeat(np.tile([0.05, 1.0], 10), 4_800)
    noise = (bursts * np.random.default_rng(0).uniform(-0.5, 0.5, (2, 96_000))).astype(np.float32)
    master(noise, 48_000, replace(PRESETS[Preset.LOUD], intensity=1.0))
    tempo(noise, 48_000)
    key(noise, 48_000)
    cover_png(noise, title="", genre="", seed=0)
