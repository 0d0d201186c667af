"""The streamed codec against the whole decode of audiocraft."""

from dataclasses import replace

import pytest
import torch

from bench import stock
from harmonia_composer.engines.musicgen.codec import Codec, Stream, reach
from tests.musicgen_models import written

pytestmark = pytest.mark.filterwarnings("ignore")  # audiocraft and torch warn of each other's age

FRAMES = 60
# As far from the peak as float32 sums in another order bring it; what must show is 1e-5.
CLOSE = 1e-5


@pytest.fixture(scope="module", params=["constant", "reflect"])
def codecs(request, tmp_path_factory):
    torch.set_num_threads(1)
    folder, ours = written(tmp_path_factory.mktemp("model"), replace(stock.TINY, pad_mode=request.param))
    theirs = stock.load_audiocraft(folder).compression_model
    with torch.no_grad():
        for name, weight in theirs.named_parameters():
            if ".lstm." in name and name.startswith("decoder"):
                weight.mul_(3.0)  # an untrained LSTM hardly matters
    lstm = {f"lstm.{name}": weight for name, weight in theirs.decoder.model[1].lstm.state_dict().items()}
    return theirs, Codec(ours.shape.codec, {**ours.codec._weights, **lstm})


@pytest.fixture(scope="module")
def codes():
    return torch.randint(0, 64, (4, FRAMES), generator=torch.Generator().manual_seed(1))


def whole(theirs, codes):
    with torch.no_grad():
        return theirs.decode(codes[None])[0, 0]


def furthest(samples, expected):
    assert samples.shape == expected.shape
    return float((samples - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("frames", [1, 2, 5, FRAMES])
def test_the_whole_decode_is_audiocrafts(codecs, codes, frames):
    theirs, ours = codecs

    assert furthest(ours.decode(codes[:, :frames]), whole(theirs, codes[:, :frames])) < CLOSE


@pytest.mark.parametrize("chunk", [1, 10, 25, 50])
def test_pieces_are_exactly_the_whole(codecs, codes, chunk):
    theirs, ours = codecs
    stream = Stream(ours)
    pieces = [stream.push(codes[:, at : at + chunk], final=at + chunk >= FRAMES) for at in range(0, FRAMES, chunk)]

    assert furthest(torch.cat(pieces), whole(theirs, codes)) < CLOSE


def test_a_piece_comes_four_frames_after_its_last_token(codecs, codes):
    _, ours = codecs

    assert Stream(ours).push(codes[:, :14]).shape[0] == 10 * ours.shape.hop


def test_pieces_without_what_is_carried_are_far_off(codecs, codes):
    """What the state is for: Stream would be of no use if this were small."""
    theirs, ours = codecs
    naive = torch.cat([ours.decode(codes[:, at : at + 10]) for at in range(0, FRAMES, 10)])

    assert furthest(naive, whole(theirs, codes)) > 0.01


def test_the_codec_of_musicgen_looks_one_frame_ahead_behind_its_lstm(codecs):
    assert reach(codecs[1].shape) == 1
