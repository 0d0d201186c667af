"""The same decoder for a GPU: one CUDA graph a step, of torch's operations or of our own kernels.

A graph is captured once, for all slots and the whole of every cache; kernels read only what each slot holds. Where
neither graph nor Triton is at hand, decoder.py plays as it is.
"""

import collections
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from harmonia_composer.engines.musicgen import kernels
from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing
from harmonia_composer.engines.musicgen.weights import DecoderWeights, Layer

# Before it is captured, a step must have run: libraries allocate what they need the first time.
_WARM_UP = 3
# Steps that the host is ahead of the GPU: enough that it never waits, few enough that a cancel is heard at once.
_IN_FLIGHT = 3


@dataclass(frozen=True, slots=True)
class Normed:
    """A norm, and the matrix behind it folded with it: W·g and W·b."""

    scale: Tensor
    bias: Tensor
    by_scale: Tensor
    by_bias: Tensor


@dataclass(frozen=True, slots=True)
class Norms:
    """Those of one layer."""

    own: Normed
    cross: Normed
    mlp: Normed


class FusedDecoder(Decoder):
    """One step by the kernels. Matrices by our own for one song, where reading them is all; by cuBLAS for more.

    own: our matrix kernel where rows are few; ahead: kernels begin before the ones before them end (capability 9.0);
    split: columns that a program of the attention reads.
    """

    def __init__(
        self,
        weights: DecoderWeights,
        *,
        slots: int,
        columns: int,
        text: int,
        own: bool = True,
        ahead: bool = False,
        split: int = kernels.SPLIT,
    ) -> None:
        super().__init__(weights, slots=slots, columns=columns, text=text)
        width, rows, device, dtype = self.shape.width, 2 * slots, weights.device, weights.dtype
        self._own, self._ahead, self._split = own, ahead, split
        self._launch: dict[str, Any] = {"launch_pdl": True} if ahead else {}
        self._splits = -(-columns // split)
        self._norms = [_norms(layer) for layer in weights.layers]
        self._last_norm = _normed(weights.norm, weights.norm_bias, weights.heads)

        def room(*size: int, of: torch.dtype = dtype) -> Tensor:
            return torch.zeros(size, device=device, dtype=of)

        self._x = room(rows, width, of=torch.float32)
        self._calm, self._qkv, self._mixed = room(rows, width), room(rows, 3 * width), room(rows, width)
        self._asked, self._inner = room(slots, width), room(rows, 4 * width)
        self._told = room(rows, self.shape.codebooks * self.shape.card, of=torch.float32)
        self._parts = room(rows * self.shape.heads, self._splits, self.head, of=torch.float32)
        self._part_weights = room(rows * self.shape.heads, self._splits, 2, of=torch.float32)
        self._arrived = room(rows * self.shape.heads, of=torch.int32)
        self._greedy = room(slots, of=torch.int32)

    @property
    def numerics(self) -> str:
        return f"{self._precision}, {self._count}"

    def seat(self, slot: int, text: Tensor, drawing: Drawing) -> None:
        super().seat(slot, text, drawing)
        self._greedy[slot] = int(drawing.greedy)

    def step(self, span: int, text_span: int, widest: int, *, keyed: bool = True) -> None:  # noqa: ARG002
        """Spans and the widest top_k are the kernels' own affair; greedy songs beside sampled ones too."""
        shape, slots, weights = self.shape, self.slots, self.weights
        kernels.embed[(slots,)](
            self.tokens, self.column, weights.embeddings, self.positions, self._x, slots, self.columns,
            shape.width, triton.next_power_of_2(shape.width), shape.card + 1, shape.codebooks,
        )  # fmt: skip
        for number, (layer, norms) in enumerate(zip(weights.layers, self._norms, strict=True)):
            self._layer(number, layer, norms)
        self._linear(self._x, weights.heads, self._told, norm=self._last_norm)
        kernels.draw[(slots, shape.codebooks)](
            self._told, self.seed, self.before, self.column, self.last, self.tokens, self.temperature, self.top_k,
            self.guidance, self._greedy, slots, self.columns, shape.card, shape.codebooks, self._ahead, **self._launch,
        )  # fmt: skip
        kernels.advance[(1,)](self.column, self.last, slots, triton.next_power_of_2(slots), self._ahead, **self._launch)

    def _layer(self, number: int, layer: Layer, norms: Norms) -> None:
        heard = self._x[: self.slots]
        self._linear(self._x, layer.qkv, self._qkv, norm=norms.own)
        self._attention(number)
        self._linear(self._mixed, layer.out, self._x, add=True)
        self._linear(heard, layer.cross_q, self._asked, norm=norms.cross)
        kernels.listen[(self.slots * self.shape.heads,)](
            self._asked, self.text_keys[number], self.text_values[number], self.text_length, self._mixed,
            self.shape.heads, self.head, self.text, 64, self._ahead, **self._launch,
        )  # fmt: skip
        self._linear(self._mixed[: self.slots], layer.cross_out, heard, add=True)
        self._linear(self._x, layer.up, self._inner, norm=norms.mlp, gelu=True)
        self._linear(self._inner, layer.down, self._x, add=True)

    def _attention(self, number: int) -> None:
        shape, rows = self.shape, 2 * self.slots
        kernels.attend[(rows * shape.heads, self._splits)](
            self._qkv, self.keys[number], self.values[number], self.column, self._mixed, self._parts,
            self._part_weights, self._arrived, self.slots, shape.heads, self.head, self.columns, self._splits,
            triton.next_power_of_2(self._splits), self._split, self._ahead,
            num_warps=max(1, self._split // 32), **self._launch,
        )  # fmt: skip

    def _linear(
        self,
        x: Tensor,
        weight: Tensor,
        out: Tensor,
        *,
        norm: Normed | None = None,
        gelu: bool = False,
        add: bool = False,
    ) -> None:
        rows, (count, depth) = x.shape[0], weight.shape
        if rows > 2 or not self._own:
            self._by_library(x, weight, out, norm, gelu=gelu, add=add)
            return
        scale, by_scale, by_bias = (norm.scale, norm.by_scale, norm.by_bias) if norm else (x, x, x)
        block, deep = tile(count, depth)
        kernels.linear[(triton.cdiv(count, block),)](
            x, weight, out, scale, by_scale, by_bias, count, rows, depth, block, deep, norm is not None, gelu, add,
            self._ahead, num_warps=4, **self._launch,
        )  # fmt: skip

    def _by_library(
        self, x: Tensor, weight: Tensor, out: Tensor, norm: Normed | None, *, gelu: bool, add: bool
    ) -> None:
        rows, depth = x.shape
        if norm is not None:
            calm = self._calm[:rows]
            kernels.norm[(rows,)](
                x, calm, norm.scale, norm.bias, depth, triton.next_power_of_2(depth), self._ahead, **self._launch
            )
            x = calm
        if not (gelu or add) and out.dtype == weight.dtype:
            torch.mm(x, weight.T, out=out)
            return
        made = F.linear(x, weight)
        made = F.gelu(made) if gelu else made
        out.add_(made) if add else out.copy_(made)


def tile(count: int, depth: int) -> tuple[int, int]:
    """Rows and columns of a matrix [count, depth] that a program of `linear` holds at once.

    Whole rows where they are short, so that loads are long; few rows of a small matrix, so that every multiprocessor
    has some; never more than the registers of a thread hold (tests/musicgen_registers.py).
    """
    return (8 if count >= 3 * depth and depth <= 1024 else 4), min(triton.next_power_of_2(depth), 1024)


def _norms(layer: Layer) -> Norms:
    return Norms(
        _normed(layer.norm, layer.norm_bias, layer.qkv),
        _normed(layer.cross_norm, layer.cross_norm_bias, layer.cross_q),
        _normed(layer.mlp_norm, layer.mlp_norm_bias, layer.up),
    )


def _normed(scale: Tensor, bias: Tensor, matrix: Tensor) -> Normed:
    g, b = scale.float(), bias.float()
    return Normed(g, b, matrix.float() @ g, matrix.float() @ b)


class Captured:
    """A step as one CUDA graph. What it changed while it was warmed up and captured is put back."""

    def __init__(self, decoder: Decoder, step: Callable[[], None]) -> None:
        state = (decoder.tokens, decoder.column)
        before = [tensor.clone() for tensor in state]
        aside = torch.cuda.Stream()
        torch.cuda.synchronize()
        with torch.inference_mode(), torch.cuda.stream(aside):
            for _ in range(_WARM_UP):
                step()
        torch.cuda.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(self._graph):
            step()
        for tensor, was in zip(state, before, strict=True):
            tensor.copy_(was)
        self._under_way: collections.deque[torch.cuda.Event] = collections.deque()

    def __call__(self) -> None:
        """Returns while the step runs, and waits for the third before it: a step then takes what it takes the GPU."""
        self._graph.replay()
        done = torch.cuda.Event()
        done.record()
        self._under_way.append(done)
        if len(self._under_way) > _IN_FLIGHT:
            self._under_way.popleft().synchronize()


def on_gpu(weights: DecoderWeights, *, slots: int, columns: int, text: int) -> Decoder:
    """The fastest on this GPU: our kernels from compute capability 8.0 on, torch's operations before; captured."""
    capability = torch.cuda.get_device_capability(weights.device)
    if capability >= (8, 0):
        decoder: Decoder = FusedDecoder(weights, slots=slots, columns=columns, text=text, ahead=capability >= (9, 0))
    else:
        decoder = Decoder(weights, slots=slots, columns=columns, text=text)
    return captured(decoder)


def captured(decoder: Decoder) -> Decoder:
    """All slots, all columns, every k: nothing in the graph depends on who plays. To be captured while the model is
    loaded, when no other thread may be at the GPU: what another did meanwhile would break the capture."""
    whole, columns, text, card = decoder.step, decoder.columns, decoder.text, decoder.shape.card
    graph = Captured(decoder, lambda: whole(columns, text, card, keyed=True))

    def step(span: int, text_span: int, widest: int, *, keyed: bool = True) -> None:  # noqa: ARG001
        graph()

    decoder.step = step  # type: ignore[method-assign]  # the same step, replayed
    return decoder
