"""How two channels stand to each other. PURE: arrays in, numbers out."""

import math
from dataclasses import dataclass

import numpy as np

from harmonia_mastering.true_peak import Samples

_MOST_DB = 60.0
_OUT_OF_PHASE = -0.1
_LOPSIDED_DB = 3.0


@dataclass(frozen=True, slots=True)
class Stereo:
    """correlation: -1 to 1. balance_db: how much louder the right side is. mono_loss_lu: what is lost where both are
    played by one speaker, beside what a mono recording loses: 0 when they are the same, 3 when they have nothing in
    common."""

    correlation: float
    balance_db: float
    mono_loss_lu: float

    def warnings(self) -> list[str]:
        found = []
        if self.correlation < _OUT_OF_PHASE:
            found.append(
                f"left and right are out of phase (correlation {self.correlation:.2f}): "
                f"on one speaker {self.mono_loss_lu:.0f} LU are lost"
            )
        if abs(self.balance_db) > _LOPSIDED_DB:
            side = "right" if self.balance_db > 0 else "left"
            found.append(f"the {side} side is {abs(self.balance_db):.1f} dB louder than the other")
        return found


def stereo(samples: Samples) -> Stereo | None:
    """samples: float32 [channels, n]. None for silence and for other than two channels."""
    if samples.shape[0] != 2:
        return None
    left, right = samples
    ll, rr, lr = (float(np.dot(a, b)) for a, b in ((left, left), (right, right), (left, right)))
    if ll + rr <= 0:
        return None
    correlation = lr / math.sqrt(ll * rr) if ll > 0 and rr > 0 else 0.0
    together = ll + rr + 2 * lr
    loss = 10 * math.log10(2 * (ll + rr) / together) if together > 0 else _MOST_DB
    balance = 10 * math.log10(rr / ll) if ll > 0 and rr > 0 else math.copysign(_MOST_DB, rr - ll)
    return Stereo(
        correlation=round(max(-1.0, min(1.0, correlation)), 3),
        balance_db=round(max(-_MOST_DB, min(_MOST_DB, balance)), 2),
        mono_loss_lu=round(max(0.0, min(_MOST_DB, loss)), 2),
    )
