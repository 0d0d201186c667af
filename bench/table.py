"""One line of a benchmark's table, and the few sums they need."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    measured: str
    goal: str = ""


def p50(values: Sequence[float]) -> float:
    return median(values)


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.2f} ms"


def spread(values: Sequence[float], unit: str = "s") -> str:
    """Median, and the range it lies in."""
    return f"{median(values):.2f} {unit} ({min(values):.2f}–{max(values):.2f}, n={len(values)})"
