"""Pure: what a step of MusicGen must read and write, what arrives when, and the order of what was measured."""

import math
import random
from collections.abc import Sequence

from bench.stock import Dimensions

# Of a layer, in widths squared: query, key, value and out; the cross-attention's query and out; up and down.
_MATRICES = 4 + 2 + 8
_BOOKS = 4


def weight_bytes(size: Dimensions, *, item: int) -> int:
    """Of all matrices that a step reads: the layers' and the heads."""
    return item * (size.layers * _MATRICES * size.width**2 + _BOOKS * size.card * size.width)


def step_bytes(size: Dimensions, column: int, *, slots: int, text: int, item: int) -> int:
    """With every slot at `column`: the matrices once; keys and values of both rows so far, and of the text."""
    cached = 2 * slots * 2 * size.width * (column + 1)
    heard = slots * 2 * size.width * text
    return weight_bytes(size, item=item) + item * size.layers * (cached + heard)


def song_bytes(size: Dimensions, frames: int, *, slots: int, text: int, item: int) -> int:
    """Of `slots` songs drawn together, from the first column to the last."""
    return sum(step_bytes(size, column, slots=slots, text=text, item=item) for column in range(frames + _BOOKS - 1))


def arrivals(per_s: float, count: int, *, seed: int) -> list[float]:
    """Seconds from the start: a Poisson process."""
    dice, at, found = random.Random(seed), 0.0, []
    for _ in range(count):
        at += dice.expovariate(per_s)
        found.append(at)
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that `share` of them do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
