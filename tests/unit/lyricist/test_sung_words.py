"""V1 and V2 of the design: the writer's words and the arranger's tune, over the messages of the mesh."""

import pytest

from tests.lyrics_report import Song, songs


@pytest.fixture(scope="module")
def twenty() -> list[Song]:
    return songs()


def test_every_line_has_a_note_for_each_syllable(twenty: list[Song]) -> None:
    assert all(song.marks.fitting == song.marks.sung == song.marks.lines for song in twenty)


def test_every_rhyme_of_the_scheme_rhymes_and_no_word_with_itself(twenty: list[Song]) -> None:
    assert sum(song.marks.rhymes for song in twenty) > 100
    assert all(song.marks.true_rhymes == song.marks.rhymes for song in twenty)
    assert all(song.marks.same_words == 0 for song in twenty)


def test_nine_of_ten_stressed_syllables_stand_on_a_beat(twenty: list[Song]) -> None:
    stressed = sum(song.marks.stressed for song in twenty)

    assert sum(song.marks.on_beats for song in twenty) >= 0.9 * stressed


def test_choruses_are_the_same_and_hold_the_title(twenty: list[Song]) -> None:
    assert all(song.marks.choruses_alike and song.marks.title_in_chorus for song in twenty)
