"""What an editor asks of the lyricist: scans, rhymes, lines written anew."""

import pytest

from harmonia_lyricist import editor, writer
from harmonia_lyricist.brief import Lyrics
from harmonia_lyricist.editor import Change, NoLine
from harmonia_lyricist.rhyme import last_word, rhymes
from harmonia_lyricist.sheet import read_sheet
from harmonia_lyricist.writer import Writing

TEXT = """[verse]
Down by the river we were young
Counting the lanterns in the bay
Nothing we promised was undone
Nothing we wanted came to stay

[chorus]
Hold on to me in the pouring rain
Over the hills of stone
I hear the whistle of the train
Calling me all alone

[chorus]
"""


@pytest.fixture(scope="module")
def writing() -> Writing:
    return writer.load()


@pytest.fixture(scope="module")
def lyrics(writing: Writing) -> Lyrics:
    return read_sheet(TEXT, writing.metre)[0]


def test_a_scan_gives_scheme_syllables_and_stresses(lyrics: Lyrics, writing: Writing) -> None:
    verse = lyrics.sections[0]

    assert editor.letters(lyrics.sections[1], writing) == "ABAB"
    assert verse.lines[1].syllables == 8
    assert verse.lines[1].stresses == "10 0 10 0 0 1"


@pytest.mark.parametrize("place", range(4))
def test_a_new_line_keeps_length_and_rhyme_and_is_another_one(place: int, lyrics: Lyrics, writing: Writing) -> None:
    change = Change(section=1, line=place, theme="the sea", seed=5)
    (line,) = editor.new_lines(lyrics, change, writing)
    old, new = lyrics.sections[1], editor.put(lyrics, change, [line]).sections[1]

    assert line.text != old.lines[place].text
    assert abs(line.syllables - old.lines[place].syllables) <= 2
    assert editor.letters(new, writing) == "ABAB"
    assert (new.lines[:place], new.lines[place + 1 :]) == (old.lines[:place], old.lines[place + 1 :])


def test_a_new_line_rhymes_with_the_word_that_is_named(lyrics: Lyrics, writing: Writing) -> None:
    change = Change(section=0, line=0, rhyme_with="light", syllables=8, seed=1)
    (line,) = editor.new_lines(lyrics, change, writing)

    assert rhymes(last_word(line.text), "light", writing.sounds)


def test_a_chorus_changes_wherever_it_is_sung(lyrics: Lyrics, writing: Writing) -> None:
    change = Change(section=1, line=1, seed=2)
    changed = editor.put(lyrics, change, editor.new_lines(lyrics, change, writing))

    assert changed.sections[1] == changed.sections[2] != lyrics.sections[1]
    assert changed.sections[0] == lyrics.sections[0]


def test_a_new_section_keeps_the_scheme(lyrics: Lyrics, writing: Writing) -> None:
    lines = editor.new_lines(lyrics, Change(section=1, line=None, theme="rain", seed=3), writing)
    changed = editor.put(lyrics, Change(section=1, line=None), lines)

    assert editor.letters(changed.sections[1], writing) == "ABAB"
    assert not {line.text for line in lines} & {line.text for line in lyrics.sections[1].lines}


def test_a_sheet_can_be_read_again(lyrics: Lyrics, writing: Writing) -> None:
    assert read_sheet(editor.sheet(lyrics), writing.metre)[0] == lyrics


def test_what_nothing_rhymes_with_is_said(lyrics: Lyrics, writing: Writing) -> None:
    with pytest.raises(NoLine, match="rhymes with 'orange'"):
        editor.new_lines(lyrics, Change(section=0, line=0, rhyme_with="orange"), writing)


def test_rhymes_are_listed_the_shortest_first_and_none_sounds_the_same(writing: Writing) -> None:
    found = editor.rhymes_of("rain", writing)

    assert {("train", 1), ("lane", 1), ("explain", 2)} <= set(found)
    assert [count for _, count in found] == sorted(count for _, count in found)
    assert not {"rain", "reign", "rein"} & {word for word, _ in found}


def test_a_word_in_no_dictionary_has_no_rhymes(writing: Writing) -> None:
    assert editor.rhymes_of("xqzt", writing) == []
