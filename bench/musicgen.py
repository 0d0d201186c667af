"""MusicGen: the engine against stock audiocraft and transformers, on the same random weights in the same run.

Correctness comes first: where greedy tokens differ, or streamed audio is not the whole decode, no speed is printed.
Then interleaved pairs, A B B A, one thread on a CPU; the ratio of medians and the range of the pairs' own ratios.
A table of one machine under one load says nothing about another.

    make bench ARGS=musicgen                            on the CPU: mini and small; with a GPU, that instead
    SIZES=small FRAMES=30 PAIRS=5 make bench ARGS=musicgen
    SIZES=large PARTS=alone make bench ARGS=musicgen    on a GPU, one half; the other is PARTS=company
    DRY=1 TRITON_INTERPRET=1 make bench ARGS=musicgen   every line of the GPU's table, on the CPU, with a tiny model
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from bench import musicgen_gpu, stock
from bench.rig import GUIDANCE, WORDS, Rig, drawn, rig, room
from bench.table import Row
from harmonia_composer.engines.musicgen.batch import Batch
from harmonia_composer.engines.musicgen.eager import EagerDecoder

SIZES = {
    "tiny": stock.TINY,
    "mini": stock.MINI,
    "small": stock.SMALL,
    "medium": stock.Dimensions(1536, 48, 24, 2048, codec_filters=64, text_layers=12),
    "large": stock.Dimensions(2048, 48, 32, 2048, codec_filters=64, text_layers=12),
}
# Frames a song, where FRAMES does not say: as many as make a run of some seconds on one core.
FRAMES = {"tiny": 100, "mini": 100, "small": 15, "medium": 6, "large": 4}

Sing = Callable[[int | None], torch.Tensor]


async def rows() -> Sequence[Row]:
    return list(_rows())


def _rows() -> Iterator[Row]:
    if os.environ.get("DRY"):
        yield from _on(torch.device("cpu"), "tiny", musicgen_gpu.DRY)
    elif torch.cuda.is_available():
        yield from _on(torch.device("cuda"), "small,medium,large", musicgen_gpu.FULL)
    else:
        yield from _on_the_cpu()


def _on(device: torch.device, sizes: str, plan: musicgen_gpu.Plan) -> Iterator[Row]:
    for size in os.environ.get("SIZES", sizes).split(","):
        with tempfile.TemporaryDirectory() as folder:
            yield from musicgen_gpu.rows(Path(folder), size, SIZES[size], plan, device)


def _on_the_cpu() -> Iterator[Row]:
    torch.set_num_threads(1)
    pairs, cpu = int(os.environ.get("PAIRS", "5")), torch.device("cpu")
    yield Row(
        "machine",
        f"torch {torch.__version__}, one thread, float32, {musicgen_gpu.host_us(cpu):.1f} µs an op of the host",
        "",
    )
    for size in os.environ.get("SIZES", "mini,small").split(","):
        frames = int(os.environ.get("FRAMES", str(FRAMES[size])))
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            one = rig(Path(folder), SIZES[size], device=cpu, half=False)
            yield from _against_stock(one, size, frames, pairs)


def _against_stock(one: Rig, size: str, frames: int, pairs: int) -> Iterator[Row]:
    singers = {"audiocraft": audiocraft(one, frames), "transformers": transformers(one, frames)}
    batches = {slots: Batch(EagerDecoder(one.weights, slots=slots, **room(frames))) for slots in (1, 4)}
    ours = engine(one, batches[1], frames)
    if wrong := differences(one, singers, ours):
        yield Row(f"{size}: gate", wrong, "0 tokens differ; no speed where some do")
        return
    yield Row(f"{size}: gate", f"greedy tokens of {frames} frames equal in all three; streamed = whole", "")
    for name, theirs in singers.items():
        measured = musicgen_gpu.pairs(a_step(one, theirs, frames), a_step(one, ours, frames), pairs)
        yield Row(f"{size}: {name} against the engine", measured, "")
    yield Row(f"{size}: four at once, audiocraft against the engine", together(one, batches[4], frames, pairs), "")


def audiocraft(one: Rig, frames: int) -> Sing:
    return lambda seed: one.stock_tokens(frames, seed)[0]


def transformers(one: Rig, frames: int) -> Sing:
    other = stock.hugging_face(one.theirs, one.folder)

    def sing(seed: int | None) -> torch.Tensor:
        ids = torch.tensor([one.conditioner.tokens(WORDS)])
        sampling: dict[str, Any] = {} if seed is None else {"do_sample": True, "top_k": one.top_k}
        torch.manual_seed(seed or 0)
        return stock.hugging_face_tokens(other, ids, frames=frames, guidance=GUIDANCE, **sampling)

    return sing


def engine(one: Rig, songs: Batch, frames: int) -> Sing:
    return lambda seed: drawn(songs, [one.piece(frames, seed)])[0]


def a_step(one: Rig, sing: Sing, frames: int) -> Callable[[int], float]:
    """Seconds."""
    return lambda seed: one.seconds(lambda: sing(seed)) / (frames + 3)


def differences(one: Rig, singers: dict[str, Sing], ours: Sing) -> str:
    """Empty when nothing differs."""
    expected = singers["audiocraft"](None)
    for name, sing in (("the engine", ours), ("transformers", singers["transformers"])):
        if count := int((sing(None) != expected).sum()):
            return f"{name}: {count} of {expected.numel()} greedy tokens are not audiocraft's"
    return musicgen_gpu.pieces_differ(one)


def together(one: Rig, songs: Batch, frames: int, pairs: int) -> str:
    """audiocraft pads them to one length, and so plays others than alone; ours are what they are alone."""
    seeds = range(songs.slots)
    return musicgen_gpu.pairs(
        a_step(one, lambda seed: one.stock_tokens(frames, seed, songs=songs.slots), frames),
        a_step(one, lambda _: drawn(songs, [one.piece(frames, seed) for seed in seeds])[0], frames),
        pairs,
    )
