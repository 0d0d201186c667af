"""The few ways anything here makes a sound, compiled, without the interpreter's lock.

Each adds one note to `out`, float32 [frames, 2] at 48 kHz, from frame `start` on, and stops at its end. Parameters are
tuples of floats, so that each kernel is compiled once. No fast-math: the same bits in every process.
"""
# ruff: noqa: PLR0917 (compiled functions take no keywords)

from math import atan2, cos, exp, pi, sin, sqrt, tan
from typing import NamedTuple, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

RATE = 48_000
CONTROL = 32
"""Frames between two looks at envelopes and filters."""

Buffer = NDArray[np.float32]
Table = NDArray[np.float32]


class Tone(NamedTuple):
    """Tables of waves through a filter. Times in seconds, tracking and sweeps in octaves.

    Two tables, a dark and a bright one: `blend` of the bright, `bloom` more at the attack, gone after `bloom_s`.
    """

    voices: float = 1.0
    detune_cents: float = 0.0
    spread: float = 0.6
    drift_cents: float = 1.5
    attack_s: float = 0.005
    decay_s: float = 0.3
    sustain: float = 0.7
    release_s: float = 0.08
    cutoff_hz: float = 16000.0
    track: float = 0.0
    sweep_octaves: float = 0.0
    sweep_s: float = 0.2
    resonance: float = 0.1
    steep: float = 0.0
    blend: float = 0.5
    bloom: float = 0.0
    bloom_s: float = 0.1
    noise: float = 0.0
    chiff: float = 0.0
    chiff_s: float = 0.03
    vibrato_cents: float = 0.0
    vibrato_hz: float = 5.2
    vibrato_delay_s: float = 0.2
    shake: float = 0.0
    scoop_cents: float = 0.0
    scoop_s: float = 0.03
    glide_s: float = 0.0
    cycles: float = 1.0


class Fm(NamedTuple):
    """A sine bent by another, and a second, short-lived pair on top (the tine of an electric piano)."""

    ratio: float = 1.0
    bend: float = 1.2
    bend_s: float = 0.8
    floor: float = 0.0
    decay_s: float = 2.5
    attack_s: float = 0.002
    release_s: float = 0.12
    tine_ratio: float = 14.0
    tine: float = 0.15
    tine_s: float = 0.12
    second: float = 0.0
    """A second partial's level: the asymmetry of a pickup."""


class Pluck(NamedTuple):
    """A string: how long A3 rings, how long 4 kHz does, how hard and where it is struck, how fast it is damped."""

    ring_s: float = 4.0
    sparkle_s: float = 0.7
    hardness_hz: float = 3000.0
    tilt: float = 3.0
    """Up to this partial all are as strong, above it the nth is 1/n: a finger 1, a plectrum 5."""
    position: float = 0.18
    noise: float = 0.4
    release_s: float = 0.08
    click: float = 0.0
    pitch_power: float = 0.7
    """How much shorter higher notes ring."""


class Strike(NamedTuple):
    """A drum: a swept sine, filtered noise in one or more bursts, and a cluster of metal."""

    body: float = 0.0
    from_hz: float = 180.0
    to_hz: float = 50.0
    sweep_s: float = 0.03
    body_s: float = 0.25
    drive: float = 0.0
    click: float = 0.0
    noise: float = 0.0
    noise_hz: float = 3000.0
    noise_q: float = 0.7
    noise_high: float = 0.0
    """0: a band of noise around noise_hz, 1: all above it."""
    noise_s: float = 0.12
    hold_s: float = 0.0
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
def tone(out, start, held, hz, left, right, bright, blend, glide, seed, dark, light, p):  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912, PLR0915
    """`held` frames until release; `bright` multiplies the cutoff; `glide`: octaves it comes from, gone in glide_s.

    `dark`, `light`: tables of p.cycles waves with one guard point more; a `light` of one point is the same as `dark`.
    Up to seven voices, spread in pitch and place.
    """
    voices = int(p.voices)
    total = min(held + int(p.release_s * 7.0 * RATE), out.shape[0] - start)
    size, two = dark.shape[0] - 1, light.shape[0] > 1
    attack = 1.0 / max(1.0, p.attack_s * RATE)
    fall = exp(-1.0 / max(1.0, p.decay_s * RATE))
    let_go = exp(-1.0 / max(1.0, p.release_s * RATE))
    hush = exp(-1.0 / max(1.0, p.chiff_s * RATE))
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    places, wander, towards, pan_l, pan_r = np.zeros(7), np.zeros(7), np.zeros(7), np.zeros(7), np.zeros(7)
    for voice in range(voices):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        places[voice] = float(state >> np.uint64(40)) / 16777216.0 * size if voices > 1 or p.cycles > 1.0 else 0.0
        at = 2.0 * voice / (voices - 1.0) - 1.0 if voices > 1 else 0.0
        aside = p.spread * at * (1.0 if voice % 2 == 0 else -1.0) if voices > 2 else p.spread * at
        pan_l[voice] = cos(pi / 4.0 * (1.0 + aside)) * 1.4142135623730951 / sqrt(voices)
        pan_r[voice] = sin(pi / 4.0 * (1.0 + aside)) * 1.4142135623730951 / sqrt(voices)
    state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
    chance = float(state >> np.uint64(40)) / 16777216.0
    pace = p.vibrato_hz * (0.93 + 0.14 * chance)
    level, rising, chiff = 0.0, True, p.chiff
    low_l = low_r = band_l = band_r = low2_l = low2_r = band2_l = band2_r = 0.0
    mix_l, mix_r = np.zeros(CONTROL), np.zeros(CONTROL)
    k = 2.0 - 1.9 * p.resonance
    octaves_up = np.log2(hz / 261.63)
    for block in range((total + CONTROL - 1) // CONTROL):
        first = block * CONTROL
        size_now = min(CONTROL, total - first)
        t = first / RATE
        sway = min(1.0, max(0.0, (t - p.vibrato_delay_s) * 3.0)) * sin(2.0 * pi * (pace * t + chance))
        bend = p.vibrato_cents * sway + p.scoop_cents * exp(-t / p.scoop_s)
        if p.glide_s > 0.0:
            bend += 1200.0 * glide * exp(-t / p.glide_s)
        lit = min(1.0, max(0.0, blend * (p.blend + p.bloom * exp(-t / p.bloom_s)) * (1.0 + p.shake * sway)))
        for i in range(size_now):
            mix_l[i] = 0.0
            mix_r[i] = 0.0
        for voice in range(voices):
            if block % 48 == 0:
                state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                towards[voice] = float(state >> np.uint64(40)) / 8388608.0 - 1.0
            wander[voice] += 0.02 * (towards[voice] - wander[voice])
            apart = p.detune_cents * (2.0 * voice / (voices - 1.0) - 1.0) if voices > 1 else 0.0
            # The inner ones closer together, as seven saws of a supersaw are.
            apart *= 0.4 + 0.6 * abs(apart) / p.detune_cents if p.detune_cents > 0.0 else 1.0
            cents = bend + apart + 2.0 * p.drift_cents * wander[voice]
            step = hz * 2.0 ** (cents / 1200.0) * size / p.cycles / RATE
            place, gain_l, gain_r = places[voice], pan_l[voice], pan_r[voice]
            for i in range(size_now):
                whole = int(place)
                part = place - whole
                a = dark[whole] + part * (dark[whole + 1] - dark[whole])
                if two:
                    b = light[whole] + part * (light[whole + 1] - light[whole])
                    a += lit * (b - a)
                mix_l[i] += gain_l * a
                mix_r[i] += gain_r * a
                place += step
                if place >= size:
                    place -= size
            places[voice] = place
        if p.noise > 0.0 or chiff > 1e-4:
            for i in range(size_now):
                state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                breath = (p.noise + chiff) * (float(state >> np.uint64(40)) / 8388608.0 - 1.0)
                mix_l[i] += breath
                mix_r[i] += breath
                chiff *= hush
        cutoff = p.cutoff_hz * bright * 2.0 ** (p.track * octaves_up + p.sweep_octaves * exp(-t / p.sweep_s))
        g = tan(pi * min(0.42, max(20.0, cutoff) / RATE))
        a1 = 1.0 / (1.0 + g * (g + k))
        a2 = g * a1
        a3 = g * a2
        loud = 1.0 + 0.5 * p.shake * sway
        for i in range(size_now):
            n = first + i
            if n >= held:
                level *= let_go
            elif rising:
                level += attack
                if level >= 1.0:
                    level, rising = 1.0, False
            else:
                level = p.sustain + (level - p.sustain) * fall
            v3 = mix_l[i] - low_l
            v1 = a1 * band_l + a2 * v3
            x = low_l + a2 * band_l + a3 * v3
            band_l, low_l = 2.0 * v1 - band_l, 2.0 * x - low_l
            y = x
            if voices > 1:
                v3 = mix_r[i] - low_r
                v1 = a1 * band_r + a2 * v3
                y = low_r + a2 * band_r + a3 * v3
                band_r, low_r = 2.0 * v1 - band_r, 2.0 * y - low_r
            if p.steep > 0.0:
                v3 = x - low2_l
                v1 = a1 * band2_l + a2 * v3
                x = low2_l + a2 * band2_l + a3 * v3
                band2_l, low2_l = 2.0 * v1 - band2_l, 2.0 * x - low2_l
                v3 = y - low2_r
                v1 = a1 * band2_r + a2 * v3
                y = low2_r + a2 * band2_r + a3 * v3
                band2_r, low2_r = 2.0 * v1 - band2_r, 2.0 * y - low2_r
            out[start + n, 0] += left * loud * level * x
            out[start + n, 1] += right * loud * level * y


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
def fm(out, start, held, hz, left, right, bright, p):  # type: ignore[no-untyped-def]
    total = min(held + int(p.release_s * 7.0 * RATE), out.shape[0] - start, int(p.decay_s * 9.0 * RATE))
    carrier, modulator, tine = hz / RATE, hz * p.ratio / RATE, hz * p.tine_ratio / RATE
    audible = 1.0 if hz * p.tine_ratio < 0.4 * RATE else 0.0
    attack = 1.0 / max(1.0, p.attack_s * RATE)
    level, ramp, released = 1.0, 0.0, 1.0
    # Carson: side bands reach (bend + 2) modulators up; they stay below half the rate.
    most = max(0.0, (0.45 * RATE - hz) / (hz * p.ratio) - 2.0)
    index, floor = min(most, p.bend * bright) / (2.0 * pi), min(most, p.floor * bright) / (2.0 * pi)
    sparkle = p.tine * bright * audible
    fall = exp(-1.0 / (p.decay_s * RATE))
    index_fall, tine_fall = exp(-1.0 / (p.bend_s * RATE)), exp(-1.0 / (p.tine_s * RATE))
    let_go = exp(-1.0 / (p.release_s * RATE))
    second = p.second * bright if 2.0 * hz < 0.4 * RATE else 0.0
    for n in range(total):
        ramp = min(1.0, ramp + attack)
        value = wave(carrier * n + (index + floor) * wave(modulator * n))
        if sparkle > 1e-4:
            value += sparkle * wave(tine * n)
        if second > 0.0:
            value += second * level * wave(2.0 * carrier * n + 0.25)
        value *= level * ramp * released
        out[start + n, 0] += left * value
        out[start + n, 1] += right * value
        level *= fall
        index *= index_fall
        sparkle *= tine_fall
        if n >= held:
            released *= let_go


@njit(cache=True, nogil=True)
def modal(out, start, held, left, right, partials, attack_s, release_s, knock, knock_hz, knock_s, seed):  # type: ignore[no-untyped-def]
    """Partials [count, 3]: hertz, level, seconds to fall by 1/e (0: held); and the knock of what strikes them."""
    total = min(held + int(release_s * 7.0 * RATE), out.shape[0] - start)
    sound = np.zeros(max(1, total))
    count = (partials.shape[0] + 3) // 4 * 4
    # x[n] = c x[n-1] - d x[n-2] rings at a frequency and falls; four at a time fill the processor.
    turn, fall, x, before, frames = np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count)
    for at in range(partials.shape[0]):
        hz, level, ring = partials[at, 0], partials[at, 1], partials[at, 2]
        if hz > 0.45 * RATE or abs(level) < 1e-5:
            continue
        decay = exp(-1.0 / (ring * RATE)) if ring > 0.0 else 1.0
        w = 2.0 * pi * hz / RATE
        turn[at], fall[at], before[at] = 2.0 * decay * cos(w), decay * decay, -level * sin(w) / decay
        # Until it is 66 dB below a partial of level one.
        frames[at] = min(float(total), ring * RATE * max(0.1, 7.6 + np.log(abs(level)))) if ring > 0.0 else total
    for at in range(0, count, 4):
        c0, c1, c2, c3 = turn[at], turn[at + 1], turn[at + 2], turn[at + 3]
        d0, d1, d2, d3 = fall[at], fall[at + 1], fall[at + 2], fall[at + 3]
        x0, x1, x2, x3 = x[at], x[at + 1], x[at + 2], x[at + 3]
        y0, y1, y2, y3 = before[at], before[at + 1], before[at + 2], before[at + 3]
        for n in range(int(max(frames[at], frames[at + 1], frames[at + 2], frames[at + 3]))):
            sound[n] += (x0 + x1) + (x2 + x3)
            x0, y0 = c0 * x0 - d0 * y0, x0
            x1, y1 = c1 * x1 - d1 * y1, x1
            x2, y2 = c2 * x2 - d2 * y2, x2
            x3, y3 = c3 * x3 - d3 * y3, x3
    rising = max(1.0, attack_s * RATE)
    let_go = exp(-1.0 / max(1.0, release_s * RATE))
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    hush, smooth = exp(-1.0 / (knock_s * RATE)), 1.0 - exp(-2.0 * pi * knock_hz / RATE)
    low = lower = 0.0
    released = 1.0
    for n in range(total):
        value = sound[n]
        if n < rising:
            value *= n / rising
        if knock > 1e-4:
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            low += smooth * (knock * (float(state >> np.uint64(40)) / 8388608.0 - 1.0) - low)
            lower += smooth * (low - lower)
            value += lower
            knock *= hush
        if n >= held:
            released *= let_go
            value *= released
        out[start + n, 0] += left * value
        out[start + n, 1] += right * value


@njit(cache=True, nogil=True)
def pluck(out, start, held, hz, left, right, bright, seed, p):  # type: ignore[no-untyped-def]  # noqa: PLR0915
    """Karplus-Strong, tuned (Jaffe and Smith 1983); the loss of its loop is solved for both ring times."""
    total = min(held + int(p.release_s * 7.0 * RATE), out.shape[0] - start)
    w = 2.0 * pi * hz / RATE
    ring = p.ring_s * (220.0 / hz) ** p.pitch_power
    kept = 10.0 ** (-3.0 / (hz * ring))
    # (1 - s) + s z^-1 loses as much each round at 4 kHz as makes it fall by 60 dB in sparkle_s.
    sparkle = 10.0 ** (-3.0 / (hz * min(ring, p.sparkle_s))) / kept
    s = 0.5 * (1.0 - sqrt(max(0.0, 1.0 - 2.0 * (1.0 - sparkle**2) / (1.0 - cos(2.0 * pi * 4000.0 / RATE)))))
    loss = sqrt(1.0 - 2.0 * s * (1.0 - s) * (1.0 - cos(w)))
    gain = min(0.99999, kept / loss)
    smooth = atan2(s * sin(w), 1.0 - s + s * cos(w)) / w
    period = RATE / hz
    size = int(period - smooth - 0.4)
    extra = period - smooth - size
    allpass = sin((1.0 - extra) * w / 2.0) / sin((1.0 + extra) * w / 2.0)
    damped = gain * 10.0 ** (-3.0 * period / (6.9 * p.release_s * RATE))
    line, pulse = np.zeros(size), np.zeros(size)
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    soft = 1.0 - exp(-2.0 * pi * min(0.4 * RATE, p.hardness_hz * bright) / RATE)
    slow = 1.0 - exp(-p.tilt * w)
    low = lower = lowest = 0.0
    for turn in range(2):
        for n in range(size):
            hit = 0.0
            if turn == 0:
                state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                hit = p.noise * (float(state >> np.uint64(40)) / 8388608.0 - 1.0)
                hit += sqrt(size) * (1.0 - p.noise) if n == 0 else 0.0
            low += soft * (hit - low)
            lower += soft * (low - lower)
            lowest += slow * (lower - lowest)
            pulse[n] += lowest
    place = max(1, int(p.position * size))
    mean = 0.0
    for n in range(size):
        line[n] = pulse[n] - pulse[n - place]
        mean += line[n] / size
    power = 1e-9
    for n in range(size):
        line[n] -= mean
        power += line[n] ** 2 / size
    # Half way to even power: a hard note is louder than a soft one by its brightness alone.
    scale = 0.3 / power**0.5
    for n in range(size):
        line[n] *= scale
    at, before, allpassed, heard, click = 0, 0.0, 0.0, 0.0, p.click * bright
    for n in range(total):
        value = line[at]
        smoothed = (damped if n >= held else gain) * ((1.0 - s) * value + s * before)
        before = value
        tuned = allpass * smoothed + heard - allpass * allpassed
        heard, allpassed = smoothed, tuned
        line[at] = tuned
        at += 1
        if at == size:
            at = 0
        if click > 1e-4:
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            value += click * (float(state >> np.uint64(40)) / 8388608.0 - 1.0)
            click *= 0.994
        value *= min(1.0, (total - n) / 96.0)
        out[start + n, 0] += left * value
        out[start + n, 1] += right * value


@njit(cache=True, nogil=True)
def sampled(out, start, held, step, left, right, sound, span, cutoff_hz, shape):  # type: ignore[no-untyped-def]
    """A recording at `step` times its speed, between samples by Hermite's cubic, through two one-pole low-passes.

    `span`: frames it starts and ends at, and those of its loop. `shape`: attack, hold, decay, sustain level, release;
    decay and release fall by 100 dB in their time, as SoundFont 2.04 §8.1.3 has it.
    """
    first, end, loop_start, loop_end = span
    attack_s, hold_s, decay_s, sustain, release_s = shape
    total = min(held + int(release_s * RATE) + 1, out.shape[0] - start)
    attack, hold = max(1.0, attack_s * RATE), (attack_s + hold_s) * RATE
    fall, let_go = 10.0 ** (-5.0 / max(1.0, decay_s * RATE)), 10.0 ** (-5.0 / max(1.0, release_s * RATE))
    smooth = 1.0 - exp(-2.0 * pi * cutoff_hz / RATE)
    place, level, low, lower = float(first), 1.0, 0.0, 0.0
    looped = loop_end > loop_start + 1
    for n in range(total):
        at = int(place)
        if at + 1 >= end:
            break
        part = place - at
        before, after = sound[max(first, at - 1)], sound[min(end - 1, at + 2)]
        a, b = sound[at], sound[at + 1]
        slope_a, slope_b = 0.5 * (b - before), 0.5 * (after - a)
        value = a + part * (
            slope_a + part * (3.0 * (b - a) - 2.0 * slope_a - slope_b + part * (2.0 * (a - b) + slope_a + slope_b))
        )
        if n >= held:
            level *= let_go
        elif n > hold and level > sustain:
            level = max(sustain, level * fall)
        low += smooth * (value * level * min(1.0, n / attack) - low)
        lower += smooth * (low - lower)
        out[start + n, 0] += left * lower
        out[start + n, 1] += right * lower
        place += step
        if looped and place >= loop_end:
            place -= loop_end - loop_start


@njit(cache=True, nogil=True)
def strike(out, start, left, right, bright, seed, p):  # type: ignore[no-untyped-def]  # noqa: PLR0915
    total = min(int(p.length_s * RATE), out.shape[0] - start)
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    ratios = (1.0, 1.342, 1.2312, 1.6532, 1.9523, 2.1523)
    squares = np.zeros(6)
    phase = 0.0
    sweep = exp(-1.0 / max(1.0, p.sweep_s * RATE))
    glide = 0.6 + 0.4 * min(1.5, bright)
    body, noise, metal = p.body, p.noise * bright**0.5, p.metal * bright**0.7
    body_fall, noise_fall = exp(-1.0 / (p.body_s * RATE)), exp(-1.0 / (p.noise_s * RATE))
    metal_fall = exp(-1.0 / (p.metal_s * RATE))
    attack = max(1.0, p.attack_s * RATE)
    g = tan(pi * min(0.42, p.noise_hz * bright**0.5 / RATE))
    k = 1.0 / p.noise_q
    a1 = 1.0 / (1.0 + g * (g + k))
    low = band = 0.0
    highs = np.zeros(3)
    gap, hold = int(0.011 * RATE), int(p.hold_s * RATE)
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
        if p.drive > 0.0:
            value *= 1.0 + 3.0 * p.drive
            value /= (1.0 + value * value) ** 0.5
        if noise > 1e-5:
            if n < gap * (p.bursts - 1.0) and n % gap == 0:
                noise = p.noise * bright**0.5
            v3 = hiss - low
            v1 = a1 * (band + g * v3)
            v2 = low + g * v1
            low = 2.0 * v2 - low
            band = 2.0 * v1 - band
            over = hiss - k * v1 - v2
            value += noise * (k * v1 + p.noise_high * (over - k * v1)) * min(1.0, n / attack)
            if n >= hold:
                noise *= noise_fall if n >= gap * (p.bursts - 1.0) else noise_fall**4
        if metal > 1e-5:
            rattle = 0.0
            for one in range(6):
                at = p.metal_hz * ratios[one] * n / RATE
                squares[one] = 1.0 if at - int(at) < 0.5 else -1.0
                rattle += squares[one]
            # Products of neighbours fill the gaps between the six.
            rattle += squares[0] * squares[3] + squares[1] * squares[4] + squares[2] * squares[5]
            # Three one-pole high-passes leave the sizzle.
            rattle += 2.0 * hiss
            for one in range(3):
                highs[one] += 0.55 * (rattle - highs[one])
                rattle -= highs[one]
            value += 0.3 * metal * rattle
            metal *= metal_fall
        fade = min(1.0, (total - n) / 240.0)
        out[start + n, 0] += left * value * fade
        out[start + n, 1] += right * value * fade


@njit(cache=True, nogil=True)
def air(out, start, held, level, from_hz, to_hz, rise, swell_s, pops_hz, seed):  # type: ignore[no-untyped-def]
    """Noise through a moving band, different left and right in part; `rise` 0 even … 1 from nothing; pops a second.

    `swell_s`: how long it takes to come and go, 0 when it does not.
    """
    total = min(held, out.shape[0] - start)
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)
    low_l = low_r = smooth_l = smooth_r = pop = 0.0
    side, swell = 0.0, 1.0
    edge = 0.05 * RATE
    rate = from_hz
    g = 0.0
    for n in range(total):
        along = n / total
        if n % CONTROL == 0:
            rate = from_hz * (to_hz / from_hz) ** along
            if swell_s > 0.0:
                swell = 0.55 - 0.45 * cos(2.0 * pi * n / RATE / swell_s)
                rate *= 0.4 + swell
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
        gain = swell * level * (1.0 - rise + rise * along * along) * sqrt(min(1.0, n / edge, (total - n) / edge))
        spark = pop * common
        out[start + n, 0] += gain * (low_l - smooth_l + spark * (1.0 + side))
        out[start + n, 1] += gain * (low_r - smooth_r + spark * (1.0 - side))
