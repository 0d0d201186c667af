"""A song that goes on from a recording: what of it is heard, what comes of it, what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch
from prometheus_client import CollectorRegistry

from bench import stock
from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, Reason
from harmonia_composer.engine import Brief, Order, Sampling, Source, Unheard
from harmonia_composer.engines.musicgen.engine import MusicGen
from harmonia_composer.engines.musicgen.hearing import heard
from harmonia_composer.engines.musicgen.meters import Meters
from harmonia_composer.models import Models
from harmonia_composer.source import check_size, source_of
from tests.musicgen_models import written

pytestmark = pytest.mark.filterwarnings("ignore")  # audiocraft and torch warn of each other's age

RATE, WORDS = 32_000, "slow sad piano"
ORDER = Order(Brief(description=WORDS, duration_seconds=5.0), seed=7, model="tiny", sampling=Sampling(temperature=0.0))
REF = type_pb2.ArtifactRef(sha256="5" * 64)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.set_num_threads(1)
    return written(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def engine(model, tmp_path_factory):
    store = Models(tmp_path_factory.mktemp("home"), budget_bytes=1 << 30)
    with store.incoming("tiny") as folder:
        for file in model[1].folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        store.settle(folder, name="tiny", licence="MIT", origin="here", revision="")
    return MusicGen(store, Meters(CollectorRegistry()), slots=3, keep_every_s=0.0)


def sounding(seconds: float, rate: int = RATE) -> np.ndarray:
    """Noise that swells up to full scale."""
    noise = np.random.default_rng(1).uniform(-1, 1, round(seconds * rate)) * np.linspace(0, 1, round(seconds * rate))
    sound: np.ndarray = (noise / np.abs(noise).max()).astype(np.float32)
    return sound


@pytest.fixture
def source(tmp_path: Path) -> Source:
    path = tmp_path / "source.f32"
    sounding(2.0).tofile(path)
    return Source(path, RATE, peak=1.0, seconds=2.0, recipe="noise")


def audio(take):
    return soundfile.read(take.premaster, dtype="float32")[0][:, 0]


def test_the_song_is_what_audiocraft_would_have_gone_on_to_play(engine, model, source, tmp_path):
    theirs = stock.load_audiocraft(model[0])
    theirs.set_generation_params(duration=5.0, use_sampling=False)
    sound = torch.from_numpy(sounding(2.0))[None, None]
    expected = theirs.generate_continuation(sound, RATE, [WORDS])[0, 0].numpy()

    made = audio(engine.compose(replace(ORDER, source=source), folder=tmp_path, listener=Unheard())[0])

    # At half the level and 48 kHz, in 24 bits.
    assert np.abs(made - 0.5 * soxr.resample(expected, RATE, 48_000)).max() < 1e-4 * np.abs(expected).max()


def test_all_variations_begin_with_the_same_and_go_on_each_in_its_way(engine, source, tmp_path):
    order = replace(ORDER, source=source, variations=3, sampling=Sampling())
    one, two, three = map(audio, engine.compose(order, folder=tmp_path, listener=Unheard()))
    begun = round(1.9 * 48_000)  # the last frames already hear what follows

    for other in (two, three):
        assert np.abs(one[:begun] - other[:begun]).max() < 1e-5
        assert np.abs(one[begun:] - other[begun:]).max() > 1e-3


class Ear(Unheard):
    """Writes down how far the song was, and stops the work when it is so far."""

    def __init__(self, stop_at: float = 2.0) -> None:
        self.stop_at = stop_at
        self.fractions: list[float] = []
        self.kept = b""

    def checkpoint(self, data: bytes) -> None:
        self.kept = data

    def progress(self, fraction: float, message: str) -> None:
        self.fractions.append(fraction)
        if fraction > self.stop_at:
            raise InterruptedError


def test_a_song_that_was_interrupted_goes_on_exactly_and_only_from_the_same_recording(engine, source, tmp_path):
    order, broken, again, other = replace(ORDER, source=source, sampling=Sampling()), Ear(0.8), Ear(), Ear()
    whole = audio(engine.compose(order, folder=tmp_path / "whole", listener=Unheard())[0])
    with pytest.raises(InterruptedError):
        engine.compose(order, folder=tmp_path / "broken", listener=broken)
    order = replace(order, checkpoint=broken.kept)
    made = audio(engine.compose(order, folder=tmp_path / "again", listener=again)[0])
    engine.compose(replace(order, source=replace(source, recipe="another")), folder=tmp_path / "other", listener=other)

    assert np.abs(made - whole).max() < 1e-5
    assert next(filter(None, again.fractions)) > 0.7
    assert next(filter(None, other.fractions)) < 0.5  # the two seconds of five that it begins with


def test_the_source_is_heard_at_full_scale_and_in_whole_frames(model, source):
    quiet = replace(source, peak=4.0, seconds=1.99)
    samples = heard(quiet, model[1].shape.codec)

    assert samples.shape == (99 * 640,)
    assert torch.equal(samples, torch.from_numpy(sounding(2.0))[: 99 * 640] / 4.0)


def recorded(path: Path, seconds: float, rate: int = 44_100) -> Path:
    left = 0.5 * sounding(seconds, rate)
    soundfile.write(path, np.column_stack([left, 0.0 * left]), rate, subtype="FLOAT")
    return path


async def test_a_recording_is_heard_as_the_mean_of_its_channels_up_to_where_the_song_goes_on(tmp_path):
    file = recorded(tmp_path / "sent.wav", 3.0)

    found = await source_of(file, REF, start_s=1.5, song_s=8.0)

    assert (found.rate_hz, found.seconds) == (44_100, 1.5)
    assert found.peak == pytest.approx(0.25)  # of the whole recording, though it is quieter where it is taken
    samples = np.fromfile(found.path, dtype="<f4")
    assert np.array_equal(samples, 0.25 * sounding(3.0, 44_100)[: round(1.5 * 44_100)])
    assert (await source_of(file, REF, start_s=None, song_s=8.0)).seconds == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("start_s", "song_s", "named"),
    [
        (4.0, 9.0, r"conditioning.start_seconds is 4, and the recording is 3.0 s long"),
        (0.5, 9.0, r"conditioning.continue_from is 0.5 s long: at least 1 s"),
        (None, 3.5, r"duration_seconds is 3.5, and 3.0 s of it .* give at least 4.0, or go on from an earlier place"),
        (2.9, 3.5, r"duration_seconds is 3.5, and 2.9 s of it .* give at least 3.9"),
    ],
)
async def test_a_length_that_leaves_too_little_is_refused_with_its_numbers(tmp_path, start_s, song_s, named):
    with pytest.raises(InvalidInput, match=named):
        await source_of(recorded(tmp_path / "sent.wav", 3.0), REF, start_s=start_s, song_s=song_s)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all" * 100])
async def test_what_is_no_recording_is_refused_by_the_fields_name(tmp_path, content):
    (tmp_path / "sent").write_bytes(content)

    with pytest.raises(
        InvalidInput, match=r"conditioning.continue_from is no recording that can be decoded"
    ) as refused:
        await source_of(tmp_path / "sent", REF, start_s=None, song_s=8.0)
    assert (refused.value.reason, refused.value.field) == (Reason.AUDIO_UNREADABLE, "conditioning.continue_from")


async def test_numbers_that_are_no_sound_are_refused(tmp_path):
    soundfile.write(tmp_path / "sent.wav", np.full(60_000, np.nan, dtype=np.float32), 32_000, subtype="FLOAT")

    with pytest.raises(InvalidInput, match="not finite"):
        await source_of(tmp_path / "sent.wav", REF, start_s=None, song_s=8.0)


def test_a_file_that_is_too_large_is_not_even_fetched():
    with pytest.raises(InvalidInput, match=r"conditioning.continue_from has 201 MiB: at most 200 MiB"):
        check_size(type_pb2.ArtifactRef(size_bytes=201 << 20))


def test_a_model_of_an_earlier_release_is_named_and_the_way_out_told(model, tmp_path):
    store = Models(tmp_path / "home", budget_bytes=1 << 30)
    with store.incoming("old") as folder:
        for file in model[1].folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes().replace(b'"schema": 2', b'"schema": 1'))
        store.settle(folder, name="old", licence="MIT", origin="here", revision="")

    with pytest.raises(FailedPrecondition, match=r"old cannot be played: .* import the model again"):
        MusicGen(store, Meters(CollectorRegistry()), slots=1).compose(
            replace(ORDER, model="old"), folder=tmp_path, listener=Unheard()
        )
