"""Songs by a process that may be killed: `python -m tests.musicgen_process MODELS FOLDER SONGS SECONDS`.

Song n is drawn from seed n, beside the others; its newest checkpoint and its tokens lie in FOLDER/n.
"""

import sys
import threading
from pathlib import Path

from prometheus_client import CollectorRegistry

from harmonia_composer.engine import Brief, Order, Unheard
from harmonia_composer.engines.musicgen.engine import MusicGen
from harmonia_composer.engines.musicgen.meters import Meters
from harmonia_composer.models import Models


class Keeper(Unheard):
    """Keeps every checkpoint, and the last after the end: that one holds all tokens."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def checkpoint(self, data: bytes) -> None:
        new = self._folder / "checkpoint.new"
        new.write_bytes(data)
        new.rename(self._folder / "checkpoint")


def compose(engine: MusicGen, folder: Path, seed: int, seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "checkpoint"
    order = Order(
        Brief(description=f"song number {seed}", duration_seconds=seconds),
        seed=seed,
        model="tiny",
        checkpoint=kept.read_bytes() if kept.exists() else b"",
    )
    (folder / "resumed").write_text(str(len(order.checkpoint)))
    engine.compose(order, folder=folder, listener=Keeper(folder))
    (folder / "done").touch()


def main() -> None:
    models, folder, songs, seconds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    store, meters = Models(models, budget_bytes=1 << 30), Meters(CollectorRegistry())
    engine = MusicGen(store, meters, slots=songs, keep_every_s=0.2)
    together = [
        threading.Thread(target=compose, args=(engine, folder / str(seed), seed, seconds)) for seed in range(songs)
    ]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join()


if __name__ == "__main__":
    main()
