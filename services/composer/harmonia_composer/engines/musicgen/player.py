"""A model in memory, and who plays it: at most one at a time, taken turns in the order of coming."""

import gc
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from harmonia_chassis.errors import FailedPrecondition, Reason
from harmonia_composer.engine import Check
from harmonia_composer.engines.musicgen.batch import Batch
from harmonia_composer.engines.musicgen.codec import Codec
from harmonia_composer.engines.musicgen.codec_graph import steady_ones
from harmonia_composer.engines.musicgen.codec_room import CodecRoom
from harmonia_composer.engines.musicgen.conditioner import Conditioner
from harmonia_composer.engines.musicgen.decoder import COLUMNS, TEXT, Decoder
from harmonia_composer.engines.musicgen.eager import EagerDecoder
from harmonia_composer.engines.musicgen.encoder import Encoder
from harmonia_composer.engines.musicgen.events import FRAMES
from harmonia_composer.engines.musicgen.scheduler import OnStep, Scheduler
from harmonia_composer.engines.musicgen.shape import Shape
from harmonia_composer.engines.musicgen.weights import (
    BadWeights,
    DecoderWeights,
    read_codec,
    read_decoder,
    read_encoder,
    read_shape,
)
from harmonia_composer.models import Inventory, Models

# How often a thread in line asks whether it is still wanted.
_ASK_S = 0.2


@dataclass(frozen=True, slots=True)
class Player:
    inventory: Inventory
    shape: Shape
    conditioner: Conditioner
    room: CodecRoom
    encoder: Encoder
    decoder: Decoder
    scheduler: Scheduler

    @property
    def is_on_gpu(self) -> bool:
        return bool(self.decoder.tokens.is_cuda)

    @property
    def over(self) -> bool:
        """Something of it has failed: to be loaded anew."""
        return self.scheduler.over or self.room.over

    def close(self) -> None:
        self.scheduler.close()
        self.room.close()


def best_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load(folder: Path, inventory: Inventory, *, slots: int, on_step: OnStep, keep_every_s: float) -> Player:
    """float16 on a GPU, as audiocraft; float32 on a CPU, where tokens are exact. Raises BadWeights."""
    device = best_device()
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    shape = read_shape(folder)
    weights = read_decoder(folder, shape, device=device, dtype=dtype)
    decoder = EagerDecoder(weights, slots=slots) if device.type == "cpu" else _on_gpu(weights, slots=slots)
    conditioner = Conditioner(folder, shape, device=device)
    codec = Codec(shape.codec, read_codec(folder, shape, device=device))
    room = room_for(codec, songs=slots)
    encoder = Encoder(shape.codec, read_encoder(folder, shape, device=device), codec.codebooks)
    batch, in_step = Batch(decoder), room.at_once > 1
    scheduler = Scheduler(batch, on_step=on_step, keep_every_s=keep_every_s, in_step=in_step)
    return Player(inventory, shape, conditioner, room, encoder, decoder, scheduler)


def room_for(codec: Codec, *, songs: int) -> CodecRoom:
    """On a GPU songs are decoded together. On a CPU that saves little, and one by one a song is the same to the last
    bit in any company."""
    if codec.device.type == "cpu":
        return CodecRoom(codec)
    # With TF32, which is the library's default, pieces would not be the whole to 1e-5.
    torch.backends.cudnn.allow_tf32 = False
    return CodecRoom(codec, at_once=songs, steady=steady_ones(codec, songs=songs, frames=FRAMES))


def _on_gpu(weights: DecoderWeights, *, slots: int) -> Decoder:
    from harmonia_composer.engines.musicgen.fused import on_gpu  # Triton is there where a GPU is

    return on_gpu(weights, slots=slots, columns=COLUMNS, text=TEXT)


class Players:
    """`playing(model)` loads it when another was played last, and waits until nobody plays that one."""

    def __init__(self, models: Models, *, slots: int, on_step: OnStep, keep_every_s: float) -> None:
        self._models = models
        self._load_from = partial(load, slots=slots, on_step=on_step, keep_every_s=keep_every_s)
        self._turn = threading.Condition()
        self._line: list[object] = []
        self._users = 0
        self._player: Player | None = None
        self._held = ExitStack()

    @contextmanager
    def playing(self, model: str, check: Check) -> Iterator[Player]:
        """Raises NotFound, FailedPrecondition for files that are not their inventory's, and what `check` raises."""
        player = self._take(model, check)
        try:
            yield player
        finally:
            with self._turn:
                self._users -= 1
                self._turn.notify_all()

    def _take(self, model: str, check: Check) -> Player:
        me = object()
        with self._turn:
            self._line.append(me)
        try:
            self._wait(lambda: self._line[0] is me and (self._users == 0 or self._loaded(model)), check)
            # At the head of the line nobody else loads, and the lock is free for those who ask whether to go on.
            player = self._player if self._loaded(model) else self._load(model)
            assert player is not None
            with self._turn:
                self._users += 1
            return player
        finally:
            with self._turn:
                self._line.remove(me)
                self._turn.notify_all()

    def _wait(self, until: Callable[[], bool], check: Check) -> None:
        while True:
            with self._turn:
                if until() or self._turn.wait_for(until, _ASK_S):
                    return
            check()

    def _loaded(self, model: str) -> bool:
        player = self._player
        return player is not None and player.inventory.name == model and not player.over

    def _load(self, model: str) -> Player:
        self._drop()
        with ExitStack() as held:
            folder, inventory = held.enter_context(self._models.held(model))
            try:
                self._player = self._load_from(folder, inventory)
            except BadWeights as error:
                message = f"{model} cannot be played: {error}"
                raise FailedPrecondition(message, reason=Reason.MODEL_UNREADABLE, field="model") from error
            self._held = held.pop_all()
        return self._player

    def _drop(self) -> None:
        if self._player is not None:
            self._player.close()
            self._player = None
            gc.collect()
            self._held.close()
