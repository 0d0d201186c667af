"""Listening: the client over broken streams, the WAVE file, and players as real processes."""

import asyncio
import io
import struct
import sys
import wave as reference
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from harmonia.song.v1 import song_pb2 as pb
from harmonia_sdk import AsyncClient, Client
from harmonia_sdk.cli.play import Heard
from harmonia_sdk.cli.players import find_player
from harmonia_sdk.endpoint import Endpoint
from harmonia_sdk.errors import FailedPrecondition, InvalidInput
from harmonia_sdk.sections import redrawn
from harmonia_sdk.spec import paths_of, song_spec
from harmonia_sdk.wave import WaveFile, header

Context = grpc.ServicerContext
Serve = Callable[..., Endpoint]
SECOND = 48_000


def chunk(second: int, source: "pb.AudioChunk.Source.ValueType" = pb.AudioChunk.MASTER) -> pb.AudioChunk:
    """Each second holds its number."""
    return pb.AudioChunk(position=second * SECOND, pcm=struct.pack("<h", second) * 2 * SECOND, source=source, length=4)


class BreaksTwice:
    """Four seconds of sound, over a line that breaks in the middle of it."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    def ListenSong(self, request: pb.ListenSongRequest, context: Context) -> Iterator[pb.AudioChunk]:
        self.asked.append(request.from_seconds)
        first = round(request.from_seconds)
        yield pb.AudioChunk(position=first * SECOND)
        yield chunk(first, pb.AudioChunk.PREVIEW if first < 1 else pb.AudioChunk.MASTER)
        if first < 2:
            context.abort(grpc.StatusCode.UNAVAILABLE, "going down")
        yield from (chunk(second) for second in range(first + 1, 4))


async def test_a_broken_line_loses_nothing_and_repeats_nothing(serve: Serve) -> None:
    songs = BreaksTwice()
    async with AsyncClient.at(serve(songs=songs)) as client:
        heard = [one.position // SECOND async for one in client.listen("1")]

    assert heard == [0, 1, 2, 3]
    assert songs.asked == [0.0, 1.0, 2.0]


def test_the_client_without_a_loop_listens_too(serve: Serve) -> None:
    endpoint = serve(songs=BreaksTwice())
    with Client("localhost:1", token="t", ca=endpoint.ca) as client:
        client._client.endpoint = endpoint

        assert [one.position // SECOND for one in client.listen("1", from_seconds=2.0)] == [2, 3]


async def test_a_song_that_comes_to_nothing_is_not_listened_to_again(serve: Serve) -> None:
    class Failed:
        asked = 0

        def ListenSong(self, request: pb.ListenSongRequest, context: Context) -> Iterator[pb.AudioChunk]:
            self.asked += 1
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it FAILED")
            yield chunk(0)

    songs = Failed()
    async with AsyncClient.at(serve(songs=songs)) as client:
        with pytest.raises(FailedPrecondition, match="it FAILED"):
            await anext(client.listen("1"))

    assert songs.asked == 1


def test_a_wave_file_says_how_long_it_is_once_it_is_closed(tmp_path: Path) -> None:
    file = WaveFile(tmp_path / "song.wav")
    for second in range(3):
        file.write(chunk(second).pcm)
    file.close()
    with reference.open(str(tmp_path / "song.wav")) as read:
        told = (read.getnchannels(), read.getsampwidth(), read.getframerate(), read.getnframes())

    assert told == (2, 2, SECOND, 3 * SECOND)


def test_nothing_heard_leaves_no_file(tmp_path: Path) -> None:
    WaveFile(tmp_path / "song.wav").close()

    assert list(tmp_path.iterdir()) == []


def test_the_header_of_a_stream_is_one_that_a_reader_takes() -> None:
    with reference.open(io.BytesIO(header() + bytes(400))) as read:
        assert (read.getnchannels(), read.getsampwidth(), read.getframerate()) == (2, 2, SECOND)


@pytest.fixture
def players(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """players(name, body): a program of that name, which is all there is; what it says to OUT comes back."""

    def install(name: str, body: str) -> Path:
        folder, out = tmp_path / "bin", tmp_path / "out"
        folder.mkdir(exist_ok=True)
        program = folder / name
        program.write_text(f"#!{sys.executable}\nimport sys\nout = open({str(out)!r}, 'wb')\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return out

    return install


async def played(serve: Serve) -> Heard:
    async with AsyncClient.at(serve(songs=BreaksTwice())) as client:
        heard = Heard(SimpleNamespace(client=client), "songs/1")  # type: ignore[arg-type]  # the part of it that is used
        await heard.played(find_player())
        return heard


EATS = "out.write(sys.stdin.buffer.read())"


async def test_a_player_of_waves_is_given_one(serve: Serve, players: Callable[[str, str], Path]) -> None:
    out = players("ffplay", EATS)
    heard = await played(serve)
    data = out.read_bytes()

    assert data == header() + b"".join(chunk(second).pcm for second in range(4))
    assert (heard.seconds, heard.preview_seconds) == (4.0, 1.0)


@pytest.mark.parametrize("name", ["aplay", "paplay", "pw-play", "play"])
async def test_a_player_of_samples_is_given_samples(
    name: str, serve: Serve, players: Callable[[str, str], Path]
) -> None:
    out = players(name, EATS)
    await played(serve)

    assert out.read_bytes() == b"".join(chunk(second).pcm for second in range(4))


async def test_a_player_of_files_is_given_a_file(serve: Serve, players: Callable[[str, str], Path]) -> None:
    out = players("afplay", "out.write(open(sys.argv[1], 'rb').read())")
    await played(serve)

    assert out.read_bytes() == header(4 * 4 * SECOND) + b"".join(chunk(second).pcm for second in range(4))


async def test_a_player_without_a_sound_device_is_told_in_its_own_words(
    serve: Serve, players: Callable[[str, str], Path]
) -> None:
    players("aplay", "sys.stderr.write('ALSA: no soundcards found\\n'); sys.exit(1)")

    with pytest.raises(FailedPrecondition, match=r"aplay played nothing: ALSA: no soundcards found; .*--out"):
        await played(serve)


async def test_a_player_that_complains_and_ends_well_has_played_nothing(
    serve: Serve, players: Callable[[str, str], Path]
) -> None:
    players("ffplay", "sys.stderr.write('audio open failed\\n')")

    with pytest.raises(FailedPrecondition, match="ffplay played nothing: audio open failed"):
        await played(serve)


async def test_a_player_that_is_closed_ends_the_listening(serve: Serve, players: Callable[[str, str], Path]) -> None:
    players("ffplay", "sys.stdin.buffer.read(100)")
    async with asyncio.timeout(20):
        heard = await played(serve)

    assert heard.seconds <= 4


def test_without_a_player_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(FailedPrecondition, match=r"install ffmpeg .*--out"):
        find_player()


def test_the_paths_of_a_change_are_those_that_are_set() -> None:
    fields: dict[str, Any] = {
        "key": "A minor", "moods": ["calm"], "mastering": {"preset": "LOUD", "target_lufs": -12},
        "lyrics": {"text": "la"}, "outputs": {"stems": False}, "labels": {"album": "rain"},
    }  # fmt: skip

    assert paths_of(song_spec("", fields)) == [
        "lyrics", "moods", "key", "mastering.preset", "mastering.target_lufs", "outputs.stems", "labels",
    ]  # fmt: skip


def sung() -> pb.Song:
    song = pb.Song(name="songs/1")
    for name, bars in (("verse", 8), ("chorus", 4), ("verse", 8)):
        song.sections.add(name=name, bars=bars)
    return song


@pytest.mark.parametrize(("wanted", "seeds"), [("Verse", [9, 0, 9]), ("2", [0, 9, 0]), ("3", [0, 0, 9])])
def test_the_sections_that_are_named_are_drawn_anew_and_the_form_stays(wanted: str, seeds: list[int]) -> None:
    sections = redrawn(sung(), [wanted], 9)

    assert [(one.name, one.bars) for one in sections] == [("verse", 8), ("chorus", 4), ("verse", 8)]
    assert [one.seed for one in sections] == seeds
    assert [one.HasField("seed") for one in sections] == [bool(seed) for seed in seeds]


def test_a_section_that_was_asked_for_keeps_how_it_was_asked_for() -> None:
    song = sung()
    song.resolved.sections.add(name="verse", bars=8, intensity=0.3)

    assert redrawn(song, ["1"], 9)[0].intensity == 0.3


def test_a_section_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidInput, match="1 verse, 2 chorus, 3 verse"):
        redrawn(sung(), ["bridge"], 9)
    with pytest.raises(FailedPrecondition, match="no sections"):
        redrawn(pb.Song(name="songs/1"), ["1"], 9)
