"""What happens to a part after it is played: filters, amplifiers, chorus, echoes, a room, ducking under the kick.

Compiled, in place, on blocks of float32 [frames, 2] at 48 kHz; what outlives a block is in the state handed along.
What can be is written as loops without memory from frame to frame, which the processor runs eight or sixteen at a time.
"""
# ruff: noqa: PLR0917 (compiled functions take no keywords)

from functools import partial
from math import exp, pi, sin

import numpy as np
from numba import njit
from numpy.typing import NDArray

from harmonia_composer.engines.arranger.synth.kernels import RATE

State = NDArray[np.float64]
Line = NDArray[np.float32]
LINES = (709, 821, 937, 1069, 1187, 1321, 1481, 1627)
"""Delays of the room at 24 kHz: mutually prime enough not to ring."""
SPREADERS = ((113, 127), (237, 269))
"""Delays of the all-passes before it, left and right; the shortest is longer than a STRIDE."""
BEFORE = 600
"""Its 25 ms."""
PAST = 1700
"""How far back anything in the room looks."""
STRIDE = 64
STEP = 32
"""Frames between two looks at what moves slowly."""
REACH = 1024
"""How far back a chorus looks."""

# No division raises: a check for zero would keep the loops from running side by side.
compiled = partial(njit, cache=True, nogil=True, error_model="numpy")


@compiled()
def silent(block):  # type: ignore[no-untyped-def]
    """Below -120 dBFS throughout."""
    for n in range(block.shape[0]):  # noqa: SIM110 - all() of a generator is not compiled
        if max(abs(block[n, 0]), abs(block[n, 1])) >= np.float32(1e-6):
            return False
    return True


@compiled()
def amplify(block, state, drive):  # type: ignore[no-untyped-def]
    """A valve: x / sqrt(1 + x²) on a bias, at twice the rate and by its integral, so that it hardly aliases.

    Parker, Zavalishin and Le Bivic, "Reducing the aliasing of nonlinear waveshaping using continuous-time
    convolution", DAFx 2016; between a and b the integral's slope is (a + b) / (sqrt(1 + a²) + sqrt(1 + b²)).
    `state`, float32 [2, 7]: three inputs and four outputs a side.
    """
    size, one = block.shape[0], np.float32(1.0)
    bias = np.float32(0.12)
    rest, level = bias / np.sqrt(one + bias * bias), np.float32(1.0 / (0.35 + 0.65 * drive) ** 0.75)
    x, between, at = np.empty(size + 3, np.float32), np.empty(size + 1, np.float32), np.empty(size + 3, np.float32)
    push = np.float32(drive)
    near, far = np.float32(0.5625), np.float32(0.0625)
    for side in range(2):
        x[:3], between[0], at[:3] = state[side, :3], state[side, 3], state[side, 4:]
        for n in range(size):
            x[n + 3] = push * block[n, side]
        for n in range(size):
            early, late = bias + x[n + 1], bias + x[n + 2]
            middle = bias + near * (x[n + 1] + x[n + 2]) - far * (x[n] + x[n + 3])
            root = np.sqrt(one + middle * middle)
            between[n + 1] = (early + middle) / (np.sqrt(one + early * early) + root)
            at[n + 3] = (middle + late) / (root + np.sqrt(one + late * late))
        half, close, wide = np.float32(0.5), np.float32(0.28125), np.float32(0.03125)
        for n in range(size):
            block[n, side] = level * (
                half * between[n] + close * (at[n + 1] + at[n + 2]) - wide * (at[n] + at[n + 3]) - rest
            )
        state[side, :3], state[side, 3], state[side, 4:] = x[size:], between[size], at[size:]


@compiled()
def equalize(block, bands, state):  # type: ignore[no-untyped-def]
    """Biquads one after the other, transposed direct form II. `bands`: [count, 5], count even, `state`: [count, 4].

    Two at a time: while one waits for itself, the other works.
    """
    for pair in range(0, bands.shape[0], 2):
        a0, a1, a2, c1, c2 = bands[pair]
        b0, b1, b2, d1, d2 = bands[pair + 1]
        l1, l2, r1, r2 = state[pair]
        m1, m2, s1, s2 = state[pair + 1]
        for n in range(block.shape[0]):
            x, y = float(block[n, 0]), float(block[n, 1])
            u, v = a0 * x + l1, a0 * y + r1
            l1, l2 = (a1 * x + l2) - c1 * u, a2 * x - c2 * u
            r1, r2 = (a1 * y + r2) - c1 * v, a2 * y - c2 * v
            x, y = b0 * u + m1, b0 * v + s1
            m1, m2 = (b1 * u + m2) - d1 * x, b2 * u - d2 * x
            s1, s2 = (b1 * v + s2) - d1 * y, b2 * v - d2 * y
            block[n, 0], block[n, 1] = x, y
        state[pair, 0], state[pair, 1], state[pair, 2], state[pair, 3] = l1, l2, r1, r2
        state[pair + 1, 0], state[pair + 1, 1], state[pair + 1, 2], state[pair + 1, 3] = m1, m2, s1, s2


@compiled()
def strip(block, first, state, drive, tremolo, tremolo_hz, levels, kicks, duck, hits, glue):  # type: ignore[no-untyped-def]
    """Saturation, tremolo, section levels, ducking under the kick and the whole band's breathing with the drummer.

    `levels`: [breakpoints, 2] of frame and gain, linear between. `kicks`, `hits`: frames, ascending. `duck`, `glue`:
    gain when they strike, reached in 4 ms. `state`: [7], zeros to begin with.
    """
    size = block.shape[0]
    left, right = np.empty(size, np.float32), np.empty(size, np.float32)
    onset, back, slow = paces(STEP)
    for at in range(0, size, STEP):
        until = min(at + STEP, size)
        now = first + until
        if until - at < STEP:
            onset, back, slow = paces(until - at)
        state[0] = along(levels, int(state[0]), now)
        gain = level(levels, int(state[0]), now)
        gain *= 1.0 - pushed(state, 1, kicks, now, duck, onset, back)
        gain *= 1.0 - pushed(state, 3, hits, now, glue, onset, slow)
        sway = tremolo * sin(2.0 * pi * tremolo_hz * now / RATE) if tremolo > 0.0 else 0.0
        ending_l, ending_r = gain * (1.0 + sway), gain * (1.0 - 0.5 * sway)
        if state[5] == 0.0:
            state[5], state[6] = ending_l, ending_r
        slide(left, at, until, state[5], ending_l)
        slide(right, at, until, state[6], ending_r)
        state[5], state[6] = ending_l, ending_r
    if drive > 0.0:
        push, one = np.float32(1.0 + 4.0 * drive), np.float32(1.0)
        for n in range(size):
            x, y = push * block[n, 0], push * block[n, 1]
            block[n, 0], block[n, 1] = x / (one + abs(x)), y / (one + abs(y))
    for n in range(size):
        block[n, 0] *= left[n]
        block[n, 1] *= right[n]


@compiled()
def slide(ramp, start, end, one, other):  # type: ignore[no-untyped-def]
    begin, each = np.float32(one), np.float32((other - one) / (end - start))
    for n in range(end - start):
        ramp[start + n] = begin + each * np.float32(n + 1)


@compiled()
def along(levels, point, now):  # type: ignore[no-untyped-def]
    while point + 1 < levels.shape[0] - 1 and now >= levels[point + 1, 0]:
        point += 1
    return point


@compiled()
def level(levels, point, now):  # type: ignore[no-untyped-def]
    reach = levels[point + 1, 0] - levels[point, 0]
    done = min(1.0, max(0.0, (now - levels[point, 0]) / reach))
    return levels[point, 1] + (levels[point + 1, 1] - levels[point, 1]) * done


@compiled()
def paces(frames):  # type: ignore[no-untyped-def]
    """In so many frames: how far it goes towards a strike, and what is left of it, of the kick's and of the band's."""
    return 1.0 - exp(-frames / (0.0015 * RATE)), exp(-frames / (0.09 * RATE)), exp(-frames / (0.16 * RATE))


@compiled()
def pushed(state, place, strikes, now, gain, onset, back):  # type: ignore[no-untyped-def]
    """How far down: to `gain` within 4 ms of a strike, then back. `state`: at `place` the next strike and how far."""
    strike = int(state[place])
    while strike < strikes.shape[0] and now > strikes[strike]:
        strike += 1
    down = state[place + 1]
    if strike > 0 and now - strikes[strike - 1] <= 192:
        down += onset * (1.0 - gain - down)
    else:
        down *= back
    state[place], state[place + 1] = strike, down
    return down


@compiled()
def chorus(block, first, line, amount, hz):  # type: ignore[no-untyped-def]
    """Two slow, short, moving delays, opposite left and right. `line`: float32 [REACH, 2], what was heard last."""
    size = block.shape[0]
    heard, swing = np.empty(REACH + size, np.float32), np.empty(size, np.float32)
    before = sin(2.0 * pi * hz * first / RATE)
    for at in range(0, size, STEP):
        until = min(at + STEP, size)
        after = sin(2.0 * pi * hz * (first + until) / RATE)
        slide(swing, at, until, before, after)
        before = after
    wet, scale = np.float32(amount), np.float32(1.0 / (1.0 + 0.5 * amount))
    middle, one = np.float32(REACH - 620.0), np.float32(1.0)
    for side in range(2):
        depth = np.float32(-150.0 if side == 0 else 150.0)
        heard[:REACH] = line[:, side]
        for n in range(size):
            heard[REACH + n] = block[n, side]
        for n in range(size):
            place = middle + depth * swing[n]
            whole = np.int32(place)
            part = place - np.float32(whole)
            found = heard[n + whole] * (one - part) + heard[n + whole + 1] * part
            block[n, side] = scale * (block[n, side] + wet * found)
        line[:, side] = heard[size:]


@compiled()
def echo(block, first, line, delay, amount, state):  # type: ignore[no-untyped-def]
    """Ping-pong: `delay` frames apart, darker each time. `line`: float32 [2^k, 2], longer than the delay."""
    mask = line.shape[0] - 1
    dark_l, dark_r = state[0], state[1]
    for n in range(block.shape[0]):
        now = first + n
        left, right = float(line[(now - delay) & mask, 0]), float(line[(now - delay) & mask, 1])
        dark_l = 0.7 * dark_l + 0.3 * left
        dark_r = 0.7 * dark_r + 0.3 * right
        line[now & mask, 0] = 0.5 * (block[n, 0] + block[n, 1]) + 0.65 * dark_r
        line[now & mask, 1] = 0.65 * dark_l
        block[n, 0] += amount * left
        block[n, 1] += amount * right
    state[0], state[1] = dark_l, dark_r


@compiled()
def room(block, lines, lengths, gains, state, amount, damping):  # type: ignore[no-untyped-def]
    """A feedback delay network of eight lines and a Hadamard matrix (Jot 1991), damped; 25 ms before it speaks.

    Two all-passes a side thicken what goes in, which has no bass. Runs at half the rate, straight lines between: what
    it adds is dark anyway. Nothing comes back sooner than STRIDE, so that many frames are made side by side.
    `lines`: float32 [14, PAST + half a block]; `state`: [4]: bass and last output, left and right. Lengths even.
    """
    pairs = (block.shape[0] + 1) // 2
    out, dry, wet = (
        np.empty((8, STRIDE), np.float32),
        np.empty((2, STRIDE), np.float32),
        np.empty((2, STRIDE + 1), np.float32),
    )
    heard(block, lines)
    for start in range(0, pairs, STRIDE):
        frames, now = min(STRIDE, pairs - start), PAST + start
        highs(lines, dry, now, frames, state)
        for side in range(2):
            spread(lines[10 + 2 * side], dry[side], SPREADERS[0][side], now, frames)
            spread(lines[11 + 2 * side], dry[side], SPREADERS[1][side], now, frames)
        for at in range(8):
            rung(lines[at], out[at], now - lengths[at], frames, np.float32(gains[at]), np.float32(damping))
        for side in range(2):
            wet[side, 0] = state[2 + side]
            summed(wet[side, 1:], out[side], out[2 + side], out[4 + side], out[6 + side], frames, np.float32(amount))
            state[2 + side] = wet[side, frames]
        spoken(block[2 * start : 2 * (start + frames)], wet[0], wet[1])
        for reach in (1, 2, 4):
            for at in range(8):
                if not at & reach:
                    crossed(out[at], out[at + reach], frames)
        for at in range(8):
            returned(lines[at, now : now + frames], out[at], dry[at % 2])
    for line in range(lines.shape[0]):
        for n in range(PAST):
            lines[line, n] = lines[line, pairs + n]


@compiled()
def heard(block, lines):  # type: ignore[no-untyped-def]
    """At half the rate."""
    half, whole = np.float32(0.5), block.shape[0] // 2
    left, right = lines[8, PAST:], lines[9, PAST:]
    for pair in range(whole):
        left[pair] = half * (block[2 * pair, 0] + block[2 * pair + 1, 0])
        right[pair] = half * (block[2 * pair, 1] + block[2 * pair + 1, 1])
    if block.shape[0] % 2:
        left[whole], right[whole] = block[2 * whole, 0], block[2 * whole, 1]


@compiled()
def highs(lines, dry, now, frames, state):  # type: ignore[no-untyped-def]
    """What was heard 25 ms ago, without its bass."""
    left, right = lines[8, now - BEFORE :], lines[9, now - BEFORE :]
    bass_l, bass_r = state[0], state[1]
    for n in range(frames):
        x, y = 0.35 * left[n], 0.35 * right[n]
        bass_l, bass_r = 0.955 * bass_l + 0.045 * x, 0.955 * bass_r + 0.045 * y
        dry[0, n], dry[1, n] = x - bass_l, y - bass_r
    state[0], state[1] = bass_l, bass_r


@compiled()
def spread(line, dry, delay, now, frames):  # type: ignore[no-untyped-def]
    turn, before, here = np.float32(0.6), line[now - delay :], line[now:]
    for n in range(frames):
        into = dry[n] - turn * before[n]
        dry[n] = before[n] + turn * into
        here[n] = into


@compiled()
def rung(line, out, first, frames, gain, damping):  # type: ignore[no-untyped-def]
    now, before = line[first:], line[first - 1 :]
    for n in range(frames):
        out[n] = gain * (now[n] + damping * (before[n] - now[n]))


@compiled()
def summed(wet, a, b, c, d, frames, amount):  # type: ignore[no-untyped-def]
    for n in range(frames):
        wet[n] = amount * (a[n] + b[n] + c[n] - d[n])


@compiled()
def spoken(block, left, right):  # type: ignore[no-untyped-def]
    half, whole = np.float32(0.5), block.shape[0] // 2
    for n in range(whole):
        block[2 * n, 0] += half * (left[n] + left[n + 1])
        block[2 * n, 1] += half * (right[n] + right[n + 1])
        block[2 * n + 1, 0] += left[n + 1]
        block[2 * n + 1, 1] += right[n + 1]
    if block.shape[0] % 2:
        block[2 * whole, 0] += half * (left[whole] + left[whole + 1])
        block[2 * whole, 1] += half * (right[whole] + right[whole + 1])


@compiled()
def crossed(one, other, frames):  # type: ignore[no-untyped-def]
    for n in range(frames):
        one[n], other[n] = one[n] + other[n], one[n] - other[n]


@compiled()
def returned(line, out, dry):  # type: ignore[no-untyped-def]
    even = np.float32(0.35355339059327373)
    for n in range(line.shape[0]):
        line[n] = even * out[n] + dry[n]


def room_gains(seconds: float) -> tuple[NDArray[np.int64], State]:
    """Lengths of the lines and what each keeps per pass so that the room falls by 60 dB in `seconds`."""
    lengths = np.array(LINES, dtype=np.int64)
    gains = np.asarray(10.0 ** (-3.0 * lengths / (RATE / 2) / seconds), dtype=np.float64)
    return lengths, gains


@compiled()
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


@compiled()
def finish(block, out, gain, ceiling, wide, left, fade, state):  # type: ignore[no-untyped-def]
    """To 24 bits in int32 [frames, 2] `out`: gain, one voice below 120 Hz, width, a soft ceiling, the final fade.

    `left`: frames of the song from here to its end. `state`: [4]: the sides' bass, twice smoothed, and the offsets.
    """
    size, side = block.shape[0], np.empty(block.shape[0], np.float32)
    narrowed(block, side, gain, wide, state)
    half, knee, top = np.float32(0.5 * gain), np.float32(0.6 * ceiling), np.float32(0.4 * ceiling)
    for n in range(size):
        middle = half * (block[n, 0] + block[n, 1])
        x, y = middle + side[n], middle - side[n]
        # As it is up to the knee, then ever closer to the ceiling.
        over_x, over_y = x - min(knee, max(-knee, x)), y - min(knee, max(-knee, y))
        block[n, 0] = x - over_x + top * over_x / (top + abs(over_x))
        block[n, 1] = y - over_y + top * over_y / (top + abs(over_y))
    centred(block, state)
    for n in range(max(0, left - fade), size):
        slope = 0.5 - 0.5 * np.cos(pi * (left - n) / fade)
        block[n, 0] *= slope
        block[n, 1] *= slope
    full, half = np.float32(8388608.0), np.float32(0.5)
    for n in range(size):
        out[n, 0] = np.int32(256) * np.int32(np.floor(full * block[n, 0] + half))
        out[n, 1] = np.int32(256) * np.int32(np.floor(full * block[n, 1] + half))


@compiled()
def centred(block, state):  # type: ignore[no-untyped-def]
    """Without the offset, followed at 5 Hz, that a ceiling gives to what is higher than deep."""
    offset_l, offset_r = state[2], state[3]
    for n in range(block.shape[0]):
        x, y = float(block[n, 0]), float(block[n, 1])
        offset_l, offset_r = 0.99934 * offset_l + 0.00066 * x, 0.99934 * offset_r + 0.00066 * y
        block[n, 0], block[n, 1] = x - offset_l, y - offset_r
    state[2], state[3] = offset_l, offset_r


@compiled()
def narrowed(block, side, gain, wide, state):  # type: ignore[no-untyped-def]
    smooth = 1.0 - exp(-2.0 * pi * 120.0 / RATE)
    keep, low, lower = 1.0 - smooth, state[0], state[1]
    for n in range(block.shape[0]):
        x = 0.5 * gain * (block[n, 0] - block[n, 1])
        low = keep * low + smooth * x
        x -= low
        lower = keep * lower + smooth * x
        side[n] = wide * (x - lower)
    state[0], state[1] = low, lower


def gated_lufs(sums: State) -> float:
    """The gated loudness of 100 ms cells of mean power; -70 when nothing passes the gate."""
    cells = sums if sums.size >= 4 else np.pad(sums, (0, 4 - sums.size))
    blocks = (cells[:-3] + cells[1:-2] + cells[2:-1] + cells[3:]) / 4
    loud = blocks[blocks > 10 ** ((-70 + 0.691) / 10)]
    if not loud.size:
        return -70.0
    gated = loud[loud > 0.1 * loud.mean()]
    return float(-0.691 + 10 * np.log10(gated.mean()))
