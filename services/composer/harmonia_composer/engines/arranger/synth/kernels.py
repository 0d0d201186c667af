"""The five ways anything here makes a sound, compiled, without the interpreter's lock.

Each adds one note to `out`, float32 [frames, 2] at 48 kHz, from frame `start` on, and stops at its end. Parameters are
tuples of floats, so that each kernel is compiled once. No fast-math: the same bits in every process.
"""
# ruff: noqa: PLR0917 (compiled functions take no keywords)

from math import exp, pi, sin, tan
from typing import NamedTuple, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

RATE = 48_000
CONTROL = 32
"""Frames between two looks at envelopes and filters."""

Buffer = NDArray[np.float32]


class Tone(NamedTuple):
    """Oscillators through a filter. Times in seconds, cutoff in hertz, tracking and sweeps in octaves."""

    saw: float = 1.0
    pulse: float = 0.0
    sine: float = 0.0
    noise: float = 0.0
    width: float = 0.5
    voices: float = 1.0
    detune_cents: float = 0.0
    attack_s: float = 0.005
    decay_s: float = 0.3
    sustain: float = 0.7
    release_s: float = 0.08
    cutoff_hz: float = 2000.0
    sweep_octaves: float = 0.0
    sweep_s: float = 0.2
    resonance: float = 0.2
    vibrato_cents: float = 0.0
    vibrato_hz: float = 5.2
    glide_cents: float = 0.0


class Fm(NamedTuple):
    """A sine bent by another, and a second, short-lived pair on top (the tine of an electric piano)."""

    ratio: float = 1.0
    bend: float = 1.2
    bend_s: float = 0.8
    decay_s: float = 2.5
    attack_s: float = 0.002
    release_s: float = 0.12
    tine_ratio: float = 14.0
    tine: float = 0.15
    tine_s: float = 0.12
    tremolo: float = 0.0


class Pluck(NamedTuple):
    """A string: how long it rings, how bright it is struck, where, and how fast it is damped."""

    ring_s: float = 3.0
    bright: float = 0.5
    position: float = 0.18
    release_s: float = 0.08
    body: float = 0.5


class Strike(NamedTuple):
    """A drum: a swept sine, filtered noise in one or more bursts, and a cluster of metal."""

    body: float = 0.0
    from_hz: float = 180.0
    to_hz: float = 50.0
    sweep_s: float = 0.03
    body_s: float = 0.25
    click: float = 0.0
    noise: float = 0.0
    noise_hz: float = 3000.0
    noise_q: float = 0.7
    noise_s: float = 0.12
    bursts: float = 1.0
    attack_s: float = 0.0
    metal: float = 0.0
    metal_hz: float = 420.0
    metal_s: float = 0.06
    length_s: float = 0.4


Settings = TypeVar("Settings", Tone, Fm, Pluck, Strike)


def floats(settings: Settings) -> Settings:
    """With 300 written as 300.0: every mixture of whole and broken numbers would be compiled anew."""
    return type(settings)(*map(float, settings))


# One loop over samples: taking it apart would cost the speed it is written for.
@njit(cache=True, nogil=True)
def tone(out, start, held, hz, left, right, bright, seed, p):  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912, PLR0915
    """`held` frames until release; `bright` multiplies the cutoff; 1–3 voices, the outer two apart in stereo."""
    voices = int(p.voices)
    total = min(held + int(p.release_s * 6.0 * RATE), out.shape[0] - start)
    attack = 1.0 / max(1.0, p.attack_s * RATE)
    fall = exp(-1.0 / max(1.0, p.decay_s * RATE))
    let_go = exp(-1.0 / max(1.0, p.release_s * RATE))
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    phases = np.zeros(3)
    steps = np.zeros(3)
    for voice in range(3):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        phases[voice] = float(state >> np.uint64(40)) / 16777216.0 if voices > 1 else 0.0
    level, rising = 0.0, True
    gain = 1.0 / voices**0.5
    low_l = low_r = band_l = band_r = 0.0
    g = k = a1 = a2 = a3 = 0.0
    for n in range(total):
        if n % CONTROL == 0:
            t = n / RATE
            bend = p.vibrato_cents * min(1.0, max(0.0, t - 0.15) * 4.0) * sin(2.0 * pi * p.vibrato_hz * t)
            bend += p.glide_cents * exp(-t / 0.03)
            for voice in range(voices):
                spread = p.detune_cents * (voice - 0.5 * (voices - 1)) if voices > 1 else 0.0
                steps[voice] = hz * 2.0 ** ((bend + spread) / 1200.0) / RATE
            cutoff = p.cutoff_hz * bright * 2.0 ** (p.sweep_octaves * exp(-t / p.sweep_s))
            g = tan(pi * min(0.42, cutoff / RATE))
            k = 2.0 - 1.9 * p.resonance
            a1 = 1.0 / (1.0 + g * (g + k))
            a2 = g * a1
            a3 = g * a2
        if n >= held:
            level *= let_go
        elif rising:
            level += attack
            if level >= 1.0:
                level, rising = 1.0, False
        else:
            level = p.sustain + (level - p.sustain) * fall
        mid = side = 0.0
        for voice in range(voices):
            phase, step = phases[voice], steps[voice]
            sample = 0.0
            if p.saw > 0.0:
                sample += p.saw * (2.0 * phase - 1.0 - blep(phase, step))
            if p.pulse > 0.0:
                other = phase + 1.0 - p.width
                other -= 1.0 if other >= 1.0 else 0.0
                sample += p.pulse * (
                    (1.0 if phase < p.width else -1.0) + blep(phase, step) - blep(other, step) + 1.0 - 2.0 * p.width
                )
            if p.sine > 0.0:
                sample += p.sine * wave(phase)
            mid += sample
            side += sample * (voice - 0.5 * (voices - 1))
            phase += step
            phases[voice] = phase - 1.0 if phase >= 1.0 else phase
        if p.noise > 0.0:
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            mid += p.noise * (float(state >> np.uint64(40)) / 8388608.0 - 1.0)
        in_l, in_r = (mid + 0.6 * side) * gain, (mid - 0.6 * side) * gain
        v3 = in_l - low_l
        v1 = a1 * band_l + a2 * v3
        v2 = low_l + a2 * band_l + a3 * v3
        band_l, low_l = 2.0 * v1 - band_l, 2.0 * v2 - low_l
        out[start + n, 0] += left * level * v2
        if voices > 1:
            v3 = in_r - low_r
            v1 = a1 * band_r + a2 * v3
            v2 = low_r + a2 * band_r + a3 * v3
            band_r, low_r = 2.0 * v1 - band_r, 2.0 * v2 - low_r
        out[start + n, 1] += right * level * v2


@njit(cache=True, nogil=True)
def wave(phase):  # type: ignore[no-untyped-def]
    """Sine of a phase in turns, to 1e-5 (the series at a quarter turn): a third of the time of the exact one."""
    x = phase - np.floor(phase + 0.5)
    y = 0.5 - abs(x) if abs(x) > 0.25 else abs(x)
    square = y * y
    y *= 6.2831853072 + square * (
        -41.341702240 + square * (81.605249276 + square * (-76.705859753 + square * 42.058693945))
    )
    return y if x >= 0.0 else -y


@njit(cache=True, nogil=True)
def blep(phase, step):  # type: ignore[no-untyped-def]
    """What rounds a falling edge at phase 0 so that it does not alias (PolyBLEP, two samples wide)."""
    if phase < step:
        x = phase / step
        return x + x - x * x - 1.0
    if phase > 1.0 - step:
        x = (phase - 1.0) / step
        return x * x + x + x + 1.0
    return 0.0


@njit(cache=True, nogil=True)
def fm(out, start, held, hz, left, right, bright, p):  # type: ignore[no-untyped-def]
    total = min(held + int(p.release_s * 5.0 * RATE), out.shape[0] - start, int(p.decay_s * 7.0 * RATE))
    carrier, modulator, tine = hz / RATE, hz * p.ratio / RATE, hz * p.tine_ratio / RATE
    audible = 1.0 if hz * p.tine_ratio < 0.4 * RATE else 0.0
    attack = 1.0 / max(1.0, p.attack_s * RATE)
    level, ramp, released, sway = 1.0, 0.0, 1.0, 0.0
    index, sparkle = p.bend * bright / (2.0 * pi), p.tine * bright * audible
    fall = exp(-1.0 / (p.decay_s * RATE))
    index_fall, tine_fall = exp(-1.0 / (p.bend_s * RATE)), exp(-1.0 / (p.tine_s * RATE))
    let_go = exp(-1.0 / (p.release_s * RATE))
    for n in range(total):
        if n % CONTROL == 0:
            sway = p.tremolo * sin(2.0 * pi * 4.6 * (start + n) / RATE)
        ramp = min(1.0, ramp + attack)
        value = wave(carrier * n + index * wave(modulator * n))
        if sparkle > 1e-4:
            value += sparkle * wave(tine * n)
        value *= level * ramp * released
        out[start + n, 0] += left * value * (1.0 + sway)
        out[start + n, 1] += right * value * (1.0 - sway)
        level *= fall
        index *= index_fall
        sparkle *= tine_fall
        if n >= held:
            released *= let_go


@njit(cache=True, nogil=True)
def modal(out, start, held, hz, left, right, ratios, levels, rings, attack_s, release_s):  # type: ignore[no-untyped-def]
    """Partials, each a rotating pair of numbers: `rings` are seconds to fall by 1/e, 0 for one that is held."""
    total = min(held + int(release_s * 5.0 * RATE), out.shape[0] - start)
    rising = max(1, int(attack_s * RATE))
    let_go = exp(-1.0 / max(1.0, release_s * RATE))
    for partial in range(ratios.shape[0]):
        turn = 2.0 * pi * hz * ratios[partial] / RATE
        if turn > 0.85 * pi:
            continue
        decay = exp(-1.0 / (rings[partial] * RATE)) if rings[partial] > 0.0 else 1.0
        frames = total if rings[partial] <= 0.0 else min(total, int(rings[partial] * 8.0 * RATE))
        cosine, sine = decay * np.cos(turn), decay * sin(turn)
        x, y = 0.0, levels[partial]
        for n in range(frames):
            x, y = cosine * x + sine * y, cosine * y - sine * x
            value = x if n >= rising else x * n / rising
            out[start + n, 0] += left * value
            out[start + n, 1] += right * value
            if n >= held:
                x *= let_go
                y *= let_go


@njit(cache=True, nogil=True)
def pluck(out, start, held, hz, left, right, bright, seed, p):  # type: ignore[no-untyped-def]
    """Karplus-Strong with fractional tuning (Jaffe and Smith 1983), pick position, and two resonances of a body."""
    total = min(held + int(p.release_s * 7.0 * RATE), out.shape[0] - start)
    period = RATE / hz
    softness = max(0.02, min(0.9, 1.0 - p.bright * bright))
    smooth = 0.5 * softness
    size = int(period - smooth - 0.5)
    extra = period - smooth - size
    allpass = (1.0 - extra) / (1.0 + extra)
    line = np.zeros(size)
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    mean = held_back = 0.0
    for n in range(size):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        noise = float(state >> np.uint64(40)) / 8388608.0 - 1.0
        held_back += (1.0 - 0.8 * softness) * (noise - held_back)
        line[n] = held_back
        mean += held_back / size
    gap = max(1, int(p.position * size))
    shaped = np.zeros(size)
    for n in range(size):
        shaped[n] = line[n] - 0.9 * line[(n - gap) % size] - 0.1 * mean
    keep = 0.001 ** (period / RATE / (p.ring_s * (220.0 / hz) ** 0.4))
    damp = 0.001 ** (period / RATE / max(0.03, p.release_s * 3.0))
    last = before = after = body_x = body_y = wood_x = wood_y = 0.0
    turn_1, turn_2 = 2.0 * pi * 105.0 / RATE, 2.0 * pi * 215.0 / RATE
    place = 0
    for n in range(total):
        sample = shaped[place]
        averaged = (1.0 - smooth) * sample + smooth * last
        last = sample
        moved = allpass * averaged + before - allpass * after
        before, after = averaged, moved
        shaped[place] = moved * (keep if n < held else damp)
        place += 1
        if place == size:
            place = 0
        body_x, body_y = 0.9965 * (body_x - turn_1 * body_y) + 0.02 * sample, 0.9965 * (body_y + turn_1 * body_x)
        wood_x, wood_y = 0.994 * (wood_x - turn_2 * wood_y) + 0.02 * sample, 0.994 * (wood_y + turn_2 * wood_x)
        value = sample + p.body * (body_x + wood_x)
        out[start + n, 0] += left * value
        out[start + n, 1] += right * value


@njit(cache=True, nogil=True)
def strike(out, start, left, right, bright, seed, p):  # type: ignore[no-untyped-def]
    total = min(int(p.length_s * RATE), out.shape[0] - start)
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    ratios = (1.0, 1.342, 1.2312, 1.6532, 1.9523, 2.1523)
    phase = 0.0
    sweep = exp(-1.0 / max(1.0, p.sweep_s * RATE))
    glide = 1.0
    body, noise, metal = p.body, p.noise, p.metal * bright
    body_fall, noise_fall = exp(-1.0 / (p.body_s * RATE)), exp(-1.0 / (p.noise_s * RATE))
    metal_fall = exp(-1.0 / (p.metal_s * RATE))
    attack = max(1.0, p.attack_s * RATE)
    g = tan(pi * min(0.42, p.noise_hz * bright**0.5 / RATE))
    k = 1.0 / p.noise_q
    a1 = 1.0 / (1.0 + g * (g + k))
    low = band = high_1 = high_2 = held_1 = held_2 = 0.0
    gap = int(0.011 * RATE)
    for n in range(total):
        value = 0.0
        if body > 1e-5:
            phase += (p.to_hz + (p.from_hz - p.to_hz) * glide) / RATE
            glide *= sweep
            value += body * wave(phase)
            body *= body_fall
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        hiss = float(state >> np.uint64(40)) / 8388608.0 - 1.0
        if n < 140:
            value += p.click * bright * hiss * (1.0 - n / 140.0) ** 2
        if noise > 1e-5:
            if n < gap * (p.bursts - 1.0) and n % gap == 0:
                noise = p.noise
            v3 = hiss - low
            v1 = a1 * (band + g * v3)
            low += 2.0 * g * v1
            band = 2.0 * v1 - band
            value += noise * k * v1 * min(1.0, n / attack)
            noise *= noise_fall if n >= gap * (p.bursts - 1.0) else noise_fall**4
        if metal > 1e-5:
            total_square = 0.0
            for ratio in ratios:
                at = p.metal_hz * ratio * n / RATE
                total_square += 1.0 if at - int(at) < 0.5 else -1.0
            # Two one-pole high-passes at 7 kHz leave the sizzle.
            high_1 += 0.6 * (total_square - high_1)
            held_1 = total_square - high_1
            high_2 += 0.6 * (held_1 - high_2)
            held_2 = held_1 - high_2
            value += metal * (0.25 * held_2 + 0.3 * (hiss - band))
            metal *= metal_fall
        fade = min(1.0, (total - n) / 240.0)
        out[start + n, 0] += left * value * fade
        out[start + n, 1] += right * value * fade


@njit(cache=True, nogil=True)
def air(out, start, held, level, from_hz, to_hz, rise, pops_hz, seed):  # type: ignore[no-untyped-def]
    """Noise through a moving band, different left and right in part; `rise` 0 even … 1 from nothing; pops a second."""
    total = min(held, out.shape[0] - start)
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    low_l = low_r = smooth_l = smooth_r = pop = 0.0
    side = 0.0
    edge = 0.05 * RATE
    rate = from_hz
    g = 0.0
    for n in range(total):
        along = n / total
        if n % CONTROL == 0:
            rate = from_hz * (to_hz / from_hz) ** along
            g = 1.0 - exp(-2.0 * pi * rate / RATE)
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        common = float(state >> np.uint64(40)) / 8388608.0 - 1.0
        own = float((state >> np.uint64(16)) & np.uint64(0xFFFFFF)) / 8388608.0 - 1.0
        low_l += g * (common + 0.5 * own - low_l)
        low_r += g * (common - 0.5 * own - low_r)
        smooth_l += 0.25 * g * (low_l - smooth_l)
        smooth_r += 0.25 * g * (low_r - smooth_r)
        if pops_hz > 0.0:
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            if float(state >> np.uint64(40)) / 16777216.0 < pops_hz / RATE:
                pop = 2.0 + 10.0 * float((state >> np.uint64(20)) & np.uint64(0xFFFFF)) / 1048576.0
                side = 0.6 * own
            pop *= 0.9
        gain = level * (1.0 - rise + rise * along * along) * min(1.0, n / edge, (total - n) / edge)
        spark = pop * common
        out[start + n, 0] += gain * (low_l - smooth_l + spark * (1.0 + side))
        out[start + n, 1] += gain * (low_r - smooth_r + spark * (1.0 - side))
