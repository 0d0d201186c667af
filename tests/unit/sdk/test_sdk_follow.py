"""Waiting for a song: what ctrl-C does, in a real process with a real terminal or none."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from harmonia.song.v1 import song_pb2 as pb
from harmonia_sdk.endpoint import Endpoint

Serve = Callable[..., Endpoint]
Context = grpc.ServicerContext
LONG_S = 60.0  # only guards against hanging: a loaded machine takes its time


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

    def wake(self) -> None:
        with self.state:
            self.state.notify_all()

    def WatchSong(self, request: pb.WatchSongRequest, context: Context) -> Iterator[pb.SongEvent]:
        yield pb.SongEvent(resume_token="a", song=self.now)
        self.watched.set()
        context.add_callback(self.wake)
        with self.state:
            self.state.wait_for(lambda: self.now.state != pb.Song.RUNNING or not context.is_active(), timeout=LONG_S)
        yield pb.SongEvent(resume_token="b", song=self.now)

    def GetSong(self, request: pb.GetSongRequest, context: Context) -> pb.Song:
        return self.now

    def CancelSong(self, request: pb.CancelSongRequest, context: Context) -> pb.Song:
        return self.become(pb.Song.CANCELLED)


PROGRAM = "from harmonia_sdk.cli import main; raise SystemExit(main())"
# As if the mesh were the command's own: what ctrl-C then does is decided in follow().
PRIVATE = (
    "from harmonia_sdk.cli import session as s; S = s.Session; "
    "s.Session = lambda client, operator, _: S(client, operator, True); "
)


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(endpoint, "watch", …): the command, which does not outlive a test that fails."""
    with ExitStack() as stack:

        def run(endpoint: Endpoint, *arguments: str, program: str = PROGRAM, **more: Any) -> "subprocess.Popen[str]":
            (tmp_path / "ca.pem").write_bytes(endpoint.ca or b"")
            (tmp_path / "token").write_text(endpoint.token)
            remote = ["--server", endpoint.address, "--ca", str(tmp_path / "ca.pem")]
            command = [sys.executable, "-c", program, *arguments, *remote, "--token-file", str(tmp_path / "token")]
            pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | more
            process = stack.enter_context(subprocess.Popen(command, text=True, **pipes))
            stack.callback(process.kill)
            return process

        yield run


Terminal = tuple[int, int]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """Our end and the command's."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def rest_of(terminal: int) -> str:
    """What was written until now; the command has ended."""
    said = b""
    while select.select([terminal], [], [], 0)[0]:
        said += os.read(terminal, 65536)
    return said.decode()


def test_ctrl_c_leaves_the_song_to_the_mesh_and_says_how_to_come_back(serve: Serve, start: Start) -> None:
    songs = Slow()
    process = start(serve(songs=songs), "watch", "songs/1")
    assert songs.watched.wait(LONG_S)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=LONG_S)

    assert (process.returncode, err) == (0, "")
    assert "harmonia watch songs/1" in out
    assert "harmonia cancel songs/1" in out
    assert songs.now.state == pb.Song.RUNNING


def test_on_a_private_mesh_the_second_ctrl_c_cancels(serve: Serve, start: Start) -> None:
    songs = Slow()
    process = start(serve(songs=songs), "watch", "songs/1", program=PRIVATE + PROGRAM)
    assert process.stdout is not None
    assert songs.watched.wait(LONG_S)
    process.send_signal(signal.SIGINT)
    told = process.stdout.readline() + process.stdout.readline()
    assert "ctrl-C again cancels" in told
    assert songs.now.state == pb.Song.RUNNING
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=LONG_S)

    assert songs.now.state == pb.Song.CANCELLED
    assert (process.returncode, err) == (9, "harmonia: songs/1 was cancelled\n")


@pytest.mark.parametrize(("answer", "cancelled"), [("y\n", True), ("\n", False)])
def test_on_a_private_mesh_and_a_terminal_it_asks(
    serve: Serve, start: Start, terminal: Terminal, answer: str, cancelled: bool
) -> None:
    songs = Slow()
    ours, theirs = terminal
    process = start(serve(songs=songs), "watch", "songs/1", program=PRIVATE + PROGRAM, stdin=theirs, stderr=theirs)
    assert songs.watched.wait(LONG_S)
    process.send_signal(signal.SIGINT)
    asked = ""
    while "ctrl-C again]" not in asked:
        asked += os.read(ours, 1000).decode()
    os.write(ours, answer.encode())
    if not cancelled:
        os.read(ours, 1000)  # the terminal's echo: the answer was read
        songs.become(pb.Song.SUCCEEDED)
    process.communicate(timeout=LONG_S)

    assert process.returncode == (9 if cancelled else 0)


def test_a_terminal_sees_a_bar_and_no_leftovers(serve: Serve, start: Start, terminal: Terminal) -> None:
    songs = Slow()
    ours, theirs = terminal
    process = start(serve(songs=songs), "watch", "songs/1", stdout=theirs)
    assert songs.watched.wait(LONG_S)
    seen = ""
    while "40%" not in seen:
        seen += os.read(ours, 4096).decode()
    songs.become(pb.Song.SUCCEEDED)
    process.communicate(timeout=LONG_S)
    seen = rest_of(ours)

    assert seen.rstrip().endswith("songs/1 SUCCEEDED: harmonia download songs/1")


def test_sigterm_stops_a_command_quietly(serve: Serve, start: Start) -> None:
    songs = Slow()
    process = start(serve(songs=songs), "watch", "songs/1")
    assert songs.watched.wait(LONG_S)
    process.terminate()
    _, err = process.communicate(timeout=LONG_S)

    assert (process.returncode, err) == (9, "harmonia: stopped\n")


def test_a_failed_song_ends_a_watch_with_8_and_json_goes_on(serve: Serve, start: Start) -> None:
    songs = Slow()
    songs.now.error.code, songs.now.error.reason, songs.now.error.message = "INTERNAL", "ENGINE_FAILED", "no sound"
    process = start(serve(songs=songs), "watch", "songs/1", "--json")
    assert songs.watched.wait(LONG_S)
    songs.become(pb.Song.FAILED)
    out, err = process.communicate(timeout=LONG_S)

    assert process.returncode == 8
    assert [json.loads(line)["song"]["state"] for line in out.splitlines()] == ["RUNNING", "FAILED"]
    assert json.loads(err)["error"]["reason"] == "ENGINE_FAILED"
    assert json.loads(err)["error"]["message"] == "songs/1 failed at compose: no sound"
