from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import json_format

from harmonia.composer.v1 import composer_pb2
from harmonia.job.v1 import job_pb2
from harmonia.lyricist.v1 import lyricist_pb2
from harmonia.mastering.v1 import mastering_pb2
from harmonia.song.v1 import song_pb2, spec_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis import jobs
from harmonia_chassis.errors import InvalidInput
from harmonia_chassis.job_stream import RECORD_BYTES
from harmonia_gateway import limits, songs, wire

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ROLES = ("drums", "bass", "chords", "lead", "pad", "strings")


def ref(number: int, media_type: str = "audio/flac") -> type_pb2.ArtifactRef:
    return type_pb2.ArtifactRef(sha256=f"{number:064x}", media_type=media_type, size_bytes=10_000_000 + number)


def job_of(spec, capabilities, now) -> job_pb2.Job:
    requester = songs.Requester(tenant="local", owner="user", request_id="r1", traceparent=TRACE)
    resolved = songs.resolve(spec, capabilities, draw_seed=lambda: 7)
    return songs.plan(
        spec,
        resolved,
        requester,
        id="f" * 32,
        spec_digest=songs.digest(spec),
        grant="g" * 600,
        capabilities=capabilities,
        warnings=songs.validate(spec, capabilities, now),
        now=now,
    )


def written() -> lyricist_pb2.WriteResult:
    brief = {
        "title": "Slow Rain",
        "genre": "lo-fi hip-hop",
        "moods": ["calm", "warm"],
        "bpm": 84,
        "key": "A minor",
        "time_signature": "4/4",
        "duration_seconds": 60,
        "kind": "BEAT",
        "instruments": ["rhodes", "drums"],
        "complexity": 0.4,
        "sections": [{"name": "intro", "bars": 4}],
        "language": "en",
    }
    understood = [{"text": "84 bpm", "field": "bpm", "value": "84"}]
    return json_format.ParseDict(
        {"brief": brief, "understood": understood, "warnings": ["from write"]}, lyricist_pb2.WriteResult()
    )


def composed(takes: int = 1, *, words: bool = False) -> composer_pb2.ComposeResult:
    result = composer_pb2.ComposeResult(
        engine="arranger", engine_version="0.1.0", licence="Apache-2.0", warnings=["from compose"],
        numerics="float16, one slot",
    )  # fmt: skip
    for n in range(takes):
        take = result.takes.add(seed=2**64 - 1 - n, premaster=ref(n), midi=ref(n, "audio/midi"), duration_seconds=60)
        for role in ROLES[: 6 if takes > 1 else 2]:
            take.stems.add(role=role, ref=ref(n))
        for section in range(10 if takes > 1 else 1):
            take.sections.add(name="chorus", start_seconds=section + 0.5, bars=8)
        if words:
            take.lyrics_text.CopyFrom(ref(n, "text/plain"))
            take.lyrics_lrc.CopyFrom(ref(n, "text/plain"))
            take.karaoke.CopyFrom(ref(n, "application/json"))
    return result


def mastered(takes: int = 1) -> mastering_pb2.MasterResult:
    result = mastering_pb2.MasterResult(warnings=["from master"])
    files = {
        "master": ("master.wav", "master.flac", "master.mp3"),
        "cover": ("cover.png",),
        "waveform": ("waveform.json",),
    }
    for n in range(1, takes + 1):
        take = result.takes.add(take=n)
        for role, names in files.items():
            for name in names:
                seconds = 60 if role == "master" else 0
                take.files.add(role=role, file=name, ref=ref(n, "application/json"), duration_seconds=seconds)
        loudness = {"integrated_lufs": -14.0 - n, "range_lu": 5.5, "true_peak_dbtp": -1.1, "max_momentary_lufs": -10.1}
        analysis: dict[str, Any] = {
            "tempo": {"requested": 84, "measured": 84.1, "confidence": 0.9},
            "key": {"requested": "A minor", "measured": "A minor", "confidence": 0.8},
            "loudness": {**loudness, "max_short_term_lufs": -11.1, "gain_reduction_db": 2.2},
        }
        json_format.ParseDict(analysis, take.analysis)
    return result


def stage_result(result) -> job_pb2.StageResult:
    done = job_pb2.StageResult(cpu_seconds=0.5, gpu_seconds=0.25)
    names = {"WriteResult": "write", "ComposeResult": "compose", "MasterResult": "master"}
    getattr(done, names[result.DESCRIPTOR.name]).CopyFrom(result)
    return done


def run_stage(job, result, now):
    """Claimed two seconds after it was queued, done a second later."""
    job = jobs.advance(job, jobs.Claim(item_seq=1, worker="w-1"), now + timedelta(seconds=2))
    return jobs.advance(job, jobs.Done(stage_result(result)), now + timedelta(seconds=3))


def finished(job, now, *, takes=1, words=False):
    for number, result in enumerate((written(), composed(takes, words=words), mastered(takes))):
        job = run_stage(job, result, now + timedelta(seconds=3 * number))
    return job


@pytest.fixture
def job(capabilities, now) -> job_pb2.Job:
    spec = spec_pb2.SongSpec(prompt="rain", negative_prompt="snow", labels={"album": "rain"})
    return job_of(spec, capabilities, now)


def test_a_new_song_waits(job, now):
    song = wire.song(job, 42, now=now, queue_position=3)

    assert song.name == "songs/" + "f" * 32
    assert (song.state, song.progress, song.queue_position, song.etag) == (song_pb2.Song.QUEUED, 0, 3, "42")
    assert song.spec.prompt == song.resolved.prompt == "rain"
    assert song.expire_time.ToDatetime(tzinfo=now.tzinfo) == now + timedelta(hours=24)
    assert song.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert (song.request_id, dict(song.labels)) == ("r1", {"album": "rain"})
    assert not song.HasField("eta")
    assert not song.HasField("error")
    assert not song.HasField("delete_time")


def test_a_finished_song_says_how_it_went(job, now):
    song = wire.song(finished(job, now), 50, now=now)

    assert song.state == song_pb2.Song.SUCCEEDED
    assert song.progress == pytest.approx(1.0)
    assert [(s.name, s.state, s.attempt, s.progress) for s in song.stages] == [
        ("write", song_pb2.Song.SUCCEEDED, 1, 1.0),
        ("compose", song_pb2.Song.SUCCEEDED, 1, 1.0),
        ("master", song_pb2.Song.SUCCEEDED, 1, 1.0),
    ]
    assert song.warnings[1:] == ["from write", "from compose", "from master"]
    assert song.warnings[0].startswith("spec.negative_prompt")
    assert (song.usage.cpu_seconds, song.usage.gpu_seconds, song.usage.queue_seconds) == (1.5, 0.75, 6.0)
    assert song.usage.realtime_factor == 20.0  # 60 s of audio in three stages of a second each
    assert (song.provenance.engine, song.provenance.engine_version) == ("arranger", "0.1.0")
    assert (song.provenance.licence, song.provenance.numerics) == ("Apache-2.0", "float16, one slot")
    assert song.analysis.loudness.integrated_lufs == -15.0
    assert [u.value for u in song.understood] == ["84"]
    assert not song.HasField("expire_time")


def test_files_are_named_as_a_saved_folder_has_them(job, now):
    song = wire.song(finished(job, now, words=True), 50, now=now)

    assert [(o.role, o.file) for o in song.outputs] == [
        ("master", "master.wav"),
        ("master", "master.flac"),
        ("master", "master.mp3"),
        ("cover", "cover.png"),
        ("waveform", "waveform.json"),
        ("stem", "stems/drums.flac"),
        ("stem", "stems/bass.flac"),
        ("midi", "song.mid"),
        ("lyrics", "lyrics.txt"),
        ("lyrics", "lyrics.lrc"),
        ("lyrics", "karaoke.json"),
    ]
    assert {o.take for o in song.outputs} == {1}
    assert all(o.artifact == f"artifacts/{o.sha256}" and o.bytes >= 10_000_000 for o in song.outputs)
    assert [o.seconds for o in song.outputs[:6]] == [60, 60, 60, 0, 0, 60]


def test_each_take_has_its_files_its_seed_and_its_figures(capabilities, now):
    job = job_of(spec_pb2.SongSpec(prompt="rain", variations=3), capabilities, now)

    song = wire.song(finished(job, now, takes=3), 50, now=now)

    assert [(t.take, t.seed, t.analysis.loudness.integrated_lufs) for t in song.takes] == [
        (2, 2**64 - 2, -16.0),
        (3, 2**64 - 3, -17.0),
    ]
    assert {(o.take, o.file) for o in song.outputs if o.file.endswith("mp3")} == {(n, "master.mp3") for n in (1, 2, 3)}


def test_progress_counts_only_for_the_stage_and_the_epoch_it_is_of(job, now):
    job = run_stage(job, written(), now)
    job = jobs.advance(job, jobs.Claim(item_seq=2, worker="w-2"), now)

    def done(**said):
        return wire.share_done(job, job_pb2.Progress(**said))

    assert done(epoch=2, stage="compose", fraction=0.5) == pytest.approx(0.05 + 0.55 * 0.5)
    assert done(epoch=1, stage="compose", fraction=0.5) == pytest.approx(0.05)
    assert done(epoch=2, stage="write", fraction=0.5) == pytest.approx(0.05)
    assert wire.share_done(job, None) == pytest.approx(0.05)


def test_what_is_left_is_told_by_the_pace_so_far(job, now):
    job = run_stage(job, written(), now)
    job = jobs.advance(job, jobs.Claim(item_seq=2, worker="w-2"), now + timedelta(seconds=3))
    progress = job_pb2.Progress(epoch=2, stage="compose", fraction=0.5, message="rendering")

    event = wire.progress_event(job, progress, now + timedelta(seconds=2 + 13))

    # 13 s since the first claim for 0.325 of the song: 40 s in all.
    assert event.eta.ToTimedelta() == timedelta(seconds=27)
    assert (event.stage, event.stage_progress, event.message) == ("compose", 0.5, "rendering")


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ((jobs.Claim(1, "w"),), "RUNNING"),
        ((jobs.Claim(1, "w"), jobs.HandBack()), "RUNNING"),
        ((jobs.Claim(1, "w"), jobs.Swept()), "RUNNING"),
        ((jobs.Claim(1, "w"), jobs.Cancel()), "CANCELLING"),
        ((jobs.Claim(1, "w"), jobs.Cancel(), jobs.Stopped()), "CANCELLED"),
        ((jobs.Cancel(),), "CANCELLED"),
        ((jobs.DeadlinePassed(),), "EXPIRED"),
        ((jobs.Cancel(), jobs.Delete()), "CANCELLED"),
        ((jobs.Delete(),), "QUEUED"),
    ],
)
def test_the_public_sees_queued_until_the_first_claim_then_running_until_the_end(outcomes, state, job, now):
    for outcome in outcomes:
        job = jobs.advance(job, outcome, now)

    song = wire.song(job, 9, now=now)

    assert song_pb2.Song.State.Name(song.state) == state
    assert song.HasField("delete_time") == isinstance(outcomes[-1], jobs.Delete)


def test_a_deleted_song_tells_when_it_is_purged(job, now):
    song = wire.song(jobs.advance(job, jobs.Delete(), now), 9, now=now)

    assert song.expire_time.ToDatetime(tzinfo=now.tzinfo) == now + timedelta(days=30)


def test_a_failed_song_says_why(job, now):
    problem = type_pb2.Problem(code="INTERNAL", reason="ENGINE_FAILED", message="no sound")
    job = jobs.advance(jobs.advance(job, jobs.Claim(1, "w"), now), jobs.Permanent(problem), now)

    song = wire.song(job, 9, now=now)

    assert song.error == problem
    assert song.stages[0].state == song_pb2.Song.FAILED


def test_a_resolved_spec_is_valid_and_gives_the_same_choices(job, capabilities, now):
    spec = wire.song(finished(job, now), 50, now=now).resolved
    later = now + timedelta(days=30)

    songs.validate(spec, capabilities, later)
    again = job_of(spec, capabilities, later)

    assert (spec.title, spec.genre, spec.bpm, spec.key, spec.seed) == ("Slow Rain", "lo-fi hip-hop", 84, "A minor", 7)
    assert spec.lyrics.mode == spec_pb2.LyricsSpec.INSTRUMENTAL
    assert wire.resolved(again) == spec
    assert wire.resolved(finished(again, later)) == spec


def test_what_the_engine_does_not_take_is_not_in_the_resolved_spec(job, now):
    job.palette.not_taken.append("complexity")
    spec = wire.resolved(finished(job, now))

    assert not spec.HasField("complexity")
    assert spec.bpm == 84


def test_a_kind_that_only_the_prompt_told_is_not_a_field_of_the_resolved_spec(job, now):
    assert wire.resolved(finished(job, now)).kind == spec_pb2.SongSpec.SONG


def test_a_loop_that_the_prompt_told_is_one_in_the_resolved_spec_and_has_bars(job, now):
    job.palette.kinds.extend(["BEAT", "LOOP"])
    result = written()
    result.brief.kind, result.brief.bars = spec_pb2.SongSpec.LOOP, 8

    spec = wire.resolved(run_stage(job, result, now))

    assert (spec.kind, spec.bars) == (spec_pb2.SongSpec.LOOP, 8)
    assert not spec.HasField("duration_seconds")


def test_words_that_were_written_are_written_again(job, now):
    result = written()
    result.brief.lyrics.sections.add(name="verse").lines.add(text="la")

    spec = wire.resolved(run_stage(job, result, now))

    assert spec.lyrics.mode == spec_pb2.LyricsSpec.WRITE


def test_words_of_the_user_stay_theirs(capabilities, now):
    job = job_of(spec_pb2.SongSpec(lyrics=spec_pb2.LyricsSpec(text="[verse]\nla")), capabilities, now)

    spec = wire.resolved(run_stage(job, written(), now))

    assert (spec.lyrics.mode, spec.lyrics.text) == (spec_pb2.LyricsSpec.TEXT, "[verse]\nla")
    songs.validate(spec, capabilities, now)


def test_the_largest_record_fits_the_stream_to_its_end(capabilities, now):
    emoji = "\N{CAT FACE}"  # four bytes
    spec = spec_pb2.SongSpec(
        prompt=emoji * 2000,
        negative_prompt=emoji * 2000,
        title=emoji * 120,
        lyrics=spec_pb2.LyricsSpec(text=emoji * (limits.INLINE_LYRICS_BYTES // 4)),
        variations=8,
        labels={f"{n:02}" + emoji * 62: emoji * 64 for n in range(20)},
    )
    job = job_of(spec, capabilities, now)
    created = job.ByteSize()
    ended = finished(job, now, takes=8, words=True).ByteSize()

    assert created <= 32 * 1024
    assert ended <= RECORD_BYTES


@pytest.mark.parametrize("traceparent", ["", "00-1", "nonsense"])
def test_without_a_trace_there_is_no_trace_id(traceparent):
    assert wire.trace_id(traceparent) == ""


def test_refused_specs_say_where():
    with pytest.raises(InvalidInput, match="request_id has 65 characters"):
        songs.check_request_id("x" * 65)


def test_a_session_has_its_stems_beside_it_and_they_are_by_themselves_only_where_wanted(job, now):
    done = finished(job, now)
    take = done.stages[1].result.compose.takes[0]
    take.daw.add(file="daw/ardour/song.ardour", ref=ref(99, "application/octet-stream"))
    take.stems_also_in = "daw/ardour/audio"
    done.resolved.outputs.stems = done.resolved.outputs.midi = False
    files = [output.file for output in wire.outputs(done)]

    assert files[-len(take.stems) :] == [f"daw/ardour/audio/{stem.role}.flac" for stem in take.stems]
    assert "daw/ardour/song.ardour" in files
    assert not any(file.startswith("stems/") or file == "song.mid" for file in files)
