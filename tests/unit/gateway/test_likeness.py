"""How alike songs sound: against music theory and arithmetic by hand, not against what the code said."""

import math

import numpy as np
import pytest

from harmonia.audio.v1 import audio_pb2
from harmonia_gateway import likeness


def analysis(
    *, bpm: float = 120, key: str = "C major", lufs: float = -14, range_lu: float = 6, peak: float = -1, sure: float = 1
) -> audio_pb2.Analysis:
    return audio_pb2.Analysis(
        tempo=audio_pb2.Analysis.Tempo(measured=bpm, confidence=sure),
        key=audio_pb2.Analysis.Key(measured=key, confidence=sure),
        loudness=audio_pb2.Loudness(integrated_lufs=lufs, range_lu=range_lu, true_peak_dbtp=peak),
        stereo=audio_pb2.StereoReading(correlation=0.5),
    )


def sound(analysed: audio_pb2.Analysis) -> tuple[float, ...]:
    row = likeness.sound_of(analysed)
    assert row is not None
    return row


def near(one: audio_pb2.Analysis, other: audio_pb2.Analysis) -> dict[str, float]:
    here, there = sound(one), sound(other)
    values = likeness.nearness(here, np.array([there]))[0]
    return dict(zip(likeness.FEATURES, (float(value) for value in values), strict=True))


def score(one: audio_pb2.Analysis, other: audio_pb2.Analysis) -> float:
    here, there = sound(one), sound(other)
    others = np.array([there])
    return float(likeness.score(here, others, likeness.nearness(here, others))[0])


@pytest.mark.parametrize(
    ("key", "fifths", "minor"),
    [
        ("C major", 0, 0),
        ("G major", 1, 0),
        ("F major", 11, 0),
        ("F# major", 6, 0),
        ("Bb major", 10, 0),
        ("A minor", 0, 1),
        ("E minor", 1, 1),
        ("Eb minor", 6, 1),
        ("D dorian", 0, 1),
        ("E phrygian", 0, 1),
        ("F lydian", 0, 0),
        ("G mixolydian", 0, 0),
        ("B locrian", 0, 1),
    ],
)
def test_a_key_lies_where_its_signature_says(key: str, fifths: int, minor: int) -> None:
    assert likeness.place_of(key) == (fifths, minor)


def test_half_and_double_time_are_one_tempo() -> None:
    assert near(analysis(bpm=84), analysis(bpm=168))["tempo"] == pytest.approx(1)
    assert near(analysis(bpm=60), analysis(bpm=60 * math.sqrt(2)))["tempo"] == pytest.approx(0)
    assert near(analysis(bpm=100), analysis(bpm=100 * 2**0.25))["tempo"] == pytest.approx(0.5)


def test_neighbours_on_the_circle_of_fifths_are_near_and_the_tritone_is_far() -> None:
    keys = ["C major", "A minor", "G major", "D major", "F# major"]
    nearness = [near(analysis(key="C major"), analysis(key=key))["key"] for key in keys]

    assert nearness[0] == 1
    assert nearness == sorted(nearness, reverse=True)
    assert len(set(nearness)) == len(keys)


def test_a_song_is_wholly_like_itself_and_likeness_is_mutual() -> None:
    one, other = analysis(), analysis(bpm=97, key="E minor", lufs=-10, range_lu=9)

    assert score(one, one) == pytest.approx(1)
    assert score(one, other) == pytest.approx(score(other, one))
    assert score(one, other) < 1


def test_what_was_not_measured_does_not_count() -> None:
    silent = analysis()
    silent.loudness.Clear()
    silent.ClearField("stereo")
    silent.key.measured = ""
    told = near(analysis(), silent)

    assert [name for name, value in told.items() if not math.isnan(value)] == ["tempo"]
    assert score(analysis(), silent) == pytest.approx(1)
    assert likeness.sound_of(audio_pb2.Analysis()) is None


def test_a_reading_that_is_unsure_counts_less() -> None:
    unsure = score(analysis(sure=0.1), analysis(bpm=170, key="F# major", sure=0.1))

    assert unsure > score(analysis(), analysis(bpm=170, key="F# major"))


def test_the_reasons_name_both_values_the_nearest_first() -> None:
    here, there = sound(analysis(bpm=84, lufs=-14)), sound(analysis(bpm=86, lufs=-10))
    values = likeness.nearness(here, np.array([there]))[0]
    told = likeness.likenesses(here, there, values, ("C major", "C major"))

    assert [one.nearness for one in told] == sorted((one.nearness for one in told), reverse=True)
    tempo = next(one for one in told if one.feature == "tempo")
    assert (tempo.here, tempo.there) == ("84 bpm", "86 bpm")
