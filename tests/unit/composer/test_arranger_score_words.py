"""Words in time: V1 and V2 of the design's sound page, the LRC, the lyrics of the file."""

from collections import Counter
from io import BytesIO
from itertools import pairwise

import mido
import pytest

from harmonia_composer.engine import Brief, LyricLine, LyricSection
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.engine import plain_lyrics, timed_lyrics
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_composer.engines.arranger.metre import STEP
from harmonia_composer.engines.arranger.midi import midi_bytes
from harmonia_composer.engines.arranger.prosody import count, sounds, split
from harmonia_composer.engines.arranger.score import Score
from harmonia_lyricist.brief import Asked, Palette, Words
from harmonia_lyricist.write import Tables, load, write


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load()


def written(tables: Tables, genre: str, *, seed: int, duration: float, metre: str = "") -> Brief:
    """Words as the built-in writer makes them for that genre and length."""
    asked = Asked(seed=seed, genre=genre, words=Words.WRITE, duration_seconds=duration, time_signature=metre)
    brief = write("a song about the sea and leaving home", asked, Palette(), tables=tables).brief
    lyrics = tuple(
        LyricSection(part.name, tuple(LyricLine(line.text, line.syllables, line.stresses) for line in part.lines))
        for part in brief.lyrics.sections
    )
    return Brief(
        genre=genre, bpm=brief.bpm, key=brief.key, duration_seconds=duration, time_signature=metre, lyrics=lyrics
    )


def flat(brief: Brief) -> list[LyricLine]:
    return [line for part in brief.lyrics for line in part.lines]


@pytest.mark.parametrize("genre", sorted(GENRES))
def test_every_syllable_is_one_note_of_the_tune(tables: Tables, genre: str) -> None:
    """V1."""
    brief = written(tables, genre, seed=3, duration=90.0)
    score = arrange(brief, 3)
    sung = Counter(syllable.line for syllable in score.syllables)
    lead = [note for part in score.parts if part.role == "lead" for note in part.notes]

    assert [sung[number] for number in range(len(flat(brief)))] == [line.syllables for line in flat(brief)]
    for line in sung:
        own = [syllable for syllable in score.syllables if syllable.line == line]
        first, last = own[0].tick, own[-1].tick
        assert sum(first - STEP // 2 <= note.tick <= last + STEP for note in lead) == len(own)


def test_stressed_syllables_stand_on_beats(tables: Tables) -> None:
    """V2, over all genres, in four four, and in sevens and threes."""
    on_beat, stressed = 0, 0
    for number, genre in enumerate(sorted(GENRES)):
        brief = written(tables, genre, seed=number, duration=90.0, metre=("", "", "6/8", "7/8")[number % 4])
        score = arrange(brief, number)
        for syllable in score.syllables:
            place, between = divmod(syllable.tick % score.metre.ticks, STEP)
            stressed += syllable.stress > 0
            on_beat += syllable.stress > 0 and between == 0 and place in score.metre.pulse_starts

    assert on_beat >= 0.9 * stressed > 0


def test_a_chorus_with_the_same_words_has_the_same_tune(tables: Tables) -> None:
    brief = written(tables, "pop", seed=5, duration=120.0)
    score = arrange(brief, 5)
    choruses = [section for section in score.sections if section.name == "chorus"]
    rhythms = [
        [syllable.tick - section.tick for syllable in score.syllables if section.tick <= syllable.tick < section.end]
        for section in choruses
        if section.bars == choruses[0].bars
    ]

    assert len(rhythms) >= 2
    assert all(rhythm == rhythms[0] for rhythm in rhythms)


def test_other_words_with_as_many_lines_leave_the_band_as_it_is(tables: Tables) -> None:
    brief = written(tables, "folk", seed=5, duration=90.0)
    turned = tuple(LyricSection(part.name, part.lines[::-1]) for part in brief.lyrics)
    before, after = (
        {part.role: part for part in arrange(one, 5).parts}
        for one in (brief, Brief(**{**{f: getattr(brief, f) for f in Brief.__slots__}, "lyrics": turned}))
    )

    assert before["lead"] != after["lead"]
    assert {role: part for role, part in before.items() if role != "lead"} == {
        role: part for role, part in after.items() if role != "lead"
    }


def words(*sections: tuple[str, int]) -> tuple[LyricSection, ...]:
    return tuple(
        LyricSection(name, tuple(LyricLine(f"{name} line {number}, später", 6) for number in range(lines)))
        for name, lines in sections
    )


def test_lines_lie_in_their_sections_in_order() -> None:
    score = arrange(Brief(genre="folk", lyrics=words(("verse", 4), ("chorus", 4), ("verse", 4), ("chorus", 4))), 1)
    named = [score.section_at(line.tick).name for line in score.lines]

    assert named == ["verse"] * 4 + ["chorus"] * 4 + ["verse"] * 4 + ["chorus"] * 4
    assert all(before.tick < after.tick for before, after in pairwise(score.lines))


def test_no_line_is_lost_however_short_the_song() -> None:
    """What there is no time to sing is printed, at its time."""
    lyrics = words(("verse", 8), ("chorus", 6), ("verse", 8), ("chorus", 6), ("bridge", 3))
    for duration in (5.0, 12.0, 60.0):
        brief = Brief(genre="lo-fi hip-hop", bpm=60.0, duration_seconds=duration, lyrics=lyrics)
        times = [line.split("]")[0][1:] for line in timed_lyrics(arrange(brief, 1)).splitlines()]

        assert len(times) == 31
        assert times == sorted(times)
        assert plain_lyrics(brief).count("später") == 31


def test_lyrics_of_the_file_joined_are_the_words() -> None:
    """RP-017: syllables as they are, a carriage return after each line."""
    score = arrange(Brief(genre="folk", lyrics=words(("verse", 4), ("chorus", 4))), 1)
    (lead,) = [track for track in tracks(score) if track[0].name == "lead"]
    joined = "".join(message.text for message in lead if message.type == "lyrics")

    assert joined.split("\r")[:-1] == [line.text for line in score.lines]


def tracks(score: Score) -> list[mido.MidiTrack]:
    return list(mido.MidiFile(file=BytesIO(midi_bytes(score)), charset="utf-8").tracks)


@pytest.mark.parametrize(
    ("word", "syllables"),
    [("home", 1), ("leaving", 2), ("tomorrow", 3), ("später", 2), ("Überraschung", 4), ("corazón", 3), ("море", 2),
     ("海", 1), ("3", 1)],
)  # fmt: skip
def test_syllables_of_words_nobody_has_counted(word: str, syllables: int) -> None:
    assert count(word) == syllables
    assert "".join(split(word, syllables)) == word


def test_a_line_is_all_there_in_its_syllables() -> None:
    line = LyricLine("“Don't go,” she said – tomorrow’s gone!", 8)
    found = sounds(line)

    assert len(found) == 8
    assert "".join(sound.text for sound in found) == line.text
