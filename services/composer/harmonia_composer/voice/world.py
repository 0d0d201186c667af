"""The WORLD vocoder: speech ↔ pitch, spectral envelope and breath, apart from each other.

M. Morise, F. Yokomori, K. Ozawa: WORLD: A vocoder-based high-quality speech synthesis system for real-time
applications, IEICE Transactions E99-D, 2016. pitch by DIO and StoneMask, envelope by CheapTrick, breath by D4C. The
library is pyworld (MIT); without it there is no guide voice.
"""

import importlib.machinery
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

FRAME_S = 0.005
FLOOR_HZ = 71.0
_NAME = "pyworld.pyworld"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Print:
    """A voice every 5 ms. `hertz` [n], 0 where it has no pitch; `envelope` and `breath` [n, bins]."""

    hertz: Floats
    envelope: Floats
    breath: Floats
    rate_hz: int


def library() -> ModuleType | None:
    """pyworld's extension alone: its package asks setuptools' pkg_resources for its own version, and that is gone."""
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    package = importlib.util.find_spec("pyworld")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        for suffix in importlib.machinery.EXTENSION_SUFFIXES:
            path = Path(folder) / f"pyworld{suffix}"
            if path.is_file():
                return _loaded(path)
    return None


def _loaded(path: Path) -> ModuleType:
    loader = importlib.machinery.ExtensionFileLoader(_NAME, str(path))
    spec = importlib.util.spec_from_loader(_NAME, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[_NAME] = module
    return module


def analysed(samples: Floats, rate_hz: int, vowels: list[tuple[float, float]]) -> Print:
    """`vowels`: from and to, in seconds: there it has a pitch, whatever the tracker says."""
    world = library()
    assert world
    options = {"frame_period": 1000 * FRAME_S}
    hertz, times = world.dio(samples, rate_hz, f0_floor=FLOOR_HZ, f0_ceil=500.0, **options)
    hertz = world.stonemask(samples, hertz, times, rate_hz)
    hertz = filled(hertz, times, vowels)
    envelope = world.cheaptrick(samples, hertz, times, rate_hz, f0_floor=FLOOR_HZ)
    breath = world.d4c(samples, hertz, times, rate_hz, threshold=0.0, fft_size=2 * (envelope.shape[1] - 1))
    return Print(hertz, envelope, breath, rate_hz)


def filled(hertz: Floats, times: Floats, vowels: list[tuple[float, float]]) -> Floats:
    """Its pitch goes on through vowels where none was found."""
    voiced = np.flatnonzero(hertz > 0)
    if not voiced.size:
        return np.full(len(hertz), 180.0)
    through = np.interp(np.arange(len(hertz)), voiced, hertz[voiced])
    sung = np.zeros(len(hertz), dtype=bool)
    for start_s, end_s in vowels:
        sung |= (times >= start_s) & (times < end_s)
    return np.where(sung & (hertz == 0), through, hertz)


def heard(voice: Print) -> Floats:
    """float64 [samples], mono."""
    world = library()
    assert world
    arrays = [np.ascontiguousarray(one) for one in (voice.hertz, voice.envelope, voice.breath)]
    made: Floats = world.synthesize(*arrays, voice.rate_hz, 1000 * FRAME_S)
    return made
