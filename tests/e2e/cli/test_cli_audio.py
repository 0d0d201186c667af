"""`harmonia analyze` and `harmonia master` on recordings of one's own: against a whole mesh."""

from pathlib import Path

import numpy as np
import pyebur128
import pytest
import soundfile
from PIL import Image

from tests.e2e.cli.command import Run, Told

RATE_HZ = 44_100


@pytest.fixture
def mix(tmp_path: Path) -> Path:
    """A quiet mix of ten seconds, with a name as people give."""
    time = np.arange(10 * RATE_HZ) / RATE_HZ
    beat = (2 * time) % 1
    left = 0.1 * np.sin(2 * np.pi * 60 * time) * np.exp(-6 * beat) + 0.03 * np.sin(2 * np.pi * 440 * time)
    file = tmp_path / "my mix (final).wav"
    soundfile.write(file, np.stack([left, 0.9 * left], axis=1), RATE_HZ)
    return file


def lufs(file: Path) -> float:
    samples, rate_hz = soundfile.read(file, dtype="float32", always_2d=True)
    state = pyebur128.R128State(samples.shape[1], rate_hz, pyebur128.MeasurementMode.MODE_I)
    state.add_frames(samples.ravel(), samples.shape[0])
    return float(pyebur128.get_loudness_global(state))


def test_a_recording_of_ones_own_is_mastered(run: Run, mix: Path, tmp_path: Path) -> None:
    out = tmp_path / "done"
    told = run("master", str(mix), "--preset", "podcast", "--format", "flac", "--format", "opus", "--preview",
               "--title", "Mein Lied", "--out", str(out))  # fmt: skip

    assert told.code == 0, told.err
    assert told.lines[-1] == str(out / "my-mix-final-master.flac")
    assert {file.name for file in out.iterdir()} == {
        "my-mix-final-master.flac",
        "my-mix-final-master.opus",
        "my-mix-final-preview-before.flac",
        "my-mix-final-preview-after.flac",
    }
    assert lufs(out / "my-mix-final-master.flac") == pytest.approx(-16, abs=0.1)
    before, after = (lufs(out / f"my-mix-final-preview-{name}.flac") for name in ("before", "after"))
    assert before == pytest.approx(after, abs=0.1)
    assert "encoding 30%" in told.err


def test_files_that_are_there_are_not_replaced_unasked(run: Run, mix: Path, tmp_path: Path) -> None:
    first = run("master", str(mix), "--out", str(tmp_path), "--json")
    again = run("master", str(mix), "--out", str(tmp_path))
    forced = run("master", str(mix), "--out", str(tmp_path), "--force")

    assert first.code == 0, first.err
    assert first.objects[-1]["result"]["analysis"]["mastering"]["status"] == "CLEAN"
    assert first.objects[-1]["files"] == [str(tmp_path / "my-mix-final-master.wav")]
    assert (again.code, forced.code) == (5, 0)


def test_a_picture_is_drawn_where_one_is_asked_for(run: Run, mix: Path, tmp_path: Path) -> None:
    told = run("analyze", str(mix), "--png", str(tmp_path / "pictures" / "mix.png"), "--json")

    assert told.code == 0, told.err
    with Image.open(tmp_path / "pictures" / "mix.png") as picture:
        assert picture.size == (1600, 900)
    assert told.objects[0]["sections"][0]["start_seconds"] == 0


@pytest.mark.parametrize("command", ["analyze", "master"])
def test_what_is_wrong_with_a_file_is_said_of_the_file_that_was_given(run: Run, tmp_path: Path, command: str) -> None:
    cut = tmp_path / "cut.flac"
    soundfile.write(cut, np.zeros((48_000, 2)), 48_000)
    cut.write_bytes(cut.read_bytes()[:60])
    told: Told = run(command, str(cut), "--json")

    assert told.code == 2
    assert (told.error["reason"], told.error["field"]) == ("AUDIO_UNREADABLE", "file")
    assert told.error["message"].startswith(f"{cut}: not audio")


@pytest.mark.parametrize(
    ("arguments", "field"),
    [(["--target-lufs", "-3"], "target_lufs"), (["--format", "aac"], "formats"), (["--preset", "x"], "preset")],
)
def test_a_master_that_cannot_be_is_refused_by_name(run: Run, mix: Path, arguments: list[str], field: str) -> None:
    told = run("master", str(mix), *arguments, "--json")

    assert (told.code, told.error["field"]) == (2, field)
