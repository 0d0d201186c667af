"""The dictionary as it is read: counts and sounds as printed dictionaries have them."""

import pytest

from harmonia_lyricist import pronunciation
from harmonia_lyricist.pronunciation import Dictionary, rhyme_of, stress_of


@pytest.fixture(scope="module")
def dictionary() -> Dictionary:
    return pronunciation.load()


@pytest.mark.parametrize(
    ("word", "stress"),
    [
        ("remember", "010"),
        ("tomorrow", "010"),
        ("always", "10"),
        ("afternoon", "101"),
        ("rain", "1"),
    ],
)
def test_a_secondary_stress_counts_where_no_main_one_is_beside_it(
    word: str, stress: str, dictionary: Dictionary
) -> None:
    assert stress_of(dictionary.said(word)[0]) == stress


@pytest.mark.parametrize(
    ("word", "part"), [("rain", "EY N"), ("melody", "IY"), ("here", "IH R"), ("waiting", "EY T IH NG")]
)
def test_the_rhyming_part_begins_at_the_stress_or_after_two_weak_syllables_at_the_last(
    word: str, part: str, dictionary: Dictionary
) -> None:
    assert rhyme_of(dictionary.said(word)[0]).part == part


def test_a_word_said_in_two_ways_has_both(dictionary: Dictionary) -> None:
    assert {rhyme_of(phones).part for phones in dictionary.said("tear")} == {"EH R", "IH R"}


def test_a_compound_is_said_like_its_parts(dictionary: Dictionary) -> None:
    assert rhyme_of(dictionary.said("firelight")[0]).part == "AY T"


@pytest.mark.parametrize("word", ["", "xqzt", "дождь", "3", "a b"])
def test_what_is_no_english_word_is_unknown(word: str, dictionary: Dictionary) -> None:
    assert dictionary.said(word) == ()
