"""Sound fonts, where somebody has some: SoundFont 2.04 files, and SF3, whose samples are Ogg Vorbis.

Read here and played by the arranger's own kernel, so a font obeys what its own instruments obey: the same bits again,
blocks of any length, a fader set by measured loudness. What a font asks of modulators, LFOs and its own effects is left
out. Nothing here is needed: without a font the arranger plays its own sounds.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from struct import Struct

import numpy as np
import soundfile
from numpy.typing import NDArray

from harmonia_composer.engines.arranger.instruments import INSTRUMENTS
from harmonia_composer.engines.arranger.synth import kernels
from harmonia_composer.engines.arranger.synth.kernels import RATE, Buffer
from harmonia_composer.engines.arranger.synth.sound import Sound
from harmonia_composer.engines.arranger.synth.sounds import SOUNDS
from harmonia_composer.engines.arranger.synth.voice import Played

Generators = dict[int, int]
VORBIS = 0x10
# Generators by their numbers in SoundFont 2.04, §8.1.2.
STARTS, ENDS, LOOP_STARTS, LOOP_ENDS = (0, 4), (1, 12), (2, 45), (3, 50)
PAN, ATTACK, HOLD, DECAY, SUSTAIN, RELEASE = 17, 34, 35, 36, 37, 38
INSTRUMENT, KEYS, VELOCITIES, ATTENUATION, COARSE, FINE, SAMPLE, LOOPS, SCALE, ROOT = (
    41,
    43,
    44,
    48,
    51,
    52,
    53,
    54,
    56,
    58,
)
DEFAULTS: Generators = {ATTACK: -12000, HOLD: -12000, DECAY: -12000, RELEASE: -12000, SCALE: 100, ROOT: -1}
# What a preset says is added to what its instruments say.
ADDED = (PAN, ATTACK, HOLD, DECAY, SUSTAIN, RELEASE, ATTENUATION, COARSE, FINE)
EVERYTHING = 127 << 8


class FontUnreadable(ValueError):
    """The file is no sound font, or lacks the preset that was asked for."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A sample and when and how it is played: semitones over its own pitch at key 0 and per key, gains, seconds."""

    keys: tuple[int, int]
    velocities: tuple[int, int]
    sample: int
    starts: int
    ends: int
    loop: tuple[int, int]
    root_semitones: float
    per_key: float
    gain: float
    pan: float
    attack_s: float
    hold_s: float
    decay_s: float
    sustain: float
    release_s: float

    def sounds(self, key: int, velocity: int) -> bool:
        return self.keys[0] <= key <= self.keys[1] and self.velocities[0] <= velocity <= self.velocities[1]


@dataclass(frozen=True, slots=True)
class Sample:
    start: int
    end: int
    loop_start: int
    loop_end: int
    rate_hz: int
    pitch: int
    cents: int
    kind: int

    @property
    def vorbis(self) -> bool:
        return bool(self.kind & VORBIS)


class Font:
    """One file. Samples are read when they are first played."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes = np.memmap(path, dtype=np.uint8, mode="r")
        with path.open("rb") as file:
            self.digest = hashlib.file_digest(file, "sha256").hexdigest()
        try:
            self._chunks = dict(chunks(self._bytes, 12, len(self._bytes)))
            self.samples = [Sample(*row[1:8], *row[9:]) for row in self._rows("shdr", "<20sIIIIIBbHH")[:-1]]
        except (KeyError, IndexError, ValueError) as broken:
            raise FontUnreadable(f"{path} is not a SoundFont 2 file") from broken
        self._read: dict[int, NDArray[np.float32]] = {}

    def _rows(self, name: str, layout: str) -> list[tuple[int, ...]]:
        start, end = self._chunks[name]
        return list(Struct(layout).iter_unpack(self._bytes[start:end].tobytes()))

    def samples_of(self, number: int) -> NDArray[np.float32]:
        """float32 [n], full scale ±1, at the sample's own rate."""
        if number not in self._read:
            self._read[number] = self._decoded(self.samples[number])
        return self._read[number]

    def _decoded(self, sample: Sample) -> NDArray[np.float32]:
        start, end = self._chunks["smpl"]
        if sample.vorbis:
            packed = io.BytesIO(self._bytes[start + sample.start : min(end, start + sample.end)].tobytes())
            return np.asarray(soundfile.read(packed, dtype="float32", always_2d=True)[0][:, 0])
        words = self._bytes[start + 2 * sample.start : min(end, start + 2 * sample.end)]
        return (np.frombuffer(words.tobytes(), dtype="<i2") / 32768).astype(np.float32)

    @cached_property
    def _instruments(self) -> list[list[Generators]]:
        return self._zones("inst", "<20sH", "ibag", "igen", SAMPLE)

    def _zones(self, heads: str, layout: str, bags: str, generators: str, ends_in: int) -> list[list[Generators]]:
        """Of each instrument or preset: what its zones say, with what its first, if it is for all, says for them."""
        at = [row[0] for row in self._rows(bags, "<HH")]
        said = [(row[0], row[1]) for row in self._rows(generators, "<Hh")]
        first = [row[-1] for row in self._rows(heads, layout)]
        found = []
        for low, high in pairwise(first):
            zones: list[Generators] = [dict(said[at[bag] : at[bag + 1]]) for bag in range(low, high)]
            common = zones[0] if zones and ends_in not in zones[0] else {}
            found.append([common | zone for zone in zones if ends_in in zone])
        return found

    def preset(self, bank: int, program: int) -> tuple[Zone, ...]:
        heads = [(row[2], row[1]) for row in self._rows("phdr", "<20sHHHIII")[:-1]]
        if (bank, program) not in heads:
            raise FontUnreadable(f"{self.path} has no preset {program} in bank {bank}")
        presets = self._zones("phdr", "<20sHHH12x", "pbag", "pgen", INSTRUMENT)
        return tuple(
            self._zone(outer, inner)
            for outer in presets[heads.index((bank, program))]
            for inner in self._instruments[outer[INSTRUMENT]]
        )

    def _zone(self, preset: Generators, instrument: Generators) -> Zone:
        says = DEFAULTS | instrument
        for generator in ADDED:
            says[generator] = says.get(generator, 0) + preset.get(generator, 0)
        sample = self.samples[says[SAMPLE]]
        starts, ends, loop_starts, loop_ends = (
            says.get(fine, 0) + 32768 * says.get(coarse, 0) for fine, coarse in (STARTS, ENDS, LOOP_STARTS, LOOP_ENDS)
        )
        base = 0 if sample.vorbis else sample.start
        loop = (sample.loop_start - base + loop_starts, sample.loop_end - base + loop_ends)
        root = says[ROOT] if says[ROOT] >= 0 else sample.pitch
        per_key = says[SCALE] / 100
        tuned = says[COARSE] + (says[FINE] + sample.cents) / 100
        return Zone(
            keys=_shared(preset, instrument, KEYS), velocities=_shared(preset, instrument, VELOCITIES),
            sample=says[SAMPLE], starts=starts, ends=ends, loop=loop if says.get(LOOPS, 0) & 1 else (0, 0),
            root_semitones=tuned - root * per_key, per_key=per_key,
            gain=10 ** (-0.4 * max(0, says[ATTENUATION]) / 200), pan=says[PAN] / 500,
            attack_s=_seconds(says[ATTACK]), hold_s=_seconds(says[HOLD]), decay_s=_seconds(says[DECAY]),
            sustain=10 ** (-min(1440, max(0, says[SUSTAIN])) / 200), release_s=min(8.0, _seconds(says[RELEASE])),
        )  # fmt: skip


def chunks(data: NDArray[np.uint8], start: int, end: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Names of RIFF chunks, inside of lists too, with where their bytes begin and end."""
    while start + 8 <= end:
        name, size = data[start : start + 4].tobytes().decode("ascii"), int(data[start + 4 : start + 8].view("<u4")[0])
        if name == "LIST":
            yield from chunks(data, start + 12, min(end, start + 8 + size))
        else:
            yield name, (start + 8, min(end, start + 8 + size))
        start += 8 + size + size % 2


def _shared(preset: Generators, instrument: Generators, generator: int) -> tuple[int, int]:
    ranges = [divmod(said.get(generator, EVERYTHING) & 0xFFFF, 256)[::-1] for said in (preset, instrument)]
    return max(low for low, _ in ranges), min(high for _, high in ranges)


def _seconds(timecents: int) -> float:
    return float(2 ** (timecents / 1200))


@dataclass(frozen=True, slots=True)
class Sampled:
    """A preset of a font as a voice. Its digest and its zones stand for it in recipes."""

    digest: str
    zones: tuple[Zone, ...]
    font: Font = field(repr=False, compare=False)

    def play(self, out: Buffer, note: Played) -> None:
        key = round(69 + 12 * np.log2(note.hz / 440))
        for zone in self.zones:
            if zone.sounds(key, round(note.velocity * 127)):
                self._play(out, note, zone, key)

    def _play(self, out: Buffer, note: Played, zone: Zone, key: int) -> None:
        sample = self.font.samples[zone.sample]
        sound = self.font.samples_of(zone.sample)
        end = max(2, min(sound.size, sound.size + zone.ends))
        loop_start, loop_end = (min(end - 1, max(0, edge)) for edge in zone.loop)
        step = 2 ** ((zone.root_semitones + zone.per_key * key) / 12) * sample.rate_hz / RATE
        cutoff_hz = min(18_000.0, 900.0 * note.bright**0.5 * 2 ** (5.0 * note.velocity))
        left, right = (1.0 - max(0.0, zone.pan)) * zone.gain, (1.0 + min(0.0, zone.pan)) * zone.gain
        span = (max(0, zone.starts), end, loop_start, loop_end)
        shape = (zone.attack_s, zone.hold_s, zone.decay_s, zone.sustain, zone.release_s)
        kernels.sampled(
            out,
            note.start,
            note.held,
            step,
            3 * note.left * left,
            3 * note.right * right,
            sound,
            span,
            cutoff_hz,
            shape,
        )

    def rings_s(self, _hz: float) -> float:
        return max((zone.release_s for zone in self.zones), default=0.0)


def with_fonts(asked: Mapping[str, str]) -> dict[str, Sound]:
    """Every sound, with fonts in place of those that `asked` names: instrument → "file:bank:program".

    Raises FontUnreadable when there is no such instrument, file or preset.
    """
    opened: dict[Path, Font] = {}
    return SOUNDS | {name: _sound(name, place, opened) for name, place in asked.items()}


def _sound(name: str, place: str, opened: dict[Path, Font]) -> Sound:
    if name not in SOUNDS:
        kind = "has no pitch to play a font at" if name in INSTRUMENTS else "is no instrument"
        raise FontUnreadable(f"{name!r} {kind}")
    parts = place.rsplit(":", 2)
    if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()):
        raise FontUnreadable(f"{place!r} of {name!r} should be file:bank:program")
    path = Path(parts[0])
    try:
        font = opened.setdefault(path, opened.get(path) or Font(path))
    except OSError as missing:
        raise FontUnreadable(f"{path} of {name!r} cannot be read") from missing
    return Sound(Sampled(font.digest, font.preset(int(parts[1]), int(parts[2])), font))
