"""A song from weights that are not there is refused before anything is started, or installed, for it."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harmonia_composer.models import Models
from harmonia_sdk.cli.app import run

MUSICGEN = ("compose", "slow sad piano", "--engine", "musicgen")
HEAVY = {"torch", "transformers", "numba"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With no model yet; in an empty folder to work in."""
    monkeypatch.setenv("HARMONIA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "state_dict.bin").write_bytes(b"half of it")
    return tmp_path / "home"


def given(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"weights")
    return folder


def known(home: Path, name: str) -> None:
    models = Models(home / "models", budget_bytes=1 << 20)
    with models.incoming(name) as folder:
        (folder / "decoder.safetensors").write_bytes(b"weights")
        models.settle(folder, name=name, licence="MIT", origin="folder:/x", revision="")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "spec.model is missing: the engine musicgen plays one that you name; this mesh has none: give a folder"),
        (("--model", "small"), "spec.model is 'small': this mesh has none: give a folder of your own with --model DIR"),
        (("--model", "gone/away"), "'gone/away' is no folder"),
        (("--model", "empty"), "spec.model is 'empty' (the folder 'empty' holds no weights): this mesh has none"),
        (("--model", "./empty"), "'empty' holds no MusicGen: neither audiocraft's state_dict.bin"),
        (("--model", "half"), "'half' holds no MusicGen: neither audiocraft's state_dict.bin"),
    ],
)
@pytest.mark.parametrize("only", [(), ("--check",)])
def test_without_weights_the_refusal_says_how_to_get_them_and_under_which_licence(
    arguments: Sequence[str], message: str, only: Sequence[str], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run([*MUSICGEN, *arguments, *only], as_json=False)
    told = capsys.readouterr()

    assert code == 2
    assert message in told.err
    assert told.err.count("\n") == 1
    assert ("harmonia model pull hf:facebook/musicgen-small (its weights are CC-BY-NC-4.0" in told.err) == (
        "has none" in message
    )
    assert not home.exists()


def test_models_that_are_there_are_named_with_their_licence(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known(home, "mine")

    assert run([*MUSICGEN, "--check"], as_json=False) == 2
    assert "this mesh has mine (MIT)" in capsys.readouterr().err
    Path("mine").mkdir()  # a folder of the same name that holds something else
    assert run([*MUSICGEN, "--model", "mine", "--check"], as_json=False) == 0


@pytest.mark.parametrize(
    "names",
    [("config.json", "model.safetensors"), ("state_dict.bin", "compression_state_dict.bin")],
)
def test_a_check_finds_nothing_to_say_of_a_folder_of_weights_and_starts_no_mesh(
    names: Sequence[str], home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = given(tmp_path / "weights", *names)

    assert run([*MUSICGEN, "--model", str(folder), "--check"], as_json=False) == 0
    assert run(["compose", "jazz", "--check"], as_json=False) == 0
    assert capsys.readouterr() == ("", "")
    assert not home.exists()


def test_a_check_imports_nothing_that_make_has_not_installed_yet() -> None:
    program = f"import sys; from harmonia_sdk.cli import main; main(); print(*({HEAVY} & set(sys.modules)))"
    command = [sys.executable, "-c", program, *MUSICGEN, "--check"]
    told = subprocess.run(command, check=False, capture_output=True, text=True)

    assert "spec.model is missing" in told.stderr
    assert told.stdout == "\n"
