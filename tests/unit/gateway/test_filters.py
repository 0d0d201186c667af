import json
import sqlite3
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harmonia_chassis.errors import InvalidInput
from harmonia_gateway import filters

SONGS = [
    # id, state, create_time, title, genre, engine, batch, labels
    ("a", "FAILED", "2026-11-20T00:00:00Z", "Rain", "folk", "arranger", 0, {"album": "rain", "disc": "1"}),
    ("b", "SUCCEEDED", "2026-11-21T12:00:00Z", "rain again", "techno", "arranger", 1, {"album": "sun"}),
    ("c", "QUEUED", "2026-11-22T00:00:00Z", 'The "end"', "folk", "other", 0, {}),
    ("d", "CANCELLED", "2026-11-23T00:00:00Z", "", "", "arranger", 0, {"album": "it's", "a b": "x"}),
]


@pytest.fixture(scope="module")
def table():
    db = sqlite3.connect(":memory:")
    db.execute(
        "CREATE TABLE songs (id, state, create_time REAL, update_time REAL, title, genre, engine, batch, labels)"
    )
    for id_, state, created, title, genre, engine, batch, labels in SONGS:
        moment = datetime.fromisoformat(created).timestamp()
        row = (id_, state, moment, moment, title, genre, engine, batch, json.dumps(labels))
        db.execute("INSERT INTO songs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    yield db
    db.close()


def found(table, text):
    condition = filters.parse_filter(text)
    rows = table.execute(f"SELECT id FROM songs WHERE {condition.where} ORDER BY id", condition.params)
    return "".join(row[0] for row in rows)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", "abcd"),
        ("  ", "abcd"),
        ("state = FAILED", "a"),
        ("state=failed", "a"),
        ("state != FAILED", "bcd"),
        ("state:QUEUED", "c"),
        ('state = "SUCCEEDED"', "b"),
        ("state = FAILED OR state = QUEUED", "ac"),
        ("NOT state = FAILED", "bcd"),
        ("-state = FAILED", "bcd"),
        ("NOT (state = FAILED OR state = QUEUED)", "bd"),
        ("genre = folk AND state = QUEUED", "c"),
        ("genre = folk state = QUEUED", "c"),
        # OR binds tighter than AND: genre = folk AND (state = QUEUED OR batch = true)
        ("genre = folk AND state = QUEUED OR batch = true", "c"),
        ("batch = true OR genre = folk AND state = QUEUED", "c"),
        ("(batch = true) OR (genre = folk AND state = QUEUED)", "bc"),
        ("batch = true", "b"),
        ("batch != true", "acd"),
        ("title : rain", "ab"),
        ("title = Rain", "a"),
        ("title:*", "abc"),
        (r'title = "The \"end\""', "c"),
        ("title = 'The \"end\"'", "c"),
        ("title = ''", "d"),
        ("create_time > 2026-11-21T12:00:00Z", "cd"),
        ("create_time >= 2026-11-21T12:00:00Z", "bcd"),
        ('create_time >= "2026-11-21T13:00:00+01:00"', "bcd"),
        ("create_time < 2026-11-21", "a"),
        ("create_time <= 2026-11-21T12:00:00Z AND update_time > 2026-11-20", "b"),
        ("labels.album = rain", "a"),
        ('labels.album = "it\'s"', "d"),
        ("labels.album != rain", "bd"),
        ("NOT labels.album = rain", "bcd"),
        ("labels.album:*", "abd"),
        ("labels:album", "abd"),
        ('labels."a b" = x', "d"),
        ("labels.disc = 1", "a"),
        ("labels.nothing = 1", ""),
    ],
)
def test_filter_finds(text, ids, table):
    assert found(table, text) == ids


@pytest.mark.parametrize(
    ("text", "position", "told"),
    [
        ("colour = red", 1, "state, create_time"),
        ("state", 6, "after 'state'"),
        ("state =", 8, "a value is missing"),
        ("state = LOUD", 9, "QUEUED, RUNNING"),
        ("state > QUEUED", 7, "= or !="),
        ("batch = maybe", 9, "true nor false"),
        ("create_time > yesterday", 15, "2026-11-21T12:00:00Z"),
        ("create_time > 2026-13-45", 15, "no time"),
        ("(state = QUEUED", 1, "not closed"),
        ("state = QUEUED)", 15, "does not belong"),
        ("state = QUEUED AND", 19, "missing"),
        ("AND state = QUEUED", 1, "'AND'"),
        ("state = QUEUED; DROP TABLE songs", 9, "no state"),
        ("title = 'open", 9, "does not belong"),
        ("labels = x", 8, "labels:KEY"),
        ("record = x", 1, "no field"),
        ("tenant = other", 1, "no field"),
        ("deleted = true", 1, "no field"),
        ("1 = 1", 1, "no field"),
        ("title.x = 1", 1, "no field"),
        ("(" * 21 + "state = QUEUED" + ")" * 21, 21, "deep"),
        ("state = QUEUED " * 51, 751, "50 comparisons"),
    ],
)
def test_what_is_no_filter_is_refused_by_position(text, position, told):
    with pytest.raises(InvalidInput, match=f"character {position}:") as caught:
        filters.parse_filter(text)

    assert told in str(caught.value)
    assert caught.value.field == "filter"


def test_a_filter_has_at_most_2000_characters():
    with pytest.raises(InvalidInput, match="at most 2000"):
        filters.parse_filter("title = " + "x" * 2000)


@given(
    st.text(st.characters(codec="utf-8"), max_size=60)
    | st.builds(
        " ".join, st.lists(st.sampled_from(["state", "=", "(", ")", "NOT", "AND", "x", "'", '"', "labels.a", ":"]))
    )
)
@example("title = 'x' OR 1=1")
@example("title = \"x' OR '1'='1\"")
@example("labels.a') OR 1=1 --= x")
@example("labels.\"a') OR ('1'='1\" = x")
@example("title = x UNION SELECT record FROM songs")
def test_whatever_is_typed_is_refused_or_selects_songs_and_changes_none(table, text):
    with suppress(InvalidInput):
        found(table, text)

    assert table.execute("SELECT count(*) FROM songs").fetchone() == (len(SONGS),)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=40))
def test_a_quoted_text_is_only_a_value(text):
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    condition = filters.parse_filter(f"title = {quoted} AND labels.{quoted} = {quoted}")

    assert condition.params == (text, text, text)
    assert condition.where == filters.parse_filter('title = "a" AND labels."a" = "a"').where


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("", "create_time DESC"),
        ("create_time", "create_time ASC"),
        ("title desc, update_time", "title COLLATE NOCASE DESC, update_time ASC"),
    ],
)
def test_order(text, sql):
    assert filters.parse_order(text) == sql


@pytest.mark.parametrize("text", ["genre", "title up", "title; DROP", "title,,", "title desc desc", "id, " * 9])
def test_what_is_no_order_is_refused(text):
    with pytest.raises(InvalidInput, match="create_time, update_time, title") as caught:
        filters.parse_order(text)

    assert caught.value.field == "order_by"


def test_a_page_token_belongs_to_its_request():
    token = filters.page_token(50, "local", "user", "state = FAILED", "", False)

    assert filters.parse_page_token(token, "local", "user", "state = FAILED", "", False) == 50
    assert filters.parse_page_token("", "anything") == 0
    with pytest.raises(InvalidInput, match="start without it"):
        filters.parse_page_token(token, "local", "other", "state = FAILED", "", False)


@pytest.mark.parametrize("token", ["x", "!!!", "WzFd", "e30=", "WyJhIiwgImIiXQ==", "é"])
def test_a_made_up_page_token_is_refused(token):
    with pytest.raises(InvalidInput, match="page_token"):
        filters.parse_page_token(token, "local")


def test_times_without_a_zone_are_utc():
    [moment] = filters.parse_filter("create_time > 2026-11-21T12:00:00").params

    assert moment == datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
