"""Every kernel compiled for an H200 without one, and its registers: `python -m tests.musicgen_registers`.

A line each: what it is, registers of a thread, bytes spilled.
"""

import re
import subprocess
import tempfile
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from harmonia_composer.engines.musicgen import kernels
from harmonia_composer.engines.musicgen.fused import tile

H200 = GPUTarget("cuda", 90, 32)
# Of all published sizes: 2048 cards, 4 codebooks, heads of 64, 1536 columns.
CARD, BOOKS, HEAD, COLUMNS, TEXT = 2048, 4, 64, 1536, 512
SMALL, LARGE = 1024, 2048


def linear(count: int, depth: int, *, norm: bool = False, gelu: bool = False, add: bool = False) -> dict[str, object]:
    block, deep = tile(count, depth)
    return {
        "ROWS": 2, "K": depth, "BN": block, "BK": deep, "NORM": norm, "GELU": gelu, "ADD": add, "AHEAD": True,
    }  # fmt: skip


def attend(width: int, split: int) -> dict[str, object]:
    splits = -(-COLUMNS // split)
    return {
        "HEADS": width // HEAD, "HEAD": HEAD, "COLUMNS": COLUMNS, "SPLITS": splits,
        "PADDED": triton.next_power_of_2(splits), "SPLIT_": split, "AHEAD": True,
    }  # fmt: skip


CASES: dict[str, tuple[str, dict[str, object]]] = {
    "embed": ("embed", {"COLUMNS": COLUMNS, "WIDTH": SMALL, "PADDED": SMALL, "CARDS": CARD + 1, "BOOKS": BOOKS}),
    "norm": ("norm", {"WIDTH": LARGE, "PADDED": LARGE, "AHEAD": True}),
    "linear qkv small": ("linear", linear(3 * SMALL, SMALL, norm=True)),
    "linear up small": ("linear", linear(4 * SMALL, SMALL, norm=True, gelu=True)),
    "linear down small": ("linear", linear(SMALL, 4 * SMALL, add=True)),
    "linear qkv medium": ("linear", linear(3 * 1536, 1536, norm=True)),
    "linear up large": ("linear", linear(4 * LARGE, LARGE, norm=True, gelu=True)),
    "linear down large": ("linear", linear(LARGE, 4 * LARGE, add=True)),
    "attend 128": ("attend", attend(SMALL, kernels.SPLIT)),
    "attend 256": ("attend", attend(SMALL, 256)),
    "listen": ("listen", {"HEADS": SMALL // HEAD, "HEAD": HEAD, "TEXT": TEXT, "BLOCK": 64, "AHEAD": True}),
    "draw": ("draw", {"COLUMNS": COLUMNS, "CARD": CARD, "BOOKS": BOOKS, "AHEAD": True}),
    "advance": ("advance", {"PADDED": 16, "AHEAD": True}),
}
TYPES = {
    "slots": "i32", "N": "i32", "tokens": "*i64", "column": "*i64", "last": "*i64", "before": "*i64", "seed": "*i64",
    "length": "*i64", "top_k": "*i64", "greedy": "*i32", "arrived": "*i32", "table": "*fp32", "positions": "*fp32",
    "x": "*fp32", "parts": "*fp32", "weights": "*fp32", "logits": "*fp32", "temperature": "*fp32",
    "guidance": "*fp32", "scale": "*fp32", "bias": "*fp32", "by_scale": "*fp32", "by_bias": "*fp32",
}  # fmt: skip


def compiled(case: str) -> str:
    """PTX."""
    name, constants = CASES[case]
    kernel = getattr(kernels, name)
    signature = {each: "constexpr" if each in constants else TYPES.get(each, "*fp16") for each in kernel.arg_names}
    source = ASTSource(kernel, signature, constexprs=constants)
    warps = int(str(constants.get("SPLIT_", 128))) // 32
    return str(triton.compile(source, target=H200, options={"num_warps": warps, "launch_pdl": True}).asm["ptx"])


def registers(ptx: str) -> tuple[int, int]:
    """Registers of a thread, and bytes spilled."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx)
        # The newest of those Triton brings: the others do not know the version of its PTX.
        ptxas = max((Path(triton.__file__).parent / "backends" / "nvidia" / "bin").glob("ptxas*"))
        command = [str(ptxas), "-v", "--gpu-name=sm_90a", str(source), "-o", str(source.with_suffix(".cubin"))]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    spilled = re.search(r"(\d+) bytes spill stores", told)
    used = re.search(r"Used (\d+) registers", told)
    assert used is not None, told
    return int(used[1]), int(spilled[1]) if spilled else 0


def begins_early(ptx: str) -> bool:
    """Waits for the kernel before it, and lets the next one go: PTX ISA §9.7.13.13, griddepcontrol."""
    return "griddepcontrol.wait" in ptx and "griddepcontrol.launch_dependents" in ptx


def main() -> None:
    for case in CASES:
        ptx = compiled(case)
        print(f"{case}:", *registers(ptx), "early" if begins_early(ptx) else "in turn", flush=True)


if __name__ == "__main__":
    main()
