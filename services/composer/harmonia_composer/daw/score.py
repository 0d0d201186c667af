"""What a song.mid says: tempo, metre, markers, and the notes of each part."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import mido

from harmonia_composer.daw.session import Marker, Note


@dataclass(slots=True)
class Score:
    """As MIDI has it when it says nothing: 120 bpm, 4/4."""

    bpm: float = 120.0
    beats: int = 4
    unit: int = 4
    markers: list[Marker] = field(default_factory=list)
    notes: dict[str, list[Note]] = field(default_factory=lambda: defaultdict(list))


def read_score(path: Path) -> Score:
    file, score = mido.MidiFile(path), Score()
    for track in file.tracks:
        _read(track, file.ticks_per_beat, score)
    return score


def _read(track: mido.MidiTrack, ppq: int, score: Score) -> None:
    name, sounding = "", defaultdict[tuple[int, int], list[tuple[int, int]]](list)
    for tick, message in _timed(track):
        if message.type == "track_name":
            name = message.name
        elif message.type == "set_tempo":
            score.bpm = 60e6 / message.tempo
        elif message.type == "time_signature":
            score.beats, score.unit = message.numerator, message.denominator
        elif message.type == "marker":
            score.markers.append(Marker(message.text, tick / ppq))
        elif message.type == "note_on" and message.velocity:
            sounding[message.channel, message.note].append((tick, message.velocity))
        elif message.type in ("note_on", "note_off") and sounding[message.channel, message.note]:
            start, velocity = sounding[message.channel, message.note].pop(0)
            note = Note(start / ppq, (tick - start) / ppq, message.channel, message.note, velocity)
            score.notes[name].append(note)


def _timed(track: mido.MidiTrack) -> Iterator[tuple[int, mido.Message]]:
    tick = 0
    for message in track:
        tick += message.time
        yield tick, message
