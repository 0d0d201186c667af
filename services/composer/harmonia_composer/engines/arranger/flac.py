"""FLAC as it is needed here and no more (RFC 9639): stereo, 48 kHz, 24 bits, written once from front to back.

Fixed predictors and Rice codes, compiled: half the time of libFLAC at its quickest, and files a little smaller. The
digest in the header is left unknown, as §8.2 allows: the store has its own of every file.
"""
# ruff: noqa: PLR0917 (compiled functions take no keywords)

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from harmonia_composer.engines.arranger.synth.kernels import RATE, compiled

BLOCK = 4096
PARTITION = 256
"""Samples that share a Rice parameter."""
BITS = 24
HIGHEST_ORDER = 4
MOST_BYTES = 12
"""Of a frame of sound, twice what it is before: a Rice code may be longer than what it codes."""
SAMPLE = 512
"""Of a block, from its middle on: what predictors and channels are chosen by."""
SIDE = 3
"""The row of left less right, which takes a bit more."""


class Flac:
    """A file being written."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._waiting = np.zeros((0, 2), dtype=np.int32)
        self._frames = self._number = 0
        self._checks, self._found = checks(), np.empty(0, dtype=np.uint8)
        self._file.write(head(0))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def write(self, sound: NDArray[np.int32]) -> None:
        """int32 [frames, 2], of which the upper 24 bits count."""
        self._frames += sound.shape[0]
        if self._waiting.shape[0]:
            missing = BLOCK - self._waiting.shape[0]
            first = np.concatenate((self._waiting, sound[:missing]))
            sound = sound[missing:]
            if first.shape[0] < BLOCK:
                self._waiting = first
                return
            self._put(first)
        whole = sound.shape[0] // BLOCK * BLOCK
        self._put(sound[:whole])
        self._waiting = sound[whole:].copy()

    def close(self) -> None:
        if self._file.closed:
            return
        self._put(self._waiting)
        self._file.seek(0)
        self._file.write(head(self._frames))
        self._file.close()

    def _put(self, sound: NDArray[np.int32]) -> None:
        if sound.shape[0]:
            most = sound.shape[0] * MOST_BYTES + 4096
            if self._found.shape[0] < most:
                self._found = np.empty(most, dtype=np.uint8)
            size = encoded(sound, self._number, self._checks, self._found)
            self._number += -(-sound.shape[0] // BLOCK)
            self._file.write(self._found[:size].data)


def head(frames: int) -> bytes:
    """The marker and STREAMINFO, the only block of metadata (§8.2)."""
    told = RATE << 44 | 1 << 41 | (BITS - 1) << 36 | frames
    sizes = BLOCK.to_bytes(2, "big") * 2 + bytes(6)
    return b"fLaC" + bytes([0x80, 0, 0, 34]) + sizes + told.to_bytes(8, "big") + bytes(16)


def checks() -> NDArray[np.uint16]:
    """Remainders of bytes: row 0 for CRC-8 by 0x07, rows 1 to 8 for CRC-16 by 0x8005, with 0 to 7 zeros after it."""
    rows = np.zeros((9, 256), dtype=np.uint16)
    for byte in range(256):
        eight, sixteen = byte, byte << 8
        for _ in range(8):
            eight = (eight << 1 ^ (0x07 if eight & 0x80 else 0)) & 0xFF
            sixteen = (sixteen << 1 ^ (0x8005 if sixteen & 0x8000 else 0)) & 0xFFFF
        rows[0, byte], rows[1, byte] = eight, sixteen
    for row in range(2, 9):
        before = rows[row - 1].astype(np.int64)
        rows[row] = (before << 8 & 0xFFFF) ^ rows[1, before >> 8]
    return rows


@compiled()
def encoded(sound, number, checks, found):  # type: ignore[no-untyped-def]
    """All of `sound` as frames from `number` on, into `found`; how many bytes."""
    size, words = 0, np.empty(BLOCK * 6, np.uint32)
    residues, pair = np.empty(BLOCK, np.int32), np.empty((4, BLOCK), np.int32)
    for first in range(0, sound.shape[0], BLOCK):
        frames, begun = min(BLOCK, sound.shape[0] - first), size
        one, other, sides = decorrelated(sound[first : first + frames], pair, residues)
        size = headed(found, size, frames, number, sides, checks)
        acc, used, at = np.uint64(0), np.uint64(0), 0
        for row in (one, other):
            bits = np.uint64(BITS + 1 if row == SIDE else BITS)
            acc, used, at = subframe(pair[row, :frames], bits, residues, words, acc, used, at)
        length = 4 * at + (int(used) + 7) // 8
        acc, used, at = put(words, acc, used, at, np.uint64(0), np.uint64(32) - used)
        found[size : size + 4 * at] = words[:at].view(np.uint8)
        size += length
        crc = remainder(found[begun:size], checks)
        found[size], found[size + 1] = crc >> 8, crc & 0xFF
        size, number = size + 2, number + 1
    return size


@compiled()
def decorrelated(sound, pair, residues):  # type: ignore[no-untyped-def]
    """Left, right, middle and side, which two say it shortest, and the code of that choice (§9.1.3)."""
    left, right, middle, side = pair[0], pair[1], pair[2], pair[SIDE]
    for n in range(sound.shape[0]):
        left[n], right[n] = sound[n, 0] >> 8, sound[n, 1] >> 8
    for n in range(sound.shape[0]):
        middle[n], side[n] = (left[n] + right[n]) >> 1, left[n] - right[n]
    bits = np.zeros(4)
    for row in range(4):
        some = pair[row, : sound.shape[0]][sound.shape[0] // 2 :][:SAMPLE]
        bits[row] = np.log2(left_over(some, min(2, some.shape[0] - 1), residues) + 1.0)
    ways = ((0, 1, 1), (0, SIDE, 8), (SIDE, 1, 9), (2, SIDE, 10))
    best, least = ways[0], bits[0] + bits[1]
    for way in ways:
        if bits[way[0]] + bits[way[1]] < least:
            best, least = way, bits[way[0]] + bits[way[1]]
    return best


@compiled()
def headed(found, size, frames, number, sides, checks):  # type: ignore[no-untyped-def]
    """A frame's header (§9.1), with CRC-8; where it ends."""
    begun = size
    found[size], found[size + 1] = 0xFF, 0xF8
    found[size + 2] = 0xCA if frames == BLOCK else 0x7A
    found[size + 3] = sides << 4 | 0x0C
    size += 4
    if number < 0x80:
        found[size] = number
        size += 1
    else:
        more = 1
        while number >> (6 * more + 6 - more):
            more += 1
        found[size] = (0xFF << (7 - more) & 0xFF) | number >> 6 * more
        for place in range(more):
            found[size + 1 + place] = 0x80 | (number >> 6 * (more - 1 - place) & 0x3F)
        size += 1 + more
    if frames != BLOCK:
        found[size], found[size + 1] = (frames - 1) >> 8, (frames - 1) & 0xFF
        size += 2
    crc = 0
    for at in range(begun, size):
        crc = checks[0, crc ^ found[at]]
    found[size] = crc
    return size + 1


@compiled()
def remainder(sound, checks):  # type: ignore[no-untyped-def]
    """CRC-16, eight bytes at a time."""
    crc, whole = np.uint32(0), sound.shape[0] // 8 * 8
    for at in range(0, whole, 8):
        crc = np.uint32(
            checks[8, sound[at] ^ (crc >> 8)] ^ checks[7, sound[at + 1] ^ (crc & 0xFF)]
            ^ checks[6, sound[at + 2]] ^ checks[5, sound[at + 3]] ^ checks[4, sound[at + 4]]
            ^ checks[3, sound[at + 5]] ^ checks[2, sound[at + 6]] ^ checks[1, sound[at + 7]]
        )  # fmt: skip
    for at in range(whole, sound.shape[0]):
        crc = np.uint32((crc << 8 & 0xFFFF) ^ checks[1, (crc >> 8) ^ sound[at]])
    return crc


@compiled()
def put(words, acc, used, at, value, length):  # type: ignore[no-untyped-def]
    """The lowest `length` bits, at most 32, of `value`; full words go out, their first byte first."""
    acc = acc << length | value
    used += length
    if used >= np.uint64(32):
        used -= np.uint64(32)
        words[at] = swapped(np.uint32(acc >> used))
        at += 1
    return acc, used, at


@compiled()
def swapped(word):  # type: ignore[no-untyped-def]
    return np.uint32(word >> 24 | (word >> 8 & 0xFF00) | (word & 0xFF00) << 8 | (word & 0xFF) << 24)


@compiled()
def subframe(x, bits, residues, words, acc, used, at):  # type: ignore[no-untyped-def]
    """One channel: a constant, or a fixed predictor, its first samples and what it leaves (§9.2)."""
    mask = (np.uint64(1) << bits) - np.uint64(1)
    order = predictor(x, residues)
    if order < 0:
        acc, used, at = put(words, acc, used, at, np.uint64(0), np.uint64(8))
        return put(words, acc, used, at, np.uint64(x[0]) & mask, bits)
    acc, used, at = put(words, acc, used, at, np.uint64((8 + order) << 1), np.uint64(8))
    for n in range(order):
        acc, used, at = put(words, acc, used, at, np.uint64(x[n]) & mask, bits)
    parts = BLOCK // PARTITION if x.shape[0] == BLOCK else 1
    # Rice parameters of five bits, and the binary logarithm of how many parts there are.
    acc, used, at = put(words, acc, used, at, np.uint64(1 << 4 | (4 if parts > 1 else 0)), np.uint64(6))
    each = x.shape[0] // parts
    for part in range(parts):
        some = residues[max(order, part * each) : (part + 1) * each]
        acc, used, at = rice(some, words, acc, used, at)
    return acc, used, at


@compiled()
def predictor(x, residues):  # type: ignore[no-untyped-def]
    """The order that leaves least; -1: it is all the same. What it leaves is in `residues`, from that order on."""
    if constant(x):
        return -1
    some, best, least = x[x.shape[0] // 2 :][:SAMPLE], 0, np.inf
    for order in range(min(HIGHEST_ORDER, x.shape[0] - 1) + 1):
        cost = left_over(some, order, residues)
        if cost < least:
            least, best = cost, order
    predicted(x, best, residues)
    return best


@compiled()
def constant(x):  # type: ignore[no-untyped-def]
    for n in range(x.shape[0]):  # noqa: SIM110 - all() of a generator is not compiled
        if x[n] != x[0]:
            return False
    return True


@compiled()
def left_over(x, order, residues):  # type: ignore[no-untyped-def]
    predicted(x, order, residues)
    total = 0
    for n in range(HIGHEST_ORDER, x.shape[0]):
        total += abs(residues[n])
    return float(total)


@compiled()
def predicted(x, order, residues):  # type: ignore[no-untyped-def]
    """The polynomial through `order` samples before, taken away."""
    here, found = x[order:], residues[order : x.shape[0]]
    a, b, c, d = x[max(0, order - 1) :], x[max(0, order - 2) :], x[max(0, order - 3) :], x
    if order == 0:
        found[:] = here
    elif order == 1:
        for n in range(found.shape[0]):
            found[n] = here[n] - a[n]
    elif order == 2:
        for n in range(found.shape[0]):
            found[n] = here[n] - 2 * a[n] + b[n]
    elif order == 3:
        for n in range(found.shape[0]):
            found[n] = here[n] - 3 * (a[n] - b[n]) - c[n]
    else:
        for n in range(found.shape[0]):
            found[n] = here[n] - 4 * (a[n] + c[n]) + 6 * b[n] + d[n]


@compiled()
def rice(some, words, acc, used, at):  # type: ignore[no-untyped-def]
    """As many zeros as the upper bits say, a one, the lower bits; so many that it comes out shortest."""
    total = 0
    for n in range(some.shape[0]):
        total += abs(some[n])
    k = np.uint64(max(0.0, np.floor(np.log2(1.386 * total / max(1, some.shape[0]) + 1e-9) + 0.5)))
    acc, used, at = put(words, acc, used, at, k, np.uint64(5))
    one, most = np.uint64(1), np.uint64(32)
    stop, mask = one << k, (one << k) - one
    for n in range(some.shape[0]):
        value = np.uint64(np.uint32(some[n] << 1 ^ some[n] >> 31))
        zeros = value >> k
        while zeros + k + one > most:
            shorter = min(zeros, np.uint64(31))
            acc, used, at = put(words, acc, used, at, np.uint64(0), shorter)
            zeros -= shorter
        length = zeros + k + one
        acc = acc << length | (stop | (value & mask))
        used += length
        if used >= most:
            used -= most
            words[at] = swapped(np.uint32(acc >> used))
            at += 1
    return acc, used, at
