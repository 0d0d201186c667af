"""Chance, the same on every machine: each purpose of each seed has its own stream."""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Uses random() alone: the one method of Python's generator whose sequence is promised to stay the same."""

    def __init__(self, seed: int, *purpose: object) -> None:
        label = "/".join(str(part) for part in (seed, *purpose))
        digest = hashlib.sha256(label.encode()).digest()
        self._random: random.Random = random.Random(int.from_bytes(digest[:16], "big"))  # noqa: S311 (music, not secrets)

    def unit(self) -> float:
        return self._random.random()

    def chance(self, probability: float) -> bool:
        return self.unit() < probability

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.unit()

    def choice(self, options: Sequence[T]) -> T:
        return options[int(self.unit() * len(options))]

    def bell(self, spread: float) -> float:
        """About normal with that standard deviation, never beyond 2.5 of them (Irwin-Hall of four)."""
        total = self.unit() + self.unit() + self.unit() + self.unit() - 2.0
        return max(-2.5, min(2.5, total * 1.7320508)) * spread


def take_seed(seed: int, take: int) -> int:
    """Seed of a take; the first is the song alone, and each take alone is that take again."""
    if take == 1:
        return seed
    digest = hashlib.sha256(f"{seed}/take/{take}".encode()).digest()
    return int.from_bytes(digest[:8], "big")
