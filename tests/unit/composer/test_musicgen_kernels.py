"""The kernels for a GPU, without one: run by Triton's interpreter, compiled for an H200; and with one, if asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests import musicgen_registers

ROOT = Path(__file__).parents[3]


def run(module: str, **environment: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", module], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True,
        check=False, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


def test_the_kernels_draw_the_tokens_of_the_plain_decoder():
    assert run("tests.musicgen_kernels", TRITON_INTERPRET="1", OMP_NUM_THREADS="1") == [
        "1 slots from column 130: 4 tokens equal",
        "1 slots from column 130, own False: 4 tokens equal",
        "3 slots from column 0: 12 tokens equal",
        "3 slots from column 125: 48 tokens equal",
        "3 slots from column 127, split 32: 24 tokens equal",
    ]


def test_the_kernels_compile_for_an_h200_spill_nothing_and_begin_early(tmp_path):
    told = dict(line.split(": ", 1) for line in run("tests.musicgen_registers", TRITON_CACHE_DIR=str(tmp_path)))
    print(told)

    assert told.keys() == musicgen_registers.CASES.keys()
    assert [case for case, found in told.items() if found.split()[1] != "0"] == []
    # The first of a step waits for the step before it, which torch's own operations around the graph rely on.
    assert [case for case, found in told.items() if not found.endswith("early")] == ["embed"]


@pytest.mark.gpu
@pytest.mark.skipif(not os.environ.get("RUN_GPU_SMOKE"), reason="RUN_GPU_SMOKE=1 asks for a GPU")
def test_on_a_gpu_the_captured_step_draws_the_tokens_of_the_plain_decoder():
    from harmonia_composer.engines.musicgen.decoder import Decoder
    from harmonia_composer.engines.musicgen.fused import on_gpu
    from tests.musicgen_kernels import COLUMNS, DRAWINGS, TEXT, begun, random_weights

    torch.backends.cuda.matmul.allow_tf32 = False
    weights = random_weights(torch.device("cuda"))
    with torch.inference_mode():
        plain = begun(Decoder(weights, slots=3, columns=COLUMNS, text=TEXT), DRAWINGS, 0)
        quick = begun(on_gpu(weights, slots=3, columns=COLUMNS, text=TEXT), DRAWINGS, 0)
        for _ in range(COLUMNS - 16):
            plain.step(COLUMNS, TEXT, 64)
            quick.step(COLUMNS, TEXT, 64)

    assert torch.equal(plain.tokens, quick.tokens)
