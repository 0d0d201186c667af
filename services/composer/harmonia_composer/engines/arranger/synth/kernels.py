"""The few ways anything here makes a sound, compiled, without the interpreter's lock.

Each adds one note to `out`, float32 [frames, 2] at 48 kHz, from frame `start` on, and stops at its end. Parameters are
tuples of floats, so that each kernel is compiled once. No fast-math: the same bits in every process.
"""
# ruff: noqa: PLR0917 (compiled functions take no keywords)

from functools import partial
from math import atan2, ceil, cos, exp, floor, pi, sin, sqrt, tan
from typing import NamedTuple, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

RATE = 48_000
# No division raises: a check for zero would keep the loops from running side by side.
compiled = partial(njit, cache=True, nogil=True, error_model="numpy")
BOW_S = 2.4
CONTROL = 32
"""Frames between two looks at envelopes and filters."""

SQUARES = (1.0, 1.342, 1.2312, 1.6532, 1.9523, 2.1523)
"""Pitches of a metal drum's six squares, over the lowest."""
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
    swell: float = 0.0
    """How much a bow, or a breath, grows to its middle; a held note has several."""
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


@compiled()
def stirred(seed):  # type: ignore[no-untyped-def]
    return np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x632BE59BD9B4E019)


@compiled()
def drawn(state):  # type: ignore[no-untyped-def]
    """The next of a stream (Knuth's MMIX generator); `unit` and `noise` read it."""
    return state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)


@compiled()
def unit(state):  # type: ignore[no-untyped-def]
    return float(state >> np.uint64(40)) / 16777216.0


@compiled()
def noise(state):  # type: ignore[no-untyped-def]
    return float(state >> np.uint64(40)) / 8388608.0 - 1.0


@compiled()
def tone(out, start, held, hz, left, right, bright, blend, glide, seed, dark, light, p):  # type: ignore[no-untyped-def]
    """`held` frames until release; `bright` multiplies the cutoff; `glide`: octaves it comes from, gone in glide_s.

    `dark`, `light`: tables of p.cycles waves with one guard point more; a `light` of one point is the same as `dark`.
    Up to seven voices, spread in pitch and place.
    """
    voices = int(p.voices)
    total = min(held + int(p.release_s * 7.0 * RATE), out.shape[0] - start)
    size = dark.shape[0] - 1
    if light.shape[0] > 1 and p.bloom == p.shake == p.swell == 0.0 and voices * total > size:
        dark, light = blended(dark, light, min(1.0, blend * p.blend)), dark[:1]
    state = drawn(stirred(seed))
    phases, pans, state = placed(voices, p, state)
    state = drawn(state)
    chance = unit(state)
    pace = p.vibrato_hz * (0.93 + 0.14 * chance)
    bows = ceil(held / RATE / (BOW_S * (0.8 + 0.4 * chance)))
    wander, towards = np.zeros(7), np.zeros(7)
    mix, levels = np.empty((2, CONTROL), np.float32), np.empty(CONTROL, np.float32)
    memory, shape = np.zeros((2, 4)), np.array([0.0, 1.0])
    envelope, hush = enveloped(p), exp(-1.0 / max(1.0, p.chiff_s * RATE))
    chiff, top, g = p.chiff, p.cutoff_hz * bright * (hz / 261.63) ** p.track, 0.0
    scoop, slide, bloom, sweep = p.scoop_cents, 1200.0 * glide if p.glide_s > 0.0 else 0.0, p.bloom, p.sweep_octaves
    scooped, slid, bloomed = faded(p.scoop_s), faded(max(1e-3, p.glide_s)), faded(p.bloom_s)
    swept = faded(p.sweep_s)
    for first in range(0, total, CONTROL):
        frames, t = min(CONTROL, total - first), first / RATE
        sway = min(1.0, max(0.0, (t - p.vibrato_delay_s) * 3.0)) * sin(2.0 * pi * (pace * t + chance))
        pitch = hz / p.cycles / RATE * 2.0 ** ((p.vibrato_cents * sway + scoop + slide) / 1200.0)
        swell = p.swell * swelling(first / held * bows, held / bows)
        lit = min(1.0, max(0.0, blend * (p.blend + bloom) * (1.0 + p.shake * sway + swell)))
        mix[:] = np.float32(0.0)
        for voice in range(voices):
            if first % (48 * CONTROL) == 0:
                state = drawn(state)
                towards[voice] = noise(state)
            wander[voice] += 0.02 * (towards[voice] - wander[voice])
            # In natural logarithms, small: two terms of the exponential's series are exact to a hundredth of a cent.
            away = (apart(voice, voices, p.detune_cents) + 2.0 * p.drift_cents * wander[voice]) * 5.7762265e-4
            # The table is once round in 2^32.
            step = np.uint32(pitch * (1.0 + away + 0.5 * away * away) * 4294967296.0)
            sounded(mix, frames, dark, light, phases[voice], step, np.float32(lit), pans[voice])
            phases[voice] += step * np.uint32(frames)
        if p.noise > 0.0 or chiff > 1e-4:
            state, chiff = breathed(mix, frames, p.noise, chiff, hush, state)
        if first == 0 or abs(sweep) > 1e-3:
            g = tan(pi * min(0.42, max(20.0, top * 2.0**sweep) / RATE))
        filtered(mix[0], frames, memory[0], g, 2.0 - 1.9 * p.resonance, p.steep > 0.0)
        if voices > 1:
            filtered(mix[1], frames, memory[1], g, 2.0 - 1.9 * p.resonance, p.steep > 0.0)
        else:
            mix[1] = mix[0]
        shaped(levels, frames, held - first, shape, envelope)
        loud = 1.0 + 0.5 * p.shake * sway + swell
        gain_l, gain_r = np.float32(left * loud), np.float32(right * loud)
        for n in range(frames):
            out[start + first + n, 0] += gain_l * levels[n] * mix[0, n]
            out[start + first + n, 1] += gain_r * levels[n] * mix[1, n]
        scoop, slide, bloom, sweep = scoop * scooped, slide * slid, bloom * bloomed, sweep * swept


@compiled()
def swelling(bow, frames):  # type: ignore[no-untyped-def]
    """-0.5 where a bow changes, 0.5 in its middle; short notes are one stroke and hardly swell."""
    return min(1.0, frames / RATE) * (sin(pi * (bow - floor(bow))) - 0.5)


@compiled()
def faded(seconds):  # type: ignore[no-untyped-def]
    """What is left after CONTROL frames of what falls by 1/e in so long."""
    return exp(-CONTROL / RATE / seconds)


@compiled()
def blended(dark, light, lit):  # type: ignore[no-untyped-def]
    table, share = np.empty_like(dark), np.float32(max(0.0, lit))
    for n in range(dark.shape[0]):
        table[n] = dark[n] + share * (light[n] - dark[n])
    return table


@compiled()
def placed(voices, p, state):  # type: ignore[no-untyped-def]
    """Where in the table each voice begins, and its gain left and right."""
    phases, pans = np.zeros(7, np.uint32), np.zeros((7, 2), np.float32)
    for voice in range(voices):
        if voice > 0:
            state = drawn(state)
        if voices > 1 or p.cycles > 1.0:
            phases[voice] = np.uint32(unit(state) * 4294967295.0)
        at = 2.0 * voice / (voices - 1.0) - 1.0 if voices > 1 else 0.0
        aside = p.spread * at * (1.0 if voice % 2 == 0 else -1.0) if voices > 2 else p.spread * at
        pans[voice, 0] = cos(pi / 4.0 * (1.0 + aside)) * 1.4142135623730951 / sqrt(voices)
        pans[voice, 1] = sin(pi / 4.0 * (1.0 + aside)) * 1.4142135623730951 / sqrt(voices)
    return phases, pans, state


@compiled()
def apart(voice, voices, cents):  # type: ignore[no-untyped-def]
    """The inner ones closer together, as seven saws of a supersaw are."""
    if voices < 2 or cents == 0.0:
        return 0.0
    aside = 2.0 * voice / (voices - 1.0) - 1.0
    return cents * aside * (0.4 + 0.6 * abs(aside))


@compiled()
def sounded(mix, frames, dark, light, phase, step, lit, pan):  # type: ignore[no-untyped-def]
    """One voice: straight lines between the points of its tables."""
    shift, scale = np.uint32(20), np.float32(1.0 / 1048576.0)
    if dark.shape[0] > 8192:
        shift, scale = np.uint32(16), np.float32(1.0 / 65536.0)
    rest = (np.uint32(1) << shift) - np.uint32(1)
    one, gain_l, gain_r = np.uint32(1), pan[0], pan[1]
    if light.shape[0] > 1:
        for n in range(frames):
            at = np.uint32(phase + np.uint32(n) * step)
            whole, part = at >> shift, scale * np.float32(np.int32(at & rest))
            a = dark[whole] + part * (dark[whole + one] - dark[whole])
            a += lit * (light[whole] + part * (light[whole + one] - light[whole]) - a)
            mix[0, n] += gain_l * a
            mix[1, n] += gain_r * a
    else:
        for n in range(frames):
            at = np.uint32(phase + np.uint32(n) * step)
            whole, part = at >> shift, scale * np.float32(np.int32(at & rest))
            a = dark[whole] + part * (dark[whole + one] - dark[whole])
            mix[0, n] += gain_l * a
            mix[1, n] += gain_r * a


@compiled()
def breathed(mix, frames, level, chiff, hush, state):  # type: ignore[no-untyped-def]
    for n in range(frames):
        state = drawn(state)
        breath = (level + chiff) * noise(state)
        mix[0, n] += breath
        mix[1, n] += breath
        chiff *= hush
    return state, chiff


@compiled()
def filtered(sound, frames, memory, g, k, steep):  # type: ignore[no-untyped-def]
    """State-variable low-pass (Simper 2013), its two states as sums of what they were; twice where it is steep."""
    a1 = 1.0 / (1.0 + g * (g + k))
    a2 = g * a1
    a3 = g * a2
    # What each state keeps of itself, takes of the other and takes of the input.
    low_low, low_band, band_band = 1.0 - 2.0 * a3, 2.0 * a2, 2.0 * a1 - 1.0
    low, band, lower, under = memory[0], memory[1], memory[2], memory[3]
    for n in range(frames):
        x = float(sound[n])
        y = (1.0 - a3) * low + (a2 * band + a3 * x)
        low, band = low_low * low + (low_band * band + 2.0 * a3 * x), band_band * band + low_band * (x - low)
        if steep:
            z = (1.0 - a3) * lower + (a2 * under + a3 * y)
            lower, under = (
                low_low * lower + (low_band * under + 2.0 * a3 * y), band_band * under + low_band * (y - lower),
            )  # fmt: skip
            y = z
        sound[n] = y
    memory[0], memory[1], memory[2], memory[3] = low, band, lower, under


@compiled()
def enveloped(p):  # type: ignore[no-untyped-def]
    """What is added a frame while it rises; what is left of decay and release a frame later; the sustain level."""
    return (
        1.0 / max(1.0, p.attack_s * RATE), exp(-1.0 / max(1.0, p.decay_s * RATE)),
        exp(-1.0 / max(1.0, p.release_s * RATE)), p.sustain,
    )  # fmt: skip


@compiled()
def shaped(levels, frames, held, shape, envelope):  # type: ignore[no-untyped-def]
    """Attack, decay to the sustain level, release after `held`. `shape`: the level, and whether it still rises."""
    attack, fall, let_go, sustain = envelope
    level, rising, n = shape[0], shape[1] > 0.0, 0
    while rising and n < min(frames, held):
        level += attack
        if level >= 1.0:
            level, rising = 1.0, False
        levels[n] = level
        n += 1
    kept = sustain * (1.0 - fall)
    for at in range(n, min(frames, held)):
        level = kept + level * fall
        levels[at] = level
    for at in range(max(n, min(frames, held)), frames):
        level *= let_go
        levels[at] = level
    shape[0], shape[1] = level, 1.0 if rising else 0.0


@compiled()
def wave(phase):  # type: ignore[no-untyped-def]
    """Sine of a phase in turns, to 1e-5 (the series at a quarter turn): a third of the time of the exact one."""
    x = phase - np.floor(phase + 0.5)
    y = 0.5 - abs(x) if abs(x) > 0.25 else abs(x)
    square = y * y
    y *= 6.2831853072 + square * (
        -41.341702240 + square * (81.605249276 + square * (-76.705859753 + square * 42.058693945))
    )
    return y if x >= 0.0 else -y


@compiled()
def fm(out, start, held, hz, left, right, bright, p):  # type: ignore[no-untyped-def]
    total = min(held + int(p.release_s * 7.0 * RATE), out.shape[0] - start, int(p.decay_s * 9.0 * RATE))
    carrier, modulator, tine = hz / RATE, hz * p.ratio / RATE, hz * p.tine_ratio / RATE
    attack = 1.0 / max(1.0, p.attack_s * RATE)
    # Carson: side bands reach (bend + 2) modulators up; they stay below half the rate.
    most = max(0.0, (0.45 * RATE - hz) / (hz * p.ratio) - 2.0)
    index, floor = min(most, p.bend * bright) / (2.0 * pi), min(most, p.floor * bright) / (2.0 * pi)
    level, sparkle = 1.0, p.tine * bright if hz * p.tine_ratio < 0.4 * RATE else 0.0
    second = p.second * bright if 2.0 * hz < 0.4 * RATE else 0.0
    falls, bends, tines = powers(p.decay_s), powers(p.bend_s), powers(p.tine_s)
    sound = np.empty(CONTROL)
    for first in range(0, total, CONTROL):
        frames = min(CONTROL, total - first)
        for n in range(frames):
            now = first + n
            bend = (floor + index * bends[n]) * wave(modulator * now)
            sound[n] = wave(carrier * now + bend) + second * level * falls[n] * wave(2.0 * carrier * now + 0.25)
        if sparkle > 1e-4:
            for n in range(frames):
                sound[n] += sparkle * tines[n] * wave(tine * (first + n))
        for n in range(frames):
            sound[n] *= level * falls[n] * min(1.0, attack * (first + n + 1))
        level, index, sparkle = level * falls[CONTROL], index * bends[CONTROL], sparkle * tines[CONTROL]
        if first + frames > held:
            released(sound, frames, held - first, p.release_s)
        for n in range(frames):
            out[start + first + n, 0] += left * sound[n]
            out[start + first + n, 1] += right * sound[n]


@compiled()
def powers(seconds):  # type: ignore[no-untyped-def]
    """What is left of what falls by 1/e in so long, frame by frame up to CONTROL."""
    found = np.empty(CONTROL + 1)
    for n in range(CONTROL + 1):
        found[n] = exp(-n / (seconds * RATE))
    return found


@compiled()
def released(sound, frames, held, seconds):  # type: ignore[no-untyped-def]
    """From `held` on, which may lie before the first of these, it falls by 1/e in so long."""
    for n in range(max(0, held), frames):
        sound[n] *= exp(-(n - held + 1) / (seconds * RATE))


@compiled()
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


@compiled()
def pluck(out, start, held, hz, left, right, bright, seed, p):  # type: ignore[no-untyped-def]
    """Karplus-Strong, tuned (Jaffe and Smith 1983)."""
    total = min(held + int(p.release_s * 7.0 * RATE), out.shape[0] - start)
    size, loss, gain, allpass = strung(hz, p)
    line, state = displaced(size, hz, bright, stirred(seed), p)
    clicked(out, start, min(total, 2400), left, right, p.click * bright, state)
    damped = gain * 10.0 ** (-3.0 * RATE / hz / (6.9 * p.release_s * RATE))
    before = allpassed = heard = 0.0
    for first in range(0, total, size):
        frames = min(size, total - first)
        for n in range(frames):
            value = min(1.0, (total - first - n) * (1.0 / 96.0)) * line[n]
            out[start + first + n, 0] += left * value
            out[start + first + n, 1] += right * value
        for n in range(frames):
            kept = damped if first + n >= held else gain
            smoothed = kept * ((1.0 - loss) * line[n] + loss * before)
            before = line[n]
            allpassed = (allpass * smoothed + heard) - allpass * allpassed
            heard = smoothed
            line[n] = allpassed


@compiled()
def strung(hz, p):  # type: ignore[no-untyped-def]
    """Frames once round, and loss, gain and all-pass of the loop, solved for both ring times and the pitch."""
    w = 2.0 * pi * hz / RATE
    ring = p.ring_s * (220.0 / hz) ** p.pitch_power
    kept = 10.0 ** (-3.0 / (hz * ring))
    # (1 - s) + s z^-1 loses as much each round at 4 kHz as makes it fall by 60 dB in sparkle_s.
    sparkle = 10.0 ** (-3.0 / (hz * min(ring, p.sparkle_s))) / kept
    s = 0.5 * (1.0 - sqrt(max(0.0, 1.0 - 2.0 * (1.0 - sparkle**2) / (1.0 - cos(2.0 * pi * 4000.0 / RATE)))))
    loss = sqrt(1.0 - 2.0 * s * (1.0 - s) * (1.0 - cos(w)))
    period = RATE / hz
    smooth = atan2(s * sin(w), 1.0 - s + s * cos(w)) / w
    size = int(period - smooth - 0.4)
    extra = period - smooth - size
    return size, s, min(0.99999, kept / loss), sin((1.0 - extra) * w / 2.0) / sin((1.0 + extra) * w / 2.0)


@compiled()
def displaced(size, hz, bright, state, p):  # type: ignore[no-untyped-def]
    """The string as it is let go: a blow and noise, as bright as it is hard, and its echo from the bridge."""
    line, pulse = np.zeros(size), np.zeros(size)
    soft = 1.0 - exp(-2.0 * pi * min(0.4 * RATE, p.hardness_hz * bright) / RATE)
    slow = 1.0 - exp(-p.tilt * 2.0 * pi * hz / RATE)
    low = lower = lowest = 0.0
    for turn in range(2):
        for n in range(size):
            hit = 0.0
            if turn == 0:
                state = drawn(state)
                hit = p.noise * noise(state)
                hit += sqrt(size) * (1.0 - p.noise) if n == 0 else 0.0
            low += soft * (hit - low)
            lower += soft * (low - lower)
            lowest += slow * (lower - lowest)
            pulse[n] += lowest
    place = max(1, int(p.position * size))
    for n in range(size):
        line[n] = pulse[n] - pulse[n - place]
    line -= line.mean()
    # Half way to even power: a hard note is louder than a soft one by its brightness alone.
    line *= 0.3 / sqrt(1e-9 + (line * line).mean())
    return line, state


@compiled()
def clicked(out, start, frames, left, right, click, state):  # type: ignore[no-untyped-def]
    for n in range(frames):
        if click < 1e-4:
            break
        state = drawn(state)
        value = click * noise(state)
        out[start + n, 0] += left * value
        out[start + n, 1] += right * value
        click *= 0.994


@compiled()
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


@compiled()
def strike(out, start, left, right, bright, seed, p):  # type: ignore[no-untyped-def]
    total = min(int(p.length_s * RATE), out.shape[0] - start)
    sound, hiss, state = np.zeros(total), np.empty(total), stirred(seed)
    for n in range(total):
        state = drawn(state)
        hiss[n] = noise(state)
    thumped(sound, hiss, bright, p)
    if p.noise > 0.0:
        hissed(sound, hiss, bright, p)
    if p.metal > 0.0:
        rattled(sound, hiss, bright, p)
    for n in range(total):
        value = sound[n] * min(1.0, (total - n) / 240.0)
        out[start + n, 0] += left * value
        out[start + n, 1] += right * value


@compiled()
def thumped(sound, hiss, bright, p):  # type: ignore[no-untyped-def]
    """A sine that falls, the click of what strikes it, both driven."""
    sweep, fall = exp(-1.0 / max(1.0, p.sweep_s * RATE)), exp(-1.0 / (p.body_s * RATE))
    phase, glide, body = 0.0, 0.6 + 0.4 * min(1.5, bright), p.body
    for n in range(sound.shape[0]):
        if body < 1e-5:
            break
        phase += (p.to_hz + (p.from_hz - p.to_hz) * glide) / RATE
        glide *= sweep
        sound[n] += body * wave(phase)
        body *= fall
    for n in range(min(140, sound.shape[0])):
        sound[n] += p.click * bright * hiss[n] * (1.0 - n / 140.0) ** 2
    if p.drive > 0.0:
        for n in range(sound.shape[0]):
            value = sound[n] * (1.0 + 3.0 * p.drive)
            sound[n] = value / sqrt(1.0 + value * value)


@compiled()
def hissed(sound, hiss, bright, p):  # type: ignore[no-untyped-def]
    """Noise through a band, in one or more bursts 11 ms apart."""
    first = p.noise * bright**0.5
    level, fall, attack = first, exp(-1.0 / (p.noise_s * RATE)), max(1.0, p.attack_s * RATE)
    g, k = tan(pi * min(0.42, p.noise_hz * bright**0.5 / RATE)), 1.0 / p.noise_q
    a1 = 1.0 / (1.0 + g * (g + k))
    low = band = 0.0
    gap, hold = int(0.011 * RATE), int(p.hold_s * RATE)
    bursts = gap * (p.bursts - 1.0)
    for n in range(sound.shape[0]):
        if level < 1e-5:
            break
        if n < bursts and n % gap == 0:
            level = first
        v1 = a1 * (band + g * (hiss[n] - low))
        v2 = low + g * v1
        low, band = 2.0 * v2 - low, 2.0 * v1 - band
        over = hiss[n] - k * v1 - v2
        sound[n] += level * (k * v1 + p.noise_high * (over - k * v1)) * min(1.0, n / attack)
        if n >= hold:
            level *= fall if n >= bursts else fall**4


@compiled()
def rattled(sound, hiss, bright, p):  # type: ignore[no-untyped-def]
    """Six squares, out of tune with each other, of which three one-pole high-passes leave the sizzle."""
    level, fall = p.metal * bright**0.7, exp(-1.0 / (p.metal_s * RATE))
    turns, highs = p.metal_hz / RATE * np.array(SQUARES), np.zeros(3)
    squares = np.zeros(6)
    for n in range(sound.shape[0]):
        if level < 1e-5:
            break
        rattle = 2.0 * hiss[n]
        for one in range(6):
            at = turns[one] * n
            squares[one] = 1.0 if at - int(at) < 0.5 else -1.0
            rattle += squares[one]
        # Products of neighbours fill the gaps between the six.
        rattle += squares[0] * squares[3] + squares[1] * squares[4] + squares[2] * squares[5]
        for one in range(3):
            highs[one] += 0.55 * (rattle - highs[one])
            rattle -= highs[one]
        sound[n] += 0.3 * level * rattle
        level *= fall


@compiled()
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
