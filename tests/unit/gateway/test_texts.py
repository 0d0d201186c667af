"""What people type to find songs, as FTS5 is asked; the real FTS5 says what that finds."""

import sqlite3

import pytest

from harmonia.job.v1 import job_pb2
from harmonia_chassis.errors import InvalidInput
from harmonia_gateway import texts


def found(query: str, *lyrics: str) -> list[int]:
    """Which of the lyrics, by number from 0."""
    db = sqlite3.connect(":memory:")
    db.execute("CREATE VIRTUAL TABLE words USING fts5 (lyrics, tokenize = 'unicode61 remove_diacritics 2')")
    for number, text in enumerate(lyrics):
        db.execute("INSERT INTO words (rowid, lyrics) VALUES (?, ?)", (number, texts.indexed(text)))
    rows = db.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid", (texts.question(query),))
    return [number for (number,) in rows]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("rain", [0]),
        ("RAIN falling", [0]),
        ("falling rain", [0]),
        ('"falling rain"', []),
        ('"rain is falling"', [0]),
        ("fall", []),
        ("fall*", [0]),
        ('"rain is fa"*', [0]),
        ("coeur", []),
        ("cafe ete", [1]),
        ("CAFÉ", [1]),
        ("cafe\u0301", [1]),
        ("雨の", [2]),
        ("の歌", [2]),
        ("歌雨", []),
        ("дождь", [3]),
        ("ДОЖД*", [3]),
        ("ฝนตก", [4]),
        ("ｒａｉｎ", [0]),
        ('"rain', [0]),
    ],
)
def test_words_are_found_whatever_their_script_case_and_accents(query: str, numbers: list[int]) -> None:
    lyrics = ("the rain is falling", "un Café d'été", "静かな雨の歌", "Дождь идёт", "วันนี้ฝนตกหนัก")

    assert found(query, *lyrics) == numbers


@pytest.mark.parametrize(
    "query",
    [
        'rain" OR "x',
        "rain) OR (1",
        "in_title:rain",
        "NEAR(rain falling)",
        "rain AND NOT falling",
        "^rain",
        "{in_title in_lyrics}: rain",
        "rain'; DROP TABLE words; --",
        "-rain",
        "rain + falling",
        "\ud7ff\u200b\u202e rain",
        "r" * 200,
    ],
)
def test_what_is_syntax_elsewhere_is_searched_for_as_it_stands(query: str) -> None:
    assert found(query, "the rain is falling") in ([], [0])


@pytest.mark.parametrize("query", ["***", '""', "!?", "☂ ☔", "\n"])
def test_a_query_without_a_letter_is_refused(query: str) -> None:
    with pytest.raises(InvalidInput, match="no letter") as refused:
        texts.question(query)

    assert refused.value.field == "query"


@pytest.mark.parametrize(
    ("query", "why"), [("a" * 201, "201 characters"), ("a\0b", r"U\+0000"), ("a " * 21, "21 words")]
)
def test_a_query_has_limits_that_are_named(query: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        texts.question(query)


def test_a_song_is_found_by_what_the_lyricist_made_of_it() -> None:
    job = job_pb2.Job(stages=[job_pb2.Stage(name="write")])
    job.spec.prompt, job.spec.title = "something slow", "asked"
    job.spec.labels["album"] = "rain"
    written = job.stages[0].result.write
    written.brief.title = "Slow Tide"
    written.brief.lyrics.sections.add(name="verse").lines.add(text="the tide is out")
    told = texts.texts_of(job)

    assert (told.title, told.prompt, told.lyrics, told.labels) == (
        "Slow Tide",
        "something slow",
        "the tide is out",
        "album rain",
    )


def test_tags_of_sections_are_no_lyrics() -> None:
    job = job_pb2.Job()
    job.spec.lyrics.text = "[verse]\nthe tide is out\n[chorus]\nagain"

    assert texts.texts_of(job).lyrics.split() == ["the", "tide", "is", "out", "again"]
