"""Moods: what each changes in the writing and in the sound. Pure data; several add up."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mood:
    """`minor` leans the choice of mode (−1 major … 1 minor) where no key is set, `tempo` its place in the genre's usual
    range (−1 … 1) where no bpm is set; `density` and `energy` add to 0..1 scales; `register` in semitones;
    `brightness` in octaves of filter; `reverb` multiplies."""

    minor: float = 0.0
    tempo: float = 0.0
    density: float = 0.0
    energy: float = 0.0
    register: int = 0
    brightness: float = 0.0
    reverb: float = 1.0
    instruments: tuple[str, ...] = ()


MOODS: dict[str, Mood] = {
    "aggressive": Mood(minor=0.6, tempo=0.7, density=0.3, energy=0.15, brightness=0.5, reverb=0.7),
    "angry": Mood(minor=0.9, tempo=0.6, density=0.25, energy=0.15, register=-2, brightness=0.4, reverb=0.7),
    "bright": Mood(minor=-0.7, tempo=0.2, density=0.05, register=3, brightness=0.5, reverb=0.9),
    "calm": Mood(tempo=-0.7, density=-0.3, energy=-0.1, brightness=-0.4, reverb=1.2),
    "cold": Mood(minor=0.6, density=-0.1, register=1, brightness=0.3, reverb=1.3, instruments=("wind",)),
    "dark": Mood(minor=1.0, tempo=-0.2, register=-4, brightness=-0.7, reverb=1.2),
    "dreamy": Mood(tempo=-0.4, density=-0.15, register=3, brightness=-0.2, reverb=1.7),
    "energetic": Mood(tempo=0.8, density=0.3, energy=0.1, brightness=0.3, reverb=0.8),
    "epic": Mood(minor=0.2, density=0.1, energy=0.1, register=-2, brightness=0.2, reverb=1.6),
    "ethereal": Mood(tempo=-0.5, density=-0.25, energy=-0.05, register=5, brightness=-0.1, reverb=1.9),
    "festive": Mood(minor=-0.9, tempo=0.6, density=0.25, energy=0.1, register=2, brightness=0.4, reverb=0.9),
    "gritty": Mood(minor=0.4, tempo=0.1, density=0.15, energy=0.1, register=-2, brightness=0.3, reverb=0.6),
    "groovy": Mood(density=0.2, brightness=0.1, reverb=0.8),
    "happy": Mood(minor=-1.0, tempo=0.4, density=0.1, register=3, brightness=0.3),
    "hopeful": Mood(minor=-0.7, tempo=0.1, register=2, brightness=0.2, reverb=1.2),
    "hypnotic": Mood(minor=0.3, density=-0.1, brightness=-0.2, reverb=1.3),
    "intimate": Mood(tempo=-0.5, density=-0.35, energy=-0.15, register=-1, brightness=-0.3, reverb=0.6),
    "lonely": Mood(minor=0.8, tempo=-0.6, density=-0.35, energy=-0.1, brightness=-0.2, reverb=1.6),
    "melancholic": Mood(minor=0.9, tempo=-0.5, density=-0.15, register=-2, brightness=-0.3, reverb=1.2),
    "mysterious": Mood(minor=0.8, tempo=-0.2, density=-0.2, register=-3, brightness=-0.4, reverb=1.5),
    "nocturnal": Mood(minor=0.6, tempo=-0.3, density=-0.1, register=-2, brightness=-0.5, reverb=1.4),
    "nostalgic": Mood(minor=0.2, tempo=-0.3, register=-1, brightness=-0.4, reverb=1.1),
    "peaceful": Mood(minor=-0.3, tempo=-0.6, density=-0.3, energy=-0.1, brightness=-0.3, reverb=1.3),
    "playful": Mood(minor=-0.8, tempo=0.4, density=0.2, register=4, brightness=0.3, reverb=0.8),
    "rainy": Mood(minor=0.5, tempo=-0.3, density=-0.1, brightness=-0.4, reverb=1.3, instruments=("rain",)),
    "rebellious": Mood(minor=0.3, tempo=0.5, density=0.15, energy=0.12, brightness=0.35, reverb=0.7),
    "relaxed": Mood(minor=-0.2, tempo=-0.5, density=-0.2, energy=-0.05, brightness=-0.25, reverb=1.1),
    "romantic": Mood(minor=-0.1, tempo=-0.5, density=-0.1, register=1, brightness=-0.1, reverb=1.3),
    "sad": Mood(minor=1.0, tempo=-0.6, density=-0.2, register=-3, brightness=-0.4, reverb=1.2),
    "sensual": Mood(minor=0.3, tempo=-0.5, density=-0.1, register=-3, brightness=-0.35, reverb=1.2),
    "spooky": Mood(minor=1.0, tempo=-0.3, density=-0.2, register=-5, brightness=-0.1, reverb=1.8),
    "summery": Mood(minor=-0.9, tempo=0.2, density=0.1, register=2, brightness=0.35, reverb=0.9),
    "tense": Mood(minor=0.9, tempo=0.3, density=0.15, register=-2, brightness=0.2, reverb=0.9),
    "triumphant": Mood(minor=-0.8, tempo=0.2, density=0.15, energy=0.15, register=1, brightness=0.4, reverb=1.5),
    "uplifting": Mood(minor=-0.8, tempo=0.5, density=0.15, energy=0.1, register=3, brightness=0.4, reverb=1.1),
    "warm": Mood(minor=-0.1, tempo=-0.1, register=-1, brightness=-0.45, reverb=1.0),
    "wintry": Mood(minor=0.2, tempo=-0.3, density=-0.2, register=4, brightness=0.15, reverb=1.5),
}


def blend(names: Iterable[str]) -> Mood:
    """The mean of the moods in what shifts, their product's root in what multiplies; none: no shift."""
    moods = [MOODS[name] for name in names]
    if not moods:
        return Mood()
    count = len(moods)
    reverb = 1.0
    for mood in moods:
        reverb *= mood.reverb ** (1 / count)
    return Mood(
        minor=sum(mood.minor for mood in moods) / count,
        tempo=sum(mood.tempo for mood in moods) / count,
        density=sum(mood.density for mood in moods) / count,
        energy=sum(mood.energy for mood in moods) / count,
        register=round(sum(mood.register for mood in moods) / count),
        brightness=sum(mood.brightness for mood in moods) / count,
        reverb=reverb,
        instruments=tuple(name for mood in moods for name in mood.instruments),
    )
