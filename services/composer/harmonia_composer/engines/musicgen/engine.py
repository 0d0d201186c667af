"""MusicGen behind the contract of engines. torch is imported when the first song is composed, not before."""

import hashlib
import importlib.util
import json
import math
import queue
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harmonia_chassis.errors import FailedPrecondition, InvalidInput, Reason
from harmonia_composer.engine import (
    Brief,
    Capabilities,
    FieldSupport,
    Listener,
    Offered,
    Order,
    Support,
    Take,
    Unplayable,
    Weights,
)
from harmonia_composer.engines.musicgen import gpu
from harmonia_composer.engines.musicgen.meters import Meters
from harmonia_composer.engines.musicgen.vocabulary import GENRES, INSTRUMENTS, MOODS
from harmonia_composer.models import Models

if TYPE_CHECKING:
    from torch import Tensor

    from harmonia_composer.engines.musicgen.batch import Kept, Piece
    from harmonia_composer.engines.musicgen.codec_room import CodecRoom, Voice
    from harmonia_composer.engines.musicgen.events import Drawn, Events, Heard
    from harmonia_composer.engines.musicgen.player import Player, Players
    from harmonia_composer.engines.musicgen.recording import Recording
    from harmonia_composer.engines.musicgen.scheduler import Ticket

EXACT = (
    "conditioning.continue_from", "conditioning.start_seconds", "duration_seconds", "model", "prompt",
    "sampling.guidance", "sampling.stride_seconds", "sampling.temperature", "sampling.top_k", "seed", "title",
    "variations",
)  # fmt: skip
HINT = ("bpm", "key", "lyrics", "negative_prompt", "time_signature")
LATER = ("conditioning.melody", "conditioning.strength")
NO = ("bars", "complexity", "outputs.ardour", "outputs.dawproject", "outputs.midi", "outputs.stems", "sections")

HOW_TO_GET_A_MODEL = (
    "give a folder of your own with --model DIR, or get Meta's with: harmonia model pull hf:facebook/musicgen-small "
    "(its weights are CC-BY-NC-4.0: not for commercial use)"
)
# Of an interrupted song no more than this is drawn again.
KEEP_EVERY_S = 5.0
# Contract of jobs.md: a stopped song stops within a step and half a second.
_ASK_S = 0.1
MAX_SEED = 2**64
# Seconds of a CPU and of a GPU for a second of music by the smallest model; the larger take four and eight times that.
COSTS_ON_CPU, COSTS_WITH_GPU = (5.0, 0.0), (0.1, 0.04)


def installed() -> bool:
    """Whether what this engine needs, and nothing else of the composer does, is there."""
    return all(importlib.util.find_spec(name) for name in ("torch", "transformers", "safetensors", "soxr"))


class MusicGen:
    name = "musicgen"
    # A seed may be another song with another version: sums are rounded in another order.
    version = "0.2.0"
    # Of the engine; the licence of the weights travels with each take.
    licence = "Apache-2.0"

    def __init__(self, models: Models, meters: Meters, *, slots: int, keep_every_s: float = KEEP_EVERY_S) -> None:
        self.slots = slots
        self._keep_every_s = keep_every_s
        self._models = models
        self._meters = meters
        self._playing: Players | None = None

    def capabilities(self) -> Capabilities:
        choices = (
            FieldSupport("genre", Support.HINT, GENRES),
            FieldSupport("moods", Support.HINT, MOODS),
            FieldSupport("instruments", Support.HINT, INSTRUMENTS),
            FieldSupport("kind", Support.EXACT, ("SONG",)),
            FieldSupport("vocals", Support.EXACT, ("OFF",)),
        )
        plain = [FieldSupport(field, Support.EXACT) for field in EXACT]
        plain += [FieldSupport(field, Support.HINT) for field in HINT]
        plain += [FieldSupport(field, Support.LATER) for field in LATER]
        plain += [FieldSupport(field, Support.NO) for field in NO]
        offered = [
            Offered(model.inventory.name, model.inventory.licence, model.inventory.digest, resident=model.resident)
            for model in self._models.list()
        ]
        cpu_s, gpu_s = COSTS_WITH_GPU if gpu.driver_is_there() else COSTS_ON_CPU
        return Capabilities(
            genres=GENRES, moods=MOODS, instruments=INSTRUMENTS, roles=(),
            fields=tuple(sorted((*choices, *plain), key=lambda support: support.field)),
            cpu_seconds_per_second=cpu_s, gpu_seconds_per_second=gpu_s,
            models=tuple(offered), how_to_get_a_model=HOW_TO_GET_A_MODEL,
        )  # fmt: skip

    def warm_up(self) -> None:
        """A model is loaded for its first song: which one, nobody knows before."""

    def compose(self, order: Order, *, folder: Path, listener: Listener) -> Sequence[Take]:
        if not order.model:
            message = f"the engine musicgen needs a model: {HOW_TO_GET_A_MODEL}"
            raise InvalidInput(message, reason=Reason.MISSING, field="model")
        listener.progress(0.0, "loading the model")
        with self._players().playing(order.model, listener.check) as player:
            return Composition(player, order, folder, listener, self._meters).takes()

    def _players(self) -> "Players":
        if self._playing is None:
            from harmonia_composer.engines.musicgen.player import Players

            self._playing = Players(
                self._models, slots=self.slots, on_step=self._meters.step, keep_every_s=self._keep_every_s
            )
        return self._playing


class Composition:
    """One order: its takes are drawn side by side, from one reading of the description."""

    def __init__(self, player: "Player", order: Order, folder: Path, listener: Listener, meters: Meters) -> None:
        self._player = player
        self._order = order
        self._folder = folder
        self._listener = listener
        self._meters = meters
        self._fingerprint = fingerprint(order, player.inventory.digest)
        self._kept: dict[int, Kept] = {}

    def takes(self) -> list[Take]:
        from harmonia_composer.engines.musicgen.recording import Recording
        from harmonia_composer.engines.musicgen.scheduler import playing

        seconds, rate = self._order.brief.duration_seconds, self._player.shape.codec.sample_rate
        started = time.monotonic()
        pieces = self._pieces()
        with ExitStack() as stack:
            recordings = [
                stack.enter_context(
                    Recording(
                        self._take_folder(take),
                        seconds,
                        sample_rate=rate,
                        listener=None if take else self._listener,
                    )
                )
                for take in range(len(pieces))
            ]
            events: Events = queue.SimpleQueue()
            voices = stack.enter_context(self._player.room.voices(len(pieces), events))
            parts = [Part(self._player.room, *each) for each in zip(voices, recordings, strict=True)]
            tickets = stack.enter_context(
                playing(self._player.scheduler, pieces, events, lambda drawn: parts[drawn.take].push(drawn))
            )
            self._follow(tickets, events, parts, started)
        self._meters.song(seconds * len(pieces), time.monotonic() - started)
        return [self._take(ticket, recording.path) for ticket, recording in zip(tickets, recordings, strict=True)]

    def _pieces(self) -> "list[tuple[Piece, Kept | None]]":
        from harmonia_composer.engines.musicgen import keeping
        from harmonia_composer.engines.musicgen.batch import Piece, windows
        from harmonia_composer.engines.musicgen.decoder import TEXT, Drawing

        order, shape = self._order, self._player.shape
        text = self._player.conditioner.text(described(order.brief))
        if text.shape[0] > TEXT:
            message = f"the description has {text.shape[0]} tokens: at most {TEXT}"
            raise Unplayable(message, field="description")
        prompt = self._prompt()
        # A whole frame more rather than less; what is too long is cut from the recording.
        seconds = math.ceil(order.brief.duration_seconds * shape.frame_rate - 1e-6) / shape.frame_rate
        found = windows(
            seconds,
            window_s=shape.window_seconds,
            stride_s=min(order.sampling.stride_seconds, shape.window_seconds - 1),
            frame_rate=shape.frame_rate,
            known=0 if prompt is None else prompt.shape[1],
        )
        self._kept = keeping.restored(order.checkpoint, self._fingerprint)
        how = order.sampling
        drawings = [
            Drawing(take_seed(order.seed, take), how.temperature, how.top_k, how.guidance)
            for take in range(order.variations)
        ]
        return [(Piece(text, drawing, found, prompt), self._kept.get(take)) for take, drawing in enumerate(drawings)]

    def _prompt(self) -> "Tensor | None":
        """Tokens of what the song goes on from."""
        if self._order.source is None:
            return None
        from harmonia_composer.engines.musicgen.hearing import heard

        self._listener.progress(0.0, "hearing what it goes on from")
        samples = heard(self._order.source, self._player.shape.codec)
        return self._player.encoder.encode(samples.to(self._player.encoder.device), self._listener.check)

    def _follow(self, tickets: "list[Ticket]", events: "Events", parts: "list[Part]", started: float) -> None:
        from harmonia_composer.engines.musicgen import keeping
        from harmonia_composer.engines.musicgen.events import Failed, Heard, Keep

        unfinished, silent = len(tickets), True
        while unfinished:
            self._listener.check()
            self._tell(tickets)
            try:
                event = events.get(timeout=_ASK_S)
            except queue.Empty:
                continue
            if isinstance(event, Heard):
                parts[event.take].write(event)
                unfinished -= event.final
                if silent:
                    self._meters.first_audio(time.monotonic() - started)
                    silent = False
            elif isinstance(event, Keep):
                self._kept[event.take] = event.kept
                self._listener.checkpoint(keeping.kept_bytes(self._kept, self._fingerprint))
            elif isinstance(event, Failed):
                message = "the model could not be played"
                raise FailedPrecondition(message, reason=Reason.ENGINE_FAILED) from event.error

    def _tell(self, tickets: "list[Ticket]") -> None:
        drawn = sum(ticket.done for ticket in tickets) / len(tickets)
        seconds = self._order.brief.duration_seconds
        self._listener.progress(drawn, f"drawing {drawn * seconds:.1f} of {seconds:g} s")

    def _take_folder(self, take: int) -> Path:
        return self._folder / str(take + 1)

    def _take(self, ticket: "Ticket", premaster: Path) -> Take:
        take = ticket.take
        words = [line.text for section in self._order.brief.lyrics for line in section.lines]
        lyrics = self._take_folder(take) / "lyrics.txt"
        if words:
            lyrics.write_text("\n".join(words) + "\n")
        inventory = self._player.inventory
        return Take(
            seed=take_seed(self._order.seed, take),
            premaster=premaster,
            stems={},
            midi=None,
            lyrics_text=lyrics if words else None,
            lyrics_lrc=None,
            duration_seconds=self._order.brief.duration_seconds,
            sections=(),
            weights=Weights(inventory.name, inventory.digest, inventory.licence),
            gpu_seconds=ticket.seconds if self._player.is_on_gpu else 0.0,
            numerics=self._player.decoder.numerics,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """What becomes of one take's tokens."""

    room: "CodecRoom"
    voice: "Voice"
    recording: "Recording"

    def push(self, drawn: "Drawn") -> None:
        self.room.push(self.voice, drawn)

    def write(self, heard: "Heard") -> None:
        self.recording.write(heard.samples, final=heard.final)
        self.room.written(self.voice)


def described(brief: Brief) -> str:
    """The description, and what was asked for beside it and is not in its words."""
    metre = [f"in {brief.time_signature}"] if brief.time_signature not in ("", "4/4") else []
    beside = [*brief.moods, *brief.instruments, *metre]
    folded = brief.description.casefold()
    return ", ".join([brief.description, *(word for word in beside if word.casefold() not in folded)])


def take_seed(seed: int, take: int) -> int:
    """The first take's is the song's."""
    return (seed + take) % MAX_SEED


def fingerprint(order: Order, digest: str) -> str:
    """Of everything tokens depend on: a checkpoint of another order is no use."""
    how = order.sampling
    told = [digest, described(order.brief), order.brief.duration_seconds, order.seed, order.variations,
            how.temperature, how.top_k, how.guidance, how.stride_seconds,
            order.source.recipe if order.source else ""]  # fmt: skip
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
