"""Waiting for a song: what ctrl-C does, in a real process with a real terminal or none."""

import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from harmonia.song.v1 import song_pb2 as pb
from harmonia_sdk.endpoint import Endpoint

Serve = Callable[..., Endpoint]
Context = grpc.ServicerContext


class Slow:
    """A song that runs until it is cancelled, or told to succeed or to fail."""

    def __init__(self) -> None:
        self.state = threading.Condition()
        self.now = pb.Song(name="songs/1", state=pb.Song.RUNNING, progress=0.4)
        self.now.stages.add(name="compose", state=pb.Song.RUNNING)
        self.watched = threading.Event()

    def become(self, state: "pb.Song.State.ValueType") -> pb.Song:
        with self.state:
            self.now.state = state
            self.now.stages[0].state = state
            self.state.notify_all()
        return self.now

    def WatchSong(self, request: pb.WatchSongRequest, context: Context) -> Iterator[pb.SongEvent]:
        yield pb.SongEvent(resume_token="a", song=self.now)
        self.watched.set()
        with self.state:
            self.state.wait_for(lambda: self.now.state != pb.Song.RUNNING, timeout=20)
        yield pb.SongEvent(resume_token="b", song=self.now)

    def GetSong(self, request: pb.GetSongRequest, context: Context) -> pb.Song:
        return self.now

    def CancelSong(self, request: pb.CancelSongRequest, context: Context) -> pb.Song:
        return self.become(pb.Song.CANCELLED)


PROGRAM = "from harmonia_sdk.cli import main; raise SystemExit(main())"
# As if the mesh were the command's own: what ctrl-C then does is decided in follow().
PRIVATE = "from harmonia_sdk.cli import session as s; S = s.Session; s.Session = lambda client, _: S(client, True); "


def start(
    endpoint: Endpoint, folder: Path, *arguments: str, program: str = PROGRAM, **more: object
) -> "subprocess.Popen[str]":
    (folder / "ca.pem").write_bytes(endpoint.ca or b"")
    (folder / "token").write_text(endpoint.token)
    remote = ["--server", endpoint.address, "--ca", str(folder / "ca.pem"), "--token-file", str(folder / "token")]
    command = [sys.executable, "-c", program, *arguments, *remote]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
    return subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload, no-any-return]  # of a mapping


def test_ctrl_c_leaves_the_song_to_the_mesh_and_says_how_to_come_back(serve: Serve, tmp_path: Path) -> None:
    songs = Slow()
    process = start(serve(songs=songs), tmp_path, "watch", "songs/1")
    assert songs.watched.wait(10)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)

    assert (process.returncode, err) == (0, "")
    assert "harmonia watch songs/1" in out
    assert "harmonia cancel songs/1" in out
    assert songs.now.state == pb.Song.RUNNING


def test_on_a_private_mesh_the_second_ctrl_c_cancels(serve: Serve, tmp_path: Path) -> None:
    songs = Slow()
    process = start(serve(songs=songs), tmp_path, "watch", "songs/1", program=PRIVATE + PROGRAM)
    assert process.stdout is not None
    assert songs.watched.wait(10)
    process.send_signal(signal.SIGINT)
    told = process.stdout.readline() + process.stdout.readline()
    assert "ctrl-C again cancels" in told
    assert songs.now.state == pb.Song.RUNNING
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)

    assert songs.now.state == pb.Song.CANCELLED
    assert (process.returncode, err) == (9, "harmonia: songs/1 was cancelled\n")


@pytest.mark.parametrize(("answer", "cancelled"), [("y\n", True), ("\n", False)])
def test_on_a_private_mesh_and_a_terminal_it_asks(serve: Serve, tmp_path: Path, answer: str, cancelled: bool) -> None:
    songs = Slow()
    ours, theirs = pty.openpty()
    process = start(
        serve(songs=songs), tmp_path, "watch", "songs/1", program=PRIVATE + PROGRAM, stdin=theirs, stderr=theirs
    )
    os.close(theirs)
    assert songs.watched.wait(10)
    process.send_signal(signal.SIGINT)
    asked = ""
    while "ctrl-C again]" not in asked:
        asked += os.read(ours, 1000).decode()
    os.write(ours, answer.encode())
    if not cancelled:
        os.read(ours, 1000)  # the terminal's echo: the answer was read
        songs.become(pb.Song.SUCCEEDED)
    process.communicate(timeout=10)
    os.close(ours)

    assert process.returncode == (9 if cancelled else 0)


def test_a_terminal_sees_a_bar_and_no_leftovers(serve: Serve, tmp_path: Path) -> None:
    songs = Slow()
    ours, theirs = pty.openpty()
    process = start(serve(songs=songs), tmp_path, "watch", "songs/1", stdout=theirs)
    os.close(theirs)
    assert songs.watched.wait(10)
    seen = ""
    while "40%" not in seen:
        seen += os.read(ours, 4096).decode()
    songs.become(pb.Song.SUCCEEDED)
    process.communicate(timeout=10)
    seen = os.read(ours, 65536).decode()
    os.close(ours)

    assert seen.rstrip().endswith("songs/1 SUCCEEDED: harmonia download songs/1")


def test_sigterm_stops_a_command_quietly(serve: Serve, tmp_path: Path) -> None:
    songs = Slow()
    process = start(serve(songs=songs), tmp_path, "watch", "songs/1")
    assert songs.watched.wait(10)
    process.terminate()
    _, err = process.communicate(timeout=10)

    assert (process.returncode, err) == (9, "harmonia: stopped\n")


def test_a_failed_song_ends_a_watch_with_8_and_json_goes_on(serve: Serve, tmp_path: Path) -> None:
    songs = Slow()
    songs.now.error.code, songs.now.error.reason, songs.now.error.message = "INTERNAL", "ENGINE_FAILED", "no sound"
    process = start(serve(songs=songs), tmp_path, "watch", "songs/1", "--json")
    assert songs.watched.wait(10)
    songs.become(pb.Song.FAILED)
    out, err = process.communicate(timeout=10)

    assert process.returncode == 8
    assert [json.loads(line)["song"]["state"] for line in out.splitlines()] == ["RUNNING", "FAILED"]
    assert json.loads(err)["error"]["reason"] == "ENGINE_FAILED"
    assert json.loads(err)["error"]["message"] == "songs/1 failed at compose: no sound"
