"""The same decoder for a GPU: one CUDA graph a step, of torch's operations or of our own kernels.

A graph is captured once, for all slots and the whole of every cache; kernels read only what each slot holds. Where
neither graph nor Triton is at hand, decoder.py plays as it is.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from harmonia_composer.engines.musicgen import kernels
from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing
from harmonia_composer.engines.musicgen.weights import DecoderWeights

# Before it is captured, a step must have run: libraries allocate what they need the first time.
_WARM_UP = 3


class FusedDecoder(Decoder):
    """One step by the kernels. Matrices by our own for one song, where reading them is all; by cuBLAS for more."""

    def __init__(self, weights: DecoderWeights, *, slots: int, columns: int, text: int) -> None:
        super().__init__(weights, slots=slots, columns=columns, text=text)
        width, rows, device, dtype = self.shape.width, 2 * slots, weights.device, weights.dtype
        self._splits = -(-columns // kernels.SPLIT)

        def room(*size: int, of: torch.dtype = dtype) -> Tensor:
            return torch.zeros(size, device=device, dtype=of)

        self._x = room(rows, width, of=torch.float32)
        self._qkv, self._mixed, self._asked = room(rows, 3 * width), room(rows, width), room(slots, width)
        self._inner = room(rows, 4 * width)
        self._told = room(rows, self.shape.codebooks * self.shape.card, of=torch.float32)
        self._parts = room(rows * self.shape.heads, self._splits, self.head, of=torch.float32)
        self._part_weights = room(rows * self.shape.heads, self._splits, 2, of=torch.float32)
        self._greedy = room(slots, of=torch.int32)

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
        for number, layer in enumerate(weights.layers):
            self._linear(self._x, layer.qkv, self._qkv, norm=(layer.norm, layer.norm_bias))
            self._attention(number)
            self._linear(self._mixed, layer.out, self._x, add=True)
            heard = self._x[:slots]
            self._linear(heard, layer.cross_q, self._asked, norm=(layer.cross_norm, layer.cross_norm_bias))
            kernels.listen[(slots * shape.heads,)](
                self._asked, self.text_keys[number], self.text_values[number], self.text_length, self._mixed,
                shape.heads, self.head, self.text, 64,
            )  # fmt: skip
            self._linear(self._mixed[:slots], layer.cross_out, heard, add=True)
            self._linear(self._x, layer.up, self._inner, norm=(layer.mlp_norm, layer.mlp_norm_bias), gelu=True)
            self._linear(self._inner, layer.down, self._x, add=True)
        self._linear(self._x, weights.heads, self._told, norm=(weights.norm, weights.norm_bias))
        kernels.draw[(slots, shape.codebooks)](
            self._told, self.seed, self.before, self.column, self.last, self.tokens, self.temperature, self.top_k,
            self.guidance, self._greedy, slots, self.columns, shape.card, shape.codebooks,
        )  # fmt: skip
        self.column.copy_(torch.minimum(self.column + 1, self.last))

    def _attention(self, number: int) -> None:
        shape, rows = self.shape, 2 * self.slots
        kernels.attend[(rows * shape.heads, self._splits)](
            self._qkv, self.keys[number], self.values[number], self.column, self._parts, self._part_weights,
            self.slots, shape.heads, self.head, self.columns, self._splits, kernels.SPLIT,
        )  # fmt: skip
        kernels.join[(rows * shape.heads,)](
            self._parts, self._part_weights, self.column, self._mixed, self.slots, shape.heads, self.head,
            self._splits, triton.next_power_of_2(self._splits), kernels.SPLIT,
        )  # fmt: skip

    def _linear(
        self,
        x: Tensor,
        weight: Tensor,
        out: Tensor,
        *,
        norm: tuple[Tensor, Tensor] | None = None,
        gelu: bool = False,
        add: bool = False,
    ) -> None:
        rows, (count, depth) = x.shape[0], weight.shape
        if rows > 2:
            self._by_library(x, weight, out, norm, gelu=gelu, add=add)
            return
        scale, bias = norm or (weight, weight)
        block, deep = 4, min(1024, triton.next_power_of_2(depth))
        kernels.linear[(triton.cdiv(count, block),)](
            x, weight, out, scale, bias, count, rows, depth, block, deep, norm is not None, gelu, add
        )

    def _by_library(
        self, x: Tensor, weight: Tensor, out: Tensor, norm: tuple[Tensor, Tensor] | None, *, gelu: bool, add: bool
    ) -> None:
        if norm is not None:
            x = F.layer_norm(x.float(), (weight.shape[1],), norm[0].float(), norm[1].float())
        made = F.linear(x.to(weight.dtype), weight)
        made = F.gelu(made) if gelu else made
        out.add_(made) if add else out.copy_(made)


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

    def __call__(self) -> None:
        self._graph.replay()


def on_gpu(weights: DecoderWeights, *, slots: int, columns: int, text: int) -> Decoder:
    """The fastest on this GPU: our kernels from compute capability 8.0 on, torch's operations before; captured."""
    fused = torch.cuda.get_device_capability(weights.device) >= (8, 0)
    kind = FusedDecoder if fused else Decoder
    decoder = kind(weights, slots=slots, columns=columns, text=text)
    whole = decoder.step
    # All slots, all columns, every k: nothing in the graph depends on who plays. Captured while the model is loaded,
    # when no other thread may be at the GPU: what another did meanwhile would break the capture.
    graph = Captured(decoder, lambda: whole(columns, text, weights.shape.card, keyed=True))

    def step(span: int, text_span: int, widest: int, *, keyed: bool = True) -> None:  # noqa: ARG001
        graph()

    decoder.step = step  # type: ignore[method-assign]  # the same step, replayed
    return decoder
