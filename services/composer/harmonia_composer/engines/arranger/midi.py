"""Score → Standard MIDI File, the same bytes every time: one tempo, markers on bar lines, a track per role. Pure."""

from io import BytesIO

import mido

from harmonia_composer.engines.arranger.instruments import INSTRUMENTS
from harmonia_composer.engines.arranger.metre import PPQ
from harmonia_composer.engines.arranger.score import DRUM_CHANNEL, Part, Score

SLIDE_S, SLIDE_STEPS, OCTAVE = 0.09, 6, 12
VOICE_OOHS = 53

Timed = list[tuple[int, int, mido.Message | mido.MetaMessage]]


def midi_bytes(score: Score) -> bytes:
    song = mido.MidiFile(type=1, ticks_per_beat=PPQ, charset="utf-8")
    song.tracks.append(conductor(score))
    melodic = 0
    for part in score.parts:
        if part.style == "drums":
            channel = DRUM_CHANNEL
        else:
            channel = [number for number in range(16) if number != DRUM_CHANNEL][melodic % 15]
            melodic += part.style != "texture"
        song.tracks.append(track(part, channel, score))
    buffer = BytesIO()
    song.save(file=buffer)
    return buffer.getvalue()


def conductor(score: Score) -> mido.MidiTrack:
    timed: Timed = [
        (0, 0, mido.MetaMessage("track_name", name=score.title or score.genre.name)),
        (0, 1, mido.MetaMessage("set_tempo", tempo=round(60e6 / score.bpm))),
        (0, 2, time_signature(score)),
        (0, 3, mido.MetaMessage("key_signature", key=score.key.signature)),
    ]
    timed += [(section.tick, 4, mido.MetaMessage("marker", text=section.name)) for section in score.sections]
    if not words_with(score):
        timed += lyric_events(score)
    return spaced(timed, score.ticks)


def words_with(score: Score) -> str:
    """The track that has the words: the voice's, else the tune's; empty: neither is there."""
    roles = {part.role for part in score.parts}
    return next((role for role in ("vocals", "lead") if role in roles), "")


def time_signature(score: Score) -> mido.MetaMessage:
    """The click is on what one taps: a quarter is 24 MIDI clocks."""
    metre = score.metre
    return mido.MetaMessage(
        "time_signature", numerator=metre.beats, denominator=metre.unit, clocks_per_click=6 * metre.pulses[0]
    )


def lyric_events(score: Score) -> Timed:
    """A syllable each, as RP-017 of the MIDI Association wants them: joined they are the words, a line ends in CR."""
    last = {one.line: number for number, one in enumerate(score.syllables)}
    timed: Timed = []
    for number, one in enumerate(score.syllables):
        end = "\r" if last[one.line] == number else ""
        timed.append((one.tick, 5, mido.MetaMessage("lyrics", text=one.text + end)))
    printed = set(range(len(score.lines))) - set(last)
    timed += [(score.lines[n].tick, 5, mido.MetaMessage("lyrics", text=score.lines[n].text + "\r")) for n in printed]
    return timed


def track(part: Part, channel: int, score: Score) -> mido.MidiTrack:
    timed: Timed = [
        (0, 0, mido.MetaMessage("track_name", name=part.role)),
        (0, 1, mido.MetaMessage("instrument_name", name=part.instrument)),
    ]
    if part.style != "texture":
        program = VOICE_OOHS if part.style == "vocals" else INSTRUMENTS[part.instrument].program
        timed.append((0, 2, mido.Message("program_change", channel=channel, program=program)))
        timed += note_events(part, channel, score.ticks)
        timed += slides(part, channel, score)
    if part.role == words_with(score):
        timed += lyric_events(score)
    return spaced(timed, score.ticks)


def note_events(part: Part, channel: int, ticks: int) -> Timed:
    """Ends no note after the last beat, and none after the same pitch is struck again."""
    timed: Timed = []
    next_start: dict[int, int] = {}
    for note in reversed(part.notes):
        start = min(note.start, ticks - 1)
        end = min(start + note.length, next_start.get(note.pitch, ticks), ticks)
        if end <= start:
            continue
        next_start[note.pitch] = start
        timed.append((start, 7, mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)))
        timed.append((end, 6, mido.Message("note_off", channel=channel, note=note.pitch, velocity=0)))
    return timed


def slides(part: Part, channel: int, score: Score) -> Timed:
    """A note that is slid into starts with the wheel where it comes from, over an octave either way."""
    slid = [note for note in part.notes if note.slide]
    if not slid:
        return []
    timed: Timed = [(0, 3 + place, message) for place, message in enumerate(wheel_range(channel))]
    for note in slid:
        length = min(note.length // 2, round(SLIDE_S * score.bpm / 60 * PPQ))
        for step in range(SLIDE_STEPS + 1):
            bend = note.slide * (SLIDE_STEPS - step) / SLIDE_STEPS / OCTAVE
            wheel = mido.Message("pitchwheel", channel=channel, pitch=max(-8192, min(8191, round(bend * 8192))))
            timed.append((min(score.ticks, note.start + length * step // SLIDE_STEPS), 6, wheel))
    return timed


def wheel_range(channel: int) -> list[mido.Message]:
    """Registered parameter 0: semitones, then cents."""
    controls = ((101, 0), (100, 0), (6, OCTAVE), (38, 0))
    return [
        mido.Message("control_change", channel=channel, control=control, value=value) for control, value in controls
    ]


def spaced(timed: Timed, end: int) -> mido.MidiTrack:
    """In order of time, ends of notes before starts, with the distances MIDI wants."""
    track = mido.MidiTrack()
    now = 0
    for tick, _, message in sorted(timed, key=lambda entry: (entry[0], entry[1], getattr(entry[2], "note", 0))):
        track.append(message.copy(time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, end - now)))
    return track
