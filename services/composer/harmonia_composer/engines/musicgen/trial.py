"""A small decoder and a small codec of random weights, whose two ways must agree: of tests, bench and the doctor."""

import queue
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from harmonia_composer.engines.musicgen.codec import Codec
from harmonia_composer.engines.musicgen.codec_room import CodecRoom
from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing
from harmonia_composer.engines.musicgen.events import Drawn, Events, Heard
from harmonia_composer.engines.musicgen.shape import CodecShape, DecoderShape
from harmonia_composer.engines.musicgen.weights import DecoderWeights, Layer, codec_sizes, layer_sizes

# More than one split of the attention, and a width that is no power of two.
SHAPE = DecoderShape(width=96, layers=2, heads=3, card=64)
COLUMNS, TEXT = 256, 32
CODEC = CodecShape(
    dimension=16, filters=4, ratios=(8, 5, 4, 4), lstm_layers=2, residual_layers=1, dilation_base=2, kernel=7,
    last_kernel=7, residual_kernel=3, compress=2, pad_mode="constant", sample_rate=32_000,
)  # fmt: skip
# Frames of songs that are decoded together; none ends when another does.
FRAMES = (60, 85, 110)
DRAWINGS = (Drawing(0, temperature=0.0), Drawing(2**63 + 5, 0.9, 20, 4.0), Drawing(7, 1.2, 64, 1.5))
Some = TypeVar("Some", bound=Decoder)


def random_weights(device: torch.device) -> DecoderWeights:
    dice = torch.Generator().manual_seed(1)

    def rough(*size: int) -> torch.Tensor:
        made = torch.randn(size, generator=dice) * (size[-1] ** -0.5 if len(size) > 1 else 0.1)
        return made.to(device)

    def norm(name: str, size: tuple[int, ...]) -> torch.Tensor:
        return rough(*size) + float(name.endswith("norm"))

    layers = tuple(
        Layer(**{name: norm(name, size) for name, size in layer_sizes(SHAPE.width).items()})
        for _ in range(SHAPE.layers)
    )
    books, width = SHAPE.codebooks, SHAPE.width
    return DecoderWeights(
        SHAPE, rough(books * (SHAPE.card + 1), width), layers, norm("norm", (width,)), norm("", (width,)),
        rough(books * SHAPE.card, width),
    )  # fmt: skip


def begun(decoder: Some, drawings: tuple[Drawing, ...], start: int) -> Some:
    """All slots at work, each at a column of its own."""
    dice = torch.Generator().manual_seed(2)
    for slot, drawing in enumerate(drawings):
        text = torch.randn(3 + 4 * slot, SHAPE.width, generator=dice)
        decoder.seat(slot, text.to(decoder.tokens.device), drawing)
        prompt = torch.randint(0, SHAPE.card, (SHAPE.codebooks, start + slot if start else 0), generator=dice)
        decoder.open(slot, COLUMNS - 8, prompt.to(decoder.tokens.device), before=1000 * slot)
    return decoder


def tokens_that_differ(one: Decoder, other: Decoder, steps: int) -> int:
    """Of two that were begun alike."""
    with torch.inference_mode():
        for decoder in (one, other):
            for _ in range(steps):
                decoder.step(COLUMNS, TEXT, SHAPE.card)
    return int((one.tokens != other.tokens).sum())


def random_codec(device: torch.device) -> Codec:
    dice = torch.Generator().manual_seed(3)

    def rough(name: str, size: tuple[int, ...]) -> torch.Tensor:
        depth = 1 if len(size) == 1 or name == "codebooks" else size[1] * (size[2] if len(size) > 2 else 1)
        return (torch.randn(size, generator=dice) * depth**-0.5).to(device)

    return Codec(CODEC, {name: rough(name, size) for name, size in codec_sizes(CODEC, SHAPE).items()})


def off_when_together(codec: Codec, room: CodecRoom, *, card: int) -> float:
    """Of their peak, at most: what songs that are decoded together in the room are off the whole decode of each."""
    dice = torch.Generator().manual_seed(4)
    songs = [
        torch.randint(0, card, (len(codec.codebooks), frames), generator=dice).to(codec.device) for frames in FRAMES
    ]
    if codec.device.type == "cuda":
        torch.cuda.synchronize()  # tokens are there without an event of their own
    return max(
        float((torch.from_numpy(heard) - whole).abs().max() / whole.abs().max())
        for heard, whole in zip(_heard(room, songs), (codec.decode(codes).cpu() for codes in songs), strict=True)
    )


def _heard(room: CodecRoom, songs: Sequence[torch.Tensor]) -> list[NDArray[np.float32]]:
    events: Events = queue.SimpleQueue()
    heard: list[list[NDArray[np.float32]]] = [[] for _ in songs]
    left = len(songs)
    with room.voices(left, events) as voices:
        for voice, codes in zip(voices, songs, strict=True):
            room.push(voice, Drawn(voice.take, codes, final=True))
        while left:
            event = events.get()
            assert isinstance(event, Heard), event
            room.written(voices[event.take])
            heard[event.take].append(event.samples)
            left -= event.final
    return [np.concatenate(pieces) for pieces in heard]
