"""Tokens of the engine against audiocraft 1.3.0 and transformers, in float32 on a CPU: not one differs."""

import random
from dataclasses import replace

import pytest
import torch

from bench import stock
from harmonia_composer.engines.musicgen import trial
from harmonia_composer.engines.musicgen.batch import Batch, Piece, Seat
from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing
from harmonia_composer.engines.musicgen.eager import EagerDecoder
from harmonia_composer.engines.musicgen.sampler import philox
from tests.musicgen_models import PROMPTS, Ours, alone, audiocraft_tokens, written

pytestmark = pytest.mark.filterwarnings("ignore")  # audiocraft and torch warn of each other's age


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Three models of random weights: audiocraft's and ours."""
    torch.set_num_threads(1)
    made = []
    for seed in range(3):
        folder, ours = written(tmp_path_factory.mktemp(f"model{seed}"), seed=seed)
        made.append((stock.load_audiocraft(folder), ours, folder))
    return made


@pytest.fixture(scope="module")
def ours(models):
    return models[0][1]


@pytest.mark.parametrize("text", PROMPTS)
def test_greedy_tokens_are_those_of_audiocraft_alone(models, text):
    for theirs, ours, _ in models:
        expected = audiocraft_tokens(theirs, text, 2.5, seed=None)

        assert torch.equal(ours.tokens(ours.piece(text, 2.5, Drawing(0, temperature=0.0))), expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("text", PROMPTS)
def test_sampled_tokens_are_those_of_audiocraft_after_the_same_manual_seed(models, text, seed):
    theirs, ours, _ = models[seed]
    expected = audiocraft_tokens(theirs, text, 2.5, seed=seed, top_k=20, temperature=0.9, cfg_coef=4.0)
    noise = torch.Generator().manual_seed(seed)
    drawing = Drawing(seed, temperature=0.9, top_k=20, guidance=4.0)

    assert torch.equal(ours.tokens(ours.piece(text, 2.5, drawing, generator=noise)), expected)


@pytest.mark.parametrize(("seconds", "stride_s"), [(7.1, 1.8), (4.0, 1.1)])
@pytest.mark.parametrize("seed", [None, 7])
def test_a_song_longer_than_the_window_goes_on_as_audiocraft_does(models, seconds, stride_s, seed):
    theirs, ours, _ = models[1]
    expected = audiocraft_tokens(theirs, PROMPTS[0], seconds, seed=seed, stride_s=stride_s, top_k=30)
    drawing = Drawing(0, temperature=0.0) if seed is None else Drawing(seed, top_k=30)
    noise = None if seed is None else torch.Generator().manual_seed(seed)

    piece = ours.piece(PROMPTS[0], seconds, drawing, stride_s=stride_s, generator=noise)

    assert len(piece.windows) > 1
    assert torch.equal(ours.tokens(piece), expected)


@pytest.mark.parametrize("seed", [None, 3])
def test_a_prompt_of_tokens_is_gone_on_from_as_audiocraft_does(models, seed):
    theirs, ours, _ = models[2]
    prompt = torch.randint(0, 64, (4, 40), generator=torch.Generator().manual_seed(5))
    conditions, _ = theirs._prepare_tokens_and_attributes([PROMPTS[1]], None)
    torch.manual_seed(seed or 0)
    expected = theirs.lm.generate(
        prompt[None], conditions, max_gen_len=125, use_sampling=seed is not None, top_k=30, cfg_coef=3.0
    )[0]
    drawing = Drawing(0, temperature=0.0) if seed is None else Drawing(seed, top_k=30)
    noise = None if seed is None else torch.Generator().manual_seed(seed)

    tokens = ours.tokens(ours.piece(PROMPTS[1], 2.5, drawing, prompt=prompt, generator=noise))

    assert torch.equal(tokens, expected)
    assert torch.equal(tokens[:, :40], prompt)


def sounding(seconds):
    noise = torch.randn(round(seconds * 32_000), generator=torch.Generator().manual_seed(5))
    return 0.3 * noise * torch.linspace(0, 1, len(noise))


# From whole frames and from an odd length on in one window; from a little and from nearly a window on in several.
@pytest.mark.parametrize(("heard_s", "seconds"), [(0.8, 2.5), (1.2345, 2.9), (0.31, 7.1), (2.97, 7.1)])
@pytest.mark.parametrize("seed", [None, 3])
def test_a_recording_is_gone_on_from_as_audiocraft_does(models, heard_s, seconds, seed):
    theirs, ours, _ = models[2]
    sound = sounding(heard_s)
    theirs.max_duration = 3.0
    theirs.set_generation_params(duration=seconds, use_sampling=seed is not None, top_k=30, extend_stride=1.8)
    torch.manual_seed(seed or 0)
    expected = theirs.generate_continuation(sound[None, None], 32_000, [PROMPTS[1]], return_tokens=True)[1][0]
    drawing = Drawing(0, temperature=0.0) if seed is None else Drawing(seed, top_k=30)
    noise = None if seed is None else torch.Generator().manual_seed(seed)

    prompt = ours.encoder.encode(sound)
    tokens = ours.tokens(ours.piece(PROMPTS[1], seconds, drawing, prompt=prompt, generator=noise))

    assert torch.equal(tokens, expected)
    assert torch.equal(tokens[:, : prompt.shape[1]], prompt)


@pytest.mark.parametrize("known", [150, 151, 180, 341])
def test_of_a_prompt_that_fills_windows_the_next_hears_what_it_would_if_they_had_been_drawn(models, known):
    """Greedy, so a window's tokens depend on nothing but what it hears."""
    _, ours, _ = models[1]
    drawing = Drawing(0, temperature=0.0)
    whole = ours.tokens(ours.piece(PROMPTS[0], 9.0, drawing))
    piece = ours.piece(PROMPTS[0], 9.0, drawing, prompt=whole[:, :known])

    assert 60 <= piece.windows[0].known < 150
    assert torch.equal(ours.tokens(piece), whole)


def test_audiocraft_and_transformers_and_the_engine_agree(models):
    theirs, ours, folder = models[0]
    ids = torch.tensor([ours.conditioner.tokens(PROMPTS[0])])
    other = stock.hugging_face(theirs, folder)

    tokens = stock.hugging_face_tokens(other, ids, frames=125, guidance=3.0)

    assert torch.equal(tokens, audiocraft_tokens(theirs, PROMPTS[0], 2.5, seed=None))
    assert torch.equal(tokens, ours.tokens(ours.piece(PROMPTS[0], 2.5, Drawing(0, temperature=0.0))))


def mixed(ours: Ours, count: int) -> list[Piece]:
    dice = random.Random(0)
    return [
        ours.piece(
            PROMPTS[number % 3] + " and more words here" * (number % 2),
            dice.uniform(0.8, 5.0),
            Drawing(number, (0.0, 1.0, 0.9, 1.3)[number % 4], (50, 10, 30)[number % 3], (3.0, 1.5, 6.0)[number % 3]),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("slots", [3, 4])
def test_ten_songs_that_come_and_go_are_each_what_they_are_alone(ours, slots):
    pieces = mixed(ours, 10)
    expected = [ours.tokens(piece) for piece in pieces]
    batch, waiting, step = ours.batch(slots), list(enumerate(pieces)), 0
    seats: dict[int, Seat] = {}
    made: dict[int, torch.Tensor] = {}
    while waiting or seats:
        if waiting and step % 7 == 0 and len(seats) < slots:
            number, piece = waiting.pop(0)
            seats[number] = batch.seat(piece)
        batch.step()
        step += 1
        for number, seat in list(seats.items()):
            if batch.finished(seat):
                made[number] = batch.codes(seat, 0, seat.ready)
                batch.leave(seats.pop(number))

    assert all(torch.equal(made[number], tokens) for number, tokens in enumerate(expected))


def test_one_of_six_that_leaves_changes_nothing_for_the_other_five(ours):
    pieces = [replace(piece, windows=piece.windows[:1]) for piece in mixed(ours, 6)]
    expected = [ours.tokens(piece) for piece in pieces]
    batch = ours.batch(6)
    seats = [batch.seat(piece) for piece in pieces]
    for _ in range(20):
        batch.step()
    batch.leave(seats[1])
    while any(not batch.finished(seat) for number, seat in enumerate(seats) if number != 1):
        batch.step()

    left = [number for number in range(6) if number != 1]
    assert all(torch.equal(batch.codes(seats[n], 0, seats[n].ready), expected[n]) for n in left)


@pytest.mark.parametrize("known", [0, 70, 200])
@pytest.mark.parametrize("steps", [1, 70, 154, 160, 300])
def test_a_song_goes_on_from_what_was_kept_of_it_as_if_nothing_had_happened(ours, steps, known):
    prompt = torch.randint(0, 64, (4, known), generator=torch.Generator().manual_seed(5)) if known else None
    piece = ours.piece(PROMPTS[0], 6.0, Drawing(2**64 - 5, top_k=40), prompt=prompt)
    batch = ours.batch(2)
    seat = batch.seat(piece)
    for _ in range(steps):
        batch.step()
    kept = batch.keep(seat)

    other = ours.batch(3)
    other.seat(mixed(ours, 1)[0])
    again = other.seat(piece, kept)
    while not other.finished(again):
        other.step()

    assert torch.equal(other.codes(again, 0, again.ready), alone(ours.batch(), piece))


def test_the_step_that_a_gpu_captures_draws_the_same_tokens(ours):
    for piece in mixed(ours, 3):
        captured = Batch(Decoder(ours.weights, slots=2, columns=256, text=128))

        assert torch.equal(alone(captured, piece), ours.tokens(piece))


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
def test_what_a_song_computes_is_the_same_to_the_bit_in_any_company():
    weights, steps = trial.random_weights(torch.device("cpu")), 40
    alone, beside = (EagerDecoder(weights, slots=slots, columns=trial.COLUMNS, text=trial.TEXT) for slots in (1, 4))
    with torch.inference_mode():
        trial.begun(alone, trial.DRAWINGS[:1], 0)
        trial.begun(beside, trial.DRAWINGS, 0)
        for decoder in (alone, beside):
            for _ in range(steps):
                decoder.step(0, 0, trial.SHAPE.card)

    assert torch.equal(alone.keys[:, 0, :, :steps], beside.keys[:, 0, :, :steps])
    assert torch.equal(alone.values[:, 1, :, :steps], beside.values[:, 4, :, :steps])
    assert alone.values[:, 1, :, :steps].any(-1).all()


def test_what_is_told_piece_by_piece_over_several_windows_is_the_song(ours):
    piece, told = ours.piece(PROMPTS[0], 7.1, Drawing(3)), [torch.zeros(4, 0, dtype=torch.long)]
    batch = ours.batch()
    seat, sent = batch.seat(piece), 0
    while not batch.finished(seat):
        batch.step()
        if seat.ready - sent >= 10 or batch.finished(seat):
            told.append(batch.codes(seat, sent, seat.ready))
            sent = seat.ready

    assert seat.number == 3
    assert torch.equal(torch.cat(told, -1), batch.codes(seat, 0, seat.ready))
    assert torch.equal(torch.cat(told, -1), alone(ours.batch(), piece))
    # From before the present window into it.
    assert torch.equal(batch.codes(seat, 30, 350), batch.codes(seat, 0, 355)[:, 30:350])


def test_the_noise_is_philox_4x32_10():
    # Random123's known answer (kat_vectors): counter 0 and key 0 give 6627e8d5 first.
    assert int(philox(torch.tensor([0]), torch.tensor([0]))[0]) == 0x6627E8D5


def test_slots_take_the_memory_that_was_computed(ours):
    decoder = Decoder(ours.weights, slots=4, columns=512, text=64)
    held = [decoder.keys, decoder.values, decoder.text_keys, decoder.text_values, decoder.tokens, decoder.noise]
    taken = sum(tensor.untyped_storage().nbytes() for tensor in held)

    assert taken == pytest.approx(Decoder.cache_bytes(ours.weights, slots=4, columns=512, text=64), rel=0.05)


def test_a_batch_with_nobody_seated_stands_still(ours):
    batch = Batch(Decoder(ours.weights, slots=2, columns=64, text=8))

    batch.step()

    assert batch.seated == ()
