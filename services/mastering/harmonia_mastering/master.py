"""A pre-master becomes a master: as loud as asked, never above the ceiling.

mix → tone (tilt) → glue → gain → limiter, the gain by secant until the loudness is the target's. Pure: arrays in,
arrays out.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np

from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_mastering import limiter
from harmonia_mastering.glue import glue
from harmonia_mastering.loudness import HOPS_PER_SECOND, Loudness, hop_energies, integrated, integrated_of, measure
from harmonia_mastering.tone import tone
from harmonia_mastering.true_peak import Samples, blocks_under, peak_envelope, residue, true_peak

TOLERANCE_LU = 0.02
# Beyond this it is the noise that gets loud.
MAX_GAIN_DB = 40.0
_MAX_MEASURES = 12
_MAX_SETTLINGS = 4
_MAX_ROUNDS = 3
# What ffmpeg and libebur128 read more than we do where cymbals reach up to half the rate.
_MARGIN_DB = 0.35
_SETTLING_AIM = 10 ** (-0.01 / 20)
# Of the loudest twentieth: from here on drums go flat and basses rattle.
_CLEAN_REDUCTION_DB = 6.0


class Status(StrEnum):
    CLEAN = "CLEAN"
    LIMITED = "LIMITED"
    UNMEASURABLE = "UNMEASURABLE"


class Preset(StrEnum):
    STREAMING = "STREAMING"
    PODCAST = "PODCAST"
    BROADCAST = "BROADCAST"
    LOUD = "LOUD"
    NONE = "NONE"
    STREAMING_SAFE = "STREAMING_SAFE"


@dataclass(frozen=True, slots=True)
class Target:
    """loudness_lufs None: whatever it is, only the ceiling is kept. intensity: of tone and glue, 0 to 1."""

    loudness_lufs: float | None
    ceiling_dbtp: float
    intensity: float = 0.0

    def __post_init__(self) -> None:
        if self.loudness_lufs is not None and not -30 <= self.loudness_lufs <= -8:
            message = f"a target of {self.loudness_lufs} LUFS: allowed are -30 to -8"
            raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="mastering.target_lufs")
        if not -9 <= self.ceiling_dbtp <= 0:
            message = f"a ceiling of {self.ceiling_dbtp} dBTP: allowed are -9 to 0"
            raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="mastering.ceiling_dbtp")
        if not 0 <= self.intensity <= 1:
            message = f"an intensity of {self.intensity}: allowed are 0 to 1"
            raise InvalidInput(message, reason=Reason.OUT_OF_RANGE, field="mastering.intensity")


PRESETS: Mapping[Preset, Target] = {
    Preset.STREAMING: Target(-14.0, -1.0),
    Preset.STREAMING_SAFE: Target(-14.0, -2.0),
    Preset.PODCAST: Target(-16.0, -1.0),
    Preset.BROADCAST: Target(-23.0, -1.0),
    Preset.LOUD: Target(-9.0, -1.0),
    Preset.NONE: Target(None, -1.0),
}


@dataclass(frozen=True, slots=True)
class Mastered:
    """samples: float32 [channels, n], as long as the pre-master.

    gain_db came before the limiter; gain_reduction_db is the deepest the limiter went, 0 when it never worked;
    limiter_reduction_db is what it took off the loudest 5 % of the song at least. reached: the loudness is the
    target's within 0.02 LU, or the target names none.
    """

    samples: Samples
    loudness: Loudness
    gain_db: float
    gain_reduction_db: float
    limiter_reduction_db: float
    glue_reduction_db: float
    tilt_db: float
    reached: bool

    @property
    def status(self) -> Status:
        """LIMITED: the target was out of reach, or was reached only by a limiter that is heard."""
        if self.loudness.integrated_lufs is None:
            return Status.UNMEASURABLE
        clean = self.reached and self.limiter_reduction_db <= _CLEAN_REDUCTION_DB
        return Status.CLEAN if clean else Status.LIMITED


@dataclass(frozen=True, slots=True)
class _Try:
    gain_db: float
    error_lu: float


@dataclass(frozen=True, slots=True)
class _Settled:
    """peak: the true peak of the samples, linear."""

    samples: Samples
    curve: Samples
    peak: float


def master(samples: Samples, rate_hz: int, target: Target, *, check: Callable[[], None] = lambda: None) -> Mastered:
    """Secant on the gain in front of the limiter until the loudness is the target's within 0.02 LU.

    Silence, and what is shorter than 400 ms, has no loudness to correct: it passes with no gain, under the ceiling.
    samples: float32 [channels, n], full scale ±1; InvalidInput when one is not finite.
    check is called several times a second of work and may raise to stop it.
    """
    if not np.isfinite(samples).all():
        raise InvalidInput("samples that are not finite cannot be mastered", reason=Reason.AUDIO_UNREADABLE)
    toned = tone(np.ascontiguousarray(samples, dtype=np.float32), rate_hz, intensity=target.intensity)
    samples, tilt_db = toned.samples, toned.tilt_db
    # Twenty minutes are 440 MiB: what is done with goes at once.
    del toned
    check()
    energies = hop_energies(samples, rate_hz)
    glued = glue(samples, energies, rate_hz, intensity=target.intensity)
    samples, glue_reduction_db = glued.samples, glued.reduction_db
    del glued
    before = integrated_of(energies) if glue_reduction_db == 0 else integrated(samples, rate_hz)
    check()
    envelope = peak_envelope(samples)

    def curve_of(gain_db: float) -> Samples:
        return limiter.gain_curve(envelope, rate_hz, gain=10 ** (gain_db / 20), ceiling=_aim(target.ceiling_dbtp))

    def attempt(goal_lufs: float | None, gain_db: float) -> _Try:
        check()
        if goal_lufs is None:
            return _Try(gain_db, 0.0)
        after = integrated(samples, rate_hz, gains=curve_of(gain_db))
        return _Try(gain_db, 0.0 if after is None else after - goal_lufs)

    goal_lufs = None if before is None else target.loudness_lufs
    gain_db = 0.0 if before is None or goal_lufs is None else goal_lufs - before
    for _ in range(_MAX_ROUNDS):
        best = _secant(partial(attempt, goal_lufs), min(gain_db, MAX_GAIN_DB))
        settled = _settled(samples, curve_of(best.gain_db), rate_hz, ceiling_dbtp=target.ceiling_dbtp, check=check)
        loudness = measure(settled.samples, rate_hz, peak=settled.peak)
        missed_lu = _missed(target, loudness)
        if goal_lufs is None or abs(missed_lu) <= TOLERANCE_LU:
            break
        # Settling took it: ask for as much more.
        goal_lufs, gain_db = goal_lufs - missed_lu, best.gain_db - missed_lu
    return Mastered(
        samples=settled.samples,
        loudness=loudness,
        gain_db=best.gain_db,
        gain_reduction_db=_reduction_db(best.gain_db, settled.curve),
        limiter_reduction_db=_usual_reduction_db(best.gain_db, settled.curve, round(rate_hz / HOPS_PER_SECOND)),
        glue_reduction_db=glue_reduction_db,
        tilt_db=tilt_db,
        reached=abs(missed_lu) <= TOLERANCE_LU,
    )


def lower_peaks(samples: Samples, rate_hz: int, *, ceiling_dbtp: float, gain_db: float = 0.0) -> Samples:
    """The same recording after the gain with no true peak above the ceiling."""
    curve = limiter.gain_curve(peak_envelope(samples), rate_hz, gain=10 ** (gain_db / 20), ceiling=_aim(ceiling_dbtp))
    return _settled(samples, curve, rate_hz, ceiling_dbtp=ceiling_dbtp, check=lambda: None).samples


def _aim(ceiling_dbtp: float) -> float:
    return float(10 ** ((ceiling_dbtp - _MARGIN_DB) / 20))


def _secant(attempt: Callable[[float], _Try], start_db: float) -> _Try:
    older = best = attempt(start_db)
    slope = 1.0
    for _ in range(_MAX_MEASURES - 1):
        # Half the tolerance: settling takes some of it.
        if abs(best.error_lu) <= TOLERANCE_LU / 2:
            break
        gain_db = min(older.gain_db - older.error_lu / slope, MAX_GAIN_DB)
        if gain_db == older.gain_db:
            break
        newer = attempt(gain_db)
        # A limiter at work gives back less than is put in; next to nothing where it only squashes.
        slope = min(max((newer.error_lu - older.error_lu) / (newer.gain_db - older.gain_db), 0.1), 1.0)
        older = newer
        best = min(best, newer, key=lambda one: abs(one.error_lu))
    return best


def _settled(
    samples: Samples, curve: Samples, rate_hz: int, *, ceiling_dbtp: float, check: Callable[[], None]
) -> _Settled:
    """The curve, lowered where the moving gain itself lifted a peak between samples: local, and mostly little.

    The curve that was given is the one that comes back.
    """
    aim, changed = _aim(ceiling_dbtp), None
    out = samples * curve
    for _ in range(_MAX_SETTLINGS):
        check()
        envelope = residue(out, ceiling=aim, changed=changed)
        if float(envelope.max(initial=0.0)) <= aim:
            break
        lower = limiter.gain_curve(envelope, rate_hz, gain=1.0, ceiling=aim * _SETTLING_AIM)
        changed = blocks_under(lower, 1.0)
        curve *= lower
        out *= lower
    peak = true_peak(out)
    # A millionth less: float32 rounds.
    last = np.float32(min(1.0, 0.999999 * 10 ** (ceiling_dbtp / 20) / max(peak, 1e-9)))
    if last < 1:
        curve *= last
        out *= last
    return _Settled(out, curve, peak * float(last))


def _missed(target: Target, loudness: Loudness) -> float:
    if target.loudness_lufs is None:
        return 0.0
    return -math.inf if loudness.integrated_lufs is None else loudness.integrated_lufs - target.loudness_lufs


def _reduction_db(gain_db: float, curve: Samples) -> float:
    lowest = float(curve.min(initial=np.inf))
    # float32 leaves a millionth of a decibel where the limiter did nothing.
    return max(0.0, round(gain_db - 20 * math.log10(lowest), 3)) if 0 < lowest < np.inf else 0.0


def _usual_reduction_db(gain_db: float, curve: Samples, hop: int) -> float:
    """The 95th percentile over stretches of 10 ms."""
    if not curve.size:
        return 0.0
    lowest = np.minimum.reduceat(curve, np.arange(0, curve.size, hop))
    typical = float(np.quantile(lowest, 0.05))
    return max(0.0, round(gain_db - 20 * math.log10(typical), 2)) if typical > 0 else 0.0
