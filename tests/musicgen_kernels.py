"""Our kernels against decoder.py, under Triton's interpreter: `TRITON_INTERPRET=1 python -m tests.musicgen_kernels`.

The interpreter is chosen when the kernels are defined, so this is a process of its own. Prints what was compared.
"""

from typing import Any, TypeVar

import torch

from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing
from harmonia_composer.engines.musicgen.fused import FusedDecoder
from harmonia_composer.engines.musicgen.shape import DecoderShape
from harmonia_composer.engines.musicgen.weights import DecoderWeights, Layer, layer_sizes

# More than one split of the attention, and a width that is no power of two.
SHAPE = DecoderShape(width=96, layers=2, heads=3, card=64)
COLUMNS, TEXT = 256, 32
DRAWINGS = (Drawing(0, temperature=0.0), Drawing(2**63 + 5, 0.9, 20, 4.0), Drawing(7, 1.2, 64, 1.5))
Some = TypeVar("Some", bound=Decoder)

# Of drawings, the first column, steps, and how. One song's matrices are our own kernel's unless told otherwise,
# several songs' are the library's; 128 is where a split ends, and at 32 five have to be joined.
CASES: tuple[tuple[tuple[Drawing, ...], int, int, dict[str, Any]], ...] = (
    (DRAWINGS[1:2], 130, 1, {}),
    (DRAWINGS[1:2], 130, 1, {"own": False}),
    (DRAWINGS, 0, 1, {}),
    (DRAWINGS, 125, 4, {}),
    (DRAWINGS, 127, 2, {"split": 32}),
)


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


def main() -> None:
    weights = random_weights(torch.device("cpu"))
    for drawings, start, steps, how in CASES:
        slots = len(drawings)
        plain = begun(Decoder(weights, slots=slots, columns=COLUMNS, text=TEXT), drawings, start)
        fused = begun(FusedDecoder(weights, slots=slots, columns=COLUMNS, text=TEXT, **how), drawings, start)
        for _ in range(steps):
            logits = plain.logits(COLUMNS, TEXT)
            plain.step(COLUMNS, TEXT, SHAPE.card)
            fused.step(COLUMNS, TEXT, SHAPE.card)
            told = fused._told.view(2, slots, SHAPE.codebooks, SHAPE.card)
            guided = told[1] + (told[0] - told[1]) * fused.guidance
            assert torch.allclose(guided, logits, rtol=0, atol=2e-5 * float(logits.abs().max()))
            assert torch.equal(plain.tokens, fused.tokens)
            assert torch.equal(plain.column, fused.column)
        assert torch.allclose(plain.keys, fused.keys, atol=1e-5)
        how_told = "".join(f", {name} {value}" for name, value in how.items())
        print(f"{slots} slots from column {start}{how_told}: {steps * slots * SHAPE.codebooks} tokens equal")


if __name__ == "__main__":
    with torch.inference_mode():
        main()
