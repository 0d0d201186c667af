"""The decoder of EnCodec (Défossez et al. 2022), whole or in pieces that equal the whole, of one song or several.

Codes [songs, codebooks, frames] become samples float32 [songs, frames × hop], mono. Convolutions are not causal: a
piece is kept back until what it needs of the future has come. The LSTM runs one way, so its state is carried exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonia_composer.engines.musicgen.shape import CodecShape


@dataclass(frozen=True, slots=True)
class Carried:
    """What later pieces need of earlier ones, a row a song. Rows of one kind can be decoded together."""

    # [songs, dimension, frames] that the first convolution still looks at; the LSTM has had `heard` of them.
    latents: Tensor
    heard: int
    # Of the LSTM: [songs, layers, channels].
    hidden: Tensor
    cell: Tensor
    # [songs, channels, frames] out of the LSTM that the rest still looks at; samples of `sent` of them are out.
    told: Tensor
    sent: int

    @property
    def kind(self) -> tuple[int, ...]:
        """Where in its song: at the start it differs from piece to piece, then no more."""
        return self.latents.shape[-1], self.heard, self.told.shape[-1], self.sent

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return self.latents, self.hidden, self.cell, self.told

    def rows(self, start: int, end: int) -> "Carried":
        latents, hidden, cell, told = (tensor[start:end] for tensor in self.tensors)
        return Carried(latents, self.heard, hidden, cell, told, self.sent)


def together(songs: Sequence[Carried]) -> Carried:
    """Of one kind."""
    latents, hidden, cell, told = (torch.cat(rows) for rows in zip(*(song.tensors for song in songs), strict=True))
    return Carried(latents, songs[0].heard, hidden, cell, told, songs[0].sent)


class Codec:
    def __init__(self, shape: CodecShape, weights: Mapping[str, Tensor]) -> None:
        self.shape = shape
        self.codebooks = weights["codebooks"]
        self._weights = weights
        channels = shape.filters * 2 ** len(shape.ratios)
        lstm = torch.nn.LSTM(channels, channels, shape.lstm_layers, device="meta")
        own = {name.removeprefix("lstm."): tensor for name, tensor in weights.items() if name.startswith("lstm.")}
        lstm.load_state_dict(own, assign=True)
        lstm.flatten_parameters()  # for a GPU's library, which else gathers them anew for every piece
        self._lstm = lstm.requires_grad_(requires_grad=False).eval()
        # Frames that the first convolution and the rest look at, beside the one they make.
        self.before_lstm = shape.kernel // 2
        self.after_lstm = reach(shape)

    @property
    def device(self) -> torch.device:
        return self.codebooks.device

    def decode(self, codes: Tensor) -> Tensor:
        """One song, whole: codes [codebooks, frames] → samples [n]."""
        return Stream(self).push(codes, final=True)

    def nothing(self) -> Carried:
        """Carried by a song that begins."""
        channels, layers = self._lstm.hidden_size, self._lstm.num_layers

        def empty(*size: int) -> Tensor:
            return torch.zeros(1, *size, device=self.device)

        state = empty(layers, channels)
        return Carried(empty(self.shape.dimension, 0), 0, state, state, empty(channels, 0), 0)

    def advance(self, carried: Carried, codes: Tensor, *, final: bool = False) -> tuple[Carried, Tensor]:
        """The next piece of songs that are of one kind, codes [songs, codebooks, n]: what they carry now, and samples
        [songs, m × hop] as far as they can be without what has not come yet; with `final` all that is left.

        Reads no value of the device, so that a CUDA graph may replay it.
        """
        latents = torch.cat([carried.latents, self.latents(codes)], -1)
        # As far as they go but for what must lie ahead; never back.
        heard = max(carried.heard, latents.shape[-1] - (0 if final else self.before_lstm))
        new, hidden, cell = self._through_lstm(latents, carried, heard)
        told = torch.cat([carried.told, new], -1)
        sent = max(carried.sent, told.shape[-1] - (0 if final else self.after_lstm))
        samples = self._samples(told, carried.sent, sent)
        latents, heard = _still_seen(latents, heard, self.before_lstm)
        told, sent = _still_seen(told, sent, self.after_lstm)
        return Carried(latents, heard, hidden, cell, told, sent), samples

    def _through_lstm(self, latents: Tensor, carried: Carried, until: int) -> tuple[Tensor, Tensor, Tensor]:
        if until == carried.heard:
            return carried.told[..., :0], carried.hidden, carried.cell
        return self.remember(self.first(latents)[..., carried.heard : until], carried.hidden, carried.cell)

    def _samples(self, told: Tensor, start: int, end: int) -> Tensor:
        if start == end:
            return told.new_zeros(told.shape[0], 0)
        return self.rest(told)[:, start * self.shape.hop : end * self.shape.hop]

    def latents(self, codes: Tensor) -> Tensor:
        """[songs, dimension, frames]: the sum of what the codebooks say."""
        books = self.codebooks
        total = F.embedding(codes[:, 0], books[0])
        for number, book in enumerate(books[1:], start=1):
            total = total + F.embedding(codes[:, number], book)
        return total.transpose(1, 2)

    def first(self, latents: Tensor) -> Tensor:
        return self._conv("first", latents)

    def remember(self, frames: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """frames [songs, channels, n]; hidden and cell [songs, layers, channels]."""
        sequence = frames.permute(2, 0, 1).contiguous()
        state = (hidden.transpose(0, 1).contiguous(), cell.transpose(0, 1).contiguous())
        told, (hidden, cell) = self._lstm(sequence, state)
        return (told + sequence).permute(1, 2, 0), hidden.transpose(0, 1), cell.transpose(0, 1)

    def rest(self, x: Tensor) -> Tensor:
        """[songs, channels, frames] → [songs, frames × hop]"""
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
        return self._conv("last", F.elu(x))[:, 0]

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
        self._carried = codec.nothing()

    def push(self, codes: Tensor, *, final: bool = False) -> Tensor:
        """Samples float32 [n] of codes [codebooks, frames]; n a multiple of the hop, perhaps 0."""
        with torch.inference_mode():
            self._carried, samples = self._codec.advance(self._carried, codes[None], final=final)
            return samples[0]


def _still_seen(frames: Tensor, done: int, margin: int) -> tuple[Tensor, int]:
    """Without those that are more than `margin` behind the next; and how many of the rest are done."""
    start = max(0, done - margin)
    return frames[..., start:], done - start
