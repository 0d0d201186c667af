"""What a song measures: figures C3 to C11 of the design's sound page, and the six features genres are told apart by.

Everything is read from what a listener gets: the MIDI file, the stems, the pre-master and the master. The score is
looked into only for what no file holds: which chord was meant, and where the grid is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, pstdev

import numpy as np
import soundfile
from numpy.typing import NDArray

from harmonia_composer.engine import Brief, Order, Take, Unheard
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.arranger.metre import STEP
from harmonia_composer.engines.arranger.score import Note, Part, Score
from harmonia_mastering import loudness
from harmonia_mastering.master import PRESETS, Mastered, Preset, master

Samples = NDArray[np.float32]
RATE = 48_000
# Krumhansl and Kessler 1982, as printed in Krumhansl, Cognitive Foundations of Musical Pitch (1990), p. 30.
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)
SILENCE = 10 ** (-60 / 20)


def made(brief: Brief, seed: int, folder: Path) -> Take:
    (take,) = Arranger().compose(Order(brief, seed), folder=folder, listener=Unheard())
    return take


def read(path: Path) -> Samples:
    """float32 [2, n] at 48 kHz."""
    samples, rate = soundfile.read(path, dtype="float32")
    if rate != RATE:
        raise ValueError(f"{path} has {rate} Hz")
    return np.ascontiguousarray(samples.T)


@dataclass(frozen=True, slots=True)
class Written:
    """What can be counted on paper."""

    in_harmony: float
    """C4: share of notes in the scale or the chord; of the tune's notes on strong beats that are chord tones."""
    strong_on_chord: float
    voice_motion: float
    """C5: semitones a voice moves from chord to chord, on average; share of downbeat bass notes that are the root."""
    bass_on_root: float
    tune_range: int
    """C6, semitones, and how often the commonest rhythm of two bars is heard."""
    tune_leap: int
    motif_returns: int
    register_drift: float
    onset_spread_ms: float
    """C7: standard deviations of the players' timing and, at the same place of the bar, of their touch."""
    touch_spread: float
    repeated_drum_bars: int
    key_found: bool
    """C9: Krumhansl and Schmuckler's key is the declared one; share of pitches in its scale."""
    in_scale: float


def written(score: Score) -> Written:
    pitched = [part for part in score.parts if part.style not in {"drums", "texture", "riser"}]
    notes = [note for part in pitched for note in part.notes]
    tune = [note for part in pitched if part.role == "lead" for note in part.notes]
    strong = [note for note in tune if is_strong(note, score)]
    bass = [note for part in pitched if part.role == "bass" for note in part.notes if note.tick % bar_ticks(score) == 0]
    found, inside = says_its_key(score)
    return Written(
        in_harmony=share(notes, lambda note: in_scale(note, score) or on_chord(note, score)),
        strong_on_chord=share(strong, lambda note: on_chord(note, score)),
        voice_motion=voice_motion(score),
        bass_on_root=share(bass, lambda note: note.pitch % 12 == chord_at(score, note.tick)[0]),
        tune_range=max((note.pitch for note in tune), default=0) - min((note.pitch for note in tune), default=0),
        tune_leap=max((abs(one.pitch - other.pitch) for one, other in pairwise(tune)), default=0),
        motif_returns=motif_returns(tune, score),
        register_drift=register_drift(tune, score),
        onset_spread_ms=1000 * score.seconds(pstdev([note.late for part in score.parts for note in part.notes])),
        touch_spread=touch_spread(score),
        repeated_drum_bars=repeated_drum_bars(score),
        key_found=found,
        in_scale=inside,
    )


def bar_ticks(score: Score) -> int:
    return score.metre.ticks


def share(notes: Sequence[Note], test: Callable[[Note], bool]) -> float:
    """1 when there are none."""
    return sum(map(test, notes)) / len(notes) if notes else 1.0


def chord_at(score: Score, tick: int) -> tuple[int, ...]:
    return [span for span in score.chords if span.tick <= tick + STEP // 2][-1].chord.tones


def on_chord(note: Note, score: Score) -> bool:
    return note.pitch % 12 in chord_at(score, note.tick)


def in_scale(note: Note, score: Score) -> bool:
    return note.pitch % 12 in score.key.pitch_classes


def is_strong(note: Note, score: Score) -> bool:
    return note.tick % bar_ticks(score) in {step * STEP for step in score.metre.strong}


def voice_motion(score: Score) -> float:
    """From chord to chord of one hand, where both have as many voices; power chords, of two tones, move as one."""
    motions: list[float] = []
    for part in score.parts:
        if part.style not in {"pad", "comp"}:
            continue
        grips = [grip(part, span.tick, span.tick + span.length) for span in score.chords]
        for before, after in pairwise(grips):
            if len({pitch % 12 for pitch in before}) >= 3 and len(before) == len(after):
                motions += [abs(one - other) for one, other in zip(before, after, strict=True)]
    return mean(motions) if motions else 0.0


def grip(part: Part, start: int, end: int) -> list[int]:
    """Pitches that sound for more than half of a span, or are struck in it where none does."""
    half = (end - start) // 2
    held = {n.pitch for n in part.notes if min(end, n.tick + n.length) - max(start, n.tick) > half}
    return sorted(held or {note.pitch for note in part.notes if start <= note.tick < end})


def motif_returns(tune: Sequence[Note], score: Score) -> int:
    bar = bar_ticks(score)
    rhythms: dict[int, list[int]] = {}
    for note in tune:
        rhythms.setdefault(note.tick // bar, []).append(note.tick % bar)
    pairs = [
        (tuple(rhythms[at]), tuple(rhythms[at + 1]))
        for section in score.sections
        for at in range(section.bar, section.bar + section.bars - 1, 2)
        if at in rhythms and at + 1 in rhythms
    ]
    return max((pairs.count(pair) for pair in pairs), default=0)


def register_drift(tune: Sequence[Note], score: Score) -> float:
    """The widest distance between the mean pitches of four bars of one section."""
    widest = 0.0
    for section in score.sections:
        four = 4 * bar_ticks(score)
        parts = [
            [note.pitch for note in tune if start <= note.tick < min(start + four, section.end)]
            for start in range(section.tick, section.end, four)
        ]
        means = [mean(pitches) for pitches in parts if len(pitches) >= 3]
        widest = max(widest, max(means) - min(means)) if means else widest
    return widest


def touch_spread(score: Score) -> float:
    groups: dict[tuple[str, int, int, int], list[int]] = {}
    for part in score.parts:
        for note in part.notes:
            place = (part.role, note.pitch * (part.style == "drums"), note.tick % bar_ticks(score))
            groups.setdefault((*place, score.section_at(note.tick).bar), []).append(note.velocity)
    spreads = [pstdev(group) for group in groups.values() if len(group) >= 6]
    return mean(spreads) if spreads else 0.0


def repeated_drum_bars(score: Score) -> int:
    """How many drum bars strike exactly what the one before struck."""
    bars: dict[int, set[tuple[int, int]]] = {}
    for part in score.parts:
        for note in part.notes if part.style == "drums" else ():
            bars.setdefault(note.tick // bar_ticks(score), set()).add((note.tick % bar_ticks(score), note.pitch))
    return sum(bars[bar] == bars.get(bar - 1) for bar in bars)


def says_its_key(score: Score) -> tuple[bool, float]:
    """C9: whether its key is found, and the share of pitches in it."""
    notes = [note for part in score.parts if part.style not in {"drums", "texture", "riser"} for note in part.notes]
    return key_found(notes) == (score.key.tonic, score.key.is_minor), share(notes, lambda one: in_scale(one, score))


def key_found(notes: Sequence[Note]) -> tuple[int, bool]:
    """Tonic and whether minor: the profile that correlates best with how long each pitch class sounds."""
    weights = np.zeros(12)
    for note in notes:
        weights[note.pitch % 12] += note.length
    fits = {
        (tonic, minor): float(np.corrcoef(np.roll(weights, -tonic), profile)[0, 1])
        for tonic in range(12)
        for minor, profile in ((False, MAJOR), (True, MINOR))
    }
    return max(fits, key=lambda key: fits[key])


@dataclass(frozen=True, slots=True)
class Heard:
    """What can be measured in sound."""

    lift_lu: float
    """C8, in the master: median momentary loudness over chorus bars less that over verse bars; loudness range."""
    range_lu: float
    stems_residue_db: float
    """C10: the largest sample of pre-master less the sum of the stems, dBFS; the quietest and loudest stem, LUFS."""
    quietest_stem: tuple[str, float]
    loudest_stem: tuple[str, float]
    finite: bool
    """C11."""
    offset: float
    peak: float
    gap_s: float
    slope_db: float
    correlation: float


def mastered(take: Take) -> Mastered:
    return master(read(take.premaster), RATE, PRESETS[Preset.STREAMING])


def heard(take: Take, finished: Mastered, score: Score) -> Heard:
    premaster = read(take.premaster)
    stems = {role: read(stem.path) for role, stem in take.stems.items()}
    levels = {role: loudness.integrated(stem, RATE) or -99.0 for role, stem in stems.items()}
    quietest, loudest = min(levels, key=lambda role: levels[role]), max(levels, key=lambda role: levels[role])
    total = np.sum([stem.astype(np.float64) for stem in stems.values()], axis=0)
    return Heard(
        lift_lu=lift_lu(finished.samples, score),
        range_lu=finished.loudness.range_lu or 0.0,
        stems_residue_db=decibels(float(np.abs(total - premaster).max())),
        quietest_stem=(quietest, levels[quietest]),
        loudest_stem=(loudest, levels[loudest]),
        finite=bool(np.isfinite(premaster).all()),
        offset=float(np.abs(premaster.mean(axis=1, dtype=np.float64)).max()),
        peak=float(np.abs(premaster).max()),
        gap_s=gap_s(premaster[:, : last_frame(score)]),
        slope_db=octave_slope_db(premaster),
        correlation=correlation(premaster),
    )


def last_frame(score: Score) -> int:
    """Where the last note begins: what rings out, and the silence after a last blow, are no gaps."""
    return round(RATE * score.seconds(max(note.tick for part in score.parts for note in part.notes)))


def decibels(linear: float) -> float:
    return 20 * float(np.log10(max(1e-9, linear)))


def section_lufs(samples: Samples, score: Score) -> list[tuple[str, float]]:
    """Median momentary loudness of each section, by the windows that lie wholly in it."""
    momentary = loudness.momentary_lufs(samples, RATE)
    found = []
    for section in score.sections:
        start = round(100 * score.seconds(section.tick))
        end = max(start + 1, round(100 * score.seconds(min(section.end, score.ticks))) - 40)
        if start < momentary.shape[0]:
            found.append((section.name, float(np.median(momentary[start:end]))))
    return found


def lift_lu(samples: Samples, score: Score) -> float:
    momentary = loudness.momentary_lufs(samples, RATE)
    bars: dict[str, list[NDArray[np.float64]]] = {"verse": [], "chorus": []}
    for section in score.sections:
        if section.character in bars:
            start = round(100 * score.seconds(section.tick))
            end = max(start + 1, round(100 * score.seconds(min(section.end, score.ticks))) - 40)
            bars[section.character].append(momentary[start:end])
    if not bars["verse"] or not bars["chorus"]:
        return 0.0
    return float(np.median(np.concatenate(bars["chorus"])) - np.median(np.concatenate(bars["verse"])))


def gap_s(samples: Samples) -> float:
    """The longest stretch under −60 dBFS, in steps of 50 ms."""
    cells = np.abs(samples[:, : samples.shape[1] // 2400 * 2400]).max(axis=0).reshape(-1, 2400).max(axis=1)
    longest = run = 0
    for quiet in cells < SILENCE:
        run = run + 1 if quiet else 0
        longest = max(longest, run)
    return longest * 0.05


def octave_slope_db(samples: Samples) -> float:
    """Decibels an octave: the straight line through the power in the octaves from 62.5 Hz to 16 kHz."""
    power = spectrum(samples.mean(axis=0))
    hz = np.fft.rfftfreq(FRAME, 1 / RATE)
    edges = 62.5 * 2.0 ** np.arange(9)
    levels = [10 * np.log10(power[(hz >= low) & (hz < high)].sum() + 1e-20) for low, high in pairwise(edges)]
    return float(np.polyfit(np.arange(8), levels, 1)[0])


def correlation(samples: Samples) -> float:
    left, right = samples.astype(np.float64)
    return float((left * right).sum() / np.sqrt((left**2).sum() * (right**2).sum()))


FRAME = 4096


def frames(mono: NDArray[np.float32], hop: int) -> NDArray[np.float32]:
    """Magnitudes of Hann windows, [frames, bins]."""
    windows = np.lib.stride_tricks.sliding_window_view(mono, FRAME)[::hop]
    return np.abs(np.fft.rfft(windows * np.hanning(FRAME).astype(np.float32), axis=1)).astype(np.float32)


def spectrum(mono: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray((frames(mono, FRAME) ** 2).mean(axis=0, dtype=np.float64))


FEATURES = ("onsets a beat", "centroid", "low band", "crest", "zero crossings", "width")


def features(samples: Samples, bpm: float) -> NDArray[np.float64]:
    """The six of C2, from the pre-master, each on a scale on which equal steps sound about equal.

    onsets a beat     peaks of spectral flux over the mean of their half second, divided by the beats there are; log2
    centroid          of the mean power spectrum's magnitudes; log2 of hertz
    low band          power below 150 Hz over all; dB
    crest             peak over RMS, the median of blocks of one second that are not quiet; dB
    zero crossings    of the mid signal; log2 of hertz
    width             side over mid, RMS; dB
    """
    mid, side = 0.5 * (samples[0] + samples[1]), 0.5 * (samples[0] - samples[1])
    beats = samples.shape[1] / RATE * bpm / 60
    power = spectrum(mid) + spectrum(side)
    hz = np.fft.rfftfreq(FRAME, 1 / RATE)
    magnitude = np.sqrt(power)
    crossings = np.count_nonzero(np.diff(np.signbit(mid)))
    return np.array(
        [
            np.log2((onsets(mid) + 1) / beats),
            np.log2((hz * magnitude).sum() / magnitude.sum()),
            10 * np.log10(power[hz < 150].sum() / power.sum()),
            crest_db(samples),
            np.log2(crossings / (samples.shape[1] / RATE)),
            20 * np.log10(rms(side) / rms(mid) + 1e-6),
        ]
    )


def rms(signal: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean(signal.astype(np.float64) ** 2)))


def crest_db(samples: Samples) -> float:
    blocks = samples[:, : samples.shape[1] // RATE * RATE].reshape(2, -1, RATE)
    peaks, levels = np.abs(blocks).max(axis=(0, 2)), np.sqrt((blocks**2).mean(axis=(0, 2)))
    loud = levels > 0.1 * levels.max()
    return float(np.median(20 * np.log10(peaks[loud] / levels[loud])))


def onsets(mono: NDArray[np.float32]) -> int:
    """Rises of the log spectrum in 24 bands that stand out of their half second and of the song."""
    hop = 480
    windows = np.lib.stride_tricks.sliding_window_view(mono, 1024)[::hop]
    power = np.abs(np.fft.rfft(windows * np.hanning(1024).astype(np.float32), axis=1)) ** 2
    edges = np.unique(np.geomspace(1, power.shape[1] - 1, 25).astype(int))
    bands = np.stack([power[:, low:high].sum(axis=1) for low, high in pairwise(edges)], axis=1)
    level = np.log(bands + 1e-4 * bands.max())
    flux = np.maximum(level[2:] - level[:-2], 0).sum(axis=1)
    around = np.convolve(flux, np.ones(51) / 51, "same")
    peak = (flux[2:-2] >= flux[1:-3]) & (flux[2:-2] > flux[3:-1]) & (flux[2:-2] >= flux[:-4]) & (flux[2:-2] > flux[4:])
    return int(np.count_nonzero(peak & (flux[2:-2] > 1.3 * around[2:-2] + 0.3 * flux.mean())))


@dataclass(frozen=True, slots=True)
class Blind:
    """`confusion[i, j]`: songs of genre i taken for j, in the order of `genres`."""

    genres: tuple[str, ...]
    confusion: NDArray[np.int64]

    @property
    def right(self) -> float:
        return float(np.trace(self.confusion) / self.confusion.sum())


def told_apart(songs: dict[tuple[str, int], NDArray[np.float64]], *, out: Sequence[int] = ()) -> Blind:
    """Leave one seed out: centroids from the others, the nearest one is the guess. `out`: only these, one by one.

    Each feature is divided by its standard deviation over all songs the centroids are made of.
    """
    genres = tuple(dict.fromkeys(genre for genre, _ in songs))
    confusion = np.zeros((len(genres), len(genres)), dtype=np.int64)
    for left in out or sorted({seed for _, seed in songs}):
        known = np.array([vector for (_, seed), vector in songs.items() if seed != left])
        scale = known.std(axis=0)
        centroids = np.array([
            np.mean([vector for (name, seed), vector in songs.items() if name == genre and seed != left], axis=0)
            for genre in genres
        ])  # fmt: skip
        for (genre, seed), vector in songs.items():
            if seed == left:
                guess = int(np.argmin((((vector - centroids) / scale) ** 2).sum(axis=1)))
                confusion[genres.index(genre), guess] += 1
    return Blind(genres, confusion)


def likeness(one: Sequence[int], other: Sequence[int]) -> float:
    """Levenshtein similarity: 1 the same, 0 nothing in common."""
    if not one or not other:
        return 0.0
    row = list(range(len(other) + 1))
    for number, item in enumerate(one, 1):
        above, row[0] = row[0], number
        for at, against in enumerate(other, 1):
            above, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, above + (item != against))
    return 1.0 - row[-1] / max(len(one), len(other))


def hook(score: Score) -> list[int]:
    """Intervals of the tune in the choruses."""
    choruses = [section for section in score.sections if section.character == "chorus"]
    pitches = [
        note.pitch
        for part in score.parts
        if part.role == "lead"
        for note in part.notes
        if any(section.tick <= note.tick < section.end for section in choruses)
    ]
    return [after - before for before, after in pairwise(pitches)]
