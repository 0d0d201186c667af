"""Metres, kinds, forms that are asked for, what stays when something else is changed, and briefs nobody tuned for."""

from dataclasses import replace
from io import BytesIO
from itertools import pairwise

import mido
import pytest

from harmonia_composer.engine import Brief, Kind, Section, Unplayable
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_composer.engines.arranger.instruments import INSTRUMENTS
from harmonia_composer.engines.arranger.metre import FOUR_FOUR, METRES, PPQ, STEP, fit
from harmonia_composer.engines.arranger.midi import midi_bytes
from harmonia_composer.engines.arranger.score import Note, Part, Score

EVERY_METRE = pytest.mark.parametrize("metre", sorted(METRES))
# Bars of each metre in quarter notes, as any textbook has them.
QUARTERS = {"4/4": 4.0, "3/4": 3.0, "2/4": 2.0, "5/4": 5.0, "6/8": 3.0, "7/8": 3.5, "12/8": 6.0}


def notes_of(score: Score, role: str) -> tuple[Note, ...]:
    return next((part.notes for part in score.parts if part.role == role), ())


def pitched(score: Score) -> list[Part]:
    return [part for part in score.parts if part.style not in {"drums", "texture"}]


def chord_at(score: Score, tick: int) -> tuple[int, ...]:
    return [span for span in score.chords if span.tick <= tick][-1].chord.tones


def scale_share(score: Score) -> float:
    """C4: notes in the scale or in the chord."""
    notes = [note for part in pitched(score) for note in part.notes]
    inside = [n for n in notes if n.pitch % 12 in (*score.key.pitch_classes, *chord_at(score, n.tick))]
    return len(inside) / len(notes) if notes else 1.0


@EVERY_METRE
def test_a_bar_is_as_long_as_its_metre_says(metre: str) -> None:
    score = arrange(Brief(genre="folk", time_signature=metre, bpm=100.0), 3)

    assert METRES[metre].ticks == QUARTERS[metre] * PPQ
    assert all(section.tick % (QUARTERS[metre] * PPQ) == 0 for section in score.sections)
    assert score.seconds(METRES[metre].ticks) == pytest.approx(QUARTERS[metre] * 0.6)


@EVERY_METRE
def test_every_pattern_fits_every_metre_in_whole_bars(metre: str) -> None:
    to = METRES[metre]
    for home in METRES.values():
        for pattern in ("x" * home.steps, "X---" * home.steps, ("x.o." * home.steps)[: 2 * home.steps]):
            whole = pattern[: len(pattern) // home.steps * home.steps]

            assert len(fit(whole, home, to)) % to.steps == 0
            assert fit(whole, home, to)[0] == whole[0]


@pytest.mark.parametrize(
    ("metre", "expected"),
    [
        ("3/4", "X...x...x..."),
        ("5/4", "X...x...X...X...x..."),
        ("7/8", "X...x...X...x."),
        ("6/8", "X.....x.....X.....x....."),
        ("12/8", "X.....x.....X.....x....."),
    ],
)
def test_a_back_beat_stays_on_the_weak_beats(metre: str, expected: str) -> None:
    assert fit("X...x...X...x...", FOUR_FOUR, METRES[metre]) == expected


def test_a_steady_stream_stays_steady_in_threes() -> None:
    assert fit("x.x.x.x.x.x.x.x.", FOUR_FOUR, METRES["12/8"]) == "x.x.x.x.x.x.x.x.x.x.x.x."


@EVERY_METRE
def test_songs_in_every_metre_have_roots_on_downbeats_and_chord_tones_on_strong_beats(metre: str) -> None:
    for genre in ("rock", "jazz", "house"):
        score = arrange(Brief(genre=genre, time_signature=metre), 2)
        bar = score.metre.ticks
        lead = [n for n in notes_of(score, "lead") if n.tick % bar // STEP in score.metre.strong and n.tick % STEP == 0]
        downbeats = [note for note in notes_of(score, "bass") if note.tick % bar == 0]

        assert scale_share(score) >= 0.95
        assert sum(n.pitch % 12 in chord_at(score, n.tick) for n in lead) >= 0.9 * len(lead)
        assert sum(n.pitch % 12 == chord_at(score, n.tick)[0] for n in downbeats) >= 0.8 * len(downbeats) > 0


@EVERY_METRE
def test_the_file_says_the_metre_and_one_tempo_in_quarters(metre: str) -> None:
    content = midi_bytes(arrange(Brief(genre="folk", time_signature=metre, bpm=90.0), 1))
    conductor = mido.MidiFile(file=BytesIO(content), charset="utf-8").tracks[0]
    (told,) = [message for message in conductor if message.type == "time_signature"]
    (tempo,) = [message.tempo for message in conductor if message.type == "set_tempo"]

    assert f"{told.numerator}/{told.denominator}" == metre
    assert tempo == 666_667


def test_a_slide_is_in_the_file_as_a_bend_that_ends_on_the_note() -> None:
    score = arrange(Brief(genre="trap", complexity=0.9, duration_seconds=90.0), 2)
    slid = sum(note.slide != 0 for note in notes_of(score, "bass"))
    song = mido.MidiFile(file=BytesIO(midi_bytes(score)), charset="utf-8")
    (bass,) = [track for track in song.tracks if track[0].name == "bass"]
    bends = [message.pitch for message in bass if message.type == "pitchwheel"]

    assert slid > 0
    assert sum(bend == 0 for bend in bends) == slid
    assert bends[-1] == 0


@pytest.mark.parametrize("bars", range(1, 9))
def test_a_loop_is_exactly_its_bars_and_has_no_end(bars: int) -> None:
    score = arrange(Brief(genre="house", kind=Kind.LOOP, bars=bars, bpm=120.0, key="A minor"), 4)

    assert score.loop
    assert score.duration_seconds == 2.0 * bars
    assert score.ticks == 4 * PPQ * bars
    assert [section.bars for section in score.sections] == [bars]
    assert all(0 <= note.tick < score.ticks for part in score.parts for note in part.notes)
    assert len({note.tick // score.metre.ticks for note in notes_of(score, "drums")}) == bars


def test_a_loop_without_bars_has_four() -> None:
    assert arrange(Brief(genre="rock", kind=Kind.LOOP), 1).sections[0].bars == 4


@pytest.mark.parametrize("genre", sorted(GENRES))
def test_a_beat_is_drums_bass_and_one_hook_in_eights(genre: str) -> None:
    score = arrange(Brief(genre=genre, kind=Kind.BEAT), 5)
    roles = {part.role for part in score.parts if part.style != "texture"}

    assert len(roles) <= 3
    assert len(roles - {"drums", "bass"}) == 1
    assert all(section.bars % 4 == 0 for section in score.sections[:-1])


def test_the_hook_of_a_beat_is_what_was_asked_for() -> None:
    score = arrange(Brief(genre="lo-fi hip-hop", kind=Kind.BEAT, instruments=("electric piano",)), 5)

    assert {part.instrument for part in score.parts} >= {"electric piano"}
    assert {part.role for part in score.parts} <= {"drums", "bass", "chords", "texture"}


def test_sections_asked_for_are_the_form_to_the_bar() -> None:
    wishes = (Section("intro", 4), Section("chorus", 8, 1.0), Section("outro", 4, 0.2))
    score = arrange(Brief(genre="techno", bpm=128.0, duration_seconds=32.5, sections=wishes), 1)

    assert [(section.name, section.bars) for section in score.sections] == [("intro", 4), ("chorus", 8), ("outro", 4)]
    assert score.sections[1].energy == 1.0
    assert score.duration_seconds == 32.5


def test_sections_without_bars_share_the_time_that_is_left() -> None:
    wishes = (Section("intro", 4), Section("verse", 0), Section("chorus", 0))
    score = arrange(Brief(genre="pop", bpm=120.0, duration_seconds=60.0, sections=wishes), 1)

    assert [section.name for section in score.sections] == ["intro", "verse", "chorus"]
    assert score.sections[0].bars == 4
    assert sum(section.bars for section in score.sections) == 29


@pytest.mark.parametrize("duration", [20.0, 60.0])
def test_sections_that_do_not_fill_the_time_are_refused_with_the_time_they_need(duration: float) -> None:
    wishes = (Section("verse", 8), Section("chorus", 8))
    with pytest.raises(Unplayable, match=r"34\.5 seconds") as refusal:
        arrange(Brief(genre="pop", bpm=120.0, duration_seconds=duration, sections=wishes), 1)

    assert refusal.value.field == "duration_seconds"


FORM = (Section("intro", 4), Section("verse", 8), Section("chorus", 8), Section("verse", 8), Section("chorus", 8))
LONG = Brief(genre="pop", bpm=120.0, key="C major", duration_seconds=74.0, sections=FORM)


def inside(score: Score, role: str, place: int) -> list[Note]:
    section = score.sections[place]
    return [note for note in notes_of(score, role) if section.tick <= note.tick < section.end]


def test_a_section_with_a_seed_of_its_own_is_another_and_the_others_stay_to_the_note() -> None:
    other = replace(LONG, sections=(*FORM[:3], replace(FORM[3], seed=99), FORM[4]))
    before, after = arrange(LONG, 7), arrange(other, 7)
    roles = [part.role for part in before.parts]

    assert inside(before, "lead", 3) != inside(after, "lead", 3)
    for role in roles:
        for place in (0, 1, 2):
            assert inside(before, role, place) == inside(after, role, place)


def test_a_section_that_is_more_intense_leaves_the_others_to_the_note() -> None:
    other = replace(LONG, sections=(*FORM[:3], replace(FORM[3], intensity=0.9), FORM[4]))
    before, after = arrange(LONG, 7), arrange(other, 7)

    assert len([n for part in after.parts for n in inside(after, part.role, 3)]) > len(
        [n for part in before.parts for n in inside(before, part.role, 3)]
    )
    for role in ("drums", "bass", "chords", "lead"):
        for place in (0, 1, 2):
            assert inside(before, role, place) == inside(after, role, place)


def test_an_instrument_that_changes_leaves_the_other_players_as_they_are() -> None:
    before, after = (
        arrange(Brief(genre="jazz", key="F major", bpm=140.0, instruments=(name,)), 3) for name in ("trumpet", "violin")
    )
    parts = {part.role: part for part in before.parts}
    others = [part for part in after.parts if part.role != "lead"]

    assert len(others) >= 3
    assert all(part == parts[part.role] for part in others)


def test_another_key_leaves_the_drums_to_the_note() -> None:
    one, other = (arrange(Brief(genre="rock", key=key, bpm=120.0), 3) for key in ("E minor", "A minor"))

    assert notes_of(one, "drums") == notes_of(other, "drums")
    assert notes_of(one, "lead") != notes_of(other, "lead")


def test_takes_differ_as_songs_and_share_what_was_asked_for() -> None:
    scores = [arrange(Brief(genre="funk", key="D dorian", bpm=104.0), seed) for seed in range(1, 9)]

    assert len({notes_of(score, "lead") for score in scores}) == 8
    assert len({notes_of(score, "drums") for score in scores}) == 8
    assert {(score.key.name, score.bpm) for score in scores} == {("D dorian", 104.0)}


def similarity(one: list[int], other: list[int]) -> float:
    """1 − Levenshtein distance over the longer length."""
    row = list(range(len(other) + 1))
    for place, a in enumerate(one, 1):
        before, row = row, [place]
        for at, b in enumerate(other, 1):
            row.append(min(before[at] + 1, row[-1] + 1, before[at - 1] + (a != b)))
    return 1 - row[-1] / max(len(one), len(other), 1)


@pytest.mark.parametrize("genre", ["pop", "techno", "funk", "waltz"])
def test_sixteen_seeds_have_sixteen_chorus_tunes(genre: str) -> None:
    """C2."""
    tunes = []
    for seed in range(1, 17):
        score = arrange(Brief(genre=genre, duration_seconds=45.0), seed)
        sung = [n.pitch for n in notes_of(score, "lead") if score.section_at(n.tick).character == "chorus"]
        tunes.append([after - before for before, after in pairwise(sung)])
    closest = max(similarity(one, other) for place, one in enumerate(tunes) for other in tunes[place + 1 :])

    assert closest < 0.8


def test_the_chorus_has_more_players_and_more_notes_a_bar_than_the_verse() -> None:
    for genre in sorted(set(GENRES) - {"ambient"}):
        score = arrange(Brief(genre=genre), 2)
        kinds = {section.character: section for section in score.sections}
        if not {"verse", "chorus"} <= set(kinds):
            continue
        verse, chorus = (
            sum(n.velocity for part in score.parts for n in part.notes if kinds[kind].tick <= n.tick < kinds[kind].end)
            / kinds[kind].bars
            for kind in ("verse", "chorus")
        )

        assert chorus > verse or kinds["chorus"].roles > kinds["verse"].roles
        assert kinds["chorus"].energy >= kinds["verse"].energy + 0.2


def test_drums_fill_into_a_new_section() -> None:
    score = arrange(Brief(genre="rock", duration_seconds=90.0), 3)
    drums = notes_of(score, "drums")
    bar, half = score.metre.ticks, score.metre.half * STEP
    differs = 0
    for section in score.sections[:-1]:
        halves = [
            {(n.tick % bar, n.pitch) for n in drums if n.tick // bar == number and n.tick % bar >= half}
            for number in (section.bar + section.bars - 2, section.bar + section.bars - 1)
        ]
        differs += halves[0] != halves[1]

    assert differs >= len(score.sections) - 2


def test_a_song_ends_on_its_tonic() -> None:
    for genre in sorted(GENRES):
        score = arrange(Brief(genre=genre), 6)
        last = score.chords[-1]
        low = [note for part in score.parts if part.style == "bass" for note in part.notes if note.tick >= last.tick]

        assert last.chord.root == score.key.tonic
        assert all(note.pitch % 12 == score.key.tonic for note in low) or score.ending == "fade"


ODD = {
    "a dirge in five": Brief(genre="folk", bpm=44.0, time_signature="5/4", key="C# minor", moods=("sad",)),
    "seven eighths at 240": Brief(genre="metal", bpm=240.0, time_signature="7/8", duration_seconds=40.0),
    "a jingle of five seconds": Brief(genre="pop", duration_seconds=5.0),
    "ten minutes of ambient": Brief(genre="ambient", duration_seconds=600.0),
    "nobody but a flute": Brief(
        genre="techno", excluded_instruments=tuple(name for name in INSTRUMENTS if name != "flute")
    ),
    "nobody but drums": Brief(
        genre="jazz", excluded_instruments=tuple(name for name in INSTRUMENTS if name != "drum kit")
    ),
    "F# locrian": Brief(genre="waltz", key="F# locrian"),
    "house in three": Brief(genre="house", time_signature="3/4", key="Gb major", bpm=61.5),
    "a loop of one bar in 12/8": Brief(genre="reggae", kind=Kind.LOOP, bars=1, time_signature="12/8", bpm=40.0),
    "sixteen soloists and no drums": Brief(
        genre="drum and bass", instruments=tuple(sorted(INSTRUMENTS))[-16:], excluded_instruments=("drums",), bpm=239.9
    ),
    "a simple beat of ten minutes": Brief(genre="trap", kind=Kind.BEAT, duration_seconds=600.0, complexity=0.0),
    "everything at once": Brief(
        genre="bossa nova", complexity=1.0, moods=("aggressive", "calm", "epic"), time_signature="2/4", bpm=233.0,
        duration_seconds=7.3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ODD))
def test_an_odd_brief_is_played_sanely(name: str) -> None:
    """C3, C4 and C6 for briefs that nobody tuned for."""
    brief = ODD[name]
    score = arrange(brief, 13)
    end = score.seconds(score.ticks)
    lead = notes_of(score, "lead")
    tones = [n for n in lead if n.tick % score.metre.ticks // STEP in score.metre.strong and n.tick % STEP == 0]

    assert score.parts
    assert midi_bytes(score)
    assert end == score.duration_seconds if score.loop else 0.9 * brief.duration_seconds - 3.0 <= end
    assert end <= score.duration_seconds
    assert scale_share(score) >= 0.95
    assert sum(n.pitch % 12 in chord_at(score, n.tick) for n in tones) >= 0.9 * len(tones)
    assert not lead or max(n.pitch for n in lead) - min(n.pitch for n in lead) <= 19
    for part in score.parts:
        low, high = INSTRUMENTS[part.instrument].low, INSTRUMENTS[part.instrument].high
        assert all(0 <= note.tick < score.ticks and note.length > 0 for note in part.notes)
        assert part.style == "drums" or all(low - 12 <= note.pitch <= high + 12 for note in part.notes)


@pytest.mark.parametrize(
    ("brief", "field"),
    [
        (Brief(excluded_instruments=tuple(INSTRUMENTS)), "excluded_instruments"),
        (Brief(time_signature="13/16"), "time_signature"),
        (Brief(key="F# hypolydian"), "key"),
        (Brief(kind=Kind.LOOP, bars=9), "bars"),
        (Brief(genre="pop", bpm=60.0, duration_seconds=20.0, sections=(Section("verse", 64),)), "duration_seconds"),
    ],
)
def test_what_no_band_could_play_is_refused_by_field(brief: Brief, field: str) -> None:
    with pytest.raises(Unplayable) as refusal:
        arrange(brief, 1)

    assert refusal.value.field == field
