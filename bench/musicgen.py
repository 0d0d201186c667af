"""MusicGen: the engine against stock audiocraft and transformers, on the same random weights in the same run.

Correctness comes first: where greedy tokens differ, or streamed audio is not the whole decode, no speed is printed.
Then interleaved pairs, A B B A, one thread on a CPU; the ratio of medians and the range of the pairs' own ratios.
A table of one machine under one load says nothing about another.

    make bench ARGS=musicgen        SIZES=mini,small,medium,large FRAMES=1500 PAIRS=5 make bench ARGS=musicgen
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from bench import stock
from bench.table import Row
from harmonia_composer.engines.musicgen import weights as reading
from harmonia_composer.engines.musicgen.batch import Batch, Piece, windows
from harmonia_composer.engines.musicgen.codec import Codec, Stream
from harmonia_composer.engines.musicgen.conditioner import Conditioner
from harmonia_composer.engines.musicgen.convert import convert
from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing

SIZES = {
    "mini": stock.MINI,
    "small": stock.SMALL,
    "medium": stock.Dimensions(1536, 48, 24, 2048, codec_filters=64),
    "large": stock.Dimensions(2048, 48, 32, 2048, codec_filters=64),
}
# Frames a song, where FRAMES does not say: as many as make a run of some seconds on one core.
FRAMES = {"mini": 100, "small": 12, "medium": 6, "large": 4}
TEXT = "upbeat synthwave with arpeggios"
GUIDANCE, TOP_K = 3.0, 250
CLOSE = 1e-5

Sing = Callable[[int | None], torch.Tensor]


@dataclass(frozen=True)
class Players:
    """The same song by each: `sing(seed)` gives tokens [4, frames]; greedy without a seed."""

    audiocraft: Sing
    transformers: Sing
    engine: Sing
    alone: Callable[[int], float]
    codec: Codec


async def rows() -> Sequence[Row]:
    return list(_rows())


def _rows() -> Iterator[Row]:
    torch.set_num_threads(1)
    pairs = int(os.environ.get("PAIRS", "5"))
    yield Row("machine", f"torch {torch.__version__}, one thread, float32, {host_us():.1f} µs an op of the host", "")
    for size in os.environ.get("SIZES", "mini,small").split(","):
        frames = int(os.environ.get("FRAMES", str(FRAMES[size])))
        with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
            players = read(Path(folder), SIZES[size], frames)
            if wrong := differences(players, SIZES[size].card):
                yield Row(f"{size}: gate", wrong, "0 tokens differ; no speed where some do")
                continue
            yield Row(f"{size}: gate", f"greedy tokens of {frames} frames equal in all three; streamed = whole", "")
            for name, other in (("audiocraft", players.audiocraft), ("transformers", players.transformers)):
                yield Row(f"{size}: {name} against the engine", compared(other, players.engine, pairs, frames))
            yield Row(f"{size}: the engine, 1 and 4 songs at once", batched(players, frames))


def read(folder: Path, size: stock.Dimensions, frames: int) -> Players:
    theirs_at = stock.write_model(folder / "audiocraft", size)
    ours_at = folder / "ours"
    ours_at.mkdir()
    shape = convert(theirs_at, ours_at)
    theirs = stock.load_audiocraft(theirs_at)
    other = stock.hugging_face(theirs, theirs_at)
    cpu = torch.device("cpu")
    conditioner = Conditioner(ours_at, shape, device=cpu)
    weights = reading.read_decoder(ours_at, shape, device=cpu, dtype=torch.float32)
    columns = -(-(frames + 4) // 64) * 64
    batches = {slots: Batch(Decoder(weights, slots=slots, columns=columns, text=64)) for slots in (1, 4)}
    ids = torch.tensor([conditioner.tokens(TEXT)])
    theirs.set_generation_params(duration=frames / 50, cfg_coef=GUIDANCE, top_k=TOP_K)

    def audiocraft(seed: int | None) -> torch.Tensor:
        theirs.set_generation_params(
            duration=frames / 50, cfg_coef=GUIDANCE, top_k=TOP_K, use_sampling=seed is not None
        )
        torch.manual_seed(seed or 0)
        attributes, _ = theirs._prepare_tokens_and_attributes([TEXT], None)
        tokens: torch.Tensor = theirs._generate_tokens(attributes, None)[0]
        return tokens

    def transformers(seed: int | None) -> torch.Tensor:
        sampling: dict[str, Any] = {} if seed is None else {"do_sample": True, "top_k": TOP_K}
        torch.manual_seed(seed or 0)
        return stock.hugging_face_tokens(other, ids, frames=frames, guidance=GUIDANCE, **sampling)

    def piece(seed: int | None) -> Piece:
        drawing = Drawing(seed or 0, 0.0 if seed is None else 1.0, TOP_K, GUIDANCE)
        whole = windows(frames / 50, window_s=30.0, stride_s=18.0, frame_rate=50)
        return Piece(conditioner.text(TEXT), drawing, whole)

    def engine(seed: int | None) -> torch.Tensor:
        return drawn(batches[1], [piece(seed)])[0]

    def together(slots: int) -> float:
        started = time.perf_counter()
        drawn(batches[slots], [piece(seed) for seed in range(slots)])
        return time.perf_counter() - started

    codec = Codec(shape.codec, reading.read_codec(ours_at, shape, device=cpu))
    return Players(audiocraft, transformers, engine, together, codec)


def drawn(batch: Batch, pieces: Sequence[Piece]) -> list[torch.Tensor]:
    seats = [batch.seat(piece) for piece in pieces]
    while any(not batch.finished(seat) for seat in seats):
        batch.step()
    tokens = [batch.codes(seat, 0, seat.ready) for seat in seats]
    for seat in seats:
        batch.leave(seat)
    return tokens


def differences(players: Players, card: int) -> str:
    """Empty when nothing differs."""
    expected = players.audiocraft(None)
    for name, tokens in (("engine", players.engine(None)), ("transformers", players.transformers(None))):
        if count := int((tokens != expected).sum()):
            return f"{name}: {count} of {expected.numel()} greedy tokens are not audiocraft's"
    codes = torch.randint(0, card, (4, 30), generator=torch.Generator().manual_seed(0))
    stream, whole = Stream(players.codec), players.codec.decode(codes)
    pieces = torch.cat([stream.push(codes[:, at : at + 10], final=at == 20) for at in range(0, 30, 10)])
    off = float((pieces - whole).abs().max() / whole.abs().max())
    return "" if off <= CLOSE else f"streamed audio is {off:.1e} of its peak off the whole decode"


def compared(theirs: Sing, ours: Sing, pairs: int, frames: int) -> str:
    """Seconds a step of each, and the ratio; after one song of each that is not counted."""
    times: tuple[list[float], list[float]] = ([], [])
    for sing in (theirs, ours):
        sing(0)
    for pair in range(pairs):
        for which in (0, 1) if pair % 2 == 0 else (1, 0):
            started = time.perf_counter()
            (theirs, ours)[which](pair)
            times[which].append(time.perf_counter() - started)
    ratios = [one / other for one, other in zip(*times, strict=True)]
    steps = frames + 3
    return (
        f"{median(times[0]) / steps * 1000:.1f} ms a step, ours {median(times[1]) / steps * 1000:.1f}: "
        f"ratio {median(times[0]) / median(times[1]):.2f} (pairs {min(ratios):.2f}–{max(ratios):.2f}, n={pairs})"
    )


def batched(players: Players, frames: int) -> str:
    one, four = (median(players.alone(slots) for _ in range(3)) for slots in (1, 4))
    return f"{one / (frames + 3) * 1000:.1f} and {four / (frames + 3) * 1000:.1f} ms a step"


def host_us() -> float:
    """What an operation costs before it does anything: every ratio on a GPU is to be read beside it."""
    small = torch.zeros(1)
    started = time.perf_counter()
    for _ in range(10_000):
        small.add_(1.0)
    return (time.perf_counter() - started) / 10_000 * 1e6
