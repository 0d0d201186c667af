"""From the codec's mono samples to a take's pre-master, and to the stretches that are heard meanwhile."""

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from harmonia_composer.engine import Listener

RATE = 48_000
# What a codec decodes may go beyond full scale; the mastering brings the level.
GAIN = 0.5
# A stretch to listen to is a second at first, then twice the one before, so that there are few of them.
FIRST_S, MOST_S = 1.0, 16.0

Samples = NDArray[np.float32]


class Recording:
    """Writes `seconds` of stereo FLAC at 48 kHz, 24 bits; both channels are the same.

    `listener` hears of finished stretches; None: nobody listens to this take.
    """

    def __init__(self, folder: Path, seconds: float, *, sample_rate: int, listener: Listener | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "premaster.flac"
        self._left = round(seconds * RATE)
        self._resampler = soxr.ResampleStream(sample_rate, RATE, 1, dtype="float32")
        self._listener = listener
        self._stretch: list[Samples] = []
        self._stretch_start, self._stretch_s = 0, FIRST_S
        self._file = _opened(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, samples: Samples, *, final: bool) -> None:
        """float32 [n], mono, at the codec's rate; what is beyond `seconds` is cut off, what is missing is silence."""
        made = self._resampler.resample_chunk(samples, last=final)[: self._left] * GAIN
        if final and len(made) < self._left:
            made = np.pad(made, (0, self._left - len(made)))
        self._left -= len(made)
        heard = np.clip(made, -1.0, 1.0).astype(np.float32)
        self._file.write(np.column_stack([heard, heard]))
        if final:
            self._file.close()
        self._let_hear(heard, final=final)

    def _let_hear(self, heard: Samples, *, final: bool) -> None:
        if self._listener is None:
            return
        self._stretch.append(heard)
        length = sum(map(len, self._stretch))
        if length and (final or length >= self._stretch_s * RATE):
            path = self.path.with_name("preview.flac")
            with _opened(path) as file:
                whole = np.concatenate(self._stretch)
                file.write(np.column_stack([whole, whole]))
            self._listener.preview(path, self._stretch_start / RATE, length / RATE)
            path.unlink()
            self._stretch, self._stretch_start = [], self._stretch_start + length
            self._stretch_s = min(2 * self._stretch_s, MOST_S)


def _opened(path: Path) -> soundfile.SoundFile:
    return soundfile.SoundFile(
        path, "w", samplerate=RATE, channels=2, format="FLAC", subtype="PCM_24", compression_level=0.0
    )
