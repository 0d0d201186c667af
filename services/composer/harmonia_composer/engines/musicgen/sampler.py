"""From logits to tokens: guidance, temperature, the best k, and a draw whose noise depends on nothing but the song.

A token is drawn as argmax(p / e), e exponential: the Gumbel-max trick, which is also what torch.multinomial does
for one sample. Noise is a function of (seed, column, codebook, token), never of slot or batch: the same seed means
the same song in any company.
"""

import torch
from torch import Tensor

# Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
_MULTIPLIER_A, _MULTIPLIER_B = 0xD2511F53, 0xCD9E8D57
_WEYL_A, _WEYL_B = 0x9E3779B9, 0xBB67AE85
_MASK = 0xFFFFFFFF
_ROUNDS = 10
# 2^-31, a hair less so that the largest integer stays below 1 in float32.
_TO_UNIT = 4.6566127342e-10


def guide(logits: Tensor, guidance: Tensor) -> Tensor:
    """logits [2, slots, codebooks, card], with and without the text; away from the latter by `guidance`."""
    return logits[1] + (logits[0] - logits[1]) * guidance


def choose(logits: Tensor, noise: Tensor, *, temperature: Tensor, top_k: Tensor, greedy: Tensor, widest: int) -> Tensor:
    """Tokens [slots, codebooks] of logits [slots, codebooks, card]; ties for the k-th place stay in, as in audiocraft.

    temperature, top_k: [slots, 1, 1]; greedy: [slots, 1]; `widest` is the largest top_k.
    """
    likely = torch.softmax(logits / temperature, -1)
    best = torch.topk(likely, widest, dim=-1).values
    least = best.gather(-1, (top_k - 1).expand(-1, logits.shape[1], 1))
    likely = likely * (likely >= least)
    likely = likely / likely.sum(-1, keepdim=True)
    return torch.where(greedy, logits.argmax(-1), (likely / noise).argmax(-1))


def noise_of(seed: Tensor, column: Tensor, *, codebooks: int, card: int) -> Tensor:
    """Exponential noise [slots, codebooks, card] of seeds and columns [slots], int64; equal to the kernel's."""
    token = torch.arange(codebooks * card, device=seed.device)
    counter = column[:, None] * (codebooks * card) + token
    return exponential(philox(seed[:, None], counter)).view(-1, codebooks, card)


def philox(seed: Tensor, counter: Tensor) -> Tensor:
    """First of the four 32-bit words, as int64 0..2^32-1; counters below 2^32."""
    zero = torch.zeros_like(counter)
    a, b, c, d = counter & _MASK, zero, zero, zero
    key_a, key_b = (seed & _MASK).expand_as(counter), ((seed >> 32) & _MASK).expand_as(counter)
    for _ in range(_ROUNDS):
        high_a, low_a = _multiply(_MULTIPLIER_A, a)
        high_c, low_c = _multiply(_MULTIPLIER_B, c)
        a, b, c, d = high_c ^ b ^ key_a, low_c, high_a ^ d ^ key_b, low_a
        key_a, key_b = (key_a + _WEYL_A) & _MASK, (key_b + _WEYL_B) & _MASK
    return a


def _multiply(constant: int, word: Tensor) -> tuple[Tensor, Tensor]:
    """High and low 32 bits of a 64-bit product, whose sign does not matter to them."""
    product = word * constant
    return (product >> 32) & _MASK, product & _MASK


def exponential(word: Tensor) -> Tensor:
    folded = torch.where(word >= 2**31, 2**32 - 1 - word, word)
    uniform = folded.float() * _TO_UNIT
    return (-torch.log(1.0 - uniform * 0.99999994)).clamp(min=1e-20)
