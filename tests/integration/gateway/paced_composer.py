"""The composer with the real arranger, held back after some previews: `python paced_composer.py GATE`.

While the file GATE is there it holds how many previews a try may give; when it is gone, all.
"""

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from harmonia_chassis.node import run_service
from harmonia_composer.__main__ import start
from harmonia_composer.engine import Listener, Order, Take, Unheard
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.settings import Settings


class Held(Unheard):
    def __init__(self, listener: Listener, gate: Path) -> None:
        self.check = listener.check  # type: ignore[method-assign]  # all but previews go straight through
        self.progress = listener.progress  # type: ignore[method-assign]
        self.reusable = listener.reusable  # type: ignore[method-assign]
        self._listener = listener
        self._gate = gate
        self._given = 0

    def preview(self, path: Path, start_seconds: float, duration_seconds: float) -> None:
        self._listener.preview(path, start_seconds, duration_seconds)
        self._given += 1
        while self._given >= self._most():
            self._listener.check()
            time.sleep(0.01)

    def _most(self) -> float:
        try:
            return int(self._gate.read_text())
        except FileNotFoundError:
            return float("inf")


class Paced(Arranger):
    def __init__(self, gate: Path) -> None:
        super().__init__()
        self._gate = gate

    def compose(self, order: Order, *, folder: Path, listener: Listener) -> Sequence[Take]:
        return super().compose(order, folder=folder, listener=Held(listener, self._gate))


if __name__ == "__main__":
    run_service("composer", Settings, partial(start, engines={"arranger": Paced(Path(sys.argv[1]))}), argv=[])
