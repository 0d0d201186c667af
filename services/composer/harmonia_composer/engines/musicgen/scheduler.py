"""One thread that does nothing but steps: songs come and go between them, from as many threads as there are orders.

An order's thread gets what it needs through its own queue: tokens as they are drawn, what to keep in case of a
crash, the end. The batch never waits for it, nor for the device.
"""

import collections
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from harmonia_composer.engines.musicgen.batch import Batch, Kept, Piece, Seat
from harmonia_composer.engines.musicgen.events import FIRST, FRAMES, Drawn, Events, Failed, Keep
from harmonia_composer.engines.musicgen.working import Working

# Told after every step: songs seated, slots, seconds.
OnStep = Callable[[int, int, float], None]
Push = Callable[[Drawn], None]


class Ticket:
    """One song in line or on a slot. `done` and `seconds` may be read at any time."""

    def __init__(self, take: int, piece: Piece, kept: Kept | None, events: Events, push: Push) -> None:
        self.take = take
        self.piece = piece
        self.kept = kept
        self.events = events
        self.push = push
        self.cancelled = threading.Event()
        self.left = threading.Event()
        self.seat: Seat | None = None
        self.told = 0
        self.kept_at = 0.0
        # Of the steps' time, shared with whoever played beside it.
        self.seconds = 0.0

    @property
    def done(self) -> float:
        """How much of the song is drawn, 0..1."""
        return self.seat.ready / self.piece.frames if self.seat else 0.0


class Scheduler(Working):
    """`in_step`: songs are told at the same steps, so that they can be decoded together; else each at its own."""

    def __init__(self, batch: Batch, *, on_step: OnStep, keep_every_s: float, in_step: bool = False) -> None:
        super().__init__("musicgen")
        self._batch = batch
        self._in_step = in_step
        self._steps = 0
        self._on_step = on_step
        self._keep_every_s = keep_every_s
        self._line: collections.deque[Ticket] = collections.deque()
        self._playing: list[Ticket] = []
        self._thread.start()

    def play(self, ticket: Ticket) -> None:
        with self._work:
            if not self._over:
                self._line.append(ticket)
                self._work.notify()
                return
        self._fail(ticket)

    def _until_over(self) -> None:
        while not self._over:
            self._admit()
            self._advance()

    def _end(self) -> None:
        with self._work:
            left = [*self._playing, *self._line]
            self._playing.clear()
            self._line.clear()
        for ticket in left:
            self._fail(ticket)

    def _advance(self) -> None:
        if not self._playing:
            return
        started = time.monotonic()
        self._batch.step()
        self._steps += 1
        took = time.monotonic() - started
        self._on_step(len(self._playing), self._batch.slots, took)
        share = took / len(self._playing)
        for ticket in list(self._playing):
            ticket.seconds += share
            self._tell(ticket)

    def _admit(self) -> None:
        """Waits until there is something to do."""
        with self._work:
            while not self._over and not self._line and not self._playing:
                self._steps = 0
                self._work.wait()
        for ticket in [playing for playing in self._playing if playing.cancelled.is_set()]:
            self._leave(ticket)
        while self._line and len(self._playing) < self._batch.slots:
            # In line until it sits: whatever it fails of, somebody hears of it.
            self._sit(self._line[0])
            self._line.popleft()

    def _sit(self, ticket: Ticket) -> None:
        if ticket.cancelled.is_set():
            ticket.left.set()
            return
        try:
            ticket.seat = self._batch.seat(ticket.piece, ticket.kept)
        except (RuntimeError, ValueError, IndexError) as error:  # of one song, and not the others' end
            ticket.events.put(Failed(ticket.take, error))
            ticket.left.set()
            return
        ticket.kept_at = time.monotonic()
        self._playing.append(ticket)

    def _tell(self, ticket: Ticket) -> None:
        seat = ticket.seat
        assert seat is not None
        final = self._batch.finished(seat)
        if final or self._is_due(ticket, seat.ready - ticket.told):
            codes = self._batch.codes(seat, ticket.told, seat.ready)
            ticket.told = seat.ready
            if final:
                ticket.events.put(Keep(ticket.take, self._batch.keep(seat)))
            ticket.push(Drawn(ticket.take, codes, final, _marked(codes)))
        elif time.monotonic() - ticket.kept_at >= self._keep_every_s:
            ticket.kept_at = time.monotonic()
            ticket.events.put(Keep(ticket.take, self._batch.keep(seat)))
        if final:
            self._leave(ticket)

    def _is_due(self, ticket: Ticket, frames: int) -> bool:
        if not ticket.told:
            return frames >= FIRST
        return (frames > 0 and self._steps % FRAMES == 0) if self._in_step else frames >= FRAMES

    def _fail(self, ticket: Ticket) -> None:
        ticket.events.put(Failed(ticket.take, self._over))
        ticket.left.set()

    def _leave(self, ticket: Ticket) -> None:
        if ticket in self._playing:
            self._playing.remove(ticket)
        if ticket.seat is not None:
            self._batch.leave(ticket.seat)
        ticket.left.set()


def _marked(codes: Tensor) -> torch.cuda.Event | None:
    if not codes.is_cuda:
        return None
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(codes.device))
    return event


@contextmanager
def playing(
    scheduler: Scheduler, pieces: Sequence[tuple[Piece, Kept | None]], events: Events, push: Push | None = None
) -> Iterator[list[Ticket]]:
    """The songs of one order, numbered from 0. However the block ends, none is on a slot any more when it has.

    Where tokens go to is called by the thread of the steps and must not wait; to the other events, if nothing is said.
    """
    tickets = [Ticket(take, piece, kept, events, push or events.put) for take, (piece, kept) in enumerate(pieces)]
    for ticket in tickets:
        scheduler.play(ticket)
    try:
        yield tickets
    finally:
        for ticket in tickets:
            ticket.cancelled.set()
        for ticket in tickets:
            ticket.left.wait()
