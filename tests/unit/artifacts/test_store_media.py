"""What the store takes for which type; signatures as their formats' specifications give them."""

import io

import mido
import numpy as np
import pytest
import soundfile
from PIL import Image

from harmonia_artifacts.media import allowed_type, sniffed, uploaded_type
from harmonia_chassis.errors import InvalidInput


def encoded(container: str, subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((4800, 2), np.float32), 48000, format=container, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("container", "subtype", "media_type"),
    [
        ("WAV", "PCM_24", "audio/wav"),
        ("RF64", "PCM_16", "audio/wav"),
        ("FLAC", None, "audio/flac"),
        ("OGG", "VORBIS", "audio/ogg"),
        ("OGG", "OPUS", "audio/ogg"),
        ("MP3", None, "audio/mpeg"),
        ("AIFF", None, "audio/aiff"),
        ("AU", None, "audio/basic"),
        ("CAF", None, "audio/x-caf"),
    ],
)
def test_files_of_libsndfile_are_known_by_their_bytes(container: str, subtype: str | None, media_type: str) -> None:
    assert sniffed(encoded(container, subtype)) == media_type


def test_midi_and_pictures_are_known_by_their_bytes() -> None:
    midi, png = io.BytesIO(), io.BytesIO()
    mido.MidiFile().save(file=midi)
    Image.new("RGB", (2, 2)).save(png, "PNG")

    assert sniffed(midi.getvalue()) == "audio/midi"
    assert sniffed(png.getvalue()) == "image/png"


@pytest.mark.parametrize(
    ("start", "media_type"),
    [
        (b"ID3\x04\x00", "audio/mpeg"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"\xff\xff\xff\xff", "application/octet-stream"),  # reserved rate and bit rate
        (b"\x00\x00\x00\x20ftypM4A ", "audio/mp4"),
        ("Regen fällt".encode(), "text/plain"),
        ("ü".encode() * 2048 + b"\xc3", "text/plain"),
        (b"\x7fELF\x02\x01\x01\x00", "application/octet-stream"),
        (b"PK\x03\x04", "application/octet-stream"),
        (b"", "text/plain"),
    ],
)
def test_other_starts(start: bytes, media_type: str) -> None:
    assert sniffed(start) == media_type


@pytest.mark.parametrize(
    ("said", "canonical"),
    [
        ("audio/x-wav", "audio/wav"),
        ("Audio/FLAC", "audio/flac"),
        ("text/plain; charset=utf-8", "text/plain"),
        ("audio/mp3", "audio/mpeg"),
    ],
)
def test_other_names_of_a_type_become_its_own(said: str, canonical: str) -> None:
    assert allowed_type(said) == canonical


@pytest.mark.parametrize("said", ["text/html", "image/svg+xml", "application/javascript", "", "audio/*"])
def test_a_type_that_a_browser_might_run_is_refused(said: str) -> None:
    with pytest.raises(InvalidInput, match="the store takes no"):
        allowed_type(said)


def test_an_upload_that_is_something_else_is_refused() -> None:
    with pytest.raises(InvalidInput, match="said to be audio/wav and is audio/flac"):
        uploaded_type("audio/wav", encoded("FLAC"))


@pytest.mark.parametrize("start", [b"\x7fELF\x02\x01\x01\x00", b"\x89PNG\r\n\x1a\n", b"%PDF-1.7\n\x00"])
def test_an_upload_that_is_neither_audio_nor_text_is_refused_whatever_it_says(start: bytes) -> None:
    with pytest.raises(InvalidInput, match="neither audio"):
        uploaded_type("audio/wav", start)


@pytest.mark.parametrize(
    ("said", "start", "media_type"),
    [
        ("", b"fLaC", "audio/flac"),
        ("audio/opus", b"OggS", "audio/opus"),
        ("application/json", b'{"a": 1}', "application/json"),
        ("audio/x-wav", b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
    ],
)
def test_an_upload_gets_the_type_of_its_bytes(said: str, start: bytes, media_type: str) -> None:
    assert uploaded_type(said, start) == media_type
