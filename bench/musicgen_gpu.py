"""MusicGen on a GPU: what must hold before any speed is printed, then the speed. Rows for bench/musicgen.py.

On a machine without one, DRY=1 runs every line on the CPU with a model of nothing: the figures then mean nothing.
"""

import copy
import os
import queue
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from bench import stock
from bench.counted import arrivals, percentile, song_bytes
from bench.rig import GUIDANCE, WORDS, Rig, drawn, rig, room
from bench.table import Row
from harmonia_composer.engines.musicgen.batch import Batch, Seat
from harmonia_composer.engines.musicgen.codec import Stream
from harmonia_composer.engines.musicgen.codec_graph import steady_ones
from harmonia_composer.engines.musicgen.codec_room import CodecRoom
from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing
from harmonia_composer.engines.musicgen.events import FIRST, FRAMES, Event, Events, Failed, Heard
from harmonia_composer.engines.musicgen.player import room_for
from harmonia_composer.engines.musicgen.sampler import guide
from harmonia_composer.engines.musicgen.scheduler import Scheduler, Ticket
from harmonia_composer.engines.musicgen.trial import off_when_together

CLOSE = 1e-5
SLOTS = (1, 4, 16, 32, 64)
# Of what the closed loop drew at the same number of slots.
LOAD = 0.7


@dataclass(frozen=True)
class Plan:
    """How much is measured; `stock_frames` because stock takes a minute a song, and costs the same at every frame."""

    frames: int
    ladder_frames: int
    stock_frames: int
    gate_frames: int
    pairs: int
    slots: Sequence[int]
    arrivals: int


FULL = Plan(frames=1500, ladder_frames=1500, stock_frames=300, gate_frames=300, pairs=3, slots=SLOTS, arrivals=64)
DRY = Plan(frames=16, ladder_frames=3, stock_frames=4, gate_frames=8, pairs=1, slots=SLOTS[:2], arrivals=3)


@dataclass(frozen=True)
class Rung:
    """A step of the ladder, in the order in which they paid in the prototype."""

    name: str
    make: Callable[[Rig, int, int], Decoder]


def plain(one: Rig, slots: int, frames: int) -> Decoder:
    return Decoder(one.weights, slots=slots, **room(frames))


def fused(**how: Any) -> Callable[[Rig, int, int], Decoder]:
    def make(one: Rig, slots: int, frames: int) -> Decoder:
        from harmonia_composer.engines.musicgen.fused import FusedDecoder

        settings: dict[str, Any] = {**room(frames), **how}
        return FusedDecoder(one.weights, slots=slots, **settings)

    return make


def early(one: Rig) -> dict[str, bool]:
    """Whether kernels may begin before the ones before them end."""
    return {"ahead": one.is_on_gpu and torch.cuda.get_device_capability() >= (9, 0)}


def ladder(one: Rig) -> Sequence[Rung]:
    return (
        Rung("torch's operations", plain),
        Rung("our kernels, the library's matrices", fused(own=False)),
        Rung("our matrices", fused()),
        Rung("begun early", fused(**early(one))),
        Rung("attention split at 256", fused(**early(one), split=256)),
    )


def best(one: Rig, slots: int, frames: int) -> Batch:
    """What the engine plays with here."""
    make = fused(**early(one)) if one.is_on_gpu else plain
    return captured(one, make(one, slots, frames))


def captured(one: Rig, decoder: Decoder) -> Batch:
    if not one.is_on_gpu:
        return Batch(decoder)
    from harmonia_composer.engines.musicgen.fused import captured as as_graph

    return Batch(as_graph(decoder))


def room_of(one: Rig, songs: int) -> CodecRoom:
    """What the engine decodes with on a GPU; of a dry run, what its graphs replay."""
    if one.is_on_gpu:
        return room_for(one.codec, songs=songs)
    return CodecRoom(one.codec, at_once=songs, steady=steady_ones(one.codec, songs=songs, frames=FRAMES))


def rows(folder: Path, name: str, size: stock.Dimensions, plan: Plan, device: torch.device) -> Iterator[Row]:
    """Nothing but the gate's complaints where it complains. Large takes some twelve minutes: PARTS halves it."""
    yield Row(f"{name}: machine", machine(device), "")
    if wrong := [complaint for complaint in gates(folder, size, plan, device) if complaint]:
        yield Row(f"{name}: gate", "; ".join(wrong), "no speed where a gate is shut")
        return
    yield Row(f"{name}: gate", "float32 tokens equal; float16 error, streamed audio, company: within bounds", "")
    one = rig(folder / "speed", size, device=device, half=device.type == "cuda")
    bandwidth = copy_bandwidth(device)
    yield Row(f"{name}: copy bandwidth", f"{bandwidth / 1e12:.3f} TB/s", "")
    parts = os.environ.get("PARTS", "alone,company").split(",")
    if "alone" in parts:
        yield from alone(one, name, plan, bandwidth)
    if "company" in parts:
        yield from in_company(one, name, plan, bandwidth)


def machine(device: torch.device) -> str:
    what = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU: a dry run, whose figures mean nothing"
    return f"{what}; torch {torch.__version__}, CUDA {torch.version.cuda}; {host_us(device):.1f} µs an op of the host"


def host_us(device: torch.device) -> float:
    """What an operation costs before it does anything: every ratio is to be read beside it."""
    small = torch.zeros(1, device=device)
    started = time.perf_counter()
    for _ in range(5000):
        small.add_(1.0)
    return (time.perf_counter() - started) / 5000 * 1e6


def copy_bandwidth(device: torch.device) -> float:
    """Bytes read and written in a second."""
    if device.type == "cuda":
        from harmonia_composer.engines.musicgen.gpu import bandwidth

        return float(bandwidth())
    source = torch.zeros(1 << 26, dtype=torch.uint8)
    target = source.clone()
    started = time.perf_counter()
    for _ in range(4):
        target.copy_(source)
    return float(8 * source.numel() / (time.perf_counter() - started))


def gates(folder: Path, size: stock.Dimensions, plan: Plan, device: torch.device) -> Iterator[str]:
    """Empty where all is well."""
    with exactly():
        exact = rig(folder / "exact", size, device=device, half=False)
        yield tokens_differ(exact, plan.gate_frames)
        yield pieces_differ(exact)
        yield company_is_heard(exact)
        del exact
    half = rig(folder / "half", size, device=device, half=device.type == "cuda")
    yield errs_more(half, plan.gate_frames)
    yield company_matters(half, plan)


class exactly:  # noqa: N801  # reads as a word where it is used
    """float32 without TF32."""

    def __enter__(self) -> None:
        self._before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def __exit__(self, *_: object) -> None:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = self._before


def tokens_differ(one: Rig, frames: int) -> str:
    """Greedy, of stock and ours. Stock without its float16."""
    attributes, _ = one._asked(frames, None)._prepare_tokens_and_attributes([WORDS], None)
    with torch.no_grad():
        expected = one.theirs.lm.generate(None, attributes, max_gen_len=frames, use_sampling=False, cfg_coef=GUIDANCE)
    wrong = int((drawn(best(one, 1, frames), [one.piece(frames, None)])[0] != expected[0].cpu()).sum())
    return f"{wrong} of {expected.numel()} greedy tokens are not audiocraft's" if wrong else ""


def pieces_differ(one: Rig) -> str:
    codes = torch.randint(0, one.size.card, (4, 60), generator=torch.Generator().manual_seed(0)).to(one.device)
    stream, whole = Stream(one.codec), one.codec.decode(codes)
    pieces = torch.cat([stream.push(codes[:, at : at + 10], final=at == 50) for at in range(0, 60, 10)])
    off = float((pieces - whole).abs().max() / whole.abs().max())
    return "" if off <= CLOSE else f"streamed audio is {off:.1e} of its peak off the whole decode"


def company_is_heard(one: Rig) -> str:
    """Songs decoded together, by what is replayed where it fits, against the whole decode of each."""
    room = room_of(one, 4)
    off = off_when_together(one.codec, room, card=one.size.card)
    room.close()
    return "" if off <= CLOSE else f"songs decoded together are {off:.1e} of their peak off the whole decode"


def until_all_have_ended(events: Events, songs: int) -> Iterator[Heard]:
    while songs:
        event: Event = events.get()
        assert not isinstance(event, Failed), event.error
        if isinstance(event, Heard):
            yield event
            songs -= event.final


def errs_more(one: Rig, frames: int) -> str:
    """Logits of forced tokens, of stock and ours in float16, against stock in float32 on the same weights."""
    tokens = torch.randint(0, one.size.card, (4, frames), generator=torch.Generator().manual_seed(0)).to(one.device)
    exact = copy.deepcopy(one.theirs.lm).float()
    with exactly():
        wanted = stock_logits(exact, tokens, half=False)
    del exact
    theirs = rms(stock_logits(one.theirs.lm, tokens, half=one.is_on_gpu), wanted)
    ours = rms(our_logits(one, tokens), wanted)
    return "" if ours <= max(theirs, 1e-6) else f"logits err by {ours:.3%} rms, stock's by {theirs:.3%}"


def delayed(tokens: Tensor, card: int) -> Tensor:
    """[4, frames + 4]: codebook k at column s holds frame s - 1 - k."""
    row = torch.full((4, tokens.shape[1] + 4), card, device=tokens.device)
    for book in range(4):
        row[book, book + 1 : book + 1 + tokens.shape[1]] = tokens[book]
    return row


def stock_logits(lm: Any, tokens: Tensor, *, half: bool) -> Tensor:
    """[columns, 4, card], guided; step by step, as it draws."""
    conditioning = stock.audiocraft().modules.conditioners
    asked = [conditioning.ConditioningAttributes(text={"description": WORDS})]
    asked = asked + conditioning.ClassifierFreeGuidanceDropout(p=1.0)(asked)
    row, made = delayed(tokens, lm.card)[None], []
    with torch.no_grad(), torch.autocast(tokens.device.type, torch.float16, enabled=half), lm.streaming():
        conditions = lm.condition_provider(lm.condition_provider.tokenize(asked))
        for column in range(tokens.shape[1]):
            both = lm(torch.cat([row[..., column : column + 1]] * 2), conditions=[], condition_tensors=conditions)
            heard, unheard = both.float().split(1)
            made.append((unheard + (heard - unheard) * GUIDANCE)[0, :, 0])
    return torch.stack(made)


def our_logits(one: Rig, tokens: Tensor) -> Tensor:
    decoder = (fused(**early(one)) if one.is_on_gpu else plain)(one, 1, tokens.shape[1])
    row = delayed(tokens, one.size.card)
    with torch.inference_mode():
        decoder.seat(0, one.conditioner.text(WORDS), Drawing(0, 0.0, 1, GUIDANCE))
        decoder.open(0, tokens.shape[1], tokens[:, :0])
        decoder.tokens[0, :, : row.shape[1]] = row
        made = [logits_of_a_step(decoder) for _ in range(tokens.shape[1])]
    return torch.stack(made)


def logits_of_a_step(decoder: Decoder) -> Tensor:
    told = getattr(decoder, "_told", None)  # of the kernels', which keep them
    plain_ones = decoder.logits(decoder.columns, decoder.text) if told is None else None
    decoder.step(decoder.columns, decoder.text, decoder.shape.card)
    if plain_ones is not None:
        return plain_ones[0]
    assert told is not None
    both = told.view(2, decoder.slots, decoder.shape.codebooks, decoder.shape.card)
    return guide(both, decoder.guidance)[0].clone()


def rms(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).pow(2).mean().sqrt() / wanted.std())


def company_matters(one: Rig, plan: Plan) -> str:
    """One seed, alone and on another slot of a batch that is full and was at work before."""
    slots, frames = min(16, max(plan.slots)), plan.gate_frames
    expected = drawn(best(one, slots, frames), [one.piece(frames, 5)])[0]
    songs = best(one, slots, frames)
    others = [songs.seat(one.piece(frames, 100 + number)) for number in range(slots - 1)]
    for _ in range(frames // 4):
        songs.step()
    late = songs.seat(one.piece(frames, 5))
    while not songs.finished(late):
        songs.step()
    wrong = int((songs.codes(late, 0, late.ready).cpu() != expected).sum())
    assert all(seat.slot != late.slot for seat in others)
    return f"{wrong} of {expected.numel()} tokens change in company" if wrong else ""


def alone(one: Rig, name: str, plan: Plan, bandwidth: float) -> Iterator[Row]:
    """One song: the ladder, stock in turns with the engine, and the first that is heard."""
    for rung in ladder(one):
        if rung.make is not plain and not one.is_on_gpu and not os.environ.get("TRITON_INTERPRET"):
            continue
        frames, songs = plan.ladder_frames, captured(one, rung.make(one, 1, plan.ladder_frames))
        drawn(songs, [one.piece(min(40, frames), 0)])
        took = median(one.seconds(lambda: drawn(songs, [one.piece(frames, 0)])) for _ in range(plan.pairs))  # noqa: B023
        yield Row(f"{name}: one song, {rung.name}", told(took, frames, one, 1, bandwidth), "")
    songs, room = best(one, 1, plan.frames), room_of(one, 1)
    tokens = pairs(
        lambda seed: one.seconds(lambda: one.stock_tokens(plan.stock_frames, seed)) / (plan.stock_frames + 3),
        lambda seed: one.seconds(lambda: drawn(songs, [one.piece(plan.frames, seed)])) / (plan.frames + 3),
        plan.pairs,
    )
    yield Row(f"{name}: text to tokens, audiocraft against the engine", tokens, "")
    heard = pairs(
        lambda seed: stock_song_seconds(one, plan.stock_frames, seed) / (plan.stock_frames + 3),
        lambda seed: sung(one, songs, room, plan.frames, [seed])[1] / (plan.frames + 3),
        plan.pairs,
    )
    yield Row(f"{name}: text to audio, audiocraft against the engine", heard, "")
    yield Row(f"{name}: text to tokens, transformers against the engine", against_transformers(one, songs, plan), "")
    first = [sung(one, songs, room, plan.frames, [seed])[0][0] for seed in range(plan.pairs)]
    yield Row(f"{name}: first audio", f"{median(first) * 1000:.1f} ms ({max(first) * 1000:.1f} at most)", "≤ 60 ms")
    room.close()


def told(took: float, frames: int, one: Rig, slots: int, bandwidth: float) -> str:
    text = one.conditioner.text(WORDS).shape[0]
    moved = song_bytes(one.size, frames, slots=slots, text=text, item=one.weights.dtype.itemsize)
    return (
        f"{took / (frames + 3) * 1000:.3f} ms a step, {took:.2f} s, {3600 * slots / took:,.0f} songs/h, "
        f"{moved / took / bandwidth:.1%} of copy bandwidth"
    )


def pairs(theirs: Callable[[int], float], ours: Callable[[int], float], count: int) -> str:
    """In turns, A B B A; of seconds a step, after one of each that is not counted."""
    times: tuple[list[float], list[float]] = ([], [])
    theirs(0), ours(0)
    for pair in range(count):
        for which in (0, 1) if pair % 2 == 0 else (1, 0):
            times[which].append((theirs, ours)[which](pair))
    ratios = [one / other for one, other in zip(*times, strict=True)]
    return (
        f"{median(times[0]) * 1000:.2f} ms a step, ours {median(times[1]) * 1000:.3f}: "
        f"ratio {median(times[0]) / median(times[1]):.1f} (pairs {min(ratios):.1f}–{max(ratios):.1f}, n={count})"
    )


def against_transformers(one: Rig, songs: Batch, plan: Plan) -> str:
    other = stock.hugging_face(one.theirs, one.folder)
    if one.is_on_gpu:
        other = other.half().to(one.device)
    ids = torch.tensor([one.conditioner.tokens(WORDS)], device=one.device)
    how: dict[str, Any] = {"frames": plan.stock_frames, "guidance": GUIDANCE, "do_sample": True, "top_k": one.top_k}

    def theirs(_seed: int) -> float:
        with torch.no_grad():
            return one.seconds(lambda: stock.hugging_face_tokens(other, ids, **how)) / (plan.stock_frames + 3)

    def ours(seed: int) -> float:
        return one.seconds(lambda: drawn(songs, [one.piece(plan.frames, seed)])) / (plan.frames + 3)

    return pairs(theirs, ours, plan.pairs)


def stock_song_seconds(one: Rig, frames: int, seed: int) -> float:
    """With the library's TF32, which our codec switches off."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, True
    took = one.seconds(lambda: one.stock_song(frames, seed))
    torch.backends.cudnn.allow_tf32 = before
    return took


def sung(one: Rig, songs: Batch, room: CodecRoom, frames: int, seeds: Sequence[int]) -> tuple[list[float], float]:
    """Seconds from the first text until each song's first samples lie on the host, and until the last of all do."""
    events: Events = queue.SimpleQueue()
    scheduler = Scheduler(songs, on_step=lambda *_: None, keep_every_s=5.0, in_step=room.at_once > 1)
    first: dict[int, float] = {}
    one.wait()
    started = time.perf_counter()
    with room.voices(len(seeds), events) as voices:
        for take, seed in enumerate(seeds):
            scheduler.play(Ticket(take, one.piece(frames, seed), None, events, partial(room.push, voices[take])))
        for event in until_all_have_ended(events, len(seeds)):
            room.written(voices[event.take])
            first.setdefault(event.take, time.perf_counter() - started)
    took = time.perf_counter() - started
    scheduler.close()
    return [first[take] for take in range(len(seeds))], took


def in_company(one: Rig, name: str, plan: Plan, bandwidth: float) -> Iterator[Row]:
    """Closed loops: a song leaves, the next comes. Then songs that arrive when they like. Stock at its best."""
    best_of_stock = 0.0
    for slots in plan.slots:
        songs = best(one, slots, plan.frames)
        took = closed_loop(one, songs, plan.frames)
        yield Row(f"{name}: {slots} slots, closed loop, tokens", told(took, plan.frames, one, slots, bandwidth), "")
        yield Row(f"{name}: {slots} slots, closed loop, audio", closed_loop_heard(one, songs, plan.frames, took), "")
        if slots in (plan.slots[0], plan.slots[-1]):
            yield Row(
                f"{name}: {slots} slots, Poisson at {LOAD:.0%}", poisson(one, songs, plan, LOAD * slots / took), ""
            )
        stock_took = one.seconds(lambda: one.stock_tokens(plan.stock_frames, 0, songs=slots))  # noqa: B023
        a_step = stock_took / (plan.stock_frames + 3)
        rate = slots * 3600 / (a_step * (plan.frames + 3))
        best_of_stock = max(best_of_stock, rate)
        yield Row(
            f"{name}: {slots} songs at once, audiocraft", f"{a_step * 1000:.1f} ms a step, {rate:,.0f} songs/h", ""
        )
    yield Row(f"{name}: audiocraft at its best batch", f"{best_of_stock:,.0f} songs/h", "")


def closed_loop(one: Rig, songs: Batch, frames: int) -> float:
    """Seconds that `slots` songs take when every slot has the next at once; over two rounds."""
    seats: list[Seat] = []
    left = 2 * songs.slots
    one.wait()
    started = time.perf_counter()
    while left or seats:
        while left and len(seats) < songs.slots:
            seats.append(songs.seat(one.piece(frames, left)))
            left -= 1
        songs.step()
        for seat in [seat for seat in seats if songs.finished(seat)]:
            songs.codes(seat, 0, seat.ready).cpu()
            songs.leave(seat)
            seats.remove(seat)
    one.wait()
    return (time.perf_counter() - started) / 2


def closed_loop_heard(one: Rig, songs: Batch, frames: int, tokens_s: float) -> str:
    """The same by the engine's own threads, from texts to samples."""
    room = room_of(one, songs.slots)
    sung(one, songs, room, min(40, frames), [0])
    first, took = sung(one, songs, room, frames, range(2 * songs.slots))
    room.close()
    at_once, an_hour = sorted(first)[: songs.slots], 2 * 3600 * songs.slots / took
    return (
        f"{took / 2:.2f} s, {an_hour:,.0f} songs/h, {took / 2 / tokens_s:.2f} of the tokens' time; "
        f"first audio of the first {songs.slots} after {spans(at_once)}"
    )


def poisson(one: Rig, songs: Batch, plan: Plan, per_s: float) -> str:
    """Songs wait in line when no slot is free. Seconds from arrival to the first frames, and to the last."""
    line = list(enumerate(arrivals(per_s, min(plan.arrivals, 8 + songs.slots), seed=1)))
    seats: dict[int, tuple[float, Seat]] = {}
    first: dict[int, float] = {}
    whole: dict[int, float] = {}
    started = time.perf_counter()
    while line or seats:
        now = time.perf_counter() - started
        while line and line[0][1] <= now and len(seats) < songs.slots:
            number, came = line.pop(0)
            seats[number] = came, songs.seat(one.piece(plan.frames, number))
        if not seats:
            time.sleep(max(0.0, line[0][1] - now))
            continue
        songs.step()
        now = time.perf_counter() - started
        for number, (came, seat) in list(seats.items()):
            if seat.ready >= FIRST:
                first.setdefault(number, now - came)
            if songs.finished(seat):
                songs.codes(seat, 0, seat.ready).cpu()
                whole[number] = now - came
                songs.leave(seats.pop(number)[1])
    return (
        f"{per_s * 3600:,.0f} songs/h arrive: first frames after {spans(list(first.values()))}, "
        f"songs after {spans(list(whole.values()))}"
    )


def spans(seconds: Sequence[float]) -> str:
    if not seconds:
        return "none"
    return f"{percentile(seconds, 0.5):.2f} s (95 %: {percentile(seconds, 0.95):.2f})"
