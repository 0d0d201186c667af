"""A saved folder: whole, checked, and never mixed with another song's."""

import asyncio
import hashlib
import json
from pathlib import Path

import pytest
from google.protobuf import json_format

from harmonia.song.v1 import song_pb2 as pb
from harmonia.song.v1.spec_pb2 import SongSpec
from harmonia_sdk.errors import Conflict, FailedPrecondition, InvalidInput
from harmonia_sdk.folder import free_folder, save


class Files:
    """A client that has the files of songs made by `song()`, and counts who asks."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.asked: list[str] = []

    def song(self, name: str, files: dict[str, bytes], *, title: str = "Rain", take: int = 1) -> pb.Song:
        song = pb.Song(name=f"songs/{name}", state=pb.Song.SUCCEEDED, resolved=SongSpec(title=title, seed=7))
        self.add(song, files, take)
        return song

    def add(self, song: pb.Song, files: dict[str, bytes], take: int) -> None:
        for file, content in files.items():
            digest = hashlib.sha256(content).hexdigest()
            self.contents[f"artifacts/{digest}"] = content
            song.outputs.add(artifact=f"artifacts/{digest}", sha256=digest, file=file, take=take)

    async def download(self, artifact: str, to: Path) -> Path:
        self.asked.append(to.name)
        await asyncio.to_thread(to.write_bytes, self.contents[artifact])
        return to


def write(files: Files, song: pb.Song, folder: Path, *, force: bool = False) -> None:
    asyncio.run(save(files, song, folder, force=force))  # type: ignore[arg-type]  # saving only downloads


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_has_every_file_and_the_song_as_protobuf_json(tmp_path: Path) -> None:
    files = Files()
    song = files.song("1", {"master.wav": b"w", "stems/drums.flac": b"d", "song.mid": b"m", "cover.png": b"c"})
    write(files, song, tmp_path / "rain")

    assert tree(tmp_path / "rain") == ["cover.png", "master.wav", "song.json", "song.mid", "stems/drums.flac"]
    text = (tmp_path / "rain" / "song.json").read_text()
    assert json_format.Parse(text, pb.Song()) == song
    assert json.loads(text)["outputs"][0]["file"] == "master.wav"
    assert json.loads(text)["resolved"]["seed"] == "7"  # a 64-bit number is a string in protobuf JSON


def test_takes_have_a_folder_each(tmp_path: Path) -> None:
    files = Files()
    song = files.song("1", {"master.wav": b"one", "stems/bass.flac": b"b1"})
    files.add(song, {"master.wav": b"two"}, take=2)
    write(files, song, tmp_path / "rain")

    assert tree(tmp_path / "rain") == [
        "1/master.wav",
        "1/song.json",
        "1/stems/bass.flac",
        "2/master.wav",
        "2/song.json",
        "song.json",
    ]
    assert (tmp_path / "rain/2/master.wav").read_bytes() == b"two"


def test_another_song_is_not_overwritten(tmp_path: Path) -> None:
    files = Files()
    write(files, files.song("1", {"master.wav": b"one"}), tmp_path)

    with pytest.raises(Conflict, match=r"songs/1.*--force") as caught:
        write(files, files.song("2", {"master.wav": b"two"}), tmp_path)

    assert caught.value.field == "out"
    assert (tmp_path / "master.wav").read_bytes() == b"one"


def test_force_replaces_another_song_and_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    files = Files()
    write(files, files.song("1", {"master.wav": b"one", "stems/lead.flac": b"l"}), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    write(files, files.song("2", {"master.wav": b"two"}), tmp_path, force=True)

    assert tree(tmp_path) == ["master.wav", "notes.txt", "song.json"]
    assert (tmp_path / "master.wav").read_bytes() == b"two"


def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    files = Files()
    (tmp_path / "master.wav").write_text("a week's work")

    with pytest.raises(Conflict, match=r"master\.wav"):
        write(files, files.song("1", {"master.wav": b"one"}), tmp_path)

    assert tree(tmp_path) == ["master.wav"]


def test_saving_again_only_fills_holes(tmp_path: Path) -> None:
    files = Files()
    song = files.song("1", {"master.wav": b"w", "song.mid": b"m", "cover.png": b"c"})
    write(files, song, tmp_path)
    (tmp_path / "song.mid").unlink()
    (tmp_path / "cover.png").write_bytes(b"broken")
    files.asked.clear()
    write(files, song, tmp_path)

    assert sorted(files.asked) == ["cover.png", "song.mid"]
    assert (tmp_path / "cover.png").read_bytes() == b"c"


def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    files = Files()
    write(files, files.song("1", {"../../evil.sh": b"e", "/etc/passwd": b"p", "a\\..\\b": b"b"}), tmp_path / "in")

    assert tree(tmp_path) == ["in/a/b", "in/etc/passwd", "in/evil.sh", "in/song.json"]


def test_a_song_that_is_not_made_has_nothing_to_save(tmp_path: Path) -> None:
    song = pb.Song(name="songs/1", state=pb.Song.FAILED)

    with pytest.raises(FailedPrecondition, match="FAILED"):
        write(Files(), song, tmp_path / "rain")

    assert not (tmp_path / "rain").exists()


def test_a_place_where_nothing_can_be_written_is_refused_by_name(tmp_path: Path) -> None:
    files = Files()
    (tmp_path / "file").write_text("")

    with pytest.raises(InvalidInput, match="file") as caught:
        write(files, files.song("1", {"master.wav": b"one"}), tmp_path / "file" / "rain")

    assert caught.value.field == "out"


def test_folders_are_named_by_title_and_then_numbered(tmp_path: Path) -> None:
    files = Files()
    first, second = (files.song(name, {"master.wav": b"w"}, title="Rain & Tea") for name in ("1", "2"))
    write(files, first, free_folder(first, tmp_path))
    write(files, second, free_folder(second, tmp_path))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["rain-tea", "rain-tea-2"]
    assert free_folder(second, tmp_path) == tmp_path / "rain-tea-2"
