"""A small decoder of random weights, drawn by two ways of decoding that must agree: of tests, and of the doctor."""

from typing import TypeVar

import torch

from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing
from harmonia_composer.engines.musicgen.shape import DecoderShape
from harmonia_composer.engines.musicgen.weights import DecoderWeights, Layer, layer_sizes

# More than one split of the attention, and a width that is no power of two.
SHAPE = DecoderShape(width=96, layers=2, heads=3, card=64)
COLUMNS, TEXT = 256, 32
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
