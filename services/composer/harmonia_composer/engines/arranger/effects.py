"""What happens to a part after it is played: filters, amplifiers, chorus, echoes, a room, ducking under the kick.

Compiled, in place, on blocks of float32 [frames, 2] at 48 kHz; what outlives a block is in the state handed along.
"""
# ruff: noqa: PLR0917 (compiled functions take no keywords)

from math import exp, log, pi, sin

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harmonia_composer.engines.arranger.synth.kernels import RATE

State = NDArray[np.float64]
LINES = (709, 821, 937, 1069, 1187, 1321, 1481, 1627)
"""Delays of the room at 24 kHz: mutually prime enough not to ring."""


@njit(cache=True, nogil=True)
def amplify(block, state, drive):  # type: ignore[no-untyped-def]
    """A valve: x / (1 + |x|) on a bias, at twice the rate and by its integral, so that it hardly aliases.

    Parker, Zavalishin and Le Bivic, "Reducing the aliasing of nonlinear waveshaping using continuous-time
    convolution", DAFx 2016. `state`, [2, 9]: three inputs, the last value and its integral, four outputs.
    """
    bias = 0.12
    rest = bias / (1.0 + bias)
    level = 1.0 / (0.35 + 0.65 * drive) ** 0.75
    for side in range(2):
        x1, x2, x3, last, area = state[side, 0], state[side, 1], state[side, 2], state[side, 3], state[side, 4]
        between, at1, at2, at3 = state[side, 5], state[side, 6], state[side, 7], state[side, 8]
        for n in range(block.shape[0]):
            x = drive * block[n, side]
            now = bias + 0.5625 * (x1 + x2) - 0.0625 * (x + x3)
            size = abs(now)
            here = size - log(1.0 + size)
            step = now - last
            middle = 0.5 * (now + last)
            half = (here - area) / step if abs(step) > 1e-4 else middle / (1.0 + abs(middle))
            last, area = now, here
            now = bias + x1
            size = abs(now)
            here = size - log(1.0 + size)
            step = now - last
            middle = 0.5 * (now + last)
            whole = (here - area) / step if abs(step) > 1e-4 else middle / (1.0 + abs(middle))
            last, area = now, here
            block[n, side] = level * (0.5 * between + 0.28125 * (at1 + at2) - 0.03125 * (whole + at3) - rest)
            between, at1, at2, at3 = half, whole, at1, at2
            x1, x2, x3 = x, x1, x2
        state[side, 0], state[side, 1], state[side, 2], state[side, 3], state[side, 4] = x1, x2, x3, last, area
        state[side, 5], state[side, 6], state[side, 7], state[side, 8] = between, at1, at2, at3


@njit(cache=True, nogil=True)
def equalize(block, bands, state):  # type: ignore[no-untyped-def]
    """Biquads one after the other, transposed direct form II. `bands`: [count, 5], `state`: [count, 4]."""
    for band in range(bands.shape[0]):
        b0, b1, b2, a1, a2 = bands[band, 0], bands[band, 1], bands[band, 2], bands[band, 3], bands[band, 4]
        l1, l2, r1, r2 = state[band, 0], state[band, 1], state[band, 2], state[band, 3]
        for n in range(block.shape[0]):
            x, y = float(block[n, 0]), float(block[n, 1])
            left, right = b0 * x + l1, b0 * y + r1
            l1, l2 = b1 * x - a1 * left + l2, b2 * x - a2 * left
            r1, r2 = b1 * y - a1 * right + r2, b2 * y - a2 * right
            block[n, 0], block[n, 1] = left, right
        state[band, 0], state[band, 1], state[band, 2], state[band, 3] = l1, l2, r1, r2


@njit(cache=True, nogil=True)
def strip(block, first, state, drive, tremolo, tremolo_hz, levels, kicks, duck, hits, glue):  # type: ignore[no-untyped-def]
    """Saturation, tremolo, section levels, ducking under the kick and the whole band's breathing with the drummer.

    `levels`: [breakpoints, 2] of frame and gain, linear between. `kicks`, `hits`: frames, ascending. `duck`, `glue`:
    gain when they strike, reached in 4 ms.
    """
    point, kick, hit = int(state[0]), int(state[1]), int(state[2])
    sag, kick_left, breath, hit_left = state[3], state[4], state[5], state[6]
    back, slow = exp(-1.0 / (0.09 * RATE)), exp(-1.0 / (0.16 * RATE))
    onset = 1.0 - exp(-1.0 / (0.0015 * RATE))
    push = 1.0 + 4.0 * drive
    sway = 0.0
    for n in range(block.shape[0]):
        now = first + n
        while point + 1 < levels.shape[0] - 1 and now >= levels[point + 1, 0]:
            point += 1
        reach = levels[point + 1, 0] - levels[point, 0]
        along = min(1.0, max(0.0, (now - levels[point, 0]) / reach))
        gain = levels[point, 1] + (levels[point + 1, 1] - levels[point, 1]) * along
        while kick < kicks.shape[0] and now >= kicks[kick]:
            kick += 1
            kick_left = 192.0
        while hit < hits.shape[0] and now >= hits[hit]:
            hit += 1
            hit_left = 192.0
        if kick_left > 0.0:
            kick_left -= 1.0
            sag += onset * (1.0 - duck - sag)
        else:
            sag *= back
        if hit_left > 0.0:
            hit_left -= 1.0
            breath += onset * (1.0 - glue - breath)
        else:
            breath *= slow
        gain *= (1.0 - sag) * (1.0 - breath)
        if n % 16 == 0 and tremolo > 0.0:
            sway = tremolo * sin(2.0 * pi * tremolo_hz * now / RATE)
        x, y = block[n, 0], block[n, 1]
        if drive > 0.0:
            x *= push
            y *= push
            x /= 1.0 + abs(x)
            y /= 1.0 + abs(y)
        block[n, 0] = x * gain * (1.0 + sway)
        block[n, 1] = y * gain * (1.0 - 0.5 * sway)
    state[0], state[1], state[2] = point, kick, hit
    state[3], state[4], state[5], state[6] = sag, kick_left, breath, hit_left


@njit(cache=True, nogil=True)
def chorus(block, first, line, amount, hz):  # type: ignore[no-untyped-def]
    """Two slow, short, moving delays, opposite left and right. `line`: [4096, 2]."""
    mask = line.shape[0] - 1
    swing = 0.0
    for n in range(block.shape[0]):
        now = first + n
        if n % 16 == 0:
            swing = sin(2.0 * pi * hz * now / RATE)
        for side in range(2):
            line[now & mask, side] = block[n, side]
            delay = 620.0 + (150.0 if side == 0 else -150.0) * swing
            whole = int(delay)
            part = delay - whole
            wet = line[(now - whole) & mask, side] * (1.0 - part) + line[(now - whole - 1) & mask, side] * part
            block[n, side] = (block[n, side] + amount * wet) / (1.0 + 0.5 * amount)


@njit(cache=True, nogil=True)
def echo(block, first, line, delay, amount, state):  # type: ignore[no-untyped-def]
    """Ping-pong: `delay` frames apart, darker each time. `line`: [2^k, 2], longer than the delay."""
    mask = line.shape[0] - 1
    dark_l, dark_r = state[0], state[1]
    for n in range(block.shape[0]):
        now = first + n
        left, right = line[(now - delay) & mask, 0], line[(now - delay) & mask, 1]
        dark_l += 0.3 * (left - dark_l)
        dark_r += 0.3 * (right - dark_r)
        line[now & mask, 0] = 0.5 * (block[n, 0] + block[n, 1]) + 0.65 * dark_r
        line[now & mask, 1] = 0.65 * dark_l
        block[n, 0] += amount * left
        block[n, 1] += amount * right
    state[0], state[1] = dark_l, dark_r


@njit(cache=True, nogil=True)
def room(block, first, lines, lengths, gains, state, amount, damping):  # type: ignore[no-untyped-def]
    """A feedback delay network of eight lines and a Hadamard matrix (Jot 1991), damped; 25 ms before it speaks.

    Two all-passes a side thicken what goes in, which has no bass. Runs at half the rate, straight lines between: what
    it adds is dark anyway. `first` and the block's length even. `lines`: [14, 2048].
    """
    mask = lines.shape[1] - 1
    out = np.zeros(8)
    pre = 600
    last_l, last_r, bass_l, bass_r = state[8], state[9], state[10], state[11]
    for pair in range((block.shape[0] + 1) // 2):
        n = 2 * pair
        after = min(n + 1, block.shape[0] - 1)
        now = first // 2 + pair
        place, even = now & mask, 0.35355339059327373
        lines[8, place] = 0.5 * (block[n, 0] + block[after, 0])
        lines[9, place] = 0.5 * (block[n, 1] + block[after, 1])
        left, right = 0.35 * lines[8, (now - pre) & mask], 0.35 * lines[9, (now - pre) & mask]
        bass_l += 0.045 * (left - bass_l)
        bass_r += 0.045 * (right - bass_r)
        left -= bass_l
        right -= bass_r
        for at in range(2):
            back_l, back_r = (
                lines[10 + at, (now - 113 - 124 * at) & mask],
                lines[12 + at, (now - 127 - 142 * at) & mask],
            )
            in_l, in_r = left - 0.6 * back_l, right - 0.6 * back_r
            lines[10 + at, place], lines[12 + at, place] = in_l, in_r
            left, right = back_l + 0.6 * in_l, back_r + 0.6 * in_r
        for at in range(8):
            tap = lines[at, (now - lengths[at]) & mask]
            state[at] += damping * (tap - state[at])
            out[at] = gains[at] * state[at]
        wet_l = amount * (out[0] + out[2] + out[4] - out[6])
        wet_r = amount * (out[1] + out[3] + out[5] - out[7])
        block[n, 0] += 0.5 * (last_l + wet_l)
        block[n, 1] += 0.5 * (last_r + wet_r)
        if after > n:
            block[after, 0] += wet_l
            block[after, 1] += wet_r
        last_l, last_r = wet_l, wet_r
        a0, a1, a2, a3 = out[0] + out[1], out[0] - out[1], out[2] + out[3], out[2] - out[3]
        a4, a5, a6, a7 = out[4] + out[5], out[4] - out[5], out[6] + out[7], out[6] - out[7]
        b0, b1, b2, b3 = a0 + a2, a1 + a3, a0 - a2, a1 - a3
        b4, b5, b6, b7 = a4 + a6, a5 + a7, a4 - a6, a5 - a7
        lines[0, place] = even * (b0 + b4) + left
        lines[1, place] = even * (b1 + b5) + right
        lines[2, place] = even * (b2 + b6) + left
        lines[3, place] = even * (b3 + b7) + right
        lines[4, place] = even * (b0 - b4) + left
        lines[5, place] = even * (b1 - b5) + right
        lines[6, place] = even * (b2 - b6) + left
        lines[7, place] = even * (b3 - b7) + right
    state[8], state[9], state[10], state[11] = last_l, last_r, bass_l, bass_r


def room_gains(seconds: float) -> tuple[NDArray[np.int64], State]:
    """Lengths of the lines and what each keeps per pass so that the room falls by 60 dB in `seconds`."""
    lengths = np.array(LINES, dtype=np.int64)
    gains = np.asarray(10.0 ** (-3.0 * lengths / (RATE / 2) / seconds), dtype=np.float64)
    return lengths, gains


@njit(cache=True, nogil=True)
def weighed(block, state, sums):  # type: ignore[no-untyped-def]
    """Adds the K-weighted power (ITU-R BS.1770-4, 48 kHz) of both channels into 100 ms cells of `sums`."""
    for n in range(block.shape[0]):
        power = 0.0
        for side in range(2):
            x = float(block[n, side])
            at = side * 4
            y = 1.53512485958697 * x + state[at]
            state[at] = -2.69169618940638 * x + 1.69065929318241 * y + state[at + 1]
            state[at + 1] = 1.19839281085285 * x - 0.73248077421585 * y
            z = y + state[at + 2]
            state[at + 2] = -2.0 * y + 1.99004745483398 * z + state[at + 3]
            state[at + 3] = y - 0.99007225036621 * z
            power += z * z
        sums[n // 4800] += power / 4800.0


@njit(cache=True, nogil=True)
def finish(block, first, gain, ceiling, wide, total, fade, state):  # type: ignore[no-untyped-def]
    """To 24 bits in int32: gain, one voice below 120 Hz, width, a soft ceiling, no offset, the final fade.

    `state`: [4]: the sides' bass, twice smoothed, and the offset of each channel, followed at 5 Hz and taken out.
    """
    out = np.empty(block.shape, dtype=np.int32)
    knee = 0.6 * ceiling
    smooth = 1.0 - exp(-2.0 * pi * 120.0 / RATE)
    low, lower, offset_l, offset_r = state[0], state[1], state[2], state[3]
    for n in range(block.shape[0]):
        left = total - (first + n)
        slope = 8388608.0
        if left < fade:
            slope *= 0.5 - 0.5 * np.cos(pi * left / fade)
        middle, side = 0.5 * gain * (block[n, 0] + block[n, 1]), 0.5 * gain * (block[n, 0] - block[n, 1])
        low += smooth * (side - low)
        side -= low
        lower += smooth * (side - lower)
        side = wide * (side - lower)
        x, y = soft(middle + side, knee, ceiling), soft(middle - side, knee, ceiling)
        offset_l += 0.00066 * (x - offset_l)
        offset_r += 0.00066 * (y - offset_r)
        out[n, 0] = 256 * int(np.floor((x - offset_l) * slope + 0.5))
        out[n, 1] = 256 * int(np.floor((y - offset_r) * slope + 0.5))
    state[0], state[1], state[2], state[3] = low, lower, offset_l, offset_r
    return out


@njit(cache=True, nogil=True)
def soft(x, knee, ceiling):  # type: ignore[no-untyped-def]
    """As it is up to the knee, then ever closer to the ceiling."""
    size = abs(x)
    if size <= knee:
        return x
    over = (size - knee) / (ceiling - knee)
    size = knee + (ceiling - knee) * over / (1.0 + over)
    return size if x > 0.0 else -size


def gated_lufs(sums: State) -> float:
    """The gated loudness of 100 ms cells of mean power; -70 when nothing passes the gate."""
    cells = sums if sums.size >= 4 else np.pad(sums, (0, 4 - sums.size))
    blocks = (cells[:-3] + cells[1:-2] + cells[2:-1] + cells[3:]) / 4
    loud = blocks[blocks > 10 ** ((-70 + 0.691) / 10)]
    if not loud.size:
        return -70.0
    gated = loud[loud > 0.1 * loud.mean()]
    return float(-0.691 + 10 * np.log10(gated.mean()))
