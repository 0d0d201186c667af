"""The stage as the worker sees it: a job's record in, a stage's result out."""

import pytest

from harmonia.job.v1 import job_pb2
from harmonia.lyricist.v1 import lyricist_pb2
from harmonia.song.v1 import brief_pb2, spec_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis.worker import Work
from harmonia_lyricist import songwriter
from harmonia_lyricist.brief import Asked, Palette
from harmonia_lyricist.draft import Plan
from harmonia_lyricist.metre import words
from harmonia_lyricist.wire import request_from
from harmonia_lyricist.write import Lyricist, Tables, load, write

Spec, Lyrics = spec_pb2.SongSpec, spec_pb2.LyricsSpec


class Shelf:
    """The store's client, in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put(self, source: bytes, media_type: str, grant: str, **_: object) -> type_pb2.ArtifactRef:
        ref = type_pb2.ArtifactRef(sha256=f"{len(self.kept):064}", media_type=media_type, size_bytes=len(source))
        self.kept[ref.sha256] = source
        return ref

    async def get(self, ref: type_pb2.ArtifactRef, grant: str) -> bytes:
        return self.kept[ref.sha256]


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load()


def job(spec: spec_pb2.SongSpec, **resolved: object) -> job_pb2.Job:
    made = Spec()
    made.CopyFrom(spec)
    made.MergeFrom(Spec(kind=Spec.SONG, seed=5, engine="arranger", **resolved))  # type: ignore[arg-type]  # fields of a spec
    for prose in ("prompt", "negative_prompt"):
        made.ClearField(prose)
    if not made.HasField("duration_seconds"):
        made.duration_seconds = 60
    return job_pb2.Job(id="1", spec=spec, resolved=made, palette=job_pb2.Palette(genres=["folk", "techno"]))


async def perform(tables: Tables, spec: spec_pb2.SongSpec, shelf: Shelf) -> lyricist_pb2.WriteResult:
    work = Work(job="1", tenant="t", owner="o", grant="g", on_progress=lambda _fraction, _message: None)
    lyricist = Lyricist(tables, shelf)  # type: ignore[arg-type]  # has the two methods that are used
    result = await lyricist.perform(request_from(job(spec)), work)
    assert result.cpu_seconds > 0
    return result.write


async def test_a_length_in_the_prompt_wins_over_the_default_of_the_record(tables: Tables) -> None:
    result = await perform(tables, Spec(prompt="folk, two minutes"), Shelf())

    assert result.brief.duration_seconds == 120
    assert result.brief.kind == Spec.SONG


async def test_a_length_that_was_set_wins_over_the_prompt(tables: Tables) -> None:
    result = await perform(tables, Spec(prompt="folk, two minutes", duration_seconds=30), Shelf())

    assert result.brief.duration_seconds == 30
    assert any("duration_seconds" in warning for warning in result.warnings)


async def test_a_prompt_about_something_gets_words_and_another_none(tables: Tables) -> None:
    about = await perform(tables, Spec(prompt="a folk song about leaving home"), Shelf())
    other = await perform(tables, Spec(prompt="a folk tune"), Shelf())

    assert {section.name for section in about.brief.lyrics.sections} == {"verse", "chorus"}
    assert not other.brief.HasField("lyrics")


async def test_long_words_go_to_the_store_and_short_ones_stay(tables: Tables) -> None:
    shelf = Shelf()
    text = "[verse]\n" + "a line of words that goes on\n" * 200
    long = await perform(tables, Spec(prompt="folk", lyrics=Lyrics(mode=Lyrics.TEXT, text=text)), shelf)

    assert not long.brief.HasField("lyrics")
    assert len(brief_pb2.Lyrics.FromString(shelf.kept[long.lyrics.sha256]).sections[0].lines) == 200


async def test_the_users_words_are_fetched_and_read(tables: Tables) -> None:
    shelf = Shelf()
    ref = await shelf.put(b"[chorus]\nStay a while\n", "text/plain", "g")
    spec = Spec(prompt="folk", lyrics=Lyrics(mode=Lyrics.TEXT, text_artifact=ref))

    result = await perform(tables, spec, shelf)

    assert [(s.name, s.lines[0].text, s.lines[0].syllables) for s in result.brief.lyrics.sections] == [
        ("chorus", "Stay a while", 3)
    ]


async def test_a_prompt_of_names_only_does_not_fill_the_record(tables: Tables) -> None:
    names = " ".join(["no drums, piano, sad, happy, fast, slow, techno, C minor, 90 bpm,"] * 40)[:2000]

    result = await perform(tables, Spec(prompt=names, negative_prompt=names), Shelf())

    assert result.ByteSize() < 16_000


def of_every_kind(spec: spec_pb2.SongSpec, **resolved: object) -> job_pb2.Job:
    made = job(spec, **resolved)
    made.palette.kinds.extend(["SONG", "BEAT", "LOOP"])
    return made


@pytest.mark.parametrize(
    ("prompt", "kind", "bars"),
    [
        ("an 8 bar techno loop at 120 bpm", Spec.LOOP, 8),
        ("techno loop, 120 bpm", Spec.LOOP, 4),
        ("a techno loop of 12 seconds at 120 bpm", Spec.LOOP, 6),
        ("a techno loop of 12 bars at 120 bpm", Spec.LOOP, 8),
        ("techno type beat", Spec.BEAT, 0),
        ("techno", Spec.SONG, 0),
    ],
)
async def test_the_kind_and_the_bars_of_a_prompt_reach_the_brief(
    tables: Tables, prompt: str, kind: int, bars: int
) -> None:
    work = Work(job="1", tenant="t", owner="o", grant="g", on_progress=lambda _fraction, _message: None)
    request = request_from(of_every_kind(Spec(prompt=prompt)))
    lyricist = Lyricist(tables, Shelf())  # type: ignore[arg-type]  # has the two methods that are used
    brief = (await lyricist.perform(request, work)).write.brief

    assert brief.kind == kind
    assert brief.bars == bars
    assert brief.duration_seconds == (bars * 2 if bars and "12" not in prompt else brief.duration_seconds)


@pytest.mark.parametrize(("goes_on", "expected"), [(True, 90.0), (False, 20.0)])
async def test_a_song_that_goes_on_from_a_recording_is_as_long_as_that_leaves_it(
    tables: Tables, *, goes_on: bool, expected: float
) -> None:
    work = Work(job="1", tenant="t", owner="o", grant="g", on_progress=lambda _fraction, _message: None)
    record = of_every_kind(Spec(prompt="20 seconds of techno"), duration_seconds=90.0)
    if goes_on:
        record.continue_from.sha256 = "d" * 64
    lyricist = Lyricist(tables, Shelf())  # type: ignore[arg-type]  # has the two methods that are used

    assert (await lyricist.perform(request_from(record), work)).write.brief.duration_seconds == expected


async def test_an_engine_without_loops_gets_a_song_and_says_so(tables: Tables) -> None:
    result = await perform(tables, Spec(prompt="an 8 bar techno loop"), Shelf())

    assert result.brief.kind == Spec.SONG
    assert any("kind" in warning for warning in result.warnings)


async def test_a_form_without_a_length_has_the_length_of_its_bars(tables: Tables) -> None:
    sections = [spec_pb2.Section(name="verse", bars=8, seed=7), spec_pb2.Section(name="chorus", bars=8)]
    result = await perform(tables, Spec(prompt="techno", bpm=120, sections=sections), Shelf())

    assert result.brief.duration_seconds == 34.5
    assert [section.seed for section in result.brief.sections if section.HasField("seed")] == [7]


async def test_each_line_tells_the_stress_of_every_syllable(tables: Tables) -> None:
    lyrics = spec_pb2.LyricsSpec(text="[verse]\nRemember the morning")
    result = await perform(tables, Spec(prompt="folk", lyrics=lyrics), Shelf())
    (line,) = result.brief.lyrics.sections[0].lines

    assert line.stresses == "010 0 10"
    assert line.syllables == 6


def test_words_do_without_what_the_prompt_does_not_want_mentioned(tables: Tables) -> None:
    def sung(prompt: str) -> set[str]:
        found = [write(prompt, Asked(seed=seed), Palette(), tables=tables).brief.lyrics for seed in range(40)]
        lines = [line.text for lyrics in found for section in lyrics.sections for line in section.lines]
        assert len(lines) > 300
        return {word for line in lines for word in words(line) if word.startswith(("lov", "heart"))}

    assert {"love", "heart"} <= sung("a pop song about two people and a kiss")
    assert sung("a pop song about two people and a kiss, no mention of love or hearts") == set()
    assert sung("a love song that does not mention love, don't mention love or the heart") == set()


def test_where_nothing_is_left_to_write_with_the_words_come_all_the_same_and_it_is_said(tables: Tables) -> None:
    every = {word for rows in tables.writing.closings.values() for phrase in rows for word in words(phrase.text)}
    plan = Plan("the sea", "", "en", ("verse", "chorus"), tuple(every))

    sung = songwriter.alone(plan, seed=1, writing=tables.writing)

    assert [section.name for section in sung.lyrics.sections] == ["verse", "chorus"]
    assert any("too few rhymes without" in warning for warning in sung.warnings)
