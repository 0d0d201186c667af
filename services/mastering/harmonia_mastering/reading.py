"""All that is heard in a recording: for people who sent one. Pure, and slow: call it in a thread."""

from dataclasses import dataclass

from harmonia_mastering.decode import Recording
from harmonia_mastering.key import Key, key
from harmonia_mastering.loudness import Loudness, measure
from harmonia_mastering.picture import picture_png
from harmonia_mastering.sections import Section, sections
from harmonia_mastering.stereo import Stereo, stereo
from harmonia_mastering.tempo import Tempo, tempo


@dataclass(frozen=True, slots=True)
class Reading:
    rate_hz: int
    channels: int
    length: int
    loudness: Loudness
    tempo: Tempo
    key: Key
    sections: list[Section]
    stereo: Stereo | None


def read(recording: Recording) -> Reading:
    samples, rate_hz = recording.samples, recording.rate_hz
    return Reading(
        rate_hz=rate_hz,
        channels=samples.shape[0],
        length=samples.shape[1],
        loudness=measure(samples, rate_hz),
        tempo=tempo(samples, rate_hz),
        key=key(samples, rate_hz),
        sections=sections(samples, rate_hz),
        stereo=stereo(samples),
    )


def drawn(recording: Recording, reading: Reading) -> bytes:
    """A PNG."""
    return picture_png(recording.samples, recording.rate_hz, reading.loudness, reading.sections)
