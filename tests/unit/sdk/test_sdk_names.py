"""Names that came from people, on a file system."""

from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmonia_chassis.file_names import safe_file, safe_name, slug


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Rain & Tea", "rain-tea"),
        ("../../etc/passwd", "etc-passwd"),
        ("Ünïcode 夜", "ünïcode-夜"),
        ("العربية", "العربية"),
        ("a\u202eb", "a-b"),  # a right-to-left override would disguise a name
        ("🎵🎵", "song"),
        ("", "song"),
        ("...", "song"),
        (".hidden", "hidden"),
        ("-rf", "rf"),
        ("a\0b\nc", "a-b-c"),
        ("con", "con-1"),
    ],
)
def test_a_title_becomes_a_folder_name(title: str, expected: str) -> None:
    assert slug(title) == expected


@given(st.text(max_size=300))
def test_a_safe_name_is_one_visible_name_that_fits_and_stays(text: str) -> None:
    name = safe_name(text)

    assert name not in {"", ".", ".."}
    assert len(name.encode()) <= 255
    assert not set(name) & set('/\\\0\n:*?"<>|')
    assert not name.startswith((".", "-"))
    assert safe_name(name) == name


@given(st.text(max_size=100))
def test_a_safe_file_stays_in_its_folder(text: str) -> None:
    path = safe_file(text)

    assert not path.is_absolute()
    assert ".." not in path.parts
    assert (Path("/folder") / path).resolve().is_relative_to("/folder")


@pytest.mark.parametrize("path", ["master.wav", "stems/drums.flac", "lyrics.lrc", "stems/808_kick-1.flac"])
def test_the_names_of_a_song_s_own_files_are_left_alone(path: str) -> None:
    assert safe_file(path) == PurePosixPath(path)
