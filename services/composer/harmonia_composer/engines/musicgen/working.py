"""A thread that works for others until it is put away or fails. Whoever waits for it then is told."""

import threading
from abc import ABC, abstractmethod


class Working(ABC):
    """Whoever is one starts `_thread` when all else of it is there."""

    def __init__(self, name: str) -> None:
        self._work = threading.Condition()
        self._over: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def over(self) -> bool:
        """Put away, or something of it has failed: nothing is done here any more."""
        return self._over is not None

    def close(self) -> None:
        """Songs that are still worked on fail."""
        with self._work:
            self._over = self._over or RuntimeError("the engine is being put away")
            self._work.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._until_over()
        except Exception as error:  # main of a thread: whatever it fails of, nobody may wait for it for ever
            self._over = error
        self._end()

    @abstractmethod
    def _until_over(self) -> None: ...

    @abstractmethod
    def _end(self) -> None:
        """Tells those who wait why it is over."""
