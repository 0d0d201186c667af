"""Where tokens become sound: one thread that decodes for all songs, whichever of them have something due.

    the steps' thread ── push(tokens) ──▶ Voice ──▶ the room's thread ── Heard(samples) ──▶ the order's queue

Nobody waits for an order that is slow to take its samples: beyond a few pieces its tokens wait, which are small. A
song that cannot be decoded fails alone. On a GPU the room has a stream of its own, beside the steps.
"""

import collections
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import groupby

import torch
from torch import Tensor

from harmonia_composer.engines.musicgen.codec import Carried, Codec, together
from harmonia_composer.engines.musicgen.codec_graph import Steady
from harmonia_composer.engines.musicgen.events import FIRST, FRAMES, Drawn, Events, Failed, Heard
from harmonia_composer.engines.musicgen.working import Working

# Pieces that an order may leave lying before its song is decoded no further.
_UNWRITTEN = 4


@dataclass(frozen=True, slots=True)
class Piece:
    codes: Tensor
    final: bool
    there: torch.cuda.Event | None

    def wait(self) -> None:
        """The stream does, not the thread."""
        if self.there is not None:
            stream = torch.cuda.current_stream()
            stream.wait_event(self.there)
            self.codes.record_stream(stream)


@dataclass(eq=False, slots=True)
class Voice:
    """One song in the room. What is not the room's thread touches it through the room."""

    take: int
    events: Events
    carried: Carried
    pieces: collections.deque[Piece] = field(default_factory=collections.deque)
    unwritten: int = 0

    @property
    def is_due(self) -> bool:
        return bool(self.pieces) and self.unwritten < _UNWRITTEN

    @property
    def kind(self) -> tuple[int, ...]:
        """Songs whose next pieces are of one kind are decoded together. Those that begin sort first."""
        return *self.carried.kind, self.pieces[0].codes.shape[-1], self.pieces[0].final


class CodecRoom(Working):
    """`at_once`: songs decoded together at most. `steady`: what is replayed instead where it fits, narrowest first."""

    def __init__(self, codec: Codec, *, at_once: int = 1, steady: Sequence[Steady] = ()) -> None:
        super().__init__("musicgen-codec")
        self.at_once, self.steady = at_once, steady
        self._codec = codec
        self._stream = torch.cuda.Stream() if codec.device.type == "cuda" else None
        with self._aside():
            self._nothing = codec.nothing()
        self._voices: list[Voice] = []
        self._thread.start()

    @contextmanager
    def voices(self, takes: int, events: Events) -> Iterator[Sequence[Voice]]:
        """Of one order, numbered from 0. When the block has ended, nothing of them is decoded any more."""
        mine = [Voice(take, events, self._nothing) for take in range(takes)]
        with self._work:
            self._voices += mine
        try:
            yield mine
        finally:
            with self._work:
                self._voices = [voice for voice in self._voices if voice not in mine]

    def push(self, voice: Voice, drawn: Drawn) -> None:
        """Never waits. Tokens that are many at once, of a song that goes on, do not hold up the others."""
        pieces = drawn.codes.split(FRAMES, dim=-1)
        with self._work:
            for number, codes in enumerate(pieces, start=1):
                voice.pieces.append(Piece(codes, drawn.final and number == len(pieces), drawn.there))
            self._work.notify()
        if self._over:
            voice.events.put(Failed(voice.take, self._over))

    def written(self, voice: Voice) -> None:
        """One piece of what was heard is out of the way."""
        with self._work:
            voice.unwritten -= 1
            self._work.notify()

    def _until_over(self) -> None:
        with self._aside(), torch.inference_mode():
            self._warm_up()
            while due := self._due():
                self._decode(due)

    def _end(self) -> None:
        with self._work:
            for voice in self._voices:
                voice.events.put(Failed(voice.take, self._over))

    def _warm_up(self) -> None:
        """So that the first song on a GPU does not wait for what libraries make the first time."""
        if self._stream:
            codes = torch.zeros(1, len(self._codec.codebooks), FIRST, device=self._codec.device, dtype=torch.long)
            self._codec.advance(self._nothing, codes)

    def _aside(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._stream) if self._stream else nullcontext()

    def _due(self) -> list[Voice]:
        """Waits until a song has something due. Empty when the room is put away."""
        with self._work:
            while not self._over:
                if due := [voice for voice in self._voices if voice.is_due]:
                    return due
                self._work.wait()
        return []

    def _decode(self, due: Sequence[Voice]) -> None:
        """The next piece of each."""
        for _, alike in groupby(sorted(due, key=lambda voice: voice.kind), key=lambda voice: voice.kind):
            voices = list(alike)
            for start in range(0, len(voices), self.at_once):
                self._try(voices[start : start + self.at_once])

    def _try(self, voices: Sequence[Voice]) -> None:
        try:
            self._decode_together(voices)
        except (RuntimeError, ValueError, IndexError) as error:  # of one song, and not the others' end
            if len(voices) == 1:
                self._fail(voices[0], error)
            else:
                for voice in voices:
                    self._try([voice])

    def _decode_together(self, voices: Sequence[Voice]) -> None:
        pieces, final = [voice.pieces[0] for voice in voices], voices[0].pieces[0].final
        for piece in pieces:
            piece.wait()
        codes, before = torch.stack([piece.codes for piece in pieces]), together([voice.carried for voice in voices])
        replayed = next((steady for steady in self.steady if not final and steady.fits(before, codes)), None)
        after, samples = replayed(before, codes) if replayed else self._codec.advance(before, codes, final=final)
        heard = samples.cpu().numpy()
        for row, voice in enumerate(voices):
            voice.carried = after.rows(row, row + 1)
            self._tell(voice, Heard(voice.take, heard[row], final))

    def _tell(self, voice: Voice, heard: Heard) -> None:
        with self._work:
            voice.pieces.popleft()
            voice.unwritten += 1
        voice.events.put(heard)

    def _fail(self, voice: Voice, error: Exception) -> None:
        with self._work:
            self._voices = [other for other in self._voices if other is not voice]
        voice.events.put(Failed(voice.take, error))
