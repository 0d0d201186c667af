"""Our kernels against decoder.py, under Triton's interpreter: `TRITON_INTERPRET=1 python -m tests.musicgen_kernels`.

The interpreter is chosen when the kernels are defined, so this is a process of its own. Prints what was compared.
"""

from typing import Any

import torch

from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing
from harmonia_composer.engines.musicgen.fused import FusedDecoder
from harmonia_composer.engines.musicgen.trial import COLUMNS, DRAWINGS, SHAPE, TEXT, begun, random_weights

# Of drawings, the first column, steps, and how. One song's matrices are our own kernel's unless told otherwise,
# several songs' are the library's; 128 is where a split ends, and at 32 five have to be joined.
CASES: tuple[tuple[tuple[Drawing, ...], int, int, dict[str, Any]], ...] = (
    (DRAWINGS[1:2], 130, 1, {}),
    (DRAWINGS[1:2], 127, 2, {"own": False, "split": 32}),
    (DRAWINGS, 0, 1, {}),
    (DRAWINGS, 125, 4, {}),
)


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
