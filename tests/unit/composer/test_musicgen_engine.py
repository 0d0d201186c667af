"""MusicGen behind the contract of engines: takes, previews, checkpoints, cancels; and the thread under it."""

import queue
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from prometheus_client import CollectorRegistry

from harmonia_chassis.errors import FailedPrecondition, InvalidInput, NotFound
from harmonia_composer.engine import Brief, Order, Sampling, Unplayable
from harmonia_composer.engines.musicgen import gpu
from harmonia_composer.engines.musicgen.batch import Kept, Piece, windows
from harmonia_composer.engines.musicgen.decoder import Drawing
from harmonia_composer.engines.musicgen.engine import MusicGen, described
from harmonia_composer.engines.musicgen.events import Drawn, Events
from harmonia_composer.engines.musicgen.meters import Meters
from harmonia_composer.engines.musicgen.player import Players
from harmonia_composer.engines.musicgen.scheduler import playing
from harmonia_composer.models import Models
from tests.musicgen_models import written

pytestmark = pytest.mark.filterwarnings("ignore")  # audiocraft and torch warn of each other's age

ORDER = Order(Brief(description="slow sad piano", duration_seconds=5.0), seed=7, model="tiny")


class Stopped(Exception):
    pass


@dataclass
class Ear:
    """A Listener that writes down what it hears, and stops the work when it has heard enough."""

    stop_at: float = 2.0
    fractions: list[float] = field(default_factory=list)
    stretches: list[tuple[float, float, int]] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    checks: list[float] = field(default_factory=list)

    def progress(self, fraction: float, message: str) -> None:
        self.fractions.append(fraction)

    def check(self) -> None:
        self.checks.append(time.thread_time())  # of work, whatever else the machine does
        if self.fractions and self.fractions[-1] >= self.stop_at:
            raise Stopped

    def preview(self, path: Path, start_seconds: float, duration_seconds: float) -> None:
        self.stretches.append((start_seconds, duration_seconds, len(soundfile.read(path)[0])))

    def reusable(self, recipe: str) -> Path | None:
        return None

    def checkpoint(self, data: bytes) -> None:
        self.kept.append(data)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("home")
    _, ours = written(home / "source")
    store = Models(home / "models", budget_bytes=1 << 30)
    with store.incoming("tiny") as folder:
        for file in ours.folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        store.settle(folder, name="tiny", licence="CC-BY-NC-4.0", origin="here", revision="")
    return store


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def engine(models, registry):
    return MusicGen(models, Meters(registry), slots=3)


def audio(take):
    return soundfile.read(take.premaster, dtype="float32")


def test_seconds_of_a_gpu_are_estimated_only_where_there_is_one(engine):
    assert (engine.capabilities().gpu_seconds_per_second > 0) == gpu.driver_is_there()


def test_a_song_is_stereo_at_48_khz_and_as_long_as_asked(engine, tmp_path):
    order = replace(ORDER, brief=replace(ORDER.brief, duration_seconds=5.23))
    take = engine.compose(order, folder=tmp_path, listener=Ear())[0]
    samples, rate = audio(take)

    assert (rate, samples.shape) == (48_000, (round(5.23 * 48_000), 2))
    assert np.array_equal(samples[:, 0], samples[:, 1])
    assert np.abs(samples).max() > 0
    assert (take.stems, take.midi, take.duration_seconds) == ({}, None, 5.23)


def test_the_licence_and_digest_of_the_weights_travel_with_the_take(engine, models, tmp_path):
    weights = engine.compose(ORDER, folder=tmp_path, listener=Ear())[0].weights

    assert (weights.licence, weights.digest) == ("CC-BY-NC-4.0", models.get("tiny").digest)


def test_what_is_heard_meanwhile_joins_without_a_gap(engine, tmp_path):
    ear = Ear()
    engine.compose(replace(ORDER, variations=2), folder=tmp_path, listener=ear)

    ends = [0.0, *(start + length for start, length, _ in ear.stretches)]
    assert [start for start, _, _ in ear.stretches] == pytest.approx(ends[:-1])
    assert ends[-1] == pytest.approx(5.0)
    assert [round(length * 48_000) for _, length, _ in ear.stretches] == [frames for _, _, frames in ear.stretches]


def test_variations_are_drawn_side_by_side_and_each_is_what_it_is_alone(engine, registry, tmp_path):
    takes = engine.compose(replace(ORDER, variations=3), folder=tmp_path / "all", listener=Ear())
    alone = engine.compose(replace(ORDER, seed=8), folder=tmp_path / "one", listener=Ear())[0]

    assert [take.seed for take in takes] == [7, 8, 9]
    assert np.array_equal(audio(takes[1])[0], audio(alone)[0])
    assert not np.array_equal(audio(takes[0])[0], audio(takes[1])[0])
    assert registry.get_sample_value("harmonia_musicgen_batch_fill_bucket", {"le": "0.375"}) < 270


def test_progress_grows_with_the_tokens(engine, tmp_path):
    ear = Ear()
    engine.compose(ORDER, folder=tmp_path, listener=ear)

    assert ear.fractions == sorted(ear.fractions)
    assert ear.fractions[0] == 0.0
    assert any(0.0 < fraction < 1.0 for fraction in ear.fractions)


def test_a_song_that_was_interrupted_goes_on_from_its_checkpoint(engine, models, tmp_path):
    order = replace(ORDER, variations=2)
    whole = engine.compose(order, folder=tmp_path / "whole", listener=Ear())
    ear = Ear()
    ear.stop_at = 0.6
    careful = MusicGen(models, Meters(CollectorRegistry()), slots=3, keep_every_s=0.0)
    with pytest.raises(Stopped):
        careful.compose(order, folder=tmp_path / "broken", listener=ear)

    again = Ear()
    takes = engine.compose(replace(order, checkpoint=ear.kept[-1]), folder=tmp_path / "again", listener=again)

    assert next(fraction for fraction in again.fractions if fraction) > 0.2
    # The same tokens; decoded in other pieces, so equal to the codec's 1e-5 of peak and not to the bit.
    assert all(
        np.abs(audio(one)[0] - audio(other)[0]).max() < 1e-5 * np.abs(audio(other)[0]).max()
        for one, other in zip(takes, whole, strict=True)
    )


def test_a_checkpoint_of_another_order_is_no_use(engine, tmp_path):
    ear = Ear()
    whole = engine.compose(ORDER, folder=tmp_path / "one", listener=ear)[0]
    other = replace(ORDER, seed=9)
    expected = engine.compose(other, folder=tmp_path / "two", listener=Ear())[0]

    for data in (ear.kept[-1], b"neither tensors nor anything"):
        made = engine.compose(replace(other, checkpoint=data), folder=tmp_path / "three", listener=Ear())[0]
        assert np.array_equal(audio(made)[0], audio(expected)[0])
    assert not np.array_equal(audio(whole)[0], audio(expected)[0])


def test_a_song_that_is_stopped_frees_its_slots_and_the_others_are_what_they_were(engine, tmp_path):
    expected = engine.compose(ORDER, folder=tmp_path / "expected", listener=Ear())[0]
    made = []
    beside = threading.Thread(
        target=lambda: made.extend(engine.compose(ORDER, folder=tmp_path / "beside", listener=Ear()))
    )
    beside.start()
    with pytest.raises(Stopped):
        engine.compose(replace(ORDER, variations=2, seed=3), folder=tmp_path / "stopped", listener=Ear(stop_at=0.2))
    beside.join(60)

    assert np.array_equal(audio(made[0])[0], audio(expected)[0])
    with engine._players().playing("tiny", lambda: None) as player:
        assert player.scheduler._playing == []


def test_nobody_is_asked_less_than_three_times_a_second(engine, tmp_path):
    ear = Ear()
    engine.compose(ORDER, folder=tmp_path, listener=ear)
    started = ear.checks[1]  # the first is asked before the model is loaded

    assert max(b - a for a, b in zip(ear.checks[1:], ear.checks[2:], strict=False)) < 0.3
    assert started <= ear.checks[-1]


def test_what_the_sampling_says_changes_the_song_and_greedy_needs_no_seed(engine, tmp_path):
    greedy = Sampling(temperature=0.0)
    takes = [
        engine.compose(replace(ORDER, seed=seed, sampling=how), folder=tmp_path / f"{number}", listener=Ear())[0]
        for number, (seed, how) in enumerate([(1, greedy), (2, greedy), (1, Sampling()), (1, Sampling(guidance=7.0))])
    ]
    one, two, three, four = (audio(take)[0] for take in takes)

    assert np.array_equal(one, two)
    assert not np.array_equal(one, three)
    assert not np.array_equal(three, four)


def test_an_order_without_a_model_says_how_to_get_one_and_under_which_licence(engine, tmp_path):
    with pytest.raises(InvalidInput, match=r"needs a model: .*--model DIR.*harmonia model pull.*CC-BY-NC-4.0"):
        engine.compose(replace(ORDER, model=""), folder=tmp_path, listener=Ear())


def test_a_model_that_is_not_there_is_named_beside_those_that_are(engine, tmp_path):
    with pytest.raises(NotFound, match="no model 'huge' here: there is tiny"):
        engine.compose(replace(ORDER, model="huge"), folder=tmp_path, listener=Ear())


def test_a_file_that_was_tampered_with_is_refused_by_name(models, registry, tmp_path):
    with models.incoming("bad") as folder:
        for file in (models._root / "tiny").iterdir():
            if file.name != "inventory.json":
                (folder / file.name).write_bytes(file.read_bytes())
        models.settle(folder, name="bad", licence="MIT", origin="here", revision="")
    path = models._root / "bad" / "codec.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    with pytest.raises(FailedPrecondition, match=r"bad/codec.safetensors is not what the inventory says"):
        MusicGen(models, Meters(registry), slots=1).compose(
            replace(ORDER, model="bad"), folder=tmp_path, listener=Ear()
        )
    models.evict("bad")


def test_a_description_of_more_tokens_than_there_is_room_for_is_refused(engine, tmp_path):
    order = replace(ORDER, brief=replace(ORDER.brief, description="la " * 300))

    with pytest.raises(Unplayable, match=r"the description has \d+ tokens: at most 512"):
        engine.compose(order, folder=tmp_path, listener=Ear())


def test_moods_and_instruments_asked_for_are_told_to_the_model():
    brief = Brief(
        description="warm lo-fi, 84 bpm", moods=("warm", "rainy"), instruments=("piano",), time_signature="3/4"
    )

    assert described(brief) == "warm lo-fi, 84 bpm, rainy, piano, in 3/4"


def test_operators_see_steps_tokens_and_first_audio(engine, registry, tmp_path):
    engine.compose(ORDER, folder=tmp_path, listener=Ear())

    assert registry.get_sample_value("harmonia_musicgen_step_seconds_count") == 253
    assert registry.get_sample_value("harmonia_musicgen_tokens_total") == 4 * 253
    assert registry.get_sample_value("harmonia_musicgen_first_audio_seconds_count") == 1
    assert registry.get_sample_value("harmonia_musicgen_realtime_factor_count") == 1


def test_the_time_of_a_step_is_shared_by_those_who_played(models, tmp_path):
    steps = []
    with Players(models, slots=2, on_step=lambda *step: steps.append(step), keep_every_s=5.0).playing(
        "tiny", lambda: None
    ) as player:
        texts = [player.conditioner.text(text) for text in ("jazz", "slow sad piano")]
        pieces: list[tuple[Piece, Kept | None]] = [
            (Piece(text, Drawing(1), windows(seconds, window_s=30, stride_s=18, frame_rate=50)), None)
            for text, seconds in zip(texts, (0.5, 1.0), strict=True)
        ]
        with playing(player.scheduler, pieces, queue.SimpleQueue()) as tickets:
            assert all(ticket.left.wait(60) for ticket in tickets)

    assert sum(ticket.seconds for ticket in tickets) == pytest.approx(sum(took for _, _, took in steps))
    assert tickets[0].seconds < tickets[1].seconds
    assert {seated for seated, _, _ in steps} == {1, 2}


def test_on_a_cpu_no_song_costs_seconds_of_a_gpu(engine, tmp_path):
    assert engine.compose(ORDER, folder=tmp_path, listener=Ear())[0].gpu_seconds == 0.0


def test_a_take_says_within_what_its_seed_is_the_same_song(engine, tmp_path):
    assert engine.compose(ORDER, folder=tmp_path, listener=Ear())[0].numerics == "float32, cpu"


@pytest.mark.parametrize("gone", ["weights", "positions"])  # a song is seated with the former, drawn with the latter
def test_a_step_that_fails_ends_its_songs_and_the_next_song_is_played_anew(engine, tmp_path, gone):
    with engine._players().playing("tiny", lambda: None) as broken:
        setattr(broken.decoder, gone, None)  # as good as a GPU that has gone
    with pytest.raises(FailedPrecondition, match="the model could not be played"):
        engine.compose(ORDER, folder=tmp_path / "broken", listener=Ear())

    assert engine.compose(ORDER, folder=tmp_path / "anew", listener=Ear())[0].duration_seconds == 5.0
    with engine._players().playing("tiny", lambda: None) as player:
        assert player is not broken


def test_where_nothing_can_be_decoded_any_more_the_next_song_is_played_anew(engine, tmp_path):
    with engine._players().playing("tiny", lambda: None) as broken:
        broken.room._codec = None
    with pytest.raises(FailedPrecondition, match="the model could not be played"):
        engine.compose(ORDER, folder=tmp_path / "broken", listener=Ear())

    assert engine.compose(ORDER, folder=tmp_path / "anew", listener=Ear())[0].duration_seconds == 5.0


def test_a_song_that_cannot_be_seated_is_not_the_end_of_the_others(engine, tmp_path):
    with engine._players().playing("tiny", lambda: None) as player:
        text = player.conditioner.text("jazz")
        sung = windows(0.5, window_s=30, stride_s=18, frame_rate=50)
        wrong = Kept(0, torch.zeros(4, 0, dtype=torch.long), torch.zeros(3, 9, dtype=torch.long))
        pieces = [(Piece(text, Drawing(1), sung), wrong), (Piece(text, Drawing(2), sung), None)]
        events: Events = queue.SimpleQueue()
        with playing(player.scheduler, pieces, events):
            said = [events.get(timeout=30) for _ in range(3)]

    assert [type(event).__name__ for event in said if event.take == 0] == ["Failed"]
    assert [event for event in said if event.take == 1 and isinstance(event, Drawn)]
