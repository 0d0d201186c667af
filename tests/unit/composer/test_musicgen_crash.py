"""A process is killed in the middle of a batch: what was kept is enough. And what many songs leave behind."""

import gc
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from prometheus_client import CollectorRegistry
from safetensors.torch import load

from harmonia_composer.engine import Brief, Order, Unheard
from harmonia_composer.engines.musicgen.engine import MusicGen
from harmonia_composer.engines.musicgen.meters import Meters
from harmonia_composer.models import Models
from tests.musicgen_models import written

pytestmark = pytest.mark.filterwarnings("ignore")  # audiocraft and torch warn of each other's age

SONGS, SECONDS = 4, 8.0
# All of what must show by `RSS_SONGS=1000`.
RSS_SONGS = int(os.environ.get("RSS_SONGS", "100"))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    _, ours = written(home / "source")
    store = Models(home / "models", budget_bytes=1 << 30)
    with store.incoming("tiny") as folder:
        for file in ours.folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        store.settle(folder, name="tiny", licence="MIT", origin="here", revision="")
    return home / "models"


def started(models: Path, folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.musicgen_process", str(models), str(folder), str(SONGS), str(SECONDS)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[3], env=os.environ | {"OMP_NUM_THREADS": "1"})


def tokens(folder: Path) -> torch.Tensor:
    """Of the last checkpoint of a song that has ended, which holds them all."""
    assert (folder / "done").exists()
    kept = load((folder / "checkpoint").read_bytes())
    return kept["0.columns"]


def test_kill_9_in_the_middle_of_a_batch_changes_no_token_of_any_song(models, tmp_path):
    whole = started(models, tmp_path / "whole")
    assert whole.wait(120) == 0

    killed = started(models, tmp_path / "killed")
    songs = [tmp_path / "killed" / str(number) for number in range(SONGS)]
    deadline = time.monotonic() + 120
    while not all((song / "checkpoint").exists() for song in songs):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    killed.kill()
    killed.wait(30)
    assert not any((song / "done").exists() for song in songs)

    again = started(models, tmp_path / "killed")
    assert again.wait(120) == 0

    for number, song in enumerate(songs):
        assert int((song / "resumed").read_text()) > 0
        assert torch.equal(tokens(song), tokens(tmp_path / "whole" / str(number)))


def test_songs_leave_no_memory_behind(models, tmp_path):
    torch.set_num_threads(1)
    engine = MusicGen(Models(models, budget_bytes=1 << 30), Meters(CollectorRegistry()), slots=1)

    def songs(count: int) -> int:
        for number in range(count):
            order = Order(Brief(description="jazz", duration_seconds=0.5), seed=number, model="tiny")
            engine.compose(order, folder=tmp_path / "song", listener=Unheard())
        gc.collect()
        return psutil.Process().memory_info().rss

    before = songs(30)
    after = songs(RSS_SONGS)

    print(f"{RSS_SONGS} songs: {before / 1e6:.1f} MB, then {after / 1e6:.1f} MB")
    assert after <= 1.02 * before
