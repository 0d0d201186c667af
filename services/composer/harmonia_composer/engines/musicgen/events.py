"""What an order's thread hears of its takes, through one queue."""

import queue
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from harmonia_composer.engines.musicgen.batch import Kept

# Frames that are told and decoded at once: few at first, so that somebody who listens hears soon (ten are heard when
# fourteen are drawn), then half a second.
FIRST, FRAMES = 14, 25


@dataclass(frozen=True, slots=True)
class Drawn:
    """Tokens [codebooks, n] that follow those told before; `final` when they are the last.

    On the device once its work has come to `there`, for which another stream than the steps' must wait; None: at once.
    """

    take: int
    codes: Tensor
    final: bool
    there: torch.cuda.Event | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """Samples float32 [n], mono, at the codec's rate, that follow those heard before; n may be 0."""

    take: int
    samples: NDArray[np.float32]
    final: bool


@dataclass(frozen=True, slots=True)
class Keep:
    take: int
    kept: Kept


@dataclass(frozen=True, slots=True)
class Failed:
    take: int
    error: Exception | None


Event = Drawn | Heard | Keep | Failed
Events = queue.SimpleQueue[Event]
