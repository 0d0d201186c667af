"""Several songs decoded together, in any company: each is what it is alone, and none waits for another."""

import queue
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

import pytest
import torch
from structlog.testing import capture_logs

from harmonia_composer.engines.musicgen.batch import Batch
from harmonia_composer.engines.musicgen.codec import Codec, together
from harmonia_composer.engines.musicgen.codec_graph import Steady, steady_ones
from harmonia_composer.engines.musicgen.codec_room import CodecRoom, Voice
from harmonia_composer.engines.musicgen.decoder import Decoder, Drawing
from harmonia_composer.engines.musicgen.events import FRAMES, Drawn, Events, Failed, Heard
from harmonia_composer.engines.musicgen.scheduler import Scheduler, playing
from tests.musicgen_models import PROMPTS, alone, written

pytestmark = pytest.mark.filterwarnings("ignore")  # torch warns of its age

# Of the peak: what float32 sums in another order differ by.
CLOSE = 1e-5
LENGTHS = (60, 17, 131, 90, 3, 75)
WAIT_S = 60


class Watched(Codec):
    """Writes down how many songs were decoded at once."""

    at_once: list[int]

    def advance(self, carried, codes, *, final=False):
        self.at_once.append(codes.shape[0])
        return super().advance(carried, codes, final=final)


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    torch.set_num_threads(1)
    return written(tmp_path_factory.mktemp("model"))[1]


@pytest.fixture
def codec(ours):
    return watched(ours, "constant")


def watched(ours, pad_mode: str) -> Watched:
    """An untrained LSTM hardly matters: this one does."""
    scale = {name: 3.0 if name.startswith("lstm.") else 1.0 for name in ours.codec._weights}
    weights = {name: ours.codec._weights[name] * scale[name] for name in scale}
    codec = Watched(replace(ours.shape.codec, pad_mode=pad_mode), weights)
    codec.at_once = []
    return codec


@pytest.fixture
def songs():
    dice = torch.Generator().manual_seed(1)
    return [torch.randint(0, 64, (4, frames), generator=dice) for frames in LENGTHS]


@contextmanager
def opened(codec, **how) -> Iterator[CodecRoom]:
    room = CodecRoom(codec, **how)
    try:
        yield room
    finally:
        room.close()


@dataclass
class Singer:
    """An order of one song."""

    room: CodecRoom
    codes: torch.Tensor
    chunk: int
    voice: Voice
    sung: int = 0
    heard: list[Heard] = field(default_factory=list)

    @property
    def frames(self) -> int:
        return int(self.codes.shape[1])

    @property
    def done(self) -> bool:
        return self.sung == self.frames

    def sing(self) -> int:
        """Pieces that are to be heard of it."""
        start, self.sung = self.sung, min(self.sung + self.chunk, self.frames)
        self.room.push(self.voice, Drawn(0, self.codes[:, start : self.sung], self.done))
        return -(-(self.sung - start) // FRAMES)

    def hear(self, pieces: int) -> None:
        for _ in range(pieces):
            event = self.voice.events.get(timeout=WAIT_S)
            assert isinstance(event, Heard), event
            self.room.written(self.voice)
            self.heard.append(event)


def singer(stack: ExitStack, room: CodecRoom, codes: torch.Tensor, chunk: int = FRAMES) -> Singer:
    [voice] = stack.enter_context(room.voices(1, queue.SimpleQueue()))
    return Singer(room, codes, chunk, voice)


def tick(room: CodecRoom, singers: Sequence[Singer]) -> None:
    """All that sing do so before any of it is decoded."""
    singing = [one for one in singers if not one.done]
    with room._work:
        pieces = [one.sing() for one in singing]
    for one, count in zip(singing, pieces, strict=True):
        one.hear(count)


def furthest(heard: Sequence[Heard], expected: torch.Tensor) -> float:
    samples = torch.cat([torch.from_numpy(each.samples) for each in heard])
    assert samples.shape == expected.shape
    return float((samples - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("pad_mode", ["constant", "reflect"])
@pytest.mark.parametrize("chunk", [1, 10, 25, 50])
def test_songs_that_join_and_leave_at_different_times_are_each_their_whole_decode(ours, songs, chunk, pad_mode):
    codec = watched(ours, pad_mode)
    steady, begun = steady_ones(codec, songs=5, frames=FRAMES), []
    codec.at_once.clear()
    with opened(codec, at_once=5, steady=steady) as room, ExitStack() as stack:
        for codes in songs:
            begun.append(singer(stack, room, codes, chunk))
            tick(room, begun)
        while any(not one.done for one in begun):
            tick(room, begun)

    assert max(codec.at_once) > 2
    assert room._voices == []
    for one in begun:
        assert furthest(one.heard, codec.decode(one.codes)) < CLOSE


@torch.inference_mode()
def test_songs_in_the_midst_of_theirs_are_one_row_each_of_a_table_of_fixed_size(codec, songs):
    """What a graph replays: also with rows that are idle, and others' songs in them before."""
    steady, whole = Steady(codec, songs=4, frames=10), songs[2]
    begun, first = codec.advance(codec.nothing(), whole[None, :, :20])
    loud = together([codec.advance(begun, whole[None, :, 100:110])[0]] * 4)
    steady(loud, whole[:, :10].expand(4, -1, -1))
    after, middle = steady(together([begun, begun]), whole[:, 20:30].expand(2, -1, -1))
    rest = codec.advance(after.rows(1, 2), whole[None, :, 30:], final=True)[1]

    assert steady.fits(begun, whole[None, :, 20:30])
    assert not steady.fits(codec.nothing(), whole[None, :, 20:30])
    assert not steady.fits(begun, whole[None, :, 20:31])
    assert not steady.fits(together([begun] * 5), whole[:, 20:30].expand(5, -1, -1))
    samples, expected = torch.cat([first[0], middle[1], rest[0]]), codec.decode(whole)
    assert float((samples - expected).abs().max() / expected.abs().max()) < CLOSE


def test_an_order_that_takes_nothing_holds_up_nobody_and_little_lies_there_for_it(codec, songs):
    with opened(codec, at_once=2) as room, ExitStack() as stack:
        slow, quick = (singer(stack, room, codes, 10) for codes in (songs[2], songs[3]))
        while not slow.done:
            slow.sing()
        while not quick.done:
            tick(room, [quick])

        assert furthest(quick.heard, codec.decode(quick.codes)) < CLOSE
        assert slow.voice.events.qsize() == slow.voice.unwritten == 4
        slow.hear(14)
        assert furthest(slow.heard, codec.decode(slow.codes)) < CLOSE


def test_a_song_that_cannot_be_decoded_is_not_the_end_of_those_beside_it(codec, songs):
    wrong = songs[3].clone()
    wrong[1, 30] = 64  # no token of the codebook
    with opened(codec, at_once=3) as room, ExitStack() as stack:
        one, broken, other = (singer(stack, room, codes) for codes in (songs[0], wrong, songs[5]))
        well = [one, other]
        tick(room, [one, broken, other])
        with room._work:
            for each in (one, broken, other):
                each.sing()
        failed = broken.voice.events.get(timeout=WAIT_S)
        for each in well:
            each.hear(1)
        while any(not each.done for each in well):
            tick(room, well)
        broken.sing()  # as the batch would, until the order has heard of it

        assert isinstance(failed, Failed)
        assert isinstance(failed.error, IndexError)
        assert all(furthest(each.heard, codec.decode(each.codes)) < CLOSE for each in well)
        assert broken.voice.events.empty()
        assert not room.over


def test_an_order_that_goes_leaves_nothing_behind(codec, songs):
    with opened(codec) as room:
        with ExitStack() as stack:
            gone = singer(stack, room, songs[2])
            gone.sing()
        gone.sing()
        with ExitStack() as stack:
            other = singer(stack, room, songs[0])
            while not other.done:
                tick(room, [other])

        assert furthest(other.heard, codec.decode(songs[0])) < CLOSE
        assert room._voices == []
        assert gone.voice.events.qsize() <= 1


def test_where_the_rooms_thread_dies_everybody_hears_of_it(codec, songs):
    with opened(codec) as room, ExitStack() as stack:
        one = singer(stack, room, songs[0])
        codec.advance = None
        one.sing()
        failed = one.voice.events.get(timeout=WAIT_S)
        late = singer(stack, room, songs[1])
        late.sing()

        assert isinstance(failed, Failed)
        assert isinstance(failed.error, TypeError)
        assert room.over
        assert isinstance(late.voice.events.get(timeout=WAIT_S), Failed)


def test_what_cannot_be_captured_is_decoded_as_it_is_and_one_line_says_so(codec):
    def advance(*_, **__):
        raise RuntimeError("operation not permitted when stream is capturing")

    codec.advance = advance
    with capture_logs() as lines:
        assert steady_ones(codec, songs=16, frames=FRAMES) == ()

    assert [line["event"] for line in lines] == ["codec not captured: decoded without a graph"]


def test_songs_drawn_together_and_told_in_step_are_heard_as_their_tokens_say(ours, codec):
    """As on a GPU, from the text to the samples."""
    pieces = [ours.piece(PROMPTS[n % 3], 0.9 + 0.4 * n, Drawing(n, top_k=30)) for n in range(4)]
    expected = [codec.decode(alone(ours.batch(), piece)) for piece in pieces]
    events: Events = queue.SimpleQueue()
    heard: dict[int, list[Heard]] = {take: [] for take in range(4)}
    scheduler = Scheduler(
        Batch(Decoder(ours.weights, slots=3, columns=256, text=128)),
        on_step=lambda *_: None,
        keep_every_s=5.0,
        in_step=True,
    )
    steady = steady_ones(codec, songs=3, frames=FRAMES)
    codec.at_once.clear()
    with ExitStack() as stack:
        room = stack.enter_context(opened(codec, at_once=3, steady=steady))
        voices = stack.enter_context(room.voices(4, events))
        wanted = [(piece, None) for piece in pieces]
        stack.enter_context(playing(scheduler, wanted, events, lambda drawn: room.push(voices[drawn.take], drawn)))
        while any(not (parts and parts[-1].final) for parts in heard.values()):
            event = events.get(timeout=WAIT_S)
            if isinstance(event, Heard):
                heard[event.take].append(event)
                room.written(voices[event.take])
    scheduler.close()

    assert all(furthest(heard[take], expected[take]) < CLOSE for take in range(4))
    # The first piece of each, of fourteen frames, then what is due every 25 steps.
    hop = codec.shape.hop
    assert [len(each.samples) // hop for each in heard[2][:3]] == [10, 8, 25]
