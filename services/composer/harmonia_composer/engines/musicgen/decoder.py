"""The transformer with a fixed number of slots: everything preallocated, everything about a slot a tensor.

Rows 0..slots-1 of a cache hear the text, rows slots..2·slots-1 do not. Cross-attention is skipped for the latter:
without text, keys and values are zero and no bias is added, so what it would add is exactly zero.
A step reads no value of the host's and changes no shape, so that a CUDA graph may replay it; which slot plays what
is decided between steps. Idle slots compute and are not heard.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from harmonia_composer.engines.musicgen.packing import linear
from harmonia_composer.engines.musicgen.sampler import choose, guide, noise_of
from harmonia_composer.engines.musicgen.weights import DecoderWeights, Layer

# 30 s at 50 frames, the delays, and room to a multiple of the attention's split.
COLUMNS = 1536
TEXT = 512
# Attention reads so many columns at once; a length in between is masked.
SPAN = 64
UNDRAWN = -1


@dataclass(frozen=True, slots=True)
class Drawing:
    """How one song's tokens are drawn."""

    seed: int
    temperature: float = 1.0
    top_k: int = 250
    guidance: float = 3.0

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0


def positions(columns: int, width: int, device: torch.device) -> Tensor:
    """Sinusoids [columns, width], cosines first: Vaswani et al. 2017 §3.5, as audiocraft spaces them."""
    half = width // 2
    steps = torch.arange(half, device=device) / (half - 1)
    phase = torch.arange(columns, device=device)[:, None] / torch.full([], 10000.0, device=device) ** steps
    return torch.cat([torch.cos(phase), torch.sin(phase)], -1)


class Decoder:
    def __init__(self, weights: DecoderWeights, *, slots: int, columns: int = COLUMNS, text: int = TEXT) -> None:
        shape, device = weights.shape, weights.device
        self.weights, self.shape, self.slots, self.columns, self.text = weights, shape, slots, columns, text
        self.head = shape.width // shape.heads
        self.positions = positions(columns, shape.width, device)
        cache = (shape.layers, 2 * slots, shape.heads, columns, self.head)
        cross = (shape.layers, slots, shape.heads, text, self.head)
        self.keys, self.values = self._cache(cache), self._cache(cache)
        self.text_keys, self.text_values = self._cache(cross), self._cache(cross)
        self.text_length = torch.ones(slots, device=device, dtype=torch.long)
        self._text_length = [1] * slots  # the same, for the host, which must not wait to read it
        self.tokens = torch.full((slots, shape.codebooks, columns), shape.special, device=device)
        # The column that the next step reads, the last that it may write, and columns of earlier windows.
        self.column, self.last, self.before = (torch.zeros(slots, device=device, dtype=torch.long) for _ in range(3))
        self.temperature, self.guidance = (torch.ones(slots, 1, 1, device=device) for _ in range(2))
        self.top_k = torch.ones(slots, 1, 1, device=device, dtype=torch.long)
        self.greedy = torch.ones(slots, 1, device=device, dtype=torch.bool)
        self.seed = torch.zeros(slots, device=device, dtype=torch.long)
        self.noise = torch.ones(slots, shape.codebooks, shape.card, device=device)
        self._slot = torch.arange(2 * slots, device=device)[:, None]
        self._head = torch.arange(shape.heads, device=device)[None]
        self._codebook = torch.arange(shape.codebooks, device=device) * (shape.card + 1)

    def _cache(self, size: tuple[int, ...]) -> Tensor:
        """Of zeros: what is masked is multiplied all the same."""
        return torch.zeros(size, device=self.weights.device, dtype=self.weights.dtype)

    @property
    def numerics(self) -> str:
        """What a seed draws the same tokens within: where this differs, sums are rounded in another order."""
        where = f"{self._count}, torch's operations" if self.keys.is_cuda else "cpu"
        return f"{self._precision}, {where}"

    @property
    def _precision(self) -> str:
        return str(self.weights.dtype).removeprefix("torch.")

    @property
    def _count(self) -> str:
        return "one slot" if self.slots == 1 else f"{self.slots} slots"

    @staticmethod
    def cache_bytes(weights: DecoderWeights, *, slots: int, columns: int = COLUMNS, text: int = TEXT) -> int:
        """What `slots` take beside the weights: keys and values of both rows, of the text, and tokens."""
        shape, size = weights.shape, weights.dtype.itemsize
        per_slot = 2 * shape.layers * shape.width * size * (2 * columns + text)
        tokens: int = shape.codebooks * (columns * 8 + shape.card * 4)
        return slots * (int(per_slot) + tokens)

    def seat(self, slot: int, text: Tensor, drawing: Drawing) -> None:
        """Gives the slot to a song: text [n, width] as the conditioner projects it, without padding."""
        count, shape = text.shape[0], self.shape
        for number, layer in enumerate(self.weights.layers):
            both = linear(text.to(self.weights.dtype), layer.cross_kv)
            keys, values = both.view(count, 2, shape.heads, self.head).permute(1, 2, 0, 3)
            self.text_keys[number, slot, :, :count] = keys
            self.text_values[number, slot, :, :count] = values
        self.text_length[slot] = self._text_length[slot] = count
        self.greedy[slot] = drawing.greedy
        self.temperature[slot] = drawing.temperature or 1.0
        self.top_k[slot] = min(drawing.top_k, shape.card)
        self.guidance[slot] = drawing.guidance
        self.seed[slot] = drawing.seed if drawing.seed < 2**63 else drawing.seed - 2**64

    def open(self, slot: int, frames: int, prompt: Tensor, *, before: int = 0) -> int:
        """A window of `frames`, whose first tokens are `prompt` [codebooks, n]; the column where drawing goes on.

        Codebook k at column s holds frame s-1-k: MusicGen's delays (Copet et al. 2023, fig. 1).
        """
        row = torch.full_like(self.tokens[slot], self.shape.special)
        for codebook in range(self.shape.codebooks):
            start = codebook + 1
            row[codebook, start : start + frames] = UNDRAWN
            row[codebook, start : start + prompt.shape[1]] = prompt[codebook]
        self.tokens[slot] = row
        return self.resume(slot, prompt.shape[1], frames, before=before)

    def resume(self, slot: int, column: int, frames: int, *, before: int = 0) -> int:
        """Reads columns 0..column-1 at once, so that the next step reads `column`."""
        if column:
            self._read(slot, column)
        self.column[slot], self.last[slot], self.before[slot] = column, frames + self.shape.codebooks - 1, before
        return column

    def free(self, slot: int) -> None:
        """What lies there is overwritten by the next song; until then the slot stands still."""
        self.last[slot] = self.column[slot] = 0
        self.top_k[slot] = 1

    def frames(self, slot: int, start: int, end: int) -> Tensor:
        """Tokens [codebooks, end - start] of frames whose columns are all drawn."""
        rows = [self.tokens[slot, k, k + 1 + start : k + 1 + end] for k in range(self.shape.codebooks)]
        return torch.stack(rows)

    def step(self, span: int, text_span: int, widest: int, *, keyed: bool = True) -> None:
        """One column for every slot. Spans: how much of cache and text is looked at; at least what the slots hold.

        `keyed`: noise by Philox; else what lies in `noise`.
        """
        logits = self.logits(span, text_span)
        noise = self.noise
        if keyed:
            noise = noise_of(self.seed, self.before + self.column, codebooks=self.shape.codebooks, card=self.shape.card)
        self.write(
            choose(logits, noise, temperature=self.temperature, top_k=self.top_k, greedy=self.greedy, widest=widest)
        )

    def write(self, drawn: Tensor) -> None:
        """Into the next column, where nothing is known yet; slots at their end stand still."""
        following = torch.minimum(self.column + 1, self.last)
        place = following.view(-1, 1, 1).expand(-1, self.shape.codebooks, 1)
        known = self.tokens.gather(2, place)[..., 0]
        self.tokens.scatter_(2, place, torch.where(known == UNDRAWN, drawn, known)[..., None])
        self.column.copy_(following)

    def logits(self, span: int, text_span: int) -> Tensor:
        """[slots, codebooks, card] of the present column; its keys and values are kept."""
        place = self.column.view(-1, 1, 1).expand(-1, self.shape.codebooks, 1)
        x = self._embed(self.tokens.gather(2, place)[..., 0], self.column)
        x, column = torch.cat([x, x]), torch.cat([self.column, self.column])
        seen = (torch.arange(span, device=x.device) <= column[:, None])[:, None, None]
        text_seen = (torch.arange(text_span, device=x.device) < self.text_length[:, None])[:, None, None]
        for number, layer in enumerate(self.weights.layers):
            x = x + self._attend(number, layer, x, column, seen)
            heard = x[: self.slots]
            heard = heard + self._listen(number, layer, heard, text_seen)
            x = torch.cat([heard, x[self.slots :]])
            x = x + self._feed(layer, x)
        return guide(self._heads(x).view(2, self.slots, self.shape.codebooks, self.shape.card), self.guidance)

    def _embed(self, tokens: Tensor, column: Tensor) -> Tensor:
        """Tokens [n, codebooks] at columns [n]; summed from the first codebook on, as audiocraft does."""
        each = self.weights.embeddings[tokens + self._codebook].unbind(1)
        total = each[0]
        for one in each[1:]:
            total = total + one
        return total + self.positions[column]

    def _attend(self, number: int, layer: Layer, x: Tensor, column: Tensor, seen: Tensor) -> Tensor:
        rows, span = x.shape[0], seen.shape[-1]
        mixed = linear(self._normed(x, layer.norm, layer.norm_bias), layer.qkv)
        query, key, value = mixed.view(rows, 3, self.shape.heads, self.head).unbind(1)
        keys, values, place = self.keys[number], self.values[number], (self._slot, self._head, column[:, None])
        keys.index_put_(place, key)
        values.index_put_(place, value)
        weighed = F.scaled_dot_product_attention(
            query[:, :, None], keys[:, :, :span], values[:, :, :span], attn_mask=seen
        )
        return linear(weighed.reshape(rows, -1), layer.out).float()

    def _listen(self, number: int, layer: Layer, x: Tensor, seen: Tensor) -> Tensor:
        span = seen.shape[-1]
        query = linear(self._normed(x, layer.cross_norm, layer.cross_norm_bias), layer.cross_q)
        weighed = F.scaled_dot_product_attention(
            query.view(self.slots, self.shape.heads, 1, self.head),
            self.text_keys[number, :, :, :span],
            self.text_values[number, :, :, :span],
            attn_mask=seen,
        )
        return linear(weighed.reshape(self.slots, -1), layer.cross_out).float()

    def _feed(self, layer: Layer, x: Tensor) -> Tensor:
        inner = F.gelu(linear(self._normed(x, layer.mlp_norm, layer.mlp_norm_bias), layer.up))
        return linear(inner, layer.down).float()

    def _normed(self, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        return F.layer_norm(x, (self.shape.width,), scale.float(), bias.float()).to(self.weights.dtype)

    def _heads(self, x: Tensor) -> Tensor:
        last = F.layer_norm(x, (self.shape.width,), self.weights.norm, self.weights.norm_bias)
        return linear(last.to(self.weights.heads.dtype), self.weights.heads).float()

    def _read(self, slot: int, count: int) -> None:
        """Fills the caches with columns 0..count-1 of one slot, with and without text."""
        columns = torch.arange(count, device=self.positions.device)
        x = self._embed(self.tokens[slot, :, :count].T, columns)
        x, length = torch.stack([x, x]), self._text_length[slot]
        split = (2, count, 3, self.shape.heads, self.head)
        for number, layer in enumerate(self.weights.layers):
            mixed = linear(self._normed(x, layer.norm, layer.norm_bias), layer.qkv)
            query, key, value = mixed.view(split).permute(2, 0, 3, 1, 4)
            for side, row in enumerate((slot, self.slots + slot)):
                self.keys[number, row, :, :count] = key[side]
                self.values[number, row, :, :count] = value[side]
            weighed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + linear(weighed.transpose(1, 2).reshape(2, count, -1), layer.out).float()
            x = torch.stack([x[0] + self._listen_at_once(number, layer, x[0], slot, length), x[1]])
            x = x + self._feed(layer, x)

    def _listen_at_once(self, number: int, layer: Layer, x: Tensor, slot: int, length: int) -> Tensor:
        query = linear(self._normed(x, layer.cross_norm, layer.cross_norm_bias), layer.cross_q)
        weighed = F.scaled_dot_product_attention(
            query.view(-1, self.shape.heads, self.head).transpose(0, 1),
            self.text_keys[number, slot, :, :length],
            self.text_values[number, slot, :, :length],
        )
        return linear(weighed.transpose(0, 1).reshape(x.shape[0], -1), layer.cross_out).float()
