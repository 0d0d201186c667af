"""Speech and a tune → singing: vowels stretched to their notes, consonants kept, the pitch of the tune. Pure.

Everything is in frames of 5 ms. A note's vowel begins with the note; the consonants before it come before, out of the
time of the vowel before them. What a vowel is stretched by, its middle is: how it begins and ends stays as spoken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from harmonia_composer.voice.syllables import Nucleus
from harmonia_composer.voice.world import FRAME_S, Floats, Print

Flags = NDArray[np.bool_]

# Of the time between two vowels, what consonants may take at most.
CROWDED = 0.5
# What follows a note by less is sung to without a breath.
LEGATO_S = 0.12
LONGEST_RUN_UP_S = 0.4
RELEASE_S = 0.08
GLIDE_S = 0.06
GLIDES_OVER_S = 0.25
SCOOP_SEMITONES, SCOOP_S = 0.4, 0.07
VIBRATO_HZ, VIBRATO_SEMITONES, VIBRATO_AFTER_S, VIBRATO_FROM_S = 5.6, 0.3, 0.22, 0.4
DIPHTHONGS = frozenset({"ay", "aw", "ey", "ow", "oy"})
# How evenly vowels are made to sound: 1 all alike.
EVEN = 0.7


@dataclass(frozen=True, slots=True)
class SungNote:
    """Times count from the beginning of the song; `pitch` is MIDI's; `velocity` 1 to 127."""

    start_s: float
    end_s: float
    pitch: float
    velocity: int = 80


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time of the song, and of the speech that is heard there; None: silence."""

    start_s: float
    end_s: float
    said: tuple[float, float] | None
    note: int
    vowel: bool = False


@dataclass(frozen=True, slots=True)
class Take:
    """What the vocoder is to play from `start_s` of the song on; `gain` [n]."""

    start_s: float
    voice: Print
    gain: Floats


def stretches(nuclei: Sequence[Nucleus], notes: Sequence[SungNote]) -> list[Stretch]:
    """What is said when, without holes."""
    run_up = min(LONGEST_RUN_UP_S, spoken_s(nuclei[0]))
    first = nuclei[0]
    laid = consonants(first, notes[0].start_s - run_up, notes[0].start_s, 0)
    for number, (nucleus, note) in enumerate(zip(nuclei, notes, strict=True)):
        follows = number + 1 < len(notes)
        if not follows:
            laid += vowel(nucleus, note.start_s, note.end_s, number)
            laid += ending(nucleus, note.end_s, number)
            continue
        after, other = nuclei[number + 1], notes[number + 1]
        room = other.start_s - note.start_s
        leads = min(spoken_s(after), CROWDED * room)
        end_s = other.start_s - leads
        closed_s = min(end_s, note.end_s) if end_s - note.end_s > LEGATO_S else end_s
        laid += vowel(nucleus, note.start_s, closed_s, number)
        if closed_s < end_s:
            laid.append(Stretch(closed_s, end_s, None, number))
        laid += consonants(after, end_s, other.start_s, number + 1)
    return laid


def spoken_s(nucleus: Nucleus) -> float:
    return sum(phone.end_s - phone.start_s for phone in nucleus.before)


def consonants(nucleus: Nucleus, start_s: float, end_s: float, number: int) -> list[Stretch]:
    total, at, laid = spoken_s(nucleus), start_s, []
    for phone in nucleus.before:
        until = at + (phone.end_s - phone.start_s) * (end_s - start_s) / total
        laid.append(Stretch(at, until, (phone.start_s, phone.end_s), number))
        at = until
    return laid


def ending(nucleus: Nucleus, start_s: float, number: int) -> list[Stretch]:
    laid, at = [], start_s
    for phone in nucleus.after:
        until = at + phone.end_s - phone.start_s
        laid.append(Stretch(at, until, (phone.start_s, phone.end_s), number))
        at = until
    return laid


def vowel(nucleus: Nucleus, start_s: float, end_s: float, number: int) -> list[Stretch]:
    said, length = nucleus.end_s - nucleus.start_s, end_s - start_s
    if length <= said:
        return [Stretch(start_s, end_s, (nucleus.start_s, nucleus.end_s), number, vowel=True)]
    middle = nucleus.start_s + said * (0.3 if nucleus.phone in DIPHTHONGS else 0.5)
    held = (middle - 0.1 * said, middle + 0.1 * said)
    before, after = held[0] - nucleus.start_s, nucleus.end_s - held[1]
    edges = (start_s, start_s + before, end_s - after, end_s)
    sources = (nucleus.start_s, *held, nucleus.end_s)
    return [
        Stretch(*here, there, number, vowel=True)
        for here, there in zip(pairwise(edges), pairwise(sources), strict=True)
    ]


def sung(said: Print, nuclei: Sequence[Nucleus], notes: Sequence[SungNote]) -> Take:
    laid = stretches(nuclei, notes)
    start_s, end_s = laid[0].start_s, laid[-1].end_s + RELEASE_S
    times: Floats = start_s + FRAME_S * np.arange(max(2, int((end_s - start_s) / FRAME_S)), dtype=np.float64)
    source, vowels, silent = sources(laid, times)
    at = np.clip(source / FRAME_S, 0, len(said.hertz) - 1.001)
    low, part = at.astype(np.int64), (at % 1.0)[:, None]
    envelope = np.exp((1 - part) * np.log(said.envelope[low]) + part * np.log(said.envelope[low + 1]))
    breath = (1 - part) * said.breath[low] + part * said.breath[low + 1]
    voiced = vowels | (said.hertz[np.round(at).astype(np.int64)] > 0)
    hertz = np.where(voiced & ~silent, 440.0 * 2.0 ** ((pitches(notes, times) - 69.0) / 12.0), 0.0)
    voice = Print(hertz, envelope, breath, said.rate_hz)
    return Take(start_s, voice, evened(envelope, vowels, silent) * accents(notes, times, end_s))


def sources(laid: Sequence[Stretch], times: Floats) -> tuple[Floats, Flags, Flags]:
    """For each frame: when it was said, whether it is a vowel, whether it is silent."""
    starts = np.array([one.start_s for one in laid])
    at = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, len(laid) - 1)
    source = np.zeros(len(times))
    vowels, silent = np.zeros(len(times), dtype=bool), np.zeros(len(times), dtype=bool)
    last = 0.0
    for number, one in enumerate(laid):
        mine = at == number
        vowels |= mine & one.vowel
        if one.said is None:
            source[mine], silent = last, silent | mine
            continue
        along = np.clip((times[mine] - one.start_s) / max(1e-6, one.end_s - one.start_s), 0.0, 1.0)
        source[mine] = one.said[0] + along * (one.said[1] - one.said[0])
        last = one.said[1]
    return source, vowels, silent | (times > laid[-1].end_s)


def pitches(notes: Sequence[SungNote], times: Floats) -> Floats:
    """The tune as a voice sings it: it glides from note to note, comes to the first from below, and swings on long
    ones."""
    starts = np.array([note.start_s for note in notes])
    own = np.array([note.pitch for note in notes])
    at = np.clip(np.searchsorted(starts, times + GLIDE_S / 2, side="right") - 1, 0, len(notes) - 1)
    found = own[at].astype(np.float64)
    for before, note in pairwise(notes):
        if note.start_s - before.end_s > GLIDES_OVER_S:
            found -= scoop(times - note.start_s)
            continue
        along = (times - note.start_s) / GLIDE_S + 0.5
        gliding = (along > 0.0) & (along < 1.0)
        eased = along * along * (3 - 2 * along)
        found = np.where(gliding, before.pitch + (note.pitch - before.pitch) * eased, found)
    found -= scoop(times - notes[0].start_s)
    for note in notes:
        if note.end_s - note.start_s >= VIBRATO_FROM_S:
            since = times - note.start_s - VIBRATO_AFTER_S
            deep = VIBRATO_SEMITONES * np.clip(since / 0.2, 0.0, 1.0) * np.clip((note.end_s - times) / 0.05, 0.0, 1.0)
            found += deep * np.sin(2 * np.pi * VIBRATO_HZ * since)
    return found


def scoop(since: Floats) -> Floats:
    return np.where((since > -0.2) & (since < SCOOP_S), SCOOP_SEMITONES * (1 - np.clip(since / SCOOP_S, 0.0, 1.0)), 0.0)


def evened(envelope: Floats, vowels: Flags, silent: Flags) -> Floats:
    """Gains that make all vowels nearly as loud as each other; consonants go with the vowels around them."""
    power = envelope.sum(axis=1)
    places = np.flatnonzero(vowels)
    if not places.size:
        return np.where(silent, 0.0, 1.0)
    loud = np.exp(smoothed(np.log(np.interp(np.arange(len(power)), places, power[places])), 12))
    gains: Floats = (np.median(power[places]) / loud) ** (EVEN / 2)
    return gains * smoothed(np.where(silent, 0.0, 1.0), 4)


def accents(notes: Sequence[SungNote], times: Floats, end_s: float) -> Floats:
    """By velocity, 6 dB from soft to loud, and a release at the end."""
    starts = [note.start_s for note in notes]
    decibels = np.interp(times, starts, [6.0 * (note.velocity - 80) / 60 for note in notes])
    return 10 ** (decibels / 20) * np.clip((end_s - times) / RELEASE_S, 0.0, 1.0)


def smoothed(values: Floats, width: int) -> Floats:
    """A running mean over `width` frames to both sides."""
    size = 2 * width + 1
    padded = np.pad(values, width, mode="edge")
    mean: Floats = np.convolve(padded, np.full(size, 1.0 / size), mode="valid")
    return mean
