"""M1 to M12 but for the speeds (`mastering`) and for what is heard (`hearing`), with songs of the arranger.

M2 has three witnesses: libebur128 as it is; libebur128 brought to the ten readings a second that EBU Tech 3342 asks
for, by ten of its meters that begin 0.1 s apart and one range over all; and ffmpeg's meter. The true peak has a fourth,
the spectrum around the largest samples interpolated 16×.
"""

import asyncio
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyebur128
import soundfile

from bench.made import RATE_HZ, Song, ffmpeg, libebur128, made
from bench.table import Row
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_mastering import loudness
from harmonia_mastering.decode import Recording, read_own
from harmonia_mastering.encode import LOSSY, Format, fill
from harmonia_mastering.encode import Order as EncodeOrder
from harmonia_mastering.master import PRESETS, Preset, Target, master
from harmonia_mastering.peaks import peaks
from harmonia_mastering.tags import Tags
from harmonia_mastering.take import LOSSY_TRIES, Correction, correction
from harmonia_mastering.true_peak import Samples, true_peak
from tests.ebu import RATES_HZ, exact_true_peak, table

SONGS = 20
WRITTEN = 8


async def rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="harmonia-bench-") as folder:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        return await asyncio.to_thread(lambda: list(_rows(Path(folder))))


def _rows(folder: Path) -> Iterator[Row]:
    genres = sorted(GENRES)
    songs = [made(folder, genres[n % len(genres)], n) for n in range(SONGS)]
    yield from _standards()
    yield from _against_others(songs, folder)
    yield from _files(songs[:WRITTEN], folder)
    yield _peaks(songs[0])


def _standards() -> Iterator[Row]:
    for rate_hz in RATES_HZ:
        cases = list(table(rate_hz))
        worst = max(abs(case.measured - (case.low + case.high) / 2) for case in cases if "±0.1" in case.expected)
        told = f"{sum(case.met for case in cases)} of {len(cases)} cases; loudness off by {worst:.3f} LU at most"
        yield Row(f"M1 EBU Tech 3341 and 3342 at {rate_hz / 1000:g} kHz", told, "all; ±0.1 LU")


def _against_others(songs: Sequence[Song], folder: Path) -> Iterator[Row]:
    integrated, ranges, tops = [], [], []
    for song in songs:
        samples = song.samples()
        ours = loudness.measure(samples, RATE_HZ)
        assert ours.integrated_lufs
        assert ours.range_lu is not None
        assert ours.true_peak_dbtp
        lufs, lra, dbtp = libebur128(np.ascontiguousarray(samples.T.ravel()))
        wav = folder / "one.wav"
        soundfile.write(wav, samples.T, RATE_HZ, subtype="FLOAT")
        read = _reading_of_ffmpeg(wav)
        limit = loudness.range_lu(samples, RATE_HZ, hops=1) or 0.0
        integrated.append(ours.integrated_lufs - lufs)
        ranges.append(
            [ours.range_lu - other for other in (_ten_a_second(samples), read.lra, lra, limit)] + [lra - limit]
        )
        exact = 20 * np.log10(exact_true_peak(samples))
        tops.append(
            [ours.true_peak_dbtp - dbtp, ours.true_peak_dbtp - read.dbtp, ours.true_peak_dbtp - exact, dbtp - exact]
        )
    yield Row(f"M2 {len(songs)} songs: I, we and libebur128", f"≤ {np.abs(integrated).max():.4f} LU", "≤ 0.02 LU")
    ten, other, one, ours_off, theirs_off = np.abs(ranges).max(axis=0)
    yield Row("M2 … LRA, we and libebur128 with ten readings a second", f"≤ {ten:.4f} LU", "≤ 0.2 LU")
    yield Row("M2 … LRA, we and ffmpeg", f"≤ {other:.2f} LU", "≤ 0.2 LU")
    told = f"≤ {one:.2f} LU; off a hundred readings a second: we {ours_off:.2f}, libebur128 {theirs_off:.2f} LU"
    yield Row("M2 … LRA, we and libebur128 as it is, one reading a second", told)
    told = "≤ {:.2f} dB, and ffmpeg {:.2f} dB; off the exact peak: we {:.2f}, libebur128 {:.2f} dB"
    yield Row("M2 … true peak, we and libebur128", told.format(*np.abs(tops).max(axis=0)), "≤ 0.1 dB")


def _ten_a_second(samples: Samples) -> float:
    """The range by libebur128 of all windows of 3 s that begin 0.1 s apart."""
    states = []
    for tenth in range(10):
        later = np.ascontiguousarray(samples[:, tenth * RATE_HZ // 10 :].T.ravel())
        states.append(pyebur128.R128State(2, RATE_HZ, pyebur128.MeasurementMode.MODE_LRA))
        states[-1].add_frames(later, later.size // 2)
    return float(pyebur128.get_loudness_range_multiple(states))


def _files(songs: Sequence[Song], folder: Path) -> Iterator[Row]:
    written = folder / "files"
    written.mkdir()
    for lufs in (-14.0, -16.0, -23.0):
        off, over = [0.0], [-99.0]
        for song in songs:
            mastered = master(song.samples(), RATE_HZ, Target(lufs, -1.0, 0.5))
            file = _encoded(mastered.samples, Format.FLAC, written)
            read = _reading_of_ffmpeg(file)
            if mastered.reached:
                off.append(abs(read.lufs - lufs))
            over.append(read.dbtp + 1.0)
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


@dataclass(frozen=True, slots=True)
class _Reading:
    lufs: float
    lra: float
    dbtp: float


def _reading_of_ffmpeg(file: Path) -> _Reading:
    readings = file.with_suffix(".txt")
    ffmpeg(file, f"ebur128=peak=true:metadata=1,ametadata=print:file={readings}")
    last = dict(re.findall(r"lavfi\.r128\.(\w+)=(\S+)", readings.read_text()))
    highest = max(float(value) for name, value in last.items() if name.startswith("true_peaks_ch"))
    return _Reading(float(last["I"]), float(last["LRA"]), float(20 * np.log10(highest)))


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
