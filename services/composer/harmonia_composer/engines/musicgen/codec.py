"""The decoder of EnCodec (Défossez et al. 2022), whole or in pieces that equal the whole.

Codes [codebooks, frames] become samples float32 [frames × hop], mono. Convolutions are not causal: a piece is kept
back until what it needs of the future has come. The LSTM runs one way, so its state is carried exactly.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonia_composer.engines.musicgen.shape import CodecShape

State = tuple[Tensor, Tensor]


class Codec:
    def __init__(self, shape: CodecShape, weights: Mapping[str, Tensor]) -> None:
        self.shape = shape
        self._weights = weights
        channels = shape.filters * 2 ** len(shape.ratios)
        lstm = torch.nn.LSTM(channels, channels, shape.lstm_layers, device="meta")
        own = {name.removeprefix("lstm."): tensor for name, tensor in weights.items() if name.startswith("lstm.")}
        lstm.load_state_dict(own, assign=True)
        self._lstm = lstm.requires_grad_(requires_grad=False)
        # Frames that the first convolution and the rest look at, beside the one they make.
        self.before_lstm = shape.kernel // 2
        self.after_lstm = reach(shape)

    @property
    def device(self) -> torch.device:
        return self._weights["codebooks"].device

    def decode(self, codes: Tensor) -> Tensor:
        return Stream(self).push(codes, final=True)

    def latents(self, codes: Tensor) -> Tensor:
        """[dimension, frames]: the sum of what the codebooks say."""
        books = self._weights["codebooks"]
        total = F.embedding(codes[0], books[0])
        for book, row in zip(books[1:], codes[1:], strict=True):
            total = total + F.embedding(row, book)
        return total.T

    def first(self, latents: Tensor) -> Tensor:
        return self._conv("first", latents)

    def remember(self, frames: Tensor, state: State | None) -> tuple[Tensor, State]:
        sequence = frames.T
        told, state = self._lstm(sequence, state)
        return (told + sequence).T, state

    def rest(self, x: Tensor) -> Tensor:
        """[channels, frames] → [frames × hop]"""
        for stage, ratio in enumerate(self.shape.ratios):
            name = f"up.{stage}"
            x = F.conv_transpose1d(
                F.elu(x), self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], stride=ratio
            )
            right = ratio // 2
            x = x[..., ratio - right : x.shape[-1] - right]
            for block in range(self.shape.residual_layers):
                inner = self._conv(f"{name}.block.{block}.0", F.elu(x), self.shape.dilation_base**block)
                x = x + self._conv(f"{name}.block.{block}.1", F.elu(inner))
        return self._conv("last", F.elu(x))[0]

    def _conv(self, name: str, x: Tensor, dilation: int = 1) -> Tensor:
        weight = self._weights[f"{name}.weight"]
        total = (weight.shape[-1] - 1) * dilation
        padded = padded_by(x, total - total // 2, total // 2, self.shape.pad_mode)
        return F.conv1d(padded, weight, self._weights[f"{name}.bias"], dilation=dilation)


def padded_by(x: Tensor, left: int, right: int, mode: str) -> Tensor:
    """A reflection longer than the signal is cut from zeros appended to it, as in EnCodec."""
    if mode != "reflect":
        return F.pad(x, (left, right))
    short = max(0, max(left, right) - x.shape[-1] + 1)
    reflected = F.pad(F.pad(x, (0, short)), (left, right), "reflect")
    return reflected[..., : reflected.shape[-1] - short]


def reach(shape: CodecShape) -> int:
    """Frames on either side of one that its samples depend on, behind the LSTM."""
    low, high = -(shape.last_kernel // 2), shape.hop - 1 + shape.last_kernel // 2
    wide = sum(shape.dilation_base**block for block in range(shape.residual_layers)) * (shape.residual_kernel // 2)
    for ratio in reversed(shape.ratios):
        left = ratio - ratio // 2
        low, high = (low - wide + left) // ratio - 1, (high + wide + left) // ratio
    return max(-low, high)


class Stream:
    """One song's decoding, in pieces. What comes out is as far as it can be without what has not come yet."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._latents, self._told = _Kept(), _Kept()
        self._state: State | None = None
        self._sent = 0

    @property
    def device(self) -> torch.device:
        return self._codec.device

    def push(self, codes: Tensor, *, final: bool = False) -> Tensor:
        """Samples float32 [n], n a multiple of the hop, perhaps 0; with `final` all that is left."""
        with torch.inference_mode():
            self._latents.append(self._codec.latents(codes))
            self._advance_lstm(final=final)
            return self._advance_rest(final=final)

    def _advance_lstm(self, *, final: bool) -> None:
        done, margin = self._told.end, self._codec.before_lstm
        until = self._latents.end if final else self._latents.end - margin
        if until <= done:
            return
        start = max(0, done - margin)
        convolved = self._codec.first(self._latents.since(start))[:, done - start : until - start]
        told, self._state = self._codec.remember(convolved, self._state)
        self._told.append(told)
        self._latents.forget(until - margin)

    def _advance_rest(self, *, final: bool) -> Tensor:
        done, margin, hop = self._sent, self._codec.after_lstm, self._codec.shape.hop
        until = self._told.end if final else self._told.end - margin
        if until <= done:
            return torch.zeros(0, device=self._codec.device)
        start = max(0, done - margin)
        samples = self._codec.rest(self._told.since(start))[(done - start) * hop : (until - start) * hop]
        self._sent = until
        self._told.forget(until - margin)
        return samples


class _Kept:
    """Columns of a growing matrix, of which the oldest may be forgotten."""

    def __init__(self) -> None:
        self._columns: Tensor | None = None
        self.end = 0

    def append(self, columns: Tensor) -> None:
        self._columns = columns if self._columns is None else torch.cat([self._columns, columns], -1)
        self.end += columns.shape[-1]

    def since(self, start: int) -> Tensor:
        assert self._columns is not None
        return self._columns[:, self._columns.shape[-1] - (self.end - start) :]

    def forget(self, before: int) -> None:
        assert self._columns is not None
        kept = self.end - max(before, 0)
        if kept < self._columns.shape[-1]:
            self._columns = self._columns[:, self._columns.shape[-1] - kept :].clone()
