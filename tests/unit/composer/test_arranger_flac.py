"""Our FLAC against two decoders that are not ours: libFLAC (in libsndfile) and FFmpeg's."""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from harmonia_composer.engines.arranger.flac import BLOCK, Flac

Samples = NDArray[np.int32]
DICE = np.random.default_rng(1)
TIME = np.arange(5 * BLOCK + 17) / 48_000


def bits(sound: NDArray[np.float64]) -> Samples:
    """24 of them, in the upper part of int32 [frames, 2]."""
    whole = np.clip(np.round(sound * 2**23), -(2**23), 2**23 - 1).astype(np.int64)
    return (whole * 256).astype(np.int32)


SOUNDS = {
    "noise at full scale": bits(DICE.uniform(-1, 1, (3 * BLOCK + 1, 2))),
    "squares at full scale": bits(np.sign(DICE.uniform(-1, 1, (2 * BLOCK, 2)))),
    "silence": np.zeros((2 * BLOCK + 5, 2), np.int32),
    "an offset": bits(np.full((BLOCK, 2), 0.3)),
    "two tones": bits(0.9 * np.stack([np.sin(2764.6 * TIME), np.sin(2770.9 * TIME)], axis=1)),
    "one side the other's negative": bits(0.5 * np.sin(2764.6 * TIME)[:, None] * [1.0, -1.0]),
    "one click": bits(np.eye(3 * BLOCK, 2, -BLOCK - 9)),
    "200 frames": np.tile(bits(DICE.normal(0, 0.1, (4 * BLOCK, 2))), (50, 1)),
}


def written(path: Path, sound: Samples, size: int) -> Path:
    with Flac(path) as file:
        for at in range(0, sound.shape[0], size):
            file.write(sound[at : at + size])
    return path


EVERY_SOUND = pytest.mark.parametrize("name", SOUNDS)


@EVERY_SOUND
def test_libflac_reads_every_bit_of_it(name: str, tmp_path: Path) -> None:
    sound = SOUNDS[name]
    path = written(tmp_path / "a.flac", sound, 10_000)
    told = soundfile.info(path)

    assert (told.samplerate, told.channels, told.subtype, told.frames) == (48_000, 2, "PCM_24", sound.shape[0])
    assert np.array_equal(soundfile.read(path, dtype="int32")[0], sound)


@pytest.mark.skipif(
    shutil.which("ffmpeg") is None and not os.environ.get("CI"), reason="ffmpeg is not installed: no second opinion"
)
@EVERY_SOUND
def test_ffmpeg_reads_every_bit_of_it_and_finds_its_checksums_right(name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", SOUNDS[name], 10_000)
    command = ["ffmpeg", "-v", "error", "-err_detect", "crccheck+explode", "-i", str(path), "-f", "s32le", "-"]
    decoded = subprocess.run(command, capture_output=True, check=True, timeout=30)

    assert decoded.stdout == SOUNDS[name].astype("<i4").tobytes()
    assert not decoded.stderr


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, BLOCK - 1, BLOCK + 1])
def test_short_ones_are_whole(frames: int, tmp_path: Path) -> None:
    sound = SOUNDS["noise at full scale"][:frames]

    assert np.array_equal(soundfile.read(written(tmp_path / "a.flac", sound, 7), dtype="int32")[0], sound)


def test_how_it_was_handed_over_leaves_no_trace(tmp_path: Path) -> None:
    sound = SOUNDS["two tones"]

    assert written(tmp_path / "a", sound, 999).read_bytes() == written(tmp_path / "b", sound, 50_000).read_bytes()


def test_it_is_no_larger_than_libflacs_quickest(tmp_path: Path) -> None:
    sound = bits(np.cumsum(DICE.normal(0, 1e-3, (20 * BLOCK, 2)), axis=0) * 0.1)
    soundfile.write(tmp_path / "b.flac", sound, 48_000, subtype="PCM_24", compression_level=0.0)
    own = written(tmp_path / "a.flac", sound, BLOCK)

    assert own.stat().st_size <= 1.01 * (tmp_path / "b.flac").stat().st_size


def test_three_minutes_need_longer_numbers(tmp_path: Path) -> None:
    """From frame 2048 on a number takes three bytes."""
    last = SOUNDS["noise at full scale"][:BLOCK]
    with Flac(tmp_path / "a.flac") as file:
        for _ in range(2050):
            file.write(np.zeros((BLOCK, 2), np.int32))
        file.write(last)
    with soundfile.SoundFile(tmp_path / "a.flac") as file:
        file.seek(2050 * BLOCK)

        assert np.array_equal(file.read(dtype="int32"), last)


def test_a_seek_lands_where_it_should(tmp_path: Path) -> None:
    sound = SOUNDS["200 frames"]
    with soundfile.SoundFile(written(tmp_path / "a.flac", sound, 30_000)) as file:
        file.seek(600_001)

        assert np.array_equal(file.read(1000, dtype="int32"), sound[600_001:601_001])
