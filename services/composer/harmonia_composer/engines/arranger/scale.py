"""Keys: "A minor", "F# major", "D dorian" → pitch classes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from harmonia_composer.engine import Unplayable

LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
ACCIDENTALS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1, "##": 2, "bb": -2}
MODES: dict[str, tuple[int, ...]] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "locrian": (0, 1, 3, 5, 6, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "melodic minor": (0, 2, 3, 5, 7, 9, 11),
}
SYNONYMS = {
    "ionian": "major",
    "aeolian": "minor",
    "natural minor": "minor",
    "maj": "major",
    "min": "minor",
    "m": "minor",
}
SHARPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# Signatures that mido and every sequencer know, by pitch class of the major key.
SIGNATURES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


@dataclass(frozen=True, slots=True)
class Key:
    tonic: int
    mode: str

    @property
    def steps(self) -> tuple[int, ...]:
        return MODES[self.mode]

    @property
    def is_minor(self) -> bool:
        return self.steps[2] == 3

    @property
    def pitch_classes(self) -> frozenset[int]:
        return frozenset((self.tonic + step) % 12 for step in self.steps)

    @property
    def name(self) -> str:
        return f"{SHARPS[self.tonic]} {self.mode}"

    @property
    def signature(self) -> str:
        """As MIDI writes it: the major key with the same notes, or the minor one."""
        if self.is_minor and self.mode not in {"dorian", "phrygian", "locrian"}:
            relative = SIGNATURES[(self.tonic + 3) % 12]
            return MINOR_OF_MAJOR[relative]
        above = {"dorian": 10, "phrygian": 8, "lydian": 7, "mixolydian": 5, "locrian": 1}.get(self.mode, 0)
        return SIGNATURES[(self.tonic + above) % 12]

    def pitch(self, index: int) -> int:
        """MIDI pitch of a scale step; step 0 is the tonic in the octave of middle C."""
        octave, step = divmod(index, 7)
        return 60 + self.tonic + 12 * octave + self.steps[step]

    def index_near(self, pitch: float) -> int:
        """Scale step whose pitch is nearest."""
        guess = round((pitch - 60 - self.tonic) * 7 / 12)
        return min(range(guess - 2, guess + 3), key=lambda index: (abs(self.pitch(index) - pitch), index))


MINOR_OF_MAJOR = {
    "C": "Am", "Db": "Bbm", "D": "Bm", "Eb": "Cm", "E": "C#m", "F": "Dm",
    "F#": "D#m", "G": "Em", "Ab": "Fm", "A": "F#m", "Bb": "Gm", "B": "G#m",
}  # fmt: skip


def parse_key(text: str) -> Key:
    words = text.strip().lower().split()
    tonic = words[0] if words else ""
    mode = " ".join(words[1:]) or "major"
    if mode == "major" and len(words) == 1 and tonic.endswith("m"):
        tonic, mode = tonic[:-1], "minor"
    mode = SYNONYMS.get(mode, mode)
    if not tonic or tonic[0] not in LETTERS or tonic[1:] not in ACCIDENTALS or mode not in MODES:
        raise Unplayable(
            f"{text!r} is no key: write one like 'A minor', 'F# major' or 'D dorian' ({', '.join(MODES)})",
            field="key",
        )
    return Key((LETTERS[tonic[0]] + ACCIDENTALS[tonic[1:]]) % 12, mode)


# Krumhansl and Kessler 1982, as printed in Krumhansl, Cognitive Foundations of Musical Pitch (1990), p. 30.
PROFILES = {
    False: (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
    True: (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
}


def fits_of(weights: Sequence[float]) -> dict[tuple[int, bool], float]:
    """By (tonic, minor): how well each key goes with how long each pitch class sounds. Krumhansl-Schmuckler."""
    return {
        (tonic, minor): correlation([weights[(tonic + step) % 12] for step in range(12)], profile)
        for tonic in range(12)
        for minor, profile in PROFILES.items()
    }


def correlation(one: Sequence[float], other: Sequence[float]) -> float:
    a, b = sum(one) / len(one), sum(other) / len(other)
    over = sum((x - a) * (y - b) for x, y in zip(one, other, strict=True))
    spread = (sum((x - a) ** 2 for x in one) * sum((y - b) ** 2 for y in other)) ** 0.5
    return over / spread if spread else 0.0
