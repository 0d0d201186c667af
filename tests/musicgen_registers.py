"""Every kernel compiled for an H200 without one, and its registers: `python -m tests.musicgen_registers`."""

import re
import subprocess
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from harmonia_composer.engines.musicgen import kernels

H200 = GPUTarget("cuda", 90, 32)
# MusicGen small: width 1024, 16 heads, 2048 cards, 4 codebooks, 1536 columns, one slot.
WIDTH, HEADS, HEAD, CARD, BOOKS, COLUMNS, TEXT, SPLITS = 1024, 16, 64, 2048, 4, 1536, 512, 12
CONSTANTS = {
    "embed": {"COLUMNS": COLUMNS, "WIDTH": WIDTH, "PADDED": WIDTH, "CARDS": CARD + 1, "BOOKS": BOOKS},
    "linear": {"ROWS": 2, "K": WIDTH, "BN": 4, "BK": 1024, "NORM": True, "GELU": False, "ADD": False},
    "attend": {"HEADS": HEADS, "HEAD": HEAD, "COLUMNS": COLUMNS, "SPLITS": SPLITS, "SPLIT_": kernels.SPLIT},
    "join": {"HEADS": HEADS, "HEAD": HEAD, "SPLITS": SPLITS, "PADDED": 16, "SPLIT_": kernels.SPLIT},
    "listen": {"HEADS": HEADS, "HEAD": HEAD, "TEXT": TEXT, "BLOCK": 64},
    "draw": {"COLUMNS": COLUMNS, "CARD": CARD, "BOOKS": BOOKS},
}
TYPES = {
    "slots": "i32", "N": "i32", "tokens": "*i64", "column": "*i64", "last": "*i64", "before": "*i64", "seed": "*i64",
    "length": "*i64", "top_k": "*i64", "greedy": "*i32", "table": "*fp32", "positions": "*fp32", "x": "*fp32",
    "parts": "*fp32", "weights": "*fp32", "logits": "*fp32", "temperature": "*fp32", "guidance": "*fp32",
}  # fmt: skip


def registers(name: str) -> tuple[int, int]:
    """Registers of a thread, and bytes spilled."""
    kernel, constants = getattr(kernels, name), CONSTANTS[name]
    signature = {each: "constexpr" if each in constants else TYPES.get(each, "*fp16") for each in kernel.arg_names}
    made = triton.compile(ASTSource(kernel, signature, constexprs=constants), target=H200)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(made.asm["ptx"])
        # The newest of those Triton brings: the others do not know the version of its PTX.
        ptxas = max((Path(triton.__file__).parent / "backends" / "nvidia" / "bin").glob("ptxas*"))
        command = [str(ptxas), "-v", "--gpu-name=sm_90a", str(source), "-o", str(source.with_suffix(".cubin"))]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    spilled = re.search(r"(\d+) bytes spill stores", told)
    used = re.search(r"Used (\d+) registers", told)
    assert used is not None, told
    return int(used[1]), int(spilled[1]) if spilled else 0


if __name__ == "__main__":
    for each in CONSTANTS:
        print(each, *registers(each))
