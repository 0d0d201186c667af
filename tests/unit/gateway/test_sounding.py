"""What of a song is heard at each moment, how loud, and how previews hand over to the master."""

import numpy as np
import pytest
from google.protobuf import json_format

from harmonia.composer.v1 import composer_pb2
from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia_gateway import level
from harmonia_gateway.sounding import longest, piece_at

Preview = composer_pb2.ComposeEvent.Preview
PREVIEW, MASTER = song_pb2.AudioChunk.PREVIEW, song_pb2.AudioChunk.MASTER


def preview(start_seconds: float, duration_seconds: float) -> Preview:
    made = Preview(start_seconds=start_seconds, duration_seconds=duration_seconds)
    made.ref.sha256 = f"{start_seconds:g}"
    return made


def job(*, composed: bool = False, mastered: bool = False) -> job_pb2.Job:
    record: dict[str, object] = {"resolved": {"duration_seconds": 10}, "stages": [{"name": "write"}]}
    takes = [{"premaster": {"sha256": f"mix{n}"}, "duration_seconds": 10} for n in (1, 2)]
    files = [{"file": f"master.{ending}", "ref": {"sha256": ending}} for ending in ("mp3", "wav", "flac")]
    made = {"compose": {"takes": takes if composed else []}}
    heard = {"master": {"takes": [{"take": 1, "files": files}] if mastered else []}}
    record["stages"] = [{"name": "compose", "result": made}, {"name": "master", "result": heard}]
    return json_format.ParseDict(record, job_pb2.Job())


STRETCHES = [preview(0, 2.5), preview(2.5, 1.1)]


@pytest.mark.parametrize(
    ("frame", "sha256", "start"),
    [(0, "0", 0), (119_999, "0", 0), (120_000, "2.5", 120_000), (172_799, "2.5", 120_000)],
)
def test_each_frame_is_in_one_preview(frame, sha256, start):
    piece = piece_at(frame, job(), STRETCHES, 1)

    assert piece is not None
    assert (piece.ref.sha256, piece.start, piece.source) == (sha256, start, PREVIEW)


def test_behind_the_last_preview_there_is_nothing_yet():
    assert piece_at(172_800, job(), STRETCHES, 1) is None


def test_the_mix_takes_the_place_of_previews_and_the_master_that_of_the_mix():
    mix, master = (piece_at(7, job(composed=True, mastered=done), STRETCHES, 1) for done in (False, True))

    assert mix is not None
    assert master is not None
    assert (mix.ref.sha256, mix.start, mix.length) == ("mix1", 0, 480_000)
    assert (master.ref.sha256, master.source) == ("flac", MASTER)


def test_another_take_has_no_previews():
    assert piece_at(0, job(), STRETCHES, 2) is None
    second = piece_at(0, job(composed=True), STRETCHES, 2)

    assert second is not None
    assert second.ref.sha256 == "mix2"


def test_a_song_is_as_long_as_it_was_composed():
    assert longest(job(composed=True), 1) == 10
    assert longest(job_pb2.Job(), 1) is None


def test_a_preview_is_lifted_to_about_the_target_of_mastering():
    assert level.preview_gain_db(spec_pb2.Mastering(target_lufs=-14)) == pytest.approx(6, abs=0.2)
    assert level.preview_gain_db(spec_pb2.Mastering(target_lufs=-23)) == pytest.approx(-3, abs=0.2)
    assert level.preview_gain_db(spec_pb2.Mastering(preset=spec_pb2.Mastering.NONE)) == 0


def test_what_is_lifted_never_reaches_full_scale_and_is_untouched_where_it_is_soft():
    ramp = np.linspace(-0.95, 0.95, 1001, dtype=np.float32)[:, None].repeat(2, axis=1)
    loud = level.lifted(ramp, 6.0206)
    soft = np.abs(ramp) < 0.34

    assert np.abs(loud).max() < 1
    assert (np.diff(loud[:, 0]) > 0).all()
    assert loud[soft] == pytest.approx(2 * ramp[soft], rel=1e-4)


def test_16_bits_are_rounded_and_clipped():
    samples = np.array([[0.0, 1.0], [-1.0, 0.5 / 32768], [1.6 / 32768, -2.4 / 32768]], dtype=np.float32)

    assert np.frombuffer(level.pcm(samples), "<i2").tolist() == [0, 32767, -32768, 0, 2, -2]


def test_the_master_begins_as_loud_as_the_preview_ended_and_is_itself_after_two_seconds():
    tone = np.full((480_000, 2), 0.25, dtype=np.float32)
    ramp = level.Ramp(48_000, level.step_db(tone[:100] * np.float32(1.2), tone[:100]))
    heard = np.concatenate([ramp.over(tone[at : at + 12_000], at) for at in range(48_000, 192_000, 12_000)])

    assert ramp.step_db == pytest.approx(20 * np.log10(1.2), abs=1e-3)
    assert heard[0, 0] == pytest.approx(0.3, abs=1e-4)
    assert np.abs(np.diff(heard[:, 0])).max() < 1e-6
    assert (heard[96_000:] == tone[:48_000]).all()


def test_silence_is_no_reason_to_turn_anything_up():
    tone, silence = np.full((100, 2), 0.25, dtype=np.float32), np.zeros((100, 2), dtype=np.float32)

    assert level.step_db(tone, silence) == level.step_db(silence, tone) == 0
    assert level.step_db(tone, tone * np.float32(1e-3)) == 12
