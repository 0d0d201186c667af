"""The command line without a mesh: what it refuses, in how many lines, and with which exit code."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from harmonia.song.v1 import song_pb2 as pb
from harmonia.type.v1.type_pb2 import Problem
from harmonia_sdk import errors
from harmonia_sdk.cli.app import run
from harmonia_sdk.cli.faults import EXIT_CODES, SongEnded, error_of, exit_code_of, print_error
from harmonia_sdk.cli.project import counted
from harmonia_sdk.cli.session import plain_words
from harmonia_sdk.cli.show import Lines, print_table, say
from harmonia_sdk.cli.songs import filter_of
from harmonia_sdk.endpoint import Endpoint
from harmonia_sdk.errors import HarmoniaError, Reason


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mesh, no config file, and an empty folder to work in."""
    monkeypatch.setenv("HARMONIA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def harmonia(*arguments: str) -> int:
    return run(arguments, as_json="--json" in arguments)


REFUSED: list[tuple[Sequence[str], str]] = [
    (["compose"], "prompt"),
    (["compose", "rain", "--spec", "x.json"], "prompt"),
    (["compose", "--spec", "gone.json"], "spec"),
    (["compose", "rain", "--bpm", "fast"], "spec.bpm"),
    (["compose", "rain", "--seed", "-1"], "spec.seed"),
    (["compose", "rain", "--variations", "two"], "spec.variations"),
    (["compose", "rain", "--kind", "opera"], "spec.kind"),
    (["compose", "rain", "--preset", "louder"], "spec.mastering.preset"),
    (["compose", "rain", "--lyrics", "gone.txt"], "spec.lyrics"),
    (["compose", "rain", "--set", "bmp=84"], "spec.bmp"),
    (["compose", "rain", "--set", "bpm"], "set"),
    (["compose", "rain", "--play", "--detach"], "play"),
    (["compose", "rain", "--daw", "logic"], "daw"),
    (["compose", "rain", "--vocals", "loud"], "spec.vocals"),
    (["compose", "rain", "--frobnicate"], "frobnicate"),
    (["compose", "\udcff"], "spec.prompt"),
    (["list", "--state", "DONE"], "state"),
    (["list", "--label", "album"], "label"),
    (["list", "--limit", "many"], "limit"),
    (["list", "--limit", "0"], "limit"),
    (["list", "--filter", "\udcff"], "filter"),
    (["retry"], "name"),
    (["retry", "songs/1", "--filter", "state = FAILED"], "name"),
    (["retry", "songs/1", "--dry-run"], "dry_run"),
    (["show"], "name"),
    (["understand"], "prompt"),
    (["understand", "\udcff"], "prompt"),
    (["analyze", "gone.wav"], "file"),
    (["master", "gone.wav"], "file"),
    (["play", "songs/1", "--out", "."], "out"),
    (["play", "songs/1", "--out", "nowhere/x.wav"], "out"),
    (["play", "--from", "soon"], "from_seconds"),
    (["revise", "songs/1", "--set", "bmp=90"], "spec.bmp"),
    (["revise", "songs/1", "--bpm", "fast"], "spec.bpm"),
    (["revise"], "name"),
    (["frobnicate"], "command"),
    (["list", "--server", "nowhere"], "server"),
    (["list", "--server", "host:1"], "token_file"),
    (["list", "--server", "host:1", "--token-file", "gone"], "token_file"),
    (["list", "--ca", "ca.pem"], "server"),
]


@pytest.mark.parametrize(("arguments", "field"), REFUSED)
def test_wrong_input_is_refused_before_any_mesh_in_one_line_that_names_the_field(
    arguments: Sequence[str], field: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code = harmonia(*arguments)
    told = capsys.readouterr()

    assert code == 2
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert field.rpartition(".")[2].replace("_", "-") in told.err.replace("_", "-").lower()
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(("arguments", "field"), REFUSED)
def test_with_json_the_refusal_is_an_object(
    arguments: Sequence[str], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = harmonia(*arguments, "--json")
    error = json.loads(capsys.readouterr().err)["error"]

    assert code == 2
    assert set(error) == {"code", "reason", "field", "message", "request_id"}
    assert (error["code"], error["field"]) == ("INVALID_ARGUMENT", field)


def test_detaching_without_a_mesh_is_unreachable_and_names_harmonia_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmonia("compose", "rain", "--detach") == 7
    assert "harmonia up" in capsys.readouterr().err


def test_a_folder_with_another_song_is_refused_before_it_is_made(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "song.json").write_text('{"name": "songs/1"}')

    assert harmonia("compose", "rain", "--out", "out") == 5
    assert "songs/1" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_a_profile_names_the_mesh_unless_a_home_does(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config" / "harmonia" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text('[profile]\nserver = "127.0.0.1:1"\ntoken_file = "token"\n')
    (config.parent / "token").write_text("secret\n")
    monkeypatch.delenv("HARMONIA_HOME")

    assert harmonia("list") == 7
    assert "secret" not in capsys.readouterr().err

    config.write_text('[profile]\nsever = "127.0.0.1:1"\n')
    assert harmonia("list") == 2
    assert "server" in capsys.readouterr().err


def test_a_closed_port_is_told_in_one_sentence_that_names_harmonia_up(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("secret\n")

    assert harmonia("list", "--server", "127.0.0.1:1", "--token-file", "token") == 7
    assert capsys.readouterr().err == (
        "harmonia: no server answers at 127.0.0.1:1: is the address right? `harmonia up` starts a mesh\n"
    )


def test_a_server_of_an_unknown_ca_is_told_with_a_hint_at_ca(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, serve: Callable[..., Endpoint]
) -> None:
    (tmp_path / "token").write_text("secret\n")
    address = serve(songs=Songs()).address

    assert harmonia("list", "--server", address, "--token-file", "token") == 7
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "name it by --ca" in told
    assert "CERTIFICATE_VERIFY_FAILED" not in told


@pytest.mark.parametrize("command", ["up", "list"])
def test_a_home_that_is_a_file_is_refused_with_the_way_out(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    assert harmonia(command, "--home", "file") == 2
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert "--home" in told.err


def test_doctor_looks_at_this_machine_and_at_the_mesh(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code = harmonia("doctor", "--json")
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    assert code == 0
    assert {"nats-server", "clock", "running"} <= {finding["check"] for finding in findings}
    assert all(finding.keys() >= {"check", "ok", "detail", "needed"} for finding in findings)
    assert not (tmp_path / "home").exists()


def test_without_a_mesh_of_its_own_a_machine_hears_how_to_get_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("harmonia_local", "harmonia_local.doctor", "harmonia_local.up"):
        monkeypatch.setitem(sys.modules, module, None)

    assert harmonia("doctor") == 0
    assert "pip install 'harmonia[local]'" in capsys.readouterr().out
    assert harmonia("up") == 7
    assert "pip install 'harmonia[local]'" in capsys.readouterr().err


def test_the_version_is_an_option_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert harmonia("version") == 0
    told = capsys.readouterr().out

    assert harmonia("--version") == 0
    assert capsys.readouterr().out == told == "harmonia 0.1.0\n"


def test_a_song_that_is_not_there_is_told_in_words_of_the_command_line() -> None:
    told = errors.NotFound("there is no songs/1: ListSongs tells which there are", reason=Reason.SONG_NOT_FOUND)
    with pytest.raises(errors.NotFound) as raised, plain_words(Endpoint("127.0.0.1:1", "")):
        raise told

    assert raised.value.message == "there is no songs/1: `harmonia list` shows your songs"


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(pb.ListSongsResponse())

    assert capsys.readouterr().out == "no songs\n"


class Songs:
    """Has none, and would not be asked."""


HEAVY = {"grpc", "google.protobuf", "rich", "numpy", "harmonia_local", "harmonia_sdk.client"}
TREE = [kind for kind in HarmoniaError.__subclasses__() if kind.__module__ == "harmonia_chassis.errors"]


@pytest.mark.parametrize("kind", TREE)
def test_every_class_of_error_has_an_exit_code(kind: type[HarmoniaError]) -> None:
    assert kind in EXIT_CODES
    assert exit_code_of(kind("x", reason=Reason.INTERNAL)) == EXIT_CODES[kind]


def ended(state: "pb.Song.State.ValueType") -> SongEnded:
    song = pb.Song(name="songs/1", state=state)
    song.stages.add(name="write", state=pb.Song.SUCCEEDED)
    song.stages.add(name="compose", state=state)
    if state == pb.Song.FAILED:
        problem = Problem(code="INTERNAL", reason="ENGINE_FAILED", message="the engine could not")
        song.error.CopyFrom(problem)
    return SongEnded(song)


def test_a_failed_song_says_where_and_why() -> None:
    failure = ended(pb.Song.FAILED)

    assert exit_code_of(failure) == 8
    assert error_of(failure).message == "songs/1 failed at compose: the engine could not"
    assert error_of(failure).reason == Reason.ENGINE_FAILED


def test_an_expired_song_has_failed_and_a_cancelled_one_was_cancelled() -> None:
    assert exit_code_of(ended(pb.Song.EXPIRED)) == 8
    assert exit_code_of(ended(pb.Song.CANCELLED)) == 9


def test_a_quota_says_when_to_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    full = errors.QuotaExceeded("20 songs are unfinished", reason=Reason.INTERNAL, retry_after=timedelta(seconds=12))
    print_error(full, as_json=False)

    assert "12 s" in capsys.readouterr().err


def test_what_comes_from_elsewhere_cannot_paint_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(errors.NotFound("no\x1b[31m such\nsong\r", reason=Reason.INTERNAL), as_json=False)

    assert capsys.readouterr().err == "harmonia: no [31m such song\n"


def test_what_is_said_keeps_its_columns_but_paints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"{'bpm':<8} {'84':<6} \x1b[31m84 bpm\n")

    assert capsys.readouterr().out == "bpm      84      [31m84 bpm\n"


def test_a_defect_of_ours_is_one_line_and_a_log(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_name: str) -> str:
        raise RuntimeError("a secret prompt")

    monkeypatch.setattr("harmonia_sdk.cli.mesh.version_of", broken)

    assert harmonia("version") == 1
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "secret" not in told
    assert "RuntimeError" in (tmp_path / "home" / "logs" / "cli.log").read_text()


@pytest.mark.parametrize(
    ("state", "labels", "given", "expected"),
    [
        ("", [], "", ""),
        ("failed", [], "", "state = FAILED"),
        ("", ["album=rain"], "", 'labels.album = "rain"'),
        (
            "FAILED",
            ['a=x"y'],
            "bpm > 3 OR batch = true",
            'state = FAILED AND labels.a = "x\\"y" AND (bpm > 3 OR batch = true)',
        ),
        ("", ['a b=x"y'], "", 'labels."a b" = "x\\"y"'),
        ("", [], "title = x", "title = x"),
    ],
)
def test_the_options_of_list_become_one_filter(state: str, labels: list[str], given: str, expected: str) -> None:
    assert filter_of(state, labels, given) == expected


def test_one_song_is_no_plural() -> None:
    assert [counted(number) for number in (0, 1, 2)] == ["0 songs", "1 song", "2 songs"]


def test_progress_is_a_line_at_each_stage_and_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    show, song = Lines(), pb.Song(state=pb.Song.QUEUED)
    show(pb.SongEvent(song=song), song)
    song.state = pb.Song.RUNNING
    for percent in range(5, 100, 5):
        progress = pb.SongProgress(stage="compose", progress=percent / 100, message="drums")
        progress.eta.FromTimedelta(timedelta(seconds=4))
        show(pb.SongEvent(progress=progress), song)
    lines = capsys.readouterr().out.splitlines()

    assert lines[:2] == ["queued 0%", "compose 5%, 4 s left, drums"]
    assert len(lines) == 11


@pytest.mark.parametrize("argument", ["version", "--version", "--help"])
def test_what_needs_no_mesh_starts_without_what_is_slow_to_import(argument: str) -> None:
    program = f"import sys; from harmonia_sdk.cli import main; main(); print(*({HEAVY} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", program, argument], check=True, capture_output=True, text=True)

    assert told.stdout.splitlines()[-1] == ""


def test_grpc_of_a_command_is_imported_without_its_fork_handlers() -> None:
    program = (
        "import os; os.environ.pop('GRPC_ENABLE_FORK_SUPPORT', None); import sys; import harmonia_sdk.cli.app; "
        "print('grpc' in sys.modules, os.environ['GRPC_ENABLE_FORK_SUPPORT'])"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert told.stdout == "False 0\n"


def test_a_reader_that_has_read_enough_is_no_error(tmp_path: Path) -> None:
    program = "from harmonia_sdk.cli import main; raise SystemExit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)

    assert (process.returncode, err) == (0, "")
