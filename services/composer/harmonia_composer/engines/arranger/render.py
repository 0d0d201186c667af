"""A part of a score → sound, dry. float32 [frames, 2], 48 kHz; every call with the same part gives the same bits."""

import hashlib

import numpy as np

from harmonia_composer.engine import Check
from harmonia_composer.engines.arranger.score import Note, Part, Score
from harmonia_composer.engines.arranger.synth import kernels
from harmonia_composer.engines.arranger.synth.drums import KITS, PANS
from harmonia_composer.engines.arranger.synth.kernels import RATE, Buffer, Strike
from harmonia_composer.engines.arranger.synth.voice import Played
from harmonia_composer.engines.arranger.synth.voices import VOICES

ROBINS = 4
"""Recordings of each drum at each strength, taken in turn."""
STRENGTHS = 5


def frame_at(score: Score, tick: int) -> int:
    return round(score.seconds(tick) * RATE)


def gains(pan: float, level: float) -> tuple[float, float]:
    """Equal power; −1 left … 1 right."""
    angle = (max(-1.0, min(1.0, pan)) + 1.0) * np.pi / 4
    return float(level * np.cos(angle)), float(level * np.sin(angle))


def seed_of(score: Score, *purpose: object) -> int:
    label = "/".join(str(part) for part in (score.seed, *purpose))
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:6], "big")


def render(part: Part, score: Score, frames: int, check: Check) -> Buffer:
    out = np.zeros((frames, 2), dtype=np.float32)
    if part.style == "drums":
        drums(part, score, out, check)
    elif part.style == "texture":
        texture(part, score, out, check)
    else:
        pitched(part, score, out, check)
    return out


def pitched(part: Part, score: Score, out: Buffer, check: Check) -> None:
    voice = VOICES[part.instrument]
    seed = seed_of(score, part.role)
    middle = sum(note.pitch for note in part.notes) / max(1, len(part.notes))
    for number, note in enumerate(part.notes):
        check()
        start = frame_at(score, note.start)
        held = max(1, ringing(note, score) - start)
        velocity = note.velocity / 127.0
        pan = part.mix.pan + part.mix.width * max(-1.0, min(1.0, (note.pitch - middle) / 12.0))
        left, right = gains(pan, 0.3 * velocity**1.4)
        bright = 2.0 ** (score.brightness + 1.6 * (score.energy_at(note.start) - 0.65))
        hz = 440.0 * 2.0 ** ((note.pitch - 69) / 12.0)
        if start < out.shape[0]:
            voice.play(out, Played(start, held, hz, left, right, velocity, bright, (seed + 7919 * number) & 0xFFFFFFFF))


def shot(strike: Strike, strength: int, seed: int) -> Buffer:
    out = np.zeros((int(strike.length_s * RATE), 2), dtype=np.float32)
    level = (strength + 0.5) / STRENGTHS
    kernels.strike(out, 0, 1.0, 1.0, 0.45 + 0.75 * level, seed, kernels.floats(strike))
    return out[:, :1]


def drums(part: Part, score: Score, out: Buffer, check: Check) -> None:
    """Each drum is struck once for every strength and turn, and then only copied."""
    kit = KITS[part.instrument]
    shots: dict[tuple[int, int, int], Buffer] = {}
    turns: dict[int, int] = {}
    for note in part.notes:
        check()
        turns[note.pitch] = turns.get(note.pitch, -1) + 1
        recording = (note.pitch, note.velocity * STRENGTHS // 128, turns[note.pitch] % ROBINS)
        if recording not in shots:
            seed = seed_of(score, *recording) & 0xFFFFFFFF
            shots[recording] = shot(kit[note.pitch], recording[1], seed)
        left, right = gains(part.mix.width * 2.0 * PANS[note.pitch], 0.5 * (note.velocity / 127.0) ** 1.5)
        add(out, shots[recording], frame_at(score, note.start), left, right)


def add(out: Buffer, sound: Buffer, start: int, left: float, right: float) -> None:
    room = min(sound.shape[0], out.shape[0] - start)
    if room > 0:
        out[start : start + room] += sound[:room] * np.array([left, right], dtype=np.float32)


# Level, hertz at the start and the end, how much it rises, pops a second.
AIRS = {
    "noise riser": (0.3, 300.0, 9000.0, 1.0, 0.0),
    "rain": (0.3, 5200.0, 5200.0, 0.0, 45.0),
    "ocean waves": (0.3, 900.0, 900.0, 0.0, 0.0),
    "wind": (0.3, 1400.0, 1400.0, 0.0, 0.0),
    "vinyl crackle": (0.12, 2600.0, 2600.0, 0.0, 7.0),
}


def texture(part: Part, score: Score, out: Buffer, check: Check) -> None:
    level, from_hz, to_hz, rise, pops_hz = AIRS[part.instrument]
    for number, note in enumerate(part.notes):
        check()
        start = frame_at(score, note.start)
        held = ringing(note, score) - start
        seed = seed_of(score, part.role, number) & 0xFFFFFFFF
        if start < out.shape[0]:
            kernels.air(out, start, held, level, from_hz, to_hz, rise, pops_hz, seed)


def ringing(note: Note, score: Score) -> int:
    """Frame of the release. What is held to the last beat is held as long as the song."""
    if note.tick + note.length >= score.ticks:
        return round(score.duration_seconds * RATE)
    return frame_at(score, note.start + note.length)
