"""Matrices as oneDNN wants them on a CPU: packed once, then read at the speed of memory.

A product of few rows is all reading: packed, two rows cost half of what they cost unpacked. And a row's product is the
same to the bit whatever rows are beside it, from FEWEST rows on, which unpacked it is not.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonia_composer.engines.musicgen.weights import DecoderWeights, Layer

# Fewer are filled up: for those oneDNN has kernels of its own, which are slower, and sum one row in another order.
FEWEST = 4
_MATRICES = ("qkv", "out", "cross_q", "cross_kv", "cross_out", "up", "down")


def packed(weights: DecoderWeights) -> DecoderWeights:
    """As they are where torch has no oneDNN."""
    if not torch.backends.mkldnn.is_available() or weights.device.type != "cpu":
        return weights
    return replace(weights, layers=tuple(map(_packed_layer, weights.layers)), heads=_packed(weights.heads))


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """[…, n] of x […, m] and a matrix [n, m], packed or not."""
    if not weight.is_mkldnn:
        return F.linear(x, weight)
    rows = x.reshape(-1, x.shape[-1])
    count = rows.shape[0]
    if count < FEWEST:
        rows = F.pad(rows, (0, 0, 0, FEWEST - count))
    made: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, None, "none", [], "")
    return made[:count].view(*x.shape[:-1], -1)


def _packed_layer(layer: Layer) -> Layer:
    return replace(layer, **{name: _packed(getattr(layer, name)) for name in _MATRICES})


def _packed(matrix: Tensor) -> Tensor:
    made: Tensor = torch.ops.mkldnn._reorder_linear_weight(matrix.contiguous(), FEWEST)
    return made
