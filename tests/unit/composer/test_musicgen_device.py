"""What must not wait for a GPU does not: played on one that computes nothing and knows only devices and shapes."""

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from harmonia_composer.engines.musicgen import trial
from harmonia_composer.engines.musicgen.batch import Batch, Piece, windows
from harmonia_composer.engines.musicgen.codec import Codec, together
from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing
from harmonia_composer.engines.musicgen.weights import DecoderWeights, Layer, codec_sizes


class Crossings(TorchDispatchMode):  # type: ignore[misc]  # torch is not there for mypy
    """Operations that bring something to the host; to read a value there is an error of its own on a fake device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, Tensor) and made.device.type == "cpu":
            self.found.append(str(func))
        return made


def on_a_gpu(weights: DecoderWeights, mode: FakeTensorMode) -> DecoderWeights:
    def moved(value: Any) -> Any:
        if isinstance(value, Tensor):
            return mode.from_tensor(value).to("cuda")
        if isinstance(value, tuple):
            return tuple(moved(each) for each in value)
        return all_moved(value) if isinstance(value, Layer) else value

    def all_moved(group: Any) -> Any:
        return dataclasses.replace(
            group, **{field.name: moved(getattr(group, field.name)) for field in dataclasses.fields(group)}
        )

    made: DecoderWeights = all_moved(weights)
    return made


def test_a_song_is_seated_drawn_told_and_kept_without_waiting_for_the_device():
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        decoder = Decoder(on_a_gpu(trial.random_weights(torch.device("cpu")), mode), slots=2, columns=256, text=32)
        text = torch.zeros(5, trial.SHAPE.width, device="cuda")
        piece = Piece(text, Drawing(3), windows(0.3, window_s=0.24, stride_s=0.18, frame_rate=50))
        batch = Batch(decoder)
        with Crossings() as crossings:
            seat = batch.seat(piece)
            while not batch.finished(seat):
                batch.step()
                told, kept = batch.codes(seat, max(0, seat.ready - 5), seat.ready), batch.keep(seat)
            batch.leave(seat)

    assert crossings.found == []
    assert told.shape == (4, 5)
    assert {each.device.type for each in (told, kept.past, kept.columns)} == {"cuda"}


def test_a_piece_of_several_songs_is_decoded_without_waiting_for_the_device_so_that_it_can_be_captured():
    # Which of its kernels the library would take can only be asked where there is one.
    with torch.backends.cudnn.flags(enabled=False), FakeTensorMode():
        sizes = codec_sizes(trial.CODEC, trial.SHAPE)
        codec = Codec(trial.CODEC, {name: torch.zeros(size, device="cuda") for name, size in sizes.items()})
        codes = torch.zeros(3, 4, 25, device="cuda", dtype=torch.long)
        carried, kinds = together([codec.nothing()] * 3), []
        with Crossings() as crossings:
            for _ in range(3):
                carried, samples = codec.advance(carried, codes)
                kinds.append(carried.kind)

    assert crossings.found == []
    assert (samples.device.type, samples.shape) == ("cuda", (3, 25 * 640))
    assert kinds[0] == kinds[1] == kinds[2] == (6, 3, 2, 1)
