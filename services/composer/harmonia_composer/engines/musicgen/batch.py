"""Songs on the decoder's slots: seated when one is free, drawn a column at a time, window by window.

No value is read from the device while songs are drawn: a song has no end but its length, so the host knows every
column. What is asked for is copied on the device, in the order of its work; whoever asks may have it on the host.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harmonia_composer.engines.musicgen.decoder import SPAN, Decoder, Drawing


@dataclass(frozen=True, slots=True)
class Window:
    """`frames` from `start` on, of which the first `known` are there already."""

    start: int
    known: int
    frames: int


@dataclass(frozen=True, slots=True)
class Piece:
    """What is to be drawn. `text` [n, width]; `prompt` [codebooks, frames] is what it goes on from and starts with."""

    text: Tensor
    drawing: Drawing
    windows: tuple[Window, ...]
    prompt: Tensor | None = None
    # Noise of torch's own, as audiocraft draws it after torch.manual_seed; else by the seed and the place alone.
    generator: torch.Generator | None = None

    @property
    def frames(self) -> int:
        return self.windows[-1].start + self.windows[-1].frames


@dataclass(frozen=True, slots=True)
class Kept:
    """A song interrupted: tokens of its earlier windows, and columns of the present one.

    Among the columns are those ahead where the later codebooks of what the window began with still come.
    """

    window: int
    past: Tensor
    columns: Tensor


def windows(
    seconds: float, *, window_s: float, stride_s: float, frame_rate: float, known: int = 0
) -> tuple[Window, ...]:
    """As audiocraft moves on beyond what the model was taught: by strides, from the tokens of what remains in view.

    Of `known` frames that a window cannot hold, which audiocraft refuses, it stands where it would if they had been
    drawn.
    """
    total, stride, start = int(seconds * frame_rate), int(frame_rate * stride_s), 0
    found: list[Window] = []
    while known >= int(window_s * frame_rate):
        start, known = start + stride, known - stride
    while not found or start + known < total:
        frames = int(min(seconds - start / frame_rate, window_s) * frame_rate)
        found.append(Window(start, known, frames))
        start, known = start + stride, max(frames - stride, 0)
    return tuple(found)


class Seat:
    """A song on a slot."""

    def __init__(self, piece: Piece, slot: int) -> None:
        self.piece = piece
        self.slot = slot
        self.number = 0
        self.column = 0
        self.drawn = 0
        self.past: list[Tensor] = []

    @property
    def window(self) -> Window:
        return self.piece.windows[self.number]

    @property
    def ready(self) -> int:
        """Frames of the song whose four tokens are drawn."""
        within = min(max(self.column - 3, self.window.known), self.window.frames)
        return self.window.start + within


class Batch:
    """Not thread-safe: one thread seats, steps and asks."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._seats: dict[int, Seat] = {}

    @property
    def slots(self) -> int:
        return self._decoder.slots

    @property
    def seated(self) -> Sequence[Seat]:
        return tuple(self._seats.values())

    def seat(self, piece: Piece, kept: Kept | None = None) -> Seat:
        """On a free slot; there must be one."""
        slot = next(slot for slot in range(self.slots) if slot not in self._seats)
        seat = Seat(piece, slot)
        with torch.inference_mode():
            self._decoder.seat(slot, piece.text, piece.drawing)
            if kept is None:
                self._begin(seat)
            else:
                self._reopen(seat, kept)
        self._seats[slot] = seat
        return seat

    def leave(self, seat: Seat) -> None:
        with torch.inference_mode():
            self._decoder.free(seat.slot)
        del self._seats[seat.slot]

    def step(self) -> None:
        """One column of every song; those whose window is full open their next, those that are done stay seated."""
        playing = [seat for seat in self._seats.values() if not self.finished(seat)]
        if not playing:
            return
        drawing = [seat.piece.drawing for seat in self._seats.values()]
        sampled = [seat for seat in playing if not seat.piece.drawing.greedy]
        own = [seat for seat in sampled if seat.piece.generator is not None]
        assert not own or len(own) == len(sampled), "one source of noise for all"
        with torch.inference_mode():
            for seat in own:
                self._decoder.noise[seat.slot].exponential_(1, generator=seat.piece.generator)
            self._decoder.step(
                _rounded(max(seat.column for seat in playing) + 1, self._decoder.columns),
                _rounded(max(seat.piece.text.shape[0] for seat in playing), self._decoder.text),
                max(min(one.top_k, self._decoder.shape.card) for one in drawing),
                keyed=bool(sampled) and not own,
            )
            for seat in playing:
                self._turn(seat)

    def finished(self, seat: Seat) -> bool:
        return seat.number == len(seat.piece.windows) - 1 and self._full(seat)

    def codes(self, seat: Seat, start: int, end: int) -> Tensor:
        """Tokens [codebooks, end - start] of the song, a copy on the device; up to `seat.ready`."""
        opened = seat.window.start + self._new_from(seat)
        with torch.inference_mode():
            within = self._frames(seat, max(start, opened), max(end, opened))
            return within if start >= opened else torch.cat([torch.cat(seat.past, -1)[:, start:end], within], -1)

    def keep(self, seat: Seat) -> Kept:
        """Copies on the device."""
        with torch.inference_mode():
            columns = self._decoder.tokens[seat.slot, :, : seat.column + self._ahead].clone()
            past = torch.cat(seat.past, -1) if seat.past else columns[:, :0]
            return Kept(seat.number, past, columns)

    def _frames(self, seat: Seat, start: int, end: int) -> Tensor:
        """Of the song, as far as its present window holds them."""
        return self._decoder.frames(seat.slot, start - seat.window.start, end - seat.window.start)

    def _turn(self, seat: Seat) -> None:
        seat.column += 1
        seat.drawn += 1
        if self._full(seat) and not self.finished(seat):
            window = self._decoder.frames(seat.slot, 0, seat.window.frames)
            seat.past.append(window[:, self._new_from(seat) :])
            following = window[:, seat.piece.windows[seat.number + 1].start - seat.window.start :]
            seat.number += 1
            self._open(seat, following)

    def _new_from(self, seat: Seat) -> int:
        """The first frame of the window that no window before it has; a prompt belongs to the first."""
        return seat.window.known if seat.number else 0

    def _full(self, seat: Seat) -> bool:
        return seat.column == seat.window.frames + self._decoder.shape.codebooks - 1

    def _begin(self, seat: Seat) -> None:
        prompt, unseen = seat.piece.prompt, seat.window.start
        if prompt is not None:
            seat.past.append(prompt[:, :unseen].to(self._decoder.tokens.device))
            prompt = prompt[:, unseen:]
        self._open(seat, prompt)

    def _open(self, seat: Seat, prompt: Tensor | None) -> None:
        known = self._decoder.tokens[seat.slot, :, :0] if prompt is None else prompt.to(self._decoder.tokens.device)
        seat.column = self._decoder.open(seat.slot, seat.window.frames, known, before=self._before(seat))

    def _reopen(self, seat: Seat, kept: Kept) -> None:
        seat.number = kept.window
        seat.past = [kept.past.to(self._decoder.tokens.device)]
        self._open(seat, None)
        seat.column = max(kept.columns.shape[1] - self._ahead, 0)
        self._decoder.tokens[seat.slot, :, : kept.columns.shape[1]] = kept.columns.to(self._decoder.tokens.device)
        self._decoder.resume(seat.slot, seat.column, seat.window.frames, before=self._before(seat))

    @property
    def _ahead(self) -> int:
        return self._decoder.shape.codebooks

    def _before(self, seat: Seat) -> int:
        """Columns of earlier windows: each column of a song has noise of its own."""
        codebooks = self._decoder.shape.codebooks
        return sum(window.frames + codebooks for window in seat.piece.windows[: seat.number])


def _rounded(length: int, most: int) -> int:
    return min(most, -(-length // SPAN) * SPAN)
