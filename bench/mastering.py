"""The meter and the limiter against libebur128 and ffmpeg, on one core, the same songs in the same run; and M1 to M12.

Songs come from the arranger: three minutes of techno for the speeds, several genres for the rest.
"""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyebur128
import soundfile

from bench.table import Row
from harmonia_composer.engine import Brief, Order, Unheard
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_mastering import loudness
from harmonia_mastering.decode import Recording, read_own
from harmonia_mastering.encode import LOSSY, Format, fill
from harmonia_mastering.encode import Order as EncodeOrder
from harmonia_mastering.key import NAMES, key
from harmonia_mastering.master import PRESETS, Preset, Target, master
from harmonia_mastering.peaks import peaks
from harmonia_mastering.tags import Tags
from harmonia_mastering.take import LOSSY_TRIES, Correction, correction
from harmonia_mastering.tempo import tempo
from harmonia_mastering.true_peak import Samples, true_peak
from tests.ebu import RATES_HZ, exact_true_peak, table

RATE_HZ = 48_000
LONG_S = 180.0
SONGS = 20
REPEATS = 3
DEFAULT = Target(-14.0, -1.0, 0.5)


@dataclass(frozen=True)
class Song:
    name: str
    file: Path
    bpm: float
    key: str

    def samples(self) -> Samples:
        return read_own(self.file).samples


async def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="harmonia-bench-") as folder:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        return await asyncio.to_thread(lambda: list(_rows(Path(folder))))


def _rows(folder: Path) -> Iterator[Row]:
    long = _song(folder, "techno", 1, seconds=LONG_S)
    yield from _speeds(long, folder)
    yield _memory(folder)
    songs = [_song(folder, genre, seed) for genre, seed in _choice()]
    yield from _standards()
    yield from _against_libebur128(songs)
    yield from _files(songs[: len(GENRES)], folder)
    yield from _hearing(songs)
    yield _peaks(songs[0])


def _choice() -> list[tuple[str, int]]:
    genres = sorted(GENRES)
    return [(genres[n % len(genres)], n) for n in range(max(SONGS, len(genres)))]


def _song(folder: Path, genre: str, seed: int, *, seconds: float = 60.0) -> Song:
    """Even seeds play at the genre's own tempo, odd ones at one of 65 to 175; keys by chance."""
    rng = np.random.default_rng(seed)
    name = f"{NAMES[rng.integers(12)]} {('major', 'minor')[rng.integers(2)]}"
    bpm = float(round(rng.uniform(65, 175), 1)) if seed % 2 else 0.0
    brief = Brief(genre=genre, key=name, bpm=bpm, duration_seconds=seconds)
    take = Arranger().compose(
        Order(brief, seed=seed, stems=False), folder=folder / f"{genre}-{seed}-{seconds:g}", listener=Unheard()
    )[0]
    assert take.midi
    tempo_event = re.search(rb"\xff\x51\x03(...)", take.midi.read_bytes(), re.DOTALL)
    assert tempo_event
    return Song(f"{genre} {seed}", take.premaster, 60e6 / int.from_bytes(tempo_event[1], "big"), name)


def _speeds(song: Song, folder: Path) -> Iterator[Row]:
    samples = song.samples()
    seconds = samples.shape[1] / RATE_HZ
    interleaved = np.ascontiguousarray(samples.T.ravel())
    loudness.measure(samples, RATE_HZ)
    master(samples[:, : 10 * RATE_HZ].copy(), RATE_HZ, DEFAULT)
    wav = folder / "long.wav"
    soundfile.write(wav, samples.T, RATE_HZ, subtype="PCM_24")
    meter = seconds / _best(lambda: loudness.measure(samples, RATE_HZ))
    other = seconds / _best(lambda: _libebur128(interleaved))
    mastering = seconds / _best(lambda: master(samples, RATE_HZ, DEFAULT))
    plain = seconds / _best(lambda: master(samples, RATE_HZ, PRESETS[Preset.STREAMING]))
    meter_of_ffmpeg = seconds / _best(lambda: _ffmpeg(wav, "ebur128=peak=true"))
    loudnorm = seconds / _best(lambda: _loudnorm(wav, folder / "normal.wav"))
    yield Row("meter I+M+S+LRA+TP, 180 s stereo 48 kHz, one core", f"{meter:.0f}× real time", "≥ 700×")
    yield Row("… libebur128, the same readings", f"{other:.0f}×: we are {meter / other:.1f}× as fast", "≥ 2×")
    yield Row("… ffmpeg ebur128=peak=true", f"{meter_of_ffmpeg:.0f}×: we are {meter / meter_of_ffmpeg:.1f}× as fast")
    yield Row("master to -14 LUFS, intensity 0.5", f"{mastering:.0f}× real time", "≥ 100×")
    yield Row("… without tone and glue", f"{plain:.0f}×", "≥ 100×")
    yield Row("… ffmpeg loudnorm, two passes", f"{loudnorm:.0f}×: we are {mastering / loudnorm:.1f}× as fast", "≥ 5×")


def _best(work: Callable[[], object]) -> float:
    """CPU seconds of this process and its children, the least of three."""

    def cpu_s() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    taken = []
    for _ in range(REPEATS):
        began = cpu_s()
        work()
        taken.append(max(cpu_s() - began, 1e-3))
    return min(taken)


def _libebur128(interleaved: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> tuple[float, float, float]:
    mode = pyebur128.MeasurementMode
    modes = mode.MODE_I | mode.MODE_M | mode.MODE_S | mode.MODE_LRA | mode.MODE_TRUE_PEAK
    state = pyebur128.R128State(2, RATE_HZ, modes)
    state.add_frames(interleaved, interleaved.size // 2)
    peak = max(pyebur128.get_true_peak(state, channel) for channel in (0, 1))
    return pyebur128.get_loudness_global(state), pyebur128.get_loudness_range(state), float(20 * np.log10(peak))


def _ffmpeg(file: Path, filters: str, *to: str) -> str:
    form = file.suffix[1:].replace("opus", "ogg")
    command = ["ffmpeg", "-nostats", "-v", "info", "-threads", "1", "-y", "-f", form, "-i", str(file), "-af", filters]
    done = subprocess.run([*command, *(to or ("-f", "null", "-"))], check=True, capture_output=True, text=True)
    return done.stderr


def _loudnorm(file: Path, to: Path) -> None:
    wanted = "loudnorm=I=-14:TP=-1:LRA=11"
    told = _ffmpeg(file, f"{wanted}:print_format=json")
    names = ("input_i", "input_tp", "input_lra", "input_thresh", "target_offset")
    found = {name: re.findall(rf'"{name}" : "([^"]+)"', told)[-1] for name in names}
    measured = ":".join(f"measured_{name[6:].upper()}={found[name]}" for name in names[:3])
    measured += f":measured_thresh={found['input_thresh']}:offset={found['target_offset']}:linear=true"
    _ffmpeg(file, f"{wanted}:{measured}", "-ar", str(RATE_HZ), "-f", "wav", str(to))


def _memory(folder: Path) -> Row:
    """Of a process of its own: 20 minutes of stereo, mastered."""
    code = (
        "import numpy as np, resource\n"
        "from harmonia_mastering.master import Target, master\n"
        "rng = np.random.default_rng(0)\n"
        f"samples = rng.uniform(-0.3, 0.3, (2, 1200 * {RATE_HZ})).astype(np.float32)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"master(samples, {RATE_HZ}, Target(-14.0, -1.0, 0.5))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    sound = 1200 * RATE_HZ * 2 * 4 / 2**20
    return Row("memory, 20 minutes of stereo mastered", f"{float(done.stdout):.0f} MiB, the sound itself {sound:.0f}")


def _standards() -> Iterator[Row]:
    for rate_hz in RATES_HZ:
        cases = list(table(rate_hz))
        worst = max(abs(case.measured - (case.low + case.high) / 2) for case in cases if "±0.1" in case.expected)
        told = f"{sum(case.met for case in cases)} of {len(cases)} cases; loudness off by {worst:.3f} LU at most"
        yield Row(f"M1 EBU Tech 3341 and 3342 at {rate_hz / 1000:g} kHz", told, "all; ±0.1 LU")


def _against_libebur128(songs: Sequence[Song]) -> Iterator[Row]:
    off: list[tuple[float, float, float, float]] = []
    exact: list[tuple[float, float]] = []
    for number, song in enumerate(songs[:SONGS]):
        samples = song.samples()
        ours = loudness.measure(samples, RATE_HZ)
        assert ours.integrated_lufs
        assert ours.range_lu is not None
        assert ours.true_peak_dbtp
        lufs, lra, dbtp = _libebur128(np.ascontiguousarray(samples.T.ravel()))
        each_second = loudness.range_lu(samples, RATE_HZ, hops=loudness.HOPS_PER_SECOND) or 0.0
        off.append((ours.integrated_lufs - lufs, ours.range_lu - lra, each_second - lra, ours.true_peak_dbtp - dbtp))
        if number % 4 == 0:
            true = 20 * np.log10(exact_true_peak(samples))
            exact.append((ours.true_peak_dbtp - true, dbtp - true))
    integrated, ten_a_second, one_a_second, peak = np.abs(off).max(axis=0)
    mine, theirs = np.abs(exact).max(axis=0)
    yield Row(f"M2 {len(off)} songs against libebur128: I", f"≤ {integrated:.4f} LU", "≤ 0.02 LU")
    told = f"≤ {one_a_second:.4f} LU with its hop of 1 s; ≤ {ten_a_second:.2f} LU with the standard's 0.1 s"
    yield Row("M2 … LRA", told, "≤ 0.2 LU")
    told = f"≤ {peak:.2f} dB; off the exact peak: we {mine:.2f}, libebur128 {theirs:.2f} dB"
    yield Row("M2 … true peak", told, "≤ 0.1 dB")


def _files(songs: Sequence[Song], folder: Path) -> Iterator[Row]:
    written = folder / "files"
    written.mkdir()
    for lufs in (-14.0, -16.0, -23.0):
        off, over = [0.0], [-99.0]
        for song in songs:
            mastered = master(song.samples(), RATE_HZ, Target(lufs, -1.0, 0.5))
            file = _encoded(mastered.samples, Format.FLAC, written)
            found, peak = _reading_of_ffmpeg(file)
            if mastered.reached:
                off.append(abs(found - lufs))
            over.append(peak + 1.0)
        told = f"off by ≤ {max(off):.2f} LU, peaks {max(over):+.2f} dB over the ceiling at most"
        yield Row(f"M3 {len(songs)} FLAC files to {lufs:g} LUFS, as ffmpeg reads them", told, "≤ 0.1 LU, ≤ +0.05 dB")
    yield from _lossy(songs, written)
    yield _ten_minutes(written)


def _lossy(songs: Sequence[Song], written: Path) -> Iterator[Row]:
    """As the stage does it, encoders called here instead of in a child."""
    for preset, most in ((Preset.STREAMING, -0.3), (Preset.STREAMING_SAFE, -1.0)):
        for to in sorted(LOSSY):
            off, peaks_dbtp, again = [], [], 0
            for song in songs:
                mastered = master(song.samples(), RATE_HZ, PRESETS[preset])
                asked_dbtp, whole = PRESETS[preset].ceiling_dbtp, Recording(mastered.samples, RATE_HZ)
                file = _encoded(mastered.samples, to, written)
                tried = Correction(mastered.samples, 0.0, asked_dbtp)
                for _ in range(LOSSY_TRIES):
                    if (better := correction(file, whole, tried, asked_dbtp=asked_dbtp)) is None:
                        break
                    tried, again = better, again + 1
                    file = _encoded(tried.samples, to, written)
                decoded = read_own(file)
                found = loudness.integrated(decoded.samples, decoded.rate_hz)
                wanted = mastered.loudness.integrated_lufs
                off.append(abs((found or 0.0) - (wanted or 0.0)))
                peaks_dbtp.append(loudness.decibels(true_peak(decoded.samples)) or 0.0)
            told = f"off by ≤ {max(off):.2f} LU, peaks ≤ {max(peaks_dbtp):.2f} dBTP; {again} encoded again"
            yield Row(f"M5 {to}, {preset}, {len(songs)} songs decoded", told, f"≤ 0.2 LU, ≤ {most:g} dBTP")


def _ten_minutes(written: Path) -> Row:
    rng = np.random.default_rng(0)
    samples = rng.uniform(-0.2, 0.2, (2, 600 * RATE_HZ + 77)).astype(np.float32)
    off = {}
    for to in Format:
        with soundfile.SoundFile(_encoded(samples, to, written)) as file:
            off[to] = sum(len(block) for block in file.blocks(1 << 16)) - samples.shape[1]
    return Row(
        "M7 ten minutes in every format, frames too many", ", ".join(f"{to} {n:+d}" for to, n in off.items()), "±1"
    )


def _encoded(samples: Samples, to: Format, folder: Path) -> Path:
    np.save(folder / "samples.npy", samples)
    fill(EncodeOrder(folder / "samples.npy", RATE_HZ, to, Tags(), folder / to.file))
    return folder / to.file


def _reading_of_ffmpeg(file: Path) -> tuple[float, float]:
    readings = file.with_suffix(".txt")
    _ffmpeg(file, f"ebur128=peak=true:metadata=1,ametadata=print:file={readings}")
    lines = [line.partition("=") for line in readings.read_text().splitlines() if "=" in line]
    lufs = [float(value) for name, _, value in lines if name == "lavfi.r128.I"]
    highest = max(float(value) for name, _, value in lines if "true_peaks_ch" in name)
    return lufs[-1], float(20 * np.log10(highest))


def _hearing(songs: Sequence[Song]) -> Iterator[Row]:
    heard = np.zeros(6)
    for song in songs:
        samples = song.samples()
        asked, free = (tempo(samples, RATE_HZ, expected_bpm=bpm).bpm for bpm in (song.bpm, None))
        found = key(samples, RATE_HZ).name
        heard += [
            _near(asked, song.bpm), _octave(asked, song.bpm), _near(free, song.bpm), _octave(free, song.bpm),
            found == song.key, found in _related(song.key),
        ]  # fmt: skip
    share = heard / len(songs)
    yield Row(f"M10 tempo, {len(songs)} songs, the request as prior", f"{share[0]:.0%}, {share[1]:.0%} but for octaves",
              "≥ 75 %, ≥ 95 %")  # fmt: skip
    yield Row("M10 … nothing known beforehand", f"{share[2]:.0%}, {share[3]:.0%} but for octaves")
    yield Row("M11 key", f"{share[4]:.0%}, {share[5]:.0%} with relative and fifth", "≥ 50 %, ≥ 90 %")


def _near(found: float, made: float) -> bool:
    return abs(found / made - 1) < 0.01


def _octave(found: float, made: float) -> bool:
    return any(_near(found * factor, made) for factor in (0.5, 1, 2))


def _related(name: str) -> set[str]:
    tonic, mode = NAMES.index(name.split(maxsplit=1)[0]), name.split()[1]
    relative = f"{NAMES[(tonic + 3) % 12]} major" if mode == "minor" else f"{NAMES[(tonic + 9) % 12]} minor"
    return {name, relative, f"{NAMES[(tonic + 7) % 12]} {mode}", f"{NAMES[(tonic + 5) % 12]} {mode}"}


def _peaks(song: Song) -> Row:
    samples = song.samples()[:, :100_000]
    found, width = peaks(samples, 700), 700
    off = 0
    for stretch in range(found.shape[0]):
        for channel in (0, 1):
            part = samples[channel, stretch * width : (stretch + 1) * width]
            brute = [round(min(map(float, part)) * 32767), round(max(map(float, part)) * 32767)]
            off += brute != found[stretch, channel].tolist()
    return Row("M12 peaks against brute force", f"{off} of {found.shape[0] * 2} stretches differ", "0")
