"""Peaks, cover, and the decoder of uploads against brute force and hostile bytes."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_mastering import decode as decoding
from harmonia_mastering.cover import cover_png
from harmonia_mastering.decode import decode
from harmonia_mastering.peaks import waveform_json
from harmonia_mastering.tags import Tags, id3, with_vorbis_comment
from harmonia_mastering.true_peak import Samples

RATE_HZ = 48_000


def noise(seconds: float = 2.0, *, channels: int = 2, seed: int = 0) -> Samples:
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.9, 0.9, (channels, round(seconds * RATE_HZ))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.005, 1.0, 3.3333])
def test_peaks_are_those_of_brute_force(seconds: float) -> None:
    samples = noise(seconds)
    waveform = json.loads(waveform_json(samples, RATE_HZ))

    width, length = waveform["samples_per_pixel"], samples.shape[1]
    expected = []
    for start in range(0, length, width):
        for channel in (0, 1):
            stretch = [float(value) for value in samples[channel, start : start + width]]
            expected += [round(min(stretch) * 32767), round(max(stretch) * 32767)]
    assert waveform["data"] == expected
    assert waveform["length"] == -(-length // width) <= 2000
    assert (waveform["version"], waveform["bits"], waveform["sample_rate"]) == (2, 16, RATE_HZ)


def test_peaks_of_nothing_are_none() -> None:
    assert json.loads(waveform_json(np.zeros((1, 0), dtype=np.float32), RATE_HZ))["data"] == []


def test_a_cover_is_the_same_for_the_same_song_and_another_for_another() -> None:
    samples = noise(3)
    cover = cover_png(samples, title="Rain", genre="folk", seed=1)

    assert cover == cover_png(samples, title="Rain", genre="folk", seed=1)
    assert cover != cover_png(samples, title="Rain", genre="folk", seed=2)
    assert cover != cover_png(samples, title="雨", genre="folk", seed=1)
    assert Image.open(BytesIO(cover)).size == (1024, 1024)


@pytest.mark.parametrize("seconds", [0.0, 0.005])
def test_a_cover_needs_no_sound(seconds: float) -> None:
    assert Image.open(BytesIO(cover_png(noise(seconds), title="", genre="", seed=0))).size == (1024, 1024)


def test_tags_of_nothing_are_nothing() -> None:
    assert id3(Tags()) == b""


def test_zeros_in_a_title_do_not_cut_it() -> None:
    assert b"cutoff" in id3(Tags(title="cut\0off"))


def test_comments_are_put_into_flac_files_only() -> None:
    with pytest.raises(ValueError, match="not a FLAC"):
        with_vorbis_comment(b"RIFF", Tags(title="x"))


def written(path: Path, samples: Samples, *, rate_hz: int = RATE_HZ, **how: str) -> Path:
    soundfile.write(path, samples.T, rate_hz, **how)
    return path


@pytest.mark.parametrize("form", ["WAV", "AIFF", "FLAC", "OGG", "MP3"])
async def test_uploads_of_every_common_format_are_decoded(form: str, tmp_path: Path) -> None:
    samples = noise()
    recording = await decode(written(tmp_path / "upload", samples, format=form))

    assert recording.rate_hz == RATE_HZ
    assert recording.samples.shape == samples.shape
    assert list(tmp_path.iterdir()) == [tmp_path / "upload"]


async def test_garbage_and_truncated_files_are_answered_not_crashed_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    whole = {form: written(tmp_path / "whole", noise(1), format=form).read_bytes() for form in ("WAV", "FLAC", "MP3")}
    hostile = [b"", b"RIFF", b"ID3\x04" + bytes(40), rng.bytes(50_000)]
    for body in whole.values():
        hostile += [body[: len(body) // 3], bytes(b ^ (rng.random() < 0.02) * 255 for b in body[:30_000])]
    reasons = []
    for body in hostile:
        (tmp_path / "upload").write_bytes(body)
        try:
            recording = await decode(tmp_path / "upload")
        except InvalidInput as error:
            reasons.append(error.reason)
        else:
            assert np.isfinite(recording.samples).all()

    assert len(reasons) >= 4
    assert set(reasons) <= {Reason.AUDIO_UNREADABLE, Reason.NOT_SUPPORTED, Reason.TOO_LARGE}


async def test_samples_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    samples = noise(0.1)
    samples[1, 100] = np.nan

    with pytest.raises(InvalidInput, match="not finite"):
        await decode(written(tmp_path / "nan.wav", samples, format="WAV", subtype="FLOAT"))


async def test_more_than_20_minutes_are_refused(tmp_path: Path) -> None:
    silence = np.zeros((1, 8_000 * 1_201), dtype=np.float32)

    with pytest.raises(InvalidInput, match="longer than 20 minutes") as refused:
        await decode(written(tmp_path / "long.flac", silence, rate_hz=8_000))
    assert refused.value.reason == Reason.TOO_LARGE


async def test_more_than_200_mib_are_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.wav").open("wb") as file:
        file.truncate(decoding.MAX_BYTES + 1)

    with pytest.raises(InvalidInput, match="more than 200 MiB") as refused:
        await decode(tmp_path / "huge.wav")
    assert refused.value.reason == Reason.TOO_LARGE


async def test_layouts_that_mastering_does_not_take_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="9 channels"):
        await decode(written(tmp_path / "many.wav", noise(0.1, channels=9)))
    with pytest.raises(InvalidInput, match="4000 Hz"):
        await decode(written(tmp_path / "slow.wav", noise(0.1), rate_hz=4_000))
