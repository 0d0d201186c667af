"""What the arranger writes, measured on the MIDI it writes: C3–C7 and C9 of the design's sound page."""

from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from itertools import pairwise
from statistics import mean, pstdev

import mido
import pytest

from harmonia_composer.engine import Brief, Unplayable
from harmonia_composer.engines.arranger.arrange import arrange as arranged
from harmonia_composer.engines.arranger.dice import take_seed
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_composer.engines.arranger.instruments import INSTRUMENTS
from harmonia_composer.engines.arranger.metre import PPQ, STEP
from harmonia_composer.engines.arranger.midi import midi_bytes
from harmonia_composer.engines.arranger.moods import MOODS
from harmonia_composer.engines.arranger.score import Score

SEEDS = range(1, 4)
FILES: dict[int, bytes] = {}
EVERY_GENRE = pytest.mark.parametrize("genre", sorted(GENRES))
LENGTHS = [
    (bpm, duration, genre)
    for number, genre in enumerate(sorted(GENRES))
    for bpm, duration in [
        [(40.0, 5.0), (40.0, 600.0), (84.0, 60.0), (127.3, 33.3), (240.0, 5.0), (240.0, 60.0)][number % 6]
    ]
]
NEEDS_SAMENESS = {name for name, genre in GENRES.items() if genre.same_bars}
# Krumhansl and Kessler 1982, as printed in Krumhansl, Cognitive Foundations of Musical Pitch (1990), p. 30.
MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@cache
def arrange(brief: Brief, seed: int) -> Score:
    return arranged(brief, seed)


@dataclass(frozen=True)
class Heard:
    """A note as a sequencer reads it from the file."""

    track: str
    channel: int
    start: int
    end: int
    pitch: int
    velocity: int


@cache
def heard(content: bytes) -> tuple[mido.MidiFile, list[Heard]]:
    song = mido.MidiFile(file=BytesIO(content), charset="utf-8")
    notes = []
    for track in song.tracks:
        now, name, sounding = 0, "", {}
        for message in track:
            now += message.time
            if message.type == "track_name":
                name = message.name
            if message.type == "note_on":
                sounding[message.note] = (now, message.velocity, message.channel)
            if message.type == "note_off":
                start, velocity, channel = sounding.pop(message.note)
                notes.append(Heard(name, channel, start, now, message.note, velocity))
        assert not sounding
    return song, notes


def markers(song: mido.MidiFile) -> list[tuple[int, str]]:
    now, found = 0, []
    for message in song.tracks[0]:
        now += message.time
        if message.type == "marker":
            found.append((now, message.text))
    return found


def pearson(one: list[float], other: list[float]) -> float:
    a, b = mean(one), mean(other)
    over = sum((x - a) * (y - b) for x, y in zip(one, other, strict=True))
    return float(over / (sum((x - a) ** 2 for x in one) * sum((y - b) ** 2 for y in other)) ** 0.5)


def key_found(notes: list[Heard]) -> tuple[int, str]:
    """Krumhansl-Schmuckler: the key whose profile fits best how long each pitch class sounds."""
    weights = [0.0] * 12
    for note in notes:
        if note.channel != 9:
            weights[note.pitch % 12] += note.end - note.start
    fits = {
        (tonic, mode): pearson([weights[(tonic + step) % 12] for step in range(12)], list(profile))
        for tonic in range(12)
        for mode, profile in (("major", MAJOR), ("minor", MINOR))
    }
    return max(fits, key=lambda key: fits[key])


def in_bar(notes: list[Heard], bar: int, length: int) -> list[Heard]:
    return [note for note in notes if (note.start + STEP // 2) // length == bar]


def part(score: Score, role: str) -> list[Heard]:
    return [note for note in heard(filed(score))[1] if note.track == role]


def filed(score: Score) -> bytes:
    """Each score is written once; all are kept by `arrange`, so that none takes another's place."""
    if id(score) not in FILES:
        FILES[id(score)] = midi_bytes(score)
    return FILES[id(score)]


@pytest.mark.parametrize(("bpm", "duration", "genre"), LENGTHS)
def test_midi_has_one_tempo_and_ends_within_the_time_asked_for(bpm: float, duration: float, genre: str) -> None:
    song, notes = heard(filed(arrange(Brief(genre=genre, bpm=bpm, duration_seconds=duration), 3)))
    tempos = [message.tempo for track in song.tracks for message in track if message.type == "set_tempo"]
    last_beat = max(note.end for note in notes) / PPQ

    assert tempos == [round(60e6 / bpm)]
    assert last_beat * 60 / bpm <= duration
    assert last_beat * 60 / bpm >= min(0.9 * duration, duration - 2.5) - 60 / bpm


@pytest.mark.parametrize(("bpm", "duration", "genre"), LENGTHS)
def test_sections_follow_each_other_on_bar_lines(bpm: float, duration: float, genre: str) -> None:
    score = arrange(Brief(genre=genre, bpm=bpm, duration_seconds=duration), 5)
    found = markers(heard(filed(score))[0])

    assert found[0][0] == 0
    assert all(tick % score.metre.ticks == 0 for tick, _ in found)
    assert [tick for tick, _ in found] == [section.tick for section in score.sections]
    assert all(before.bar + before.bars == after.bar for before, after in pairwise(score.sections))
    assert score.sections[-1].end - score.ticks < score.metre.ticks


def test_a_minute_has_a_beginning_a_middle_and_an_end() -> None:
    for genre in GENRES:
        names = [section.name for section in arrange(Brief(genre=genre), 1).sections]

        assert len(set(names)) >= 3
        assert "chorus" in {section.character for section in arrange(Brief(genre=genre), 1).sections}


@EVERY_GENRE
def test_drums_are_on_channel_ten_and_nothing_else_is(genre: str) -> None:
    _, notes = heard(filed(arrange(Brief(genre=genre), 1)))

    assert {note.track for note in notes if note.channel == 9} <= {"drums"}


@EVERY_GENRE
@pytest.mark.parametrize("key", ["F# major", "E phrygian", "C locrian"])
def test_notes_are_in_the_scale_or_in_the_chord(genre: str, key: str) -> None:
    score = arrange(Brief(genre=genre, key=key), 2)
    pitched = [note for note in heard(filed(score))[1] if note.channel != 9]
    outside = [
        note
        for note in pitched
        if note.pitch % 12 not in score.key.pitch_classes and note.pitch % 12 not in chord_at(score, note.start)
    ]

    assert len(outside) <= 0.05 * len(pitched)


def chord_at(score: Score, tick: int) -> tuple[int, ...]:
    spans = [span for span in score.chords if span.tick <= tick + STEP // 2]
    return spans[-1].chord.tones


@EVERY_GENRE
def test_the_tune_stands_on_chord_tones_on_strong_beats(genre: str) -> None:
    strong, on_chord = 0, 0
    for seed in SEEDS:
        score = arrange(Brief(genre=genre), seed)
        for note in part(score, "lead"):
            place = (note.start + STEP // 2) % score.metre.ticks // STEP
            if place in score.metre.strong:
                strong += 1
                on_chord += note.pitch % 12 in chord_at(score, note.start)

    assert on_chord >= 0.9 * strong > 0


@EVERY_GENRE
def test_the_tune_stays_in_a_voice_and_leaps_no_further_than_an_octave(genre: str) -> None:
    for seed in SEEDS:
        score = arrange(Brief(genre=genre), seed)
        tune = part(score, "lead")
        pitches = [note.pitch for note in tune]

        assert max(pitches) - min(pitches) <= 19
        assert max(abs(before - after) for before, after in pairwise(pitches)) <= 12
        for section in score.sections:
            bars = [in_bar(tune, bar, score.metre.ticks) for bar in range(section.bar, section.bar + section.bars)]
            fours = [[note.pitch for bar in bars[at : at + 4] for note in bar] for at in range(0, len(bars), 4)]
            registers = [mean(pitches) for pitches in fours if len(pitches) >= 3]
            assert not registers or max(registers) - min(registers) <= 5


@EVERY_GENRE
def test_a_motif_of_two_bars_returns(genre: str) -> None:
    for seed in SEEDS:
        score = arrange(Brief(genre=genre), seed)
        tune, length = part(score, "lead"), score.metre.ticks
        rhythms = [
            tuple((note.start + STEP // 2) % length // STEP for note in in_bar(tune, bar, length))
            for bar in range(score.ticks // length)
        ]
        starts = [bar for one in score.sections for bar in range(one.bar, one.bar + one.bars - 1, 2)]
        pairs = [(rhythms[bar], rhythms[bar + 1]) for bar in starts if bar + 1 < len(rhythms) and rhythms[bar]]

        assert max(pairs.count(pair) for pair in pairs) >= min(3, len(pairs) // 4)


def sounding(notes: list[Heard], tick: int) -> list[int]:
    return sorted({note.pitch for note in notes if note.start <= tick < note.end})


@EVERY_GENRE
def test_voices_of_chords_move_little(genre: str) -> None:
    score = arrange(Brief(genre=genre, duration_seconds=120), 4)
    plans = {plan.role for plan in GENRES[genre].parts if plan.style == "pad"} or {"chords"}
    motions: list[int] = []
    for role in plans:
        played = part(score, role)
        length = score.metre.ticks
        hands = [sounding(played, bar * length + 2 * STEP) for bar in range(score.ticks // length)]
        for before, after in pairwise(hands):
            if len(before) == len(after) >= 3:
                motions += [abs(one - other) for one, other in zip(before, after, strict=True)]

    assert not motions or mean(motions) <= 2.5


@EVERY_GENRE
def test_the_bass_has_the_root_on_downbeats(genre: str) -> None:
    for seed in SEEDS:
        score = arrange(Brief(genre=genre), seed)
        downbeats = [note for note in part(score, "bass") if (note.start + STEP // 2) % score.metre.ticks < STEP]
        roots = [note for note in downbeats if note.pitch % 12 == chord_at(score, note.start)[0]]

        assert len(roots) >= 0.8 * len(downbeats) > 0


@EVERY_GENRE
def test_players_are_a_little_late_or_early_and_never_equally_loud(genre: str) -> None:
    bpm = 100.0
    score = arrange(Brief(genre=genre, bpm=bpm), 6)
    notes = heard(filed(score))[1]
    # Whole beats: swing leaves them where they are. Kicks, where there are any: nobody strums, rolls or drags them.
    drummed = [note for note in notes if note.channel == 9 and note.pitch == 36] or notes
    away = [offset(note) for note in drummed if abs(offset(note)) < STEP // 2 and note.start]
    spread_ms = pstdev(away) / PPQ * 60_000 / bpm
    kicks = [note.velocity for note in notes if note.track == "drums" and note.pitch == 36]

    assert 4.0 <= spread_ms <= 15.0
    assert not kicks or pstdev(kicks) >= 3.0


def offset(note: Heard) -> int:
    return (note.start + 2 * STEP) % (4 * STEP) - 2 * STEP


@EVERY_GENRE
def test_touch_varies_by_three_to_twelve_at_the_same_place_of_the_bar(genre: str) -> None:
    score = arrange(Brief(genre=genre, duration_seconds=240), 6)
    groups: dict[tuple[int, int, int], list[int]] = {}
    for note in (note for part in score.parts if part.role == "drums" for note in part.notes):
        groups.setdefault((note.pitch, note.tick % score.metre.ticks, score.section_at(note.tick).bar), []).append(
            note.velocity
        )
    spreads = [pstdev(group) for group in groups.values() if len(group) >= 8]

    assert not spreads or 3.0 <= mean(spreads) <= 12.0


@pytest.mark.parametrize("genre", sorted(set(GENRES) - NEEDS_SAMENESS))
def test_no_drum_bar_is_the_one_before(genre: str) -> None:
    for seed in SEEDS:
        score = arrange(Brief(genre=genre, duration_seconds=120), seed)
        for drums in (part.notes for part in score.parts if part.role == "drums"):
            length = score.metre.ticks
            bars = [
                {(n.tick % length, n.pitch) for n in drums if n.tick // length == bar}
                for bar in range(score.ticks // length)
            ]

            assert all(before != after for before, after in pairwise(bars) if before and after)


def test_the_key_can_be_heard_in_a_hundred_songs() -> None:
    """C9, over all genres."""
    right, inside, total = 0, 0, 0
    names = sorted(GENRES)
    for seed in range(100, 200):
        score = arrange(Brief(genre=names[seed % len(names)]), seed)
        notes = [note for note in heard(filed(score))[1] if note.channel != 9]
        right += key_found(notes) == (score.key.tonic, "minor" if score.key.is_minor else "major")
        inside += sum(note.pitch % 12 in score.key.pitch_classes for note in notes)
        total += len(notes)

    assert right >= 85
    assert inside >= 0.95 * total


def test_songs_of_different_seeds_differ_and_of_the_same_seed_do_not() -> None:
    songs = [midi_bytes(arrange(Brief(genre="folk"), seed)) for seed in (1, 2, 3, 4, 1)]

    assert len(set(songs)) == 4
    assert songs[0] == songs[4]


def test_the_first_take_is_the_song_itself_and_the_others_are_not() -> None:
    seeds = [take_seed(7, take) for take in range(1, 9)]

    assert seeds[0] == 7
    assert len(set(seeds)) == 8


def test_a_complex_song_has_more_notes_than_a_simple_one() -> None:
    for genre in sorted(GENRES)[::3]:
        few, many = (
            sum(len(part.notes) for part in arrange(Brief(genre=genre, key="A minor", complexity=c), 1).parts)
            for c in (0.0, 1.0)
        )

        assert many > 1.05 * few


@pytest.mark.parametrize("mood", sorted(MOODS))
def test_every_mood_changes_the_score(mood: str) -> None:
    plain = arrange(Brief(genre="lo-fi hip-hop"), 1)
    moody = arrange(Brief(genre="lo-fi hip-hop", moods=(mood,)), 1)

    assert replace(plain, title="") != replace(moody, title="")


def test_dark_songs_are_in_minor_and_happy_ones_in_major() -> None:
    dark = [arrange(Brief(genre="folk", moods=("dark",)), seed).key.is_minor for seed in SEEDS]
    happy = [arrange(Brief(genre="lo-fi hip-hop", moods=("happy",)), seed).key.is_minor for seed in SEEDS]

    assert all(dark)
    assert not any(happy)


@pytest.mark.parametrize("instrument", sorted(INSTRUMENTS))
def test_every_instrument_asked_for_plays(instrument: str) -> None:
    number = sorted(INSTRUMENTS).index(instrument)
    for genre in sorted(GENRES)[number % 7 :: 7]:
        parts = arrange(Brief(genre=genre, instruments=(instrument,)), 1).parts

        assert any(part.notes for part in parts if part.instrument == instrument)


def test_sixteen_instruments_all_play() -> None:
    wanted = tuple(sorted(INSTRUMENTS))[:16]
    parts = arrange(Brief(genre="folk", instruments=wanted), 1).parts

    assert set(wanted) <= {part.instrument for part in parts}
    assert len({part.role for part in parts}) == len(parts)


def test_excluded_instruments_do_not_play() -> None:
    brief = Brief(genre="folk", excluded_instruments=("drums", "guitar", "violin"))
    for seed in SEEDS:
        playing = {part.instrument for part in arrange(brief, seed).parts}

        assert not playing & {"hand percussion", "acoustic guitar", "nylon guitar", "violin"}
        assert playing


def test_a_band_of_one_plays_all_the_way() -> None:
    everything_else = tuple(name for name in INSTRUMENTS if name != "flute")
    score = arrange(Brief(genre="folk", instruments=("flute",), excluded_instruments=everything_else), 1)
    (flute,) = score.parts

    assert all(any(section.tick <= note.tick < section.end for note in flute.notes) for section in score.sections)


@pytest.mark.parametrize(
    ("brief", "field"),
    [
        (Brief(genre="polka"), "genre"),
        (Brief(key="H major"), "key"),
        (Brief(moods=("purple",)), "moods"),
        (Brief(instruments=("theremin",)), "instruments"),
        (Brief(time_signature="9/8"), "time_signature"),
        (Brief(excluded_instruments=tuple(INSTRUMENTS)), "excluded_instruments"),
        (Brief(instruments=("piano",), excluded_instruments=("piano",)), "excluded_instruments"),
    ],
)
def test_what_cannot_be_played_is_refused_by_field(brief: Brief, field: str) -> None:
    with pytest.raises(Unplayable) as refusal:
        arrange(brief, 1)

    assert refusal.value.field == field
