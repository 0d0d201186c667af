"""What is never decided twice alike: ids and seeds. Passed in, so that tests can pass their own."""

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chance:
    new_id: Callable[[], str]
    draw_seed: Callable[[], int]


def real_chance() -> Chance:
    return Chance(new_id=uuid7, draw_seed=draw_seed)


def uuid7() -> str:
    """RFC 9562 §5.7, as 32 hex digits: ids made later sort later."""
    milliseconds = time.time_ns() // 1_000_000
    number = (milliseconds << 80) | secrets.randbits(80)
    number = (number & ~(0xF << 76)) | (0x7 << 76)
    number = (number & ~(0x3 << 62)) | (0x2 << 62)
    return uuid.UUID(int=number).hex


def draw_seed() -> int:
    """53 bits: JavaScript's numbers hold them all."""
    return secrets.randbits(53)
