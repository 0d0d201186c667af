"""`harmonia model …`, and songs drawn from a model of one's own."""

import json
from pathlib import Path

import pytest

from tests.e2e.cli.command import Run
from tests.e2e.cli.conftest import Up
from tests.musicgen_models import written

pytestmark = pytest.mark.filterwarnings("ignore")  # audiocraft and torch warn of each other's age


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, _ = written(tmp_path_factory.mktemp("weights"))
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    return folder.rename(folder.with_name("my-tiny-model"))


def test_a_song_from_a_folder_of_weights_carries_their_licence(run: Run, weights: Path, tmp_path: Path) -> None:
    without = run("compose", "sad piano", "--engine", "musicgen")

    assert without.code == 2
    assert "spec.model is missing: the engine musicgen plays one that you name; this mesh has" in without.err

    told = run(
        "compose", "slow sad piano", "--engine", "musicgen", "--model", str(weights), "--duration", "5", "--bpm", "80",
        "--seed", "7", "--out", str(tmp_path / "song"), timeout_s=240,
    )  # fmt: skip

    assert told.code == 0, told.err
    song = json.loads((tmp_path / "song" / "song.json").read_text())
    assert song["resolved"]["model"] == "my-tiny-model"
    assert song["provenance"]["licence"] == "CC-BY-NC-4.0"
    assert song["provenance"]["numerics"] == "float32, cpu"
    passport = json.loads((tmp_path / "song" / "provenance.json").read_text())
    assert passport["predicate"]["engine"]["numerics"] == "float32, cpu"
    assert song["analysis"]["tempo"]["requested"] == 80
    assert "measured" in song["analysis"]["tempo"]
    assert "spec.bpm: the engine musicgen leans towards it and does not promise it" in song["warnings"]


def test_a_model_is_imported_listed_verified_and_evicted(run: Run, up: Up, weights: Path) -> None:
    made = run("model", "import", str(weights), "--name", "mine", "--licence", "MIT", "--json", timeout_s=240)
    listed = [json.loads(line) for line in run("model", "list", "--json").lines]

    assert made.code == 0, made.err
    assert json.loads(made.lines[-1])["licence"] == "MIT"
    assert "models/mine" in {model["name"] for model in listed}
    assert run("model", "verify", "mine").code == 0

    path = up.home / "models" / "mine" / "decoder.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    damaged = run("model", "verify", "mine")
    assert damaged.code == 5
    assert "mine/decoder.safetensors is not what the inventory says" in damaged.err

    assert run("model", "evict", "mine").code == 0
    assert run("model", "verify", "mine").code == 3
    assert not (up.home / "models" / "mine").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("model", "import", "/nowhere/at/all"), 2, "'/nowhere/at/all' is no folder"),
        (("model", "pull", "musicgen-small"), 2, "name a repository, as in hf:facebook/musicgen-small"),
        (
            ("model", "pull", "s3://weights"),
            2,
            "'s3://weights' is no folder on S3: name one as in s3://bucket/models/small",
        ),
        (("model", "pull", "s3://weights/small"), 5, "this mesh keeps its objects in a folder and reads no S3"),
        (("model", "evict", "nobody"), 3, "no model 'nobody' here"),
        (("compose", "jazz", "--engine", "musicgen", "--model", "nobody"), 2, "spec.model is 'nobody'"),
    ],
)
def test_what_cannot_be_is_one_line_and_a_code(run: Run, arguments: tuple[str, ...], code: int, message: str) -> None:
    told = run(*arguments)

    assert told.code == code
    assert message in told.err
    assert told.err.count("\n") == 1
