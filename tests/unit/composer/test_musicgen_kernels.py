"""The kernels for a GPU, without one: run by Triton's interpreter, compiled for an H200; and with one, if asked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from harmonia_composer.engines.musicgen.codec import Codec
from harmonia_composer.engines.musicgen.codec_graph import steady_ones
from harmonia_composer.engines.musicgen.codec_room import CodecRoom
from harmonia_composer.engines.musicgen.decoder import Decoder
from harmonia_composer.engines.musicgen.events import FRAMES
from harmonia_composer.engines.musicgen.trial import (
    COLUMNS,
    DRAWINGS,
    SHAPE,
    TEXT,
    begun,
    off_when_together,
    random_codec,
    random_weights,
    tokens_that_differ,
)
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
        "1 slots from column 127, own False, split 32: 8 tokens equal",
        "3 slots from column 0: 12 tokens equal",
        "3 slots from column 125: 48 tokens equal",
    ]


def test_the_kernels_compile_for_an_h200_spill_nothing_and_begin_early(tmp_path):
    told = dict(line.split(": ", 1) for line in run("tests.musicgen_registers", TRITON_CACHE_DIR=str(tmp_path)))
    print(told)

    assert told.keys() == musicgen_registers.CASES.keys()
    assert [case for case, found in told.items() if found.split()[1] != "0"] == []
    # The first of a step waits for the step before it, which torch's own operations around the graph rely on.
    assert [case for case, found in told.items() if not found.endswith("early")] == ["embed"]


def test_a_decoder_names_what_its_sums_are_rounded_by():
    from harmonia_composer.engines.musicgen.fused import FusedDecoder

    weights = random_weights(torch.device("cpu"))

    assert Decoder(weights, slots=3, columns=COLUMNS, text=TEXT).numerics == "float32, cpu"
    assert FusedDecoder(weights, slots=1, columns=COLUMNS, text=TEXT).numerics == "float32, one slot"
    assert FusedDecoder(weights, slots=3, columns=COLUMNS, text=TEXT).numerics == "float32, 3 slots"


@pytest.mark.gpu
@pytest.mark.skipif(not os.environ.get("RUN_GPU_SMOKE"), reason="needs a GPU: RUN_GPU_SMOKE=1 says that there is one")
@pytest.mark.parametrize("slots", [1, 3])
def test_on_a_gpu_the_captured_step_draws_the_tokens_of_the_plain_decoder(slots):
    from harmonia_composer.engines.musicgen.gpu import kernels_err

    assert kernels_err(slots, COLUMNS - 16) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not os.environ.get("RUN_GPU_SMOKE"), reason="needs a GPU: RUN_GPU_SMOKE=1 says that there is one")
@pytest.mark.parametrize(("songs", "graphs"), [(1, 1), (16, 3)])
def test_on_a_gpu_songs_decoded_by_captured_graphs_are_each_their_whole_decode(songs, graphs):
    from harmonia_composer.engines.musicgen.gpu import codec_err

    captured, off = codec_err(songs)

    assert captured == graphs
    assert off < 1e-5


@pytest.mark.gpu
@pytest.mark.skipif(not os.environ.get("RUN_GPU_SMOKE"), reason="needs a GPU: RUN_GPU_SMOKE=1 says that there is one")
def test_on_a_gpu_the_doctor_finds_everything_well():
    found = [json.loads(line) for line in run("harmonia_composer.engines.musicgen.gpu")]

    checks = ["gpu driver", "gpu", "gpu memory", "gpu bandwidth", "gpu kernels", "gpu codec"]
    assert [each["check"] for each in found] == checks
    assert [each for each in found if not each["ok"]] == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
def test_without_a_gpu_the_doctor_says_so_in_plain_words():
    [found] = [json.loads(line) for line in run("harmonia_composer.engines.musicgen.gpu")]

    assert (found["check"], found["ok"], found["needed"]) == ("gpu", False, True)
    assert found["detail"] == "this machine has no NVIDIA GPU, or none that its driver shows"
    assert found["way_out"].startswith("nothing needs one: musicgen plays on the CPU too, far slower")


def test_two_ways_of_decoding_that_disagree_are_found():
    weights = random_weights(torch.device("cpu"))
    one, other = (begun(Decoder(weights, slots=1, columns=COLUMNS, text=TEXT), DRAWINGS[1:2], 0) for _ in range(2))
    assert tokens_that_differ(one, other, 4) == 0

    other.seed += 1
    assert tokens_that_differ(one, other, 4) > 0


def test_songs_decoded_together_that_are_not_what_they_are_alone_are_found():
    codec, other = (random_codec(torch.device("cpu")) for _ in range(2))
    other._weights["last.bias"].add_(1.0)

    def off(replayed: Codec) -> float:
        room = CodecRoom(codec, at_once=3, steady=steady_ones(replayed, songs=3, frames=FRAMES))
        try:
            return off_when_together(codec, room, card=SHAPE.card)
        finally:
            room.close()

    assert off(codec) < 1e-5
    assert off(other) > 0.01
