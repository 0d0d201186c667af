"""The built-in writer: rhymes where it says so, scans, repeats its chorus, says the title and nothing rude."""

from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from harmonia_lyricist import writer
from harmonia_lyricist.metre import line_syllables, stresses, syllables
from harmonia_lyricist.rhyme import last_word, rhymes, rhyming_part, scheme
from harmonia_lyricist.sheet import read_sheet
from harmonia_lyricist.writer import Writing, form_for, write

THEMES = ["leaving home", "love", "my dog Max", "the sea", "rain on the window", "", "a robot who learns to dance"]


@cache
def tables() -> Writing:
    """For tests that Hypothesis runs: it prints what it is given, and this is long."""
    return writer.load()


@pytest.fixture(scope="module")
def writing() -> Writing:
    return tables()


@pytest.mark.parametrize("theme", THEMES)
def test_every_stanza_keeps_its_rhyme_scheme(theme: str, writing: Writing) -> None:
    for seed in range(40):
        written = write(theme, title="Stay With Me", form=form_for(80), seed=seed, writing=writing)

        for section, declared in zip(written.lyrics.sections, written.schemes, strict=True):
            assert scheme([line.text for line in section.lines], writing.sounds) == declared


@pytest.mark.parametrize("theme", THEMES)
def test_choruses_are_the_same_and_say_the_title(theme: str, writing: Writing) -> None:
    for seed in range(20):
        written = write(theme, title="Hold the Line", form=form_for(60), seed=seed, writing=writing)

        choruses = {section for section in written.lyrics.sections if section.name == "chorus"}
        assert len(choruses) == 1
        assert any("Hold the Line" in line.text for line in choruses.pop().lines)


def test_no_rhyme_word_comes_twice_in_a_song(writing: Writing) -> None:
    for seed in range(40):
        sections = set(write("love", title="Stay", form=form_for(60), seed=seed, writing=writing).lyrics.sections)
        words = [
            last_word(line.text)
            for section in sections
            for line in section.lines
            if "Stay" not in line.text and "about love" not in line.text
        ]

        assert len(words) == len(set(words))


def test_lines_of_all_verses_have_the_syllables_of_the_first(writing: Writing) -> None:
    for seed in range(40):
        sections = write("", title="Stay", form=form_for(60), seed=seed, writing=writing).lyrics.sections
        verses = {tuple(line.syllables for line in section.lines) for section in sections if section.name == "verse"}

        assert len(verses) == 1


def test_the_theme_is_sung(writing: Writing) -> None:
    texts = [
        " ".join(line.text for section in sections for line in section.lines)
        for seed in range(20)
        for sections in [
            write("leaving home", title="X", form=("verse", "bridge"), seed=seed, writing=writing).lyrics.sections
        ]
    ]

    assert all("about leaving home" in text for text in texts)


def test_same_seed_same_words_other_seed_other_words(writing: Writing) -> None:
    songs = [
        repr(write("rain", title="Rain", form=form_for(44), seed=seed, writing=writer.load()))
        for seed in (*range(16), 0)
    ]

    assert songs[0] == songs[-1]
    assert len(set(songs)) == 16


def test_rude_words_are_not_repeated(writing: Writing) -> None:
    written = write("my fucking boss", title="Shit Day", form=form_for(60), seed=1, writing=writing)

    assert not any(stem in repr(written).lower() for stem in writing.unclean)


# "Around" may be said to rhyme with "down".
@example("", "0", ["", ""], 694)
@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=120), st.text(max_size=120), st.lists(st.text(max_size=10), max_size=12), st.integers(0, 2**64 - 1)
)
def test_no_theme_or_title_is_an_error(theme: str, title: str, form: list[str], seed: int) -> None:
    writing = tables()
    written = write(theme, title=title, form=form, seed=seed, writing=writing)

    assert written.lyrics.sections
    for section, declared in zip(written.lyrics.sections, written.schemes, strict=True):
        assert scheme([line.text for line in section.lines], writing.sounds) == declared


def test_closings_of_a_sound_all_have_that_sound(writing: Writing) -> None:
    parts = {sound: {phrase.rhyme.part for phrase in rows} for sound, rows in writing.closings.items()}

    assert {sound: found for sound, found in parts.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [("night", "light"), ("love", "above"), ("home", "foam"), ("sky", "goodbye"), ("rain", "lane"), ("heart", "apart")],
)
def test_words_that_rhyme(one: str, other: str, writing: Writing) -> None:
    assert rhymes(one, other, writing.sounds)


@pytest.mark.parametrize(
    ("one", "other"),
    [("home", "come"), ("love", "move"), ("long", "along"), ("rain", "rain"), ("town", "own"), ("said", "paid")],
)
def test_words_that_do_not_rhyme(one: str, other: str, writing: Writing) -> None:
    assert not rhymes(one, other, writing.sounds)


# Counts as dictionaries print them.
# fmt: off
SYLLABLES = {
    "the": 1, "rain": 1, "evening": 2, "window": 2, "remember": 3, "alone": 2, "table": 2, "walked": 1,
    "wanted": 2, "places": 2, "beautiful": 3, "fire": 1, "nation": 2, "creation": 3, "dancing": 2,
    "believe": 2, "moonlight": 2, "memory": 3, "every": 2, "together": 3, "tomorrow": 3, "house": 1,
    "houses": 2, "breathe": 1, "crying": 2, "stars": 1, "radio": 3, "yesterday": 3, "umbrella": 3, "quiet": 2,
    "blue": 1, "idea": 3, "wishes": 2, "loved": 1, "little": 2, "people": 2, "harmonica": 4, "piano": 3,
}
# fmt: on


@pytest.mark.parametrize(("word", "count"), SYLLABLES.items())
def test_syllables_are_counted_as_in_a_dictionary(word: str, count: int, writing: Writing) -> None:
    assert syllables(word, writing.metre) == count


@pytest.mark.parametrize(
    ("word", "pattern"),
    [("remember", "010"), ("window", "10"), ("alone", "01"), ("the", "0"), ("rain", "1"), ("creation", "010")],
)
def test_stresses_fall_as_in_a_dictionary(word: str, pattern: str, writing: Writing) -> None:
    assert stresses(word, writing.metre) == pattern


def test_a_sheet_with_tags_is_read_into_sections(writing: Writing) -> None:
    first = "[Verse 1]\nWarm is the window\nSlow is the rain\n\n[Chorus]\nStay a while\n"
    sheet = f"{first}\n[verse 2]\nCold is the street\n[Chorus]\n"

    lyrics, warnings = read_sheet(sheet, writing.metre)

    assert [section.name for section in lyrics.sections] == ["verse", "chorus", "verse", "chorus"]
    assert [line.syllables for line in lyrics.sections[0].lines] == [5, 4]
    assert lyrics.sections[3] == lyrics.sections[1]
    assert warnings == ()


def test_a_sheet_without_tags_has_a_verse_for_each_paragraph(writing: Writing) -> None:
    lyrics, _ = read_sheet("one line\ntwo lines\n\n\nthree lines", writing.metre)

    assert [(section.name, len(section.lines)) for section in lyrics.sections] == [("verse", 2), ("verse", 1)]


def test_an_over_long_sheet_is_cut_and_said(writing: Writing) -> None:
    lyrics, warnings = read_sheet("[verse]\n" + "la " * 4000, writing.metre)

    assert sum(len(line.text) for section in lyrics.sections for line in section.lines) <= 8000
    assert max(len(line.text) for section in lyrics.sections for line in section.lines) <= 160
    assert [warning.split(":")[0] for warning in warnings] == ["lyrics.text", "lyrics.text"]


def test_a_sheet_without_words_is_instrumental_and_said(writing: Writing) -> None:
    lyrics, warnings = read_sheet("[verse]\n\n[chorus]\n", writing.metre)

    assert lyrics.sections == ()
    assert "instrumental" in warnings[0]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=9000))
def test_no_sheet_is_an_error(text: str) -> None:
    writing = tables()
    lyrics, _ = read_sheet(text, writing.metre)

    for section in lyrics.sections:
        assert section.lines
        assert all(line.text and line.syllables == line_syllables(line.text, writing.metre) for line in section.lines)


def test_a_minute_has_a_verse_and_a_chorus() -> None:
    assert form_for(21) == ("verse", "chorus")
    assert form_for(2) == ("chorus",)
    assert form_for(10_000).count("chorus") >= 3


def test_rhyming_part_of_nothing_is_nothing(writing: Writing) -> None:
    assert rhyming_part("", writing.sounds) == ""
