"""The same decoder for a CPU: only slots that draw are computed, each over no more of its cache than it holds.

A song is the same to the bit on any slot and in any company: what is summed for it does not depend on the others.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonia_composer.engines.musicgen.decoder import COLUMNS, TEXT, UNDRAWN, Decoder
from harmonia_composer.engines.musicgen.packing import linear, packed
from harmonia_composer.engines.musicgen.sampler import choose, guide, noise_of
from harmonia_composer.engines.musicgen.weights import DecoderWeights, Layer


class EagerDecoder(Decoder):
    """Knows each slot's column on the host, and so what to leave out."""

    def __init__(self, weights: DecoderWeights, *, slots: int, columns: int = COLUMNS, text: int = TEXT) -> None:
        super().__init__(packed(weights), slots=slots, columns=columns, text=text)
        self._at, self._end = [0] * slots, [0] * slots
        # Both rows of a slot beside each other: [layers, 2, slots, heads, columns, head].
        self._keys, self._values = (cache.unflatten(1, (2, slots)) for cache in (self.keys, self.values))

    def _cache(self, size: tuple[int, ...]) -> Tensor:
        """Nothing is read that was not written, so that memory is taken as songs grow."""
        return torch.empty(size, dtype=self.weights.dtype)

    def resume(self, slot: int, column: int, frames: int, *, before: int = 0) -> int:
        self._at[slot], self._end[slot] = column, frames + self.shape.codebooks - 1
        return super().resume(slot, column, frames, before=before)

    def free(self, slot: int) -> None:
        super().free(slot)
        self._at[slot] = self._end[slot] = 0

    def step(self, span: int, text_span: int, widest: int, *, keyed: bool = True) -> None:  # noqa: ARG002
        """Spans are each slot's own."""
        slots = [slot for slot in range(self.slots) if self._at[slot] < self._end[slot]]
        if not slots:
            return
        which, shape = torch.tensor(slots), self.shape
        column = self.column[which]
        noise = self.noise[which]
        if keyed:
            noise = noise_of(self.seed[which], self.before[which] + column, codebooks=shape.codebooks, card=shape.card)
        drawn = choose(
            self._logits_of(slots, which, column),
            noise,
            temperature=self.temperature[which],
            top_k=self.top_k[which],
            greedy=self.greedy[which],
            widest=widest,
        )
        self._write_into(slots, which, drawn)

    def _write_into(self, slots: list[int], which: Tensor, drawn: Tensor) -> None:
        for row, slot in enumerate(slots):
            self._at[slot] += 1
            place = self.tokens[slot, :, self._at[slot]]
            place.copy_(torch.where(place == UNDRAWN, drawn[row], place))
        self.column[which] += 1

    def _logits_of(self, slots: list[int], which: Tensor, column: Tensor) -> Tensor:
        """[len(slots), codebooks, card]"""
        x = self._embed(torch.stack([self.tokens[slot, :, self._at[slot]] for slot in slots]), column)
        heard = len(slots)
        x = torch.cat([x, x])
        for number, layer in enumerate(self.weights.layers):
            x += self._attend_each(number, layer, x, slots)
            x[:heard] += self._listen_each(number, layer, x[:heard], slots)
            x += self._feed(layer, x)
        both = self._heads(x).view(2, heard, self.shape.codebooks, self.shape.card)
        return guide(both, self.guidance[which])

    def _attend_each(self, number: int, layer: Layer, x: Tensor, slots: list[int]) -> Tensor:
        mixed = linear(self._normed(x, layer.norm, layer.norm_bias), layer.qkv)
        # [2, slots, heads, head]
        query, key, value = mixed.view(2, len(slots), 3, self.shape.heads, self.head).unbind(2)
        weighed = torch.empty_like(query, memory_format=torch.contiguous_format)
        for row, slot in enumerate(slots):
            keys, values, at = self._keys[number, :, slot], self._values[number, :, slot], self._at[slot]
            keys[:, :, at], values[:, :, at] = key[:, row], value[:, row]
            weighed[:, row] = F.scaled_dot_product_attention(
                query[:, row, :, None], keys[:, :, : at + 1], values[:, :, : at + 1]
            )[:, :, 0]
        return linear(weighed.view(x.shape), layer.out)

    def _listen_each(self, number: int, layer: Layer, x: Tensor, slots: list[int]) -> Tensor:
        asked = linear(self._normed(x, layer.cross_norm, layer.cross_norm_bias), layer.cross_q)
        query = asked.view(len(slots), 1, self.shape.heads, 1, self.head)
        heard = [
            F.scaled_dot_product_attention(
                one,
                self.text_keys[number, slot, None, :, : self._text_length[slot]],
                self.text_values[number, slot, None, :, : self._text_length[slot]],
            )
            for one, slot in zip(query, slots, strict=True)
        ]
        return linear(torch.cat(heard).view(x.shape), layer.cross_out)
