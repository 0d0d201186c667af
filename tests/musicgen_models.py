"""MusicGens of random weights for the tests: in the layouts in which they are published, and in ours."""

import functools
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench import stock
from harmonia_composer.engines.musicgen import weights as reading
from harmonia_composer.engines.musicgen.batch import Batch, Piece, windows
from harmonia_composer.engines.musicgen.codec import Codec
from harmonia_composer.engines.musicgen.conditioner import Conditioner
from harmonia_composer.engines.musicgen.convert import convert
from harmonia_composer.engines.musicgen.decoder import Drawing
from harmonia_composer.engines.musicgen.eager import EagerDecoder
from harmonia_composer.engines.musicgen.encoder import Encoder
from harmonia_composer.importing import DOWNLOADING
from harmonia_composer.shelf import Place, Tell

CPU = torch.device("cpu")
FRAME_RATE = 50
PROMPTS = ("upbeat synthwave with arpeggios", "slow sad piano", "jazz")


@dataclass(frozen=True)
class Ours:
    """A converted model, and the one song that a test needs of it."""

    folder: Path

    @functools.cached_property
    def shape(self) -> Any:
        return reading.read_shape(self.folder)

    @functools.cached_property
    def weights(self) -> Any:
        return reading.read_decoder(self.folder, self.shape, device=CPU, dtype=torch.float32)

    @functools.cached_property
    def codec(self) -> Codec:
        return Codec(self.shape.codec, reading.read_codec(self.folder, self.shape, device=CPU))

    @functools.cached_property
    def encoder(self) -> Encoder:
        own = reading.read_encoder(self.folder, self.shape, device=CPU)
        return Encoder(self.shape.codec, own, reading.read_codec(self.folder, self.shape, device=CPU)["codebooks"])

    @functools.cached_property
    def conditioner(self) -> Conditioner:
        return Conditioner(self.folder, self.shape, device=CPU)

    def batch(self, slots: int = 1, *, columns: int = 256) -> Batch:
        return Batch(EagerDecoder(self.weights, slots=slots, columns=columns, text=128))

    def piece(
        self,
        text: str,
        seconds: float,
        drawing: Drawing,
        *,
        window_s: float = 3.0,
        stride_s: float = 1.8,
        prompt: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Piece:
        known = 0 if prompt is None else prompt.shape[1]
        return Piece(
            self.conditioner.text(text),
            drawing,
            windows(seconds, window_s=window_s, stride_s=stride_s, frame_rate=FRAME_RATE, known=known),
            prompt=prompt,
            generator=generator,
        )

    def tokens(self, piece: Piece) -> Tensor:
        return alone(self.batch(), piece)


def alone(batch: Batch, piece: Piece) -> Tensor:
    seat = batch.seat(piece)
    while not batch.finished(seat):
        batch.step()
    codes = batch.codes(seat, 0, seat.ready)
    batch.leave(seat)
    return codes


def written(folder: Path, size: stock.Dimensions = stock.TINY, *, seed: int = 0) -> tuple[Path, Ours]:
    """audiocraft's folder and ours of the same random weights."""
    theirs = stock.write_model(folder / "audiocraft", size, seed=seed)
    ours = folder / "ours"
    ours.mkdir()
    convert(theirs, ours)
    return theirs, Ours(ours)


def audiocraft_tokens(theirs: Any, text: str, seconds: float, *, seed: int | None, **how: Any) -> Tensor:
    """Of audiocraft alone, one song at a time; greedy without a seed."""
    window_s = how.pop("window_s", 3.0)
    theirs.max_duration = window_s
    theirs.set_generation_params(
        duration=seconds, use_sampling=seed is not None, extend_stride=how.pop("stride_s", 1.8), **how
    )
    if seed is not None:
        torch.manual_seed(seed)
    tokens: Tensor = theirs.generate([text], return_tokens=True)[1][0]
    return tokens


async def nowhere(place: Place, folder: Path, tell: Tell) -> None:
    """Of an Importer that is not asked for S3."""
    raise AssertionError(place)


def in_a_child(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *arguments]
    ours = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = ours | DOWNLOADING
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250, env=environment)
