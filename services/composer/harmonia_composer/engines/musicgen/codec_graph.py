"""The codec for songs that are in the midst of theirs, which is nearly always: a table of fixed size, and one CUDA
graph over it. On a CPU the same table without the graph, for tests.
"""

from collections.abc import Callable

import structlog
import torch
from torch import Tensor

from harmonia_composer.engines.musicgen.codec import Carried, Codec, together

# Songs that a graph decodes: of those that are wide enough the narrowest is replayed, idle rows and all.
WIDTHS = (1, 4, 16, 64)
# Before it is captured, it must have run: libraries allocate what they need the first time.
_WARM_UP = 3

log = structlog.get_logger()


class Steady:
    """`codec.advance` of pieces of `frames`, for up to `songs` songs whose start lies behind them."""

    def __init__(self, codec: Codec, *, songs: int, frames: int) -> None:
        self._codec, self._songs = codec, songs
        self._codes = torch.zeros(songs, len(codec.codebooks), frames, device=codec.device, dtype=torch.long)
        with torch.inference_mode():
            self._before = together([_in_the_midst(codec, self._codes[:1])] * songs)
            self._run()
            self._replay = _captured(self._run) if codec.device.type == "cuda" else self._run

    def fits(self, carried: Carried, codes: Tensor) -> bool:
        alike = carried.kind == self._before.kind and codes.shape[1:] == self._codes.shape[1:]
        return alike and codes.shape[0] <= self._songs

    def __call__(self, carried: Carried, codes: Tensor) -> tuple[Carried, Tensor]:
        """As `codec.advance`. The samples hold until the next call, what is carried for good."""
        songs = codes.shape[0]
        for place, tensor in zip(self._before.tensors, carried.tensors, strict=True):
            place[:songs].copy_(tensor)
        self._codes[:songs].copy_(codes)
        self._replay()
        return together([self._after.rows(0, songs)]), self._samples[:songs]

    def _run(self) -> None:
        self._after, self._samples = self._codec.advance(self._before, self._codes)


def steady_ones(codec: Codec, *, songs: int, frames: int) -> tuple[Steady, ...]:
    """For up to so many songs, the narrowest first; without those that could not be captured, of which the log tells.

    To be called while no other thread is at the GPU: what another did meanwhile would break the capture.
    """
    found: list[Steady] = []
    try:
        for width in (*(width for width in WIDTHS if width < songs), songs):
            found.append(Steady(codec, songs=width, frames=frames))  # noqa: PERF401  # those before an error are kept
    except RuntimeError as error:
        log.warning("codec not captured: decoded without a graph", narrower=len(found), error=str(error))
    return tuple(found)


def _in_the_midst(codec: Codec, codes: Tensor) -> Carried:
    """After two pieces, of which the second had all that it looks back at."""
    begun, _ = codec.advance(codec.nothing(), codes)
    return codec.advance(begun, codes)[0]


def _captured(run: Callable[[], None]) -> Callable[[], object]:
    aside = torch.cuda.Stream()
    torch.cuda.synchronize()
    with torch.cuda.stream(aside):
        for _ in range(_WARM_UP):
            run()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
    torch.cuda.synchronize()
    replay: Callable[[], object] = graph.replay
    return replay
