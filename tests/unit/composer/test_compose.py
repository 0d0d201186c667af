"""Both doors' one function: from a request to takes in the store, and from a checkpoint without composing again."""

import asyncio
import hashlib
import io
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from harmonia.composer.v1 import composer_pb2 as pb
from harmonia.job.v1 import job_pb2
from harmonia.song.v1 import brief_pb2
from harmonia.store.v1 import store_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import FailedPrecondition, InvalidInput, NotFound, Reason
from harmonia_chassis.worker import Stopped, Work
from harmonia_composer import wire
from harmonia_composer.compose import Composer
from harmonia_composer.engine import Capabilities, Listener, Order, Placed, Stem, Take, Unplayable
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.listening import CHECKPOINT, OUTPUT, PREVIEW

RECIPE = "5" * 64


class Shelf:
    """A store in memory."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str, int]] = {}
        self.puts: list[tuple[str, int]] = []

    async def put(
        self,
        source: bytes | Path,
        media_type: str,
        grant: str,
        *,
        storage_class: store_pb2.StorageClass.Class.ValueType = OUTPUT,
    ) -> type_pb2.ArtifactRef:
        content = source if isinstance(source, bytes) else await asyncio.to_thread(source.read_bytes)
        sha256 = hashlib.sha256(content).hexdigest()
        self.objects[sha256] = (content, media_type, storage_class)
        self.puts.append((sha256, storage_class))
        return type_pb2.ArtifactRef(sha256=sha256, media_type=media_type, size_bytes=len(content))

    async def get(self, ref: type_pb2.ArtifactRef, grant: str) -> bytes:
        if ref.sha256 not in self.objects:
            raise NotFound("gone", reason=Reason.ARTIFACT_NOT_FOUND)
        return self.objects[ref.sha256][0]

    async def fetch(self, ref: type_pb2.ArtifactRef, grant: str, to: Path) -> None:
        to.write_bytes(await self.get(ref, grant))


class Whistler:
    """An engine that writes what it was asked for."""

    name, version, licence, slots = "whistler", "1", "CC0-1.0", 1

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.waiting = threading.Event()

    def capabilities(self) -> Capabilities:
        return Capabilities((), (), (), (), (), 0.0)

    def warm_up(self) -> None:
        """Needs none."""

    def compose(self, order: Order, *, folder: Path, listener: Listener) -> Sequence[Take]:
        self.orders.append(order)
        if order.brief.genre == "polka":
            raise Unplayable("no polka", field="genre")
        while order.brief.genre == "endless":
            self.waiting.set()
            listener.check()
        listener.progress(0.5, "whistling")
        tune = folder / "tune"
        tune.write_text(
            f"{order.brief.title} {order.seed} {[line.text for s in order.brief.lyrics for line in s.lines]}"
        )
        listener.preview(tune, 0.0, 5.0)
        stem = Stem(listener.reusable(RECIPE) or tune, RECIPE)
        return [Take(order.seed, tune, {"lead": stem}, None, tune, None, 5.0, (Placed("verse", 0.0, 2),))]


def work(
    told: list[float] | None = None,
    kept: list[type_pb2.ArtifactRef] | None = None,
    heard: list[pb.ComposeEvent.Preview] | None = None,
) -> Work:
    async def checkpoint(ref: type_pb2.ArtifactRef) -> None:
        if kept is not None:
            kept.append(ref)

    def progress(fraction: float, message: str = "") -> None:
        if told is not None:
            told.append(fraction)

    return Work(
        job="j",
        tenant="t",
        owner="o",
        grant="g",
        on_progress=progress,
        on_preview=heard.append if heard is not None else None,
        on_checkpoint=checkpoint,
    )


def request(title: str = "", genre: str = "") -> pb.ComposeRequest:
    brief = brief_pb2.Brief(duration_seconds=5.0, title=title, genre=genre)
    return pb.ComposeRequest(brief=brief, engine="whistler", seed=3, variations=1, stems=True)


async def test_takes_are_stored_and_the_folder_is_gone(tmp_path: Path) -> None:
    shelf, told = Shelf(), list[float]()
    result = await Composer({"whistler": Whistler()}, shelf, tmp_path).perform(request(title="Hm"), work(told))
    (take,) = result.compose.takes

    assert shelf.objects[take.premaster.sha256][0] == b"Hm 3 []"
    assert take.premaster.media_type == "audio/flac"
    assert take.lyrics_text.media_type == "text/plain"
    assert [(stem.role, stem.ref.sha256) for stem in take.stems] == [("lead", take.premaster.sha256)]
    assert (take.sections[0].name, take.sections[0].bars) == ("verse", 2)
    assert result.compose.licence == "CC0-1.0"
    assert list(tmp_path.iterdir()) == []
    assert told[-1] == 1.0


async def test_a_second_try_goes_on_from_the_checkpoint_without_composing(tmp_path: Path) -> None:
    shelf, engine, kept = Shelf(), Whistler(), list[type_pb2.ArtifactRef]()
    composer = Composer({"whistler": engine}, shelf, tmp_path)
    first = await composer.perform(request(), work(kept=kept))
    again = request()
    again.checkpoint.CopyFrom(kept[0])
    second = await composer.perform(again, work())

    assert second.compose == first.compose
    assert len(engine.orders) == 1
    assert shelf.objects[kept[0].sha256][2] == CHECKPOINT


async def test_previews_are_stored_as_such_and_told_before_the_end(tmp_path: Path) -> None:
    shelf, heard = Shelf(), list[pb.ComposeEvent.Preview]()
    await Composer({"whistler": Whistler()}, shelf, tmp_path).perform(request(title="Hm"), work(heard=heard))
    (preview,) = heard

    assert (preview.start_seconds, preview.duration_seconds) == (0.0, 5.0)
    assert shelf.puts[0] == (preview.ref.sha256, PREVIEW)


async def test_a_stem_of_the_same_recipe_is_taken_from_the_store(tmp_path: Path) -> None:
    shelf, asked = Shelf(), request(title="Hm")
    ref = await shelf.put(b"as it was", "audio/flac", "g")
    asked.reusable.add(role="lead", recipe=RECIPE, ref=ref)
    result = await Composer({"whistler": Whistler()}, shelf, tmp_path).perform(asked, work())

    assert result.compose.takes[0].stems[0] == pb.ComposeResult.Stem(role="lead", recipe=RECIPE, ref=ref)


async def test_a_stem_that_is_gone_is_made_again(tmp_path: Path) -> None:
    asked = request()
    asked.reusable.add(role="lead", recipe=RECIPE, ref=type_pb2.ArtifactRef(sha256="0" * 64))
    result = await Composer({"whistler": Whistler()}, Shelf(), tmp_path).perform(asked, work())

    assert result.compose.takes[0].stems[0].ref == result.compose.takes[0].premaster


async def test_a_checkpoint_that_is_gone_is_composed_again(tmp_path: Path) -> None:
    engine, asked = Whistler(), request()
    asked.checkpoint.sha256 = "0" * 64
    result = await Composer({"whistler": engine}, Shelf(), tmp_path).perform(asked, work())

    assert len(result.compose.takes) == len(engine.orders) == 1


async def test_long_lyrics_come_from_the_store(tmp_path: Path) -> None:
    shelf, engine = Shelf(), Whistler()
    lyrics = brief_pb2.Lyrics(sections=[brief_pb2.LyricSection(name="verse", lines=[brief_pb2.LyricLine(text="la")])])
    asked = request()
    asked.lyrics.CopyFrom(await shelf.put(lyrics.SerializeToString(), "application/octet-stream", "g"))
    await Composer({"whistler": engine}, shelf, tmp_path).perform(asked, work())

    assert engine.orders[0].brief.lyrics[0].lines[0].text == "la"


async def test_a_refusal_of_the_engine_names_the_field(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no polka") as refusal:
        await Composer({"whistler": Whistler()}, Shelf(), tmp_path).perform(request(genre="polka"), work())

    assert refusal.value.field == "brief.genre"


@pytest.mark.parametrize(
    ("field", "value"),
    [("duration_seconds", 4.9), ("duration_seconds", float("nan")), ("bpm", 241.0), ("complexity", 2.0)],
)
async def test_numbers_out_of_range_are_refused_by_field(field: str, value: float, tmp_path: Path) -> None:
    asked = request()
    setattr(asked.brief, field, value)

    with pytest.raises(InvalidInput) as refusal:
        await Composer({"whistler": Whistler()}, Shelf(), tmp_path).perform(asked, work())
    assert refusal.value.field == f"brief.{field}"


async def test_an_unknown_engine_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="whistler"):
        await Composer({"whistler": Whistler()}, Shelf(), tmp_path).perform(pb.ComposeRequest(engine="x"), work())


async def test_a_stopped_song_ends_the_thread_and_empties_the_folder(tmp_path: Path) -> None:
    engine, doing = Whistler(), work()
    composing = asyncio.create_task(
        Composer({"whistler": engine}, Shelf(), tmp_path).perform(request(genre="endless"), doing)
    )
    await asyncio.to_thread(engine.waiting.wait, 5)
    doing.stop()

    with pytest.raises(Stopped):
        await composing
    assert list(tmp_path.iterdir()) == []


async def test_a_caller_who_goes_away_ends_the_thread(tmp_path: Path) -> None:
    engine = Whistler()
    composing = asyncio.create_task(
        Composer({"whistler": engine}, Shelf(), tmp_path).perform(request(genre="endless"), work())
    )
    await asyncio.to_thread(engine.waiting.wait, 5)
    composing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await composing
    assert list(tmp_path.iterdir()) == []


def job() -> job_pb2.Job:
    record = job_pb2.Job(id="1" * 32)
    record.resolved.engine = "arranger"
    record.resolved.seed = 2**63 + 5
    record.resolved.variations = 3
    record.resolved.outputs.stems = True
    record.resolved.outputs.midi = True
    written = record.stages.add(name="write")
    written.result.write.brief.genre = "folk"
    written.result.write.brief.bpm = 96.0
    record.stages.add(name="compose", lane="compose-arranger")
    record.stages.add(name="master")
    return record


def test_the_request_of_a_job_is_its_brief_and_its_choices() -> None:
    asked = wire.request_from(job())

    assert (asked.brief.genre, asked.brief.bpm) == ("folk", 96.0)
    assert (asked.engine, asked.seed, asked.variations) == ("arranger", 2**63 + 5, 3)
    assert asked.stems
    assert asked.midi
    assert not asked.HasField("checkpoint")
    assert not asked.HasField("lyrics")


def test_the_request_of_a_job_carries_its_checkpoint_and_its_long_lyrics() -> None:
    record = job()
    record.stages[1].checkpoint.sha256 = "c" * 64
    record.stages[0].result.write.lyrics.sha256 = "a" * 64
    asked = wire.request_from(record)

    assert asked.checkpoint.sha256 == "c" * 64
    assert asked.lyrics.sha256 == "a" * 64


@pytest.mark.parametrize("start_s", [None, 2.5])
def test_the_request_of_a_job_carries_what_the_song_goes_on_from(start_s: float | None) -> None:
    record = job()
    record.continue_from.sha256 = "d" * 64
    record.continue_licence = "MIT"
    if start_s:
        record.resolved.conditioning.start_seconds = start_s
    asked = wire.request_from(record)

    assert (asked.continue_from.sha256, asked.continue_licence) == ("d" * 64, "MIT")
    assert (asked.start_seconds if asked.HasField("start_seconds") else None) == start_s


async def test_what_a_song_goes_on_from_reaches_the_engine_as_sound(tmp_path: Path) -> None:
    shelf, engine, sound = Shelf(), Whistler(), io.BytesIO()
    soundfile.write(sound, np.full((24_000, 2), 0.5), 8_000, format="WAV")
    asked = request()
    asked.continue_from.CopyFrom(await shelf.put(sound.getvalue(), "audio/wav", "g"))
    asked.start_seconds = 2.0
    asked.continue_licence = "CC-BY-NC-4.0 AND CC0-1.0"
    result = await Composer({"whistler": engine}, shelf, tmp_path).perform(asked, work())

    source = engine.orders[0].source
    assert source is not None
    assert (source.rate_hz, source.seconds) == (8_000, 2.0)
    assert source.peak == pytest.approx(0.5, abs=1e-4)
    assert result.compose.licence == "CC0-1.0 AND CC-BY-NC-4.0"
    assert list(tmp_path.iterdir()) == []


async def test_a_recording_that_is_gone_when_its_turn_comes_ends_the_song_by_the_fields_name(tmp_path: Path) -> None:
    asked = request()
    asked.continue_from.sha256 = "d" * 64

    with pytest.raises(FailedPrecondition, match=r"conditioning.continue_from: the recording is no longer there"):
        await Composer({"whistler": Whistler()}, Shelf(), tmp_path).perform(asked, work())


def test_the_arranger_says_of_every_field_how_it_takes_it() -> None:
    told = wire.capabilities_to_proto(Arranger())
    support = {field.field: field.Support.Name(field.support) for field in told.fields}
    values = {field.field: list(field.values) for field in told.fields}

    assert {"folk", "jazz", "lo-fi hip-hop", "techno", "waltz"} <= set(told.genres)
    assert len(told.moods) >= 8
    assert support["bpm"] == support["key"] == support["complexity"] == "EXACT"
    assert support["sections"] == support["bars"] == "EXACT"
    assert support["conditioning.melody"] == "LATER"
    assert support["sampling.top_k"] == support["model"] == "NO"
    assert support["negative_prompt"] == "HINT"
    assert values["time_signature"] == ["4/4", "3/4", "2/4", "5/4", "6/8", "7/8", "12/8"]
    assert values["kind"] == ["SONG", "BEAT", "LOOP"]
    assert "electric piano" in values["instruments"]


class Choir(Whistler):
    """Sings only when all its voices are there, and each lets itself be heard."""

    name, slots = "choir", 40

    def __init__(self) -> None:
        super().__init__()
        self.together = threading.Barrier(self.slots)

    def compose(self, order: Order, *, folder: Path, listener: Listener) -> Sequence[Take]:
        self.together.wait(30)
        return super().compose(order, folder=folder, listener=listener)


async def test_as_many_songs_are_composed_at_once_as_the_engine_has_slots(tmp_path: Path) -> None:
    """On any machine: asyncio's own threads are four more than cores, and the store needs those meanwhile."""
    choir = Choir()
    composer = Composer({"choir": choir}, Shelf(), tmp_path)
    request_ = request()
    request_.engine = "choir"
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for _ in range(choir.slots):
            group.create_task(composer.perform(request_, work()))

    assert len(choir.orders) == choir.slots


class Heater(Whistler):
    """Says that a GPU worked for it."""

    def compose(self, order: Order, *, folder: Path, listener: Listener) -> Sequence[Take]:
        [take] = super().compose(order, folder=folder, listener=listener)
        return [replace(take, gpu_seconds=0.5), replace(take, gpu_seconds=0.25)]


async def test_seconds_of_the_gpu_are_told(tmp_path: Path) -> None:
    done = await Composer({"whistler": Heater()}, Shelf(), tmp_path).perform(request(), work())

    assert done.gpu_seconds == 0.75
