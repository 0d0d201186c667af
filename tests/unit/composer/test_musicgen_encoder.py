"""The codec's encoder against audiocraft's and transformers', in float32 on a CPU: not one code differs."""

from dataclasses import replace

import pytest
import torch

from bench import stock
from harmonia_composer.engines.musicgen.encoder import PIECE_FRAMES, reach
from tests.musicgen_models import written

pytestmark = pytest.mark.filterwarnings("ignore")  # audiocraft and torch warn of each other's age

HOP = 640
# Shorter than a frame, odd, and as long as a piece.
LENGTHS = (1, 639, 640, 641, 12_345, 320_000, PIECE_FRAMES * HOP)


@pytest.fixture(scope="module", params=["constant", "reflect"])
def model(request, tmp_path_factory):
    torch.set_num_threads(1)
    return written(tmp_path_factory.mktemp("model"), replace(stock.TINY, pad_mode=request.param))


@pytest.fixture(scope="module")
def theirs(model):
    return stock.load_audiocraft(model[0])


@pytest.fixture(scope="module")
def sound():
    """Noise that swells, longer than a piece."""
    noise = torch.randn((PIECE_FRAMES + 100) * HOP, generator=torch.Generator().manual_seed(1))
    return 0.3 * noise * torch.linspace(0, 1, len(noise))


def audiocraft_codes(theirs, sound):
    with torch.no_grad():
        return theirs.compression_model.encode(sound[None, None])[0][0]


@pytest.mark.parametrize("length", LENGTHS)
def test_every_code_is_audiocrafts(model, theirs, sound, length):
    expected = audiocraft_codes(theirs, sound[:length])

    assert torch.equal(model[1].encoder.encode(sound[:length]), expected)


@pytest.mark.parametrize("beyond", [1, 641, 50_001])
def test_beyond_a_piece_codes_differ_only_where_rounding_decides(model, theirs, sound, beyond):
    heard = sound[: PIECE_FRAMES * HOP + beyond]
    expected = audiocraft_codes(theirs, heard)
    found = model[1].encoder.encode(heard)

    differ = found != expected

    assert int(differ.sum()) < 1e-3 * expected.numel()
    assert not differ[:, PIECE_FRAMES - 5 : PIECE_FRAMES + 5].any()


def test_every_code_is_that_of_transformers(model, theirs, sound):
    other = stock.hugging_face(theirs, model[0]).audio_encoder
    heard = sound[:12_345]
    with torch.no_grad():
        expected = other.encode(heard[None, None], torch.ones(1, 1, len(heard))).audio_codes[0, 0]

    assert torch.equal(model[1].encoder.encode(heard), expected)


def test_the_codes_that_are_compared_say_something(theirs, sound):
    codes = audiocraft_codes(theirs, sound)

    assert min(len(row.unique()) for row in codes) > 10


def test_a_piece_reaches_no_further_than_a_frame_to_either_side(model):
    assert reach(model[1].shape.codec) == 1


def test_whoever_waits_is_asked_at_every_layer_whether_they_still_do(model, sound):
    asked = []
    model[1].encoder.encode(sound[:3200], lambda: asked.append(1))

    assert len(asked) == 8
