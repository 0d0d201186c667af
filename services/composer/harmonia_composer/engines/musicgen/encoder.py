"""The encoder of EnCodec (Défossez et al. 2022): a recording becomes the tokens that a song goes on from.

Samples float32 [n], mono, at the codec's rate, become codes [codebooks, frames], one frame for each hop begun. The
convolutions of a long recording are computed in pieces, each with what it reaches for on either side, so that an hour
needs no more memory than half a minute; the LSTM then reads all of it.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonia_composer.engine import Check
from harmonia_composer.engines.musicgen.codec import padded_by
from harmonia_composer.engines.musicgen.shape import CodecShape

# Of one piece: as long as a model's window, so that whatever one of them sees has EnCodec's own codes. In pieces sums
# round otherwise, and of 10,000 codes one or two have a neighbour that is as near.
PIECE_FRAMES = 1500
# How far back from the end a reflection looks: a stride and a half of the last stage, and less of those before.
_REFLECTED_FRAMES = 2


class Encoder:
    """`codebooks` [codebooks, card, dimension] are the decoder's own."""

    def __init__(self, shape: CodecShape, weights: Mapping[str, Tensor], codebooks: Tensor) -> None:
        self.shape = shape
        self._weights = weights
        self._codebooks = codebooks
        self._margin = reach(shape) + _REFLECTED_FRAMES
        channels = shape.filters * 2 ** len(shape.ratios)
        lstm = torch.nn.LSTM(channels, channels, shape.lstm_layers, device="meta")
        own = {name.removeprefix("lstm."): tensor for name, tensor in weights.items() if name.startswith("lstm.")}
        lstm.load_state_dict(own, assign=True)
        self._lstm = lstm.requires_grad_(requires_grad=False)

    @property
    def device(self) -> torch.device:
        return self._codebooks.device

    def encode(self, samples: Tensor, check: Check = lambda: None) -> Tensor:
        """Codes on the samples' device. Raises what `check`, asked at every layer, raises."""
        frames = math.ceil(samples.shape[0] / self.shape.hop)
        with torch.inference_mode():
            pieces = [
                self._piece(samples, start, min(start + PIECE_FRAMES, frames), check)
                for start in range(0, frames, PIECE_FRAMES)
            ]
            return self._quantized(self._last(torch.cat(pieces, -1)))

    def _piece(self, samples: Tensor, start: int, end: int, check: Check) -> Tensor:
        """[channels, end - start], as the whole would have it there."""
        first = max(0, start - self._margin)
        heard = samples[first * self.shape.hop : (end + self._margin) * self.shape.hop]
        return self._down(heard[None], check)[:, start - first : end - first]

    def _down(self, x: Tensor, check: Check) -> Tensor:
        """[1, samples] → [channels, frames]"""
        x = self._conv("first", x)
        for stage, ratio in enumerate(reversed(self.shape.ratios)):
            for block in range(self.shape.residual_layers):
                check()
                name = f"down.{stage}.block.{block}"
                inner = self._conv(f"{name}.0", F.elu(x), dilation=self.shape.dilation_base**block)
                x = x + self._conv(f"{name}.1", F.elu(inner))
            check()
            x = self._conv(f"down.{stage}", F.elu(x), stride=ratio)
        return x

    def _last(self, x: Tensor) -> Tensor:
        sequence = x.T
        told, _ = self._lstm(sequence)
        return self._conv("last", F.elu((told + sequence).T))

    def _quantized(self, latents: Tensor) -> Tensor:
        """The nearest entry of each codebook to what those before it have left. [codebooks, frames]"""
        left, found = latents.T, []
        for book in self._codebooks:
            # Summed as EnCodec sums it: entries almost as near must not change places.
            distance = left.pow(2).sum(1, keepdim=True) - 2 * left @ book.T + book.T.pow(2).sum(0, keepdim=True)
            nearest = (-distance).max(-1).indices
            left = left - F.embedding(nearest, book)
            found.append(nearest)
        return torch.stack(found)

    def _conv(self, name: str, x: Tensor, *, stride: int = 1, dilation: int = 1) -> Tensor:
        weight = self._weights[f"{name}.weight"]
        total = (weight.shape[-1] - 1) * dilation + 1 - stride
        right = total // 2
        # A stride that is begun at the end is filled up, so that no sample is lost.
        short = -x.shape[-1] % stride
        padded = padded_by(x, total - right, right + short, self.shape.pad_mode)
        return F.conv1d(padded, weight, self._weights[f"{name}.bias"], stride=stride, dilation=dilation)


def reach(shape: CodecShape) -> int:
    """Frames on either side of one that it depends on, before the LSTM."""
    low = high = 0
    wide = sum(shape.dilation_base**block for block in range(shape.residual_layers)) * (shape.residual_kernel // 2)
    for ratio in shape.ratios:
        left = ratio - ratio // 2
        low, high = low * ratio - left - wide, high * ratio + 2 * ratio - 1 - left + wide
    low, high = low - shape.kernel // 2, high + shape.kernel // 2
    return max(math.ceil(-low / shape.hop), math.ceil((high - shape.hop + 1) / shape.hop))
