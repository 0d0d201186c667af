"""One MusicGen of random weights in three engines that share its tensors, on a CPU or a GPU."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from bench import stock
from harmonia_composer.engines.musicgen.batch import Batch, Piece, Seat, windows
from harmonia_composer.engines.musicgen.codec import Codec
from harmonia_composer.engines.musicgen.conditioner import Conditioner
from harmonia_composer.engines.musicgen.convert import (
    Source,
    codec_of_audiocraft,
    decoder_of_audiocraft,
    text_encoder,
    tokenizer,
)
from harmonia_composer.engines.musicgen.decoder import Drawing
from harmonia_composer.engines.musicgen.shape import DecoderShape, Shape
from harmonia_composer.engines.musicgen.weights import TEXT, TOKENIZER, DecoderWeights, decoder_weights

WORDS = "upbeat synthwave with arpeggios, a slow bass line, warm pads and a bright lead over four on the floor drums"
GUIDANCE, TOP_K, FRAME_RATE = 3.0, 250, 50

Work = Callable[[], object]


@dataclass(frozen=True)
class Rig:
    size: stock.Dimensions
    theirs: Any
    weights: DecoderWeights
    conditioner: Conditioner
    codec: Codec
    device: torch.device
    folder: Path

    @property
    def is_on_gpu(self) -> bool:
        return bool(self.device.type == "cuda")

    @property
    def top_k(self) -> int:
        return min(TOP_K, self.size.card)

    def wait(self) -> None:
        if self.is_on_gpu:
            torch.cuda.synchronize()

    def seconds(self, work: Work) -> float:
        """From an idle device until it is idle again."""
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started

    def piece(self, frames: int, seed: int | None, *, words: str = WORDS) -> Piece:
        """Greedy without a seed."""
        drawing = Drawing(seed or 0, 0.0 if seed is None else 1.0, self.top_k, GUIDANCE)
        whole = windows(frames / FRAME_RATE, window_s=30.0, stride_s=18.0, frame_rate=FRAME_RATE)
        return Piece(self.conditioner.text(words), drawing, whole)

    def stock_tokens(self, frames: int, seed: int | None, *, songs: int = 1) -> Tensor:
        """[songs, 4, frames] of MusicGen.generate, without its codec."""
        attributes, _ = self._asked(frames, seed)._prepare_tokens_and_attributes([WORDS] * songs, None)
        tokens: Tensor = self.theirs._generate_tokens(attributes, None)
        return tokens

    def stock_song(self, frames: int, seed: int) -> Tensor:
        samples: Tensor = self._asked(frames, seed).generate([WORDS])
        return samples.cpu()

    def _asked(self, frames: int, seed: int | None) -> Any:
        self.theirs.set_generation_params(
            duration=frames / FRAME_RATE, cfg_coef=GUIDANCE, top_k=self.top_k, use_sampling=seed is not None
        )
        torch.manual_seed(seed or 0)
        return self.theirs


def rig(folder: Path, size: stock.Dimensions, *, device: torch.device, half: bool) -> Rig:
    """`half`: the transformer in float16, as audiocraft has it on a GPU."""
    folder.mkdir(parents=True, exist_ok=True)
    theirs = stock.build(folder, size, device=str(device), dtype="float16" if half else "float32")
    shape = DecoderShape(size.width, size.layers, size.heads, size.card)
    lm = Source("the transformer", theirs.lm.state_dict())
    found = {name: tensor.detach() for name, tensor in decoder_of_audiocraft(lm, shape).items()}
    codec, _, codec_shape = codec_of_audiocraft(
        {"best_state": theirs.compression_model.state_dict()}, stock.codec_config(size)
    )
    text, config = text_encoder(folder / "t5-base")
    project = "condition_provider.conditioners.description.output_proj"
    text |= {f"projection.{kind}": lm.take(f"{project}.{kind}").detach().cpu() for kind in ("weight", "bias")}
    save_file({name: tensor.contiguous().clone() for name, tensor in text.items()}, folder / TEXT)
    (folder / TOKENIZER).write_text(tokenizer(folder / "t5-base"))
    return Rig(
        size=size,
        theirs=theirs,
        weights=decoder_weights(found, shape, dtype=torch.float16 if half else torch.float32),
        conditioner=Conditioner(folder, Shape(shape, codec_shape, config), device=device),
        codec=Codec(codec_shape, {name: tensor.detach().float() for name, tensor in codec.items()}),
        device=device,
        folder=folder,
    )


def room(frames: int) -> dict[str, int]:
    """Columns and text that a decoder needs for songs of so many frames and WORDS."""
    return {"columns": -(-(frames + 4) // 128) * 128, "text": 128}


def drawn(songs: Batch, pieces: Sequence[Piece]) -> list[Tensor]:
    """Tokens of songs that start together, each [4, frames], on the host."""
    seats = [songs.seat(piece) for piece in pieces]
    play(songs, seats)
    tokens = [songs.codes(seat, 0, seat.ready).cpu() for seat in seats]
    for seat in seats:
        songs.leave(seat)
    return tokens


def play(songs: Batch, seats: Sequence[Seat]) -> None:
    while any(not songs.finished(seat) for seat in seats):
        songs.step()
