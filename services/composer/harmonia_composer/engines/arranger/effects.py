"""What happens to a part after it is played: filters, saturation, chorus, echoes, a room, ducking under the kick.

Compiled, in place, on blocks of float32 [frames, 2] at 48 kHz; what outlives a block is in the state handed along.
"""
# ruff: noqa: PLR0917 (compiled functions take no keywords)

from math import exp, pi, sin

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harmonia_composer.engines.arranger.synth.kernels import RATE

State = NDArray[np.float64]
LINES = (709, 821, 937, 1069, 1187, 1321, 1481, 1627)
"""Delays of the room at 24 kHz: mutually prime enough not to ring."""


@njit(cache=True, nogil=True)
def strip(block, first, state, low_cut_hz, high_gain, drive, levels, kicks, duck):  # type: ignore[no-untyped-def]
    """Saturation, section levels and ducking, low cut (12 dB/octave), high shelf at 4 kHz.

    `levels`: [breakpoints, 2] of frame and gain, linear between. `kicks`: frames, ascending. `duck`: gain at the kick.
    """
    low = 1.0 - exp(-2.0 * pi * low_cut_hz / RATE)
    high = 1.0 - exp(-2.0 * pi * 4000.0 / RATE)
    point = int(state[6])
    kick = int(state[7])
    back = exp(-1.0 / (0.09 * RATE))
    sag = state[8]
    push = 1.0 + 4.0 * drive
    first_l, first_r, second_l, second_r, shelf_l, shelf_r = state[0], state[1], state[2], state[3], state[4], state[5]
    for n in range(block.shape[0]):
        now = first + n
        while point + 1 < levels.shape[0] - 1 and now >= levels[point + 1, 0]:
            point += 1
        reach = levels[point + 1, 0] - levels[point, 0]
        along = min(1.0, max(0.0, (now - levels[point, 0]) / reach))
        gain = levels[point, 1] + (levels[point + 1, 1] - levels[point, 1]) * along
        if kick < kicks.shape[0] and now >= kicks[kick]:
            kick += 1
            sag = 1.0 - duck
        sag *= back
        gain *= 1.0 - sag
        x, y = block[n, 0], block[n, 1]
        if drive > 0.0:
            x *= push
            y *= push
            x /= 1.0 + abs(x)
            y /= 1.0 + abs(y)
        # Before the low cut: what ducks in step with itself has an offset.
        x *= gain
        y *= gain
        first_l += low * (x - first_l)
        first_r += low * (y - first_r)
        x -= first_l
        y -= first_r
        second_l += low * (x - second_l)
        second_r += low * (y - second_r)
        x -= second_l
        y -= second_r
        shelf_l += high * (x - shelf_l)
        shelf_r += high * (y - shelf_r)
        block[n, 0] = shelf_l + high_gain * (x - shelf_l)
        block[n, 1] = shelf_r + high_gain * (y - shelf_r)
    state[0], state[1], state[2], state[3], state[4], state[5] = first_l, first_r, second_l, second_r, shelf_l, shelf_r
    state[6], state[7], state[8] = point, kick, sag


@njit(cache=True, nogil=True)
def chorus(block, first, line, amount):  # type: ignore[no-untyped-def]
    """Two slow, short, moving delays, opposite left and right. `line`: [4096, 2]."""
    mask = line.shape[0] - 1
    swing = 0.0
    for n in range(block.shape[0]):
        now = first + n
        if n % 16 == 0:
            swing = sin(2.0 * pi * 0.6 * now / RATE)
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
    for n in range(block.shape[0]):
        now = first + n
        left, right = line[(now - delay) & mask, 0], line[(now - delay) & mask, 1]
        state[0] += 0.3 * (left - state[0])
        state[1] += 0.3 * (right - state[1])
        line[now & mask, 0] = 0.5 * (block[n, 0] + block[n, 1]) + 0.65 * state[1]
        line[now & mask, 1] = 0.65 * state[0]
        block[n, 0] += amount * left
        block[n, 1] += amount * right


@njit(cache=True, nogil=True)
def room(block, first, lines, lengths, gains, state, amount):  # type: ignore[no-untyped-def]
    """A feedback delay network of eight lines and a Hadamard matrix (Jot 1991), damped; 25 ms before it speaks.

    Runs at half the rate, straight lines between: what it adds is dark anyway. `first` and the block's length even.
    """
    size = lines.shape[1]
    mask = size - 1
    out = np.zeros(8)
    pre = 600
    for pair in range((block.shape[0] + 1) // 2):
        n = 2 * pair
        after = min(n + 1, block.shape[0] - 1)
        now = first // 2 + pair
        lines[8, now & mask] = 0.5 * (block[n, 0] + block[after, 0])
        lines[9, now & mask] = 0.5 * (block[n, 1] + block[after, 1])
        left, right = 0.35 * lines[8, (now - pre) & mask], 0.35 * lines[9, (now - pre) & mask]
        for at in range(8):
            tap = lines[at, (now - lengths[at]) & mask]
            state[at] += 0.8 * (tap - state[at])
            out[at] = gains[at] * state[at]
        wet_l = amount * (out[0] + out[2] + out[4] - out[6])
        wet_r = amount * (out[1] + out[3] + out[5] - out[7])
        block[n, 0] += 0.5 * (state[8] + wet_l)
        block[n, 1] += 0.5 * (state[9] + wet_r)
        if after > n:
            block[after, 0] += wet_l
            block[after, 1] += wet_r
        state[8], state[9] = wet_l, wet_r
        a0, a1, a2, a3 = out[0] + out[1], out[0] - out[1], out[2] + out[3], out[2] - out[3]
        a4, a5, a6, a7 = out[4] + out[5], out[4] - out[5], out[6] + out[7], out[6] - out[7]
        b0, b1, b2, b3 = a0 + a2, a1 + a3, a0 - a2, a1 - a3
        b4, b5, b6, b7 = a4 + a6, a5 + a7, a4 - a6, a5 - a7
        place, even = now & mask, 0.35355339059327373
        lines[0, place] = even * (b0 + b4) + left
        lines[1, place] = even * (b1 + b5) + right
        lines[2, place] = even * (b2 + b6) + left
        lines[3, place] = even * (b3 + b7) + right
        lines[4, place] = even * (b0 - b4) + left
        lines[5, place] = even * (b1 - b5) + right
        lines[6, place] = even * (b2 - b6) + left
        lines[7, place] = even * (b3 - b7) + right


def room_gains(seconds: float) -> tuple[NDArray[np.int64], State]:
    """Lengths of the lines and what each keeps per pass so that the room falls by 60 dB in `seconds`."""
    lengths = np.array(LINES, dtype=np.int64)
    gains = np.asarray(10.0 ** (-3.0 * lengths / (RATE / 2) / seconds), dtype=np.float64)
    return lengths, gains


@njit(cache=True, nogil=True)
def weighed(block, state, sums, counts, first):  # type: ignore[no-untyped-def]
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
        cell = (first + n) // 4800
        sums[cell] += power
        counts[cell] += 1


@njit(cache=True, nogil=True)
def finish(block, first, gain, ceiling, total, fade, sums, offset):  # type: ignore[no-untyped-def]
    """To 24-bit integers, added to `sums` of the whole mix: gain, a soft ceiling, no offset, the final fade.

    `offset`: what the ceiling shifted each side by, followed at 8 Hz and taken out.
    """
    out = np.empty(block.shape, dtype=np.int32)
    knee = 0.6 * ceiling
    for n in range(block.shape[0]):
        left = total - (first + n)
        slope = 1.0
        if left < fade:
            slope = 0.5 - 0.5 * np.cos(pi * left / fade)
        for side in range(2):
            x = block[n, side] * gain
            size = abs(x)
            if size > knee:
                over = (size - knee) / (ceiling - knee)
                size = knee + (ceiling - knee) * over / (1.0 + over)
                x = size if x > 0.0 else -size
            offset[side] += 0.00105 * (x - offset[side])
            value = int(np.round((x - offset[side]) * slope * 8388608.0))
            out[n, side] = value * 256
            sums[first + n, side] += value * 256
    return out


def integrated_lufs(sums: State, counts: NDArray[np.int64]) -> float:
    """Gated loudness from 100 ms cells of power; −70 when nothing passes the gate."""
    cells = sums[counts == 4800] / 4800
    if cells.size < 4:
        cells = np.pad(sums / np.maximum(1, counts), (0, 4))
    blocks = (cells[:-3] + cells[1:-2] + cells[2:-1] + cells[3:]) / 4
    loud = blocks[blocks > 10 ** ((-70 + 0.691) / 10)]
    if not loud.size:
        return -70.0
    gated = loud[loud > 0.1 * loud.mean()]
    return float(-0.691 + 10 * np.log10(gated.mean()))
