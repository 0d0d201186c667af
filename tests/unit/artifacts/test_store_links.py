"""Links of the file store: they open one object until they end, and nothing that was changed opens."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmonia_artifacts.links import Pointer, opened, sign
from harmonia_chassis.errors import NotFound

KEY = bytes(range(32))
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
END = NOW + timedelta(seconds=120)
SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
TOKEN = sign(KEY, "acme", owner="ann", sha256=SHA256, expires=END)


def test_a_link_opens_what_was_signed() -> None:
    assert opened(KEY, TOKEN, now=NOW) == Pointer("acme", "ann", SHA256, END)


def test_a_link_opens_nothing_from_its_end_on() -> None:
    assert opened(KEY, TOKEN, now=END - timedelta(microseconds=1)).sha256 == SHA256
    with pytest.raises(NotFound, match="opens nothing"):
        opened(KEY, TOKEN, now=END)


def test_a_link_of_another_key_opens_nothing() -> None:
    with pytest.raises(NotFound, match="opens nothing"):
        opened(bytes(32), TOKEN, now=NOW)


@given(st.integers(0, len(TOKEN) - 1), st.characters(codec="ascii"))
def test_a_link_with_any_character_changed_opens_nothing(at: int, character: str) -> None:
    altered = TOKEN[:at] + character + TOKEN[at + 1 :]
    if altered == TOKEN:
        return

    with pytest.raises(NotFound, match="opens nothing"):
        opened(KEY, altered, now=NOW)


@given(st.text())
def test_any_text_is_refused_alike(text: str) -> None:
    with pytest.raises(NotFound, match="opens nothing"):
        opened(KEY, text, now=NOW)
