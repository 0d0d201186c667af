from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harmonia.song.v1 import spec_pb2
from harmonia_chassis.errors import InvalidInput
from harmonia_gateway import rules, songs

SHA = "0123456789abcdef" * 4
PATHS = sorted(rules.paths_of(spec_pb2.SongSpec.DESCRIPTOR))


def number(low: float, high: float, *, whole: bool = False) -> list[tuple[Any, str]]:
    step = 1 if whole else 1e-6
    over = [(low - step, "OUT_OF_RANGE"), (high + step, "OUT_OF_RANGE")]
    return over if whole else [*over, ("NaN", "MALFORMED"), ("Infinity", "MALFORMED"), ("-Infinity", "MALFORMED")]


def text(most: int) -> list[tuple[Any, str]]:
    return [("x" * (most + 1), "TOO_LONG"), ("a\x00b", "MALFORMED"), ("a\x1b[31m", "MALFORMED")]


def choice() -> list[tuple[Any, str]]:
    return [(77, "UNKNOWN_VALUE"), (-1, "UNKNOWN_VALUE")]


# What the contract refuses whichever engine plays. A field of SongSpec without a line here fails the test below.
BAD: Mapping[str, list[tuple[Any, str]]] = {
    "prompt": text(2000),
    "negative_prompt": text(2000),
    "kind": choice(),
    "title": [*text(120), ("two\nlines", "MALFORMED")],
    "lyrics.mode": choice(),
    "lyrics.text": text(8000),
    "lyrics.text_artifact": [({"sha256": "../etc"}, "MALFORMED"), ({"sha256": SHA, "size_bytes": 10**6}, "TOO_LONG")],
    "language": [("english please", "MALFORMED"), ("e", "MALFORMED")],
    "genre": [("polka", "UNKNOWN_VALUE"), ("x" * 65, "TOO_LONG")],
    "moods": [(["bored"], "UNKNOWN_VALUE"), (["calm"] * 9, "OUT_OF_RANGE"), (["calm", "Calm"], "MALFORMED")],
    "instruments": [(["kazoo"], "UNKNOWN_VALUE"), (["bass"] * 17, "OUT_OF_RANGE"), (["x" * 65], "TOO_LONG")],
    "complexity": number(0, 1),
    "bpm": number(40, 240),
    "key": [("H minor", "MALFORMED"), ("Am", "MALFORMED"), ("A", "MALFORMED"), ("x" * 500, "MALFORMED")],
    "time_signature": [("4/3", "UNKNOWN_VALUE"), ("four", "UNKNOWN_VALUE")],
    "duration_seconds": number(5, 600),
    "bars": number(1, 8, whole=True),
    "sections": [([{"bars": 4}] * 65, "OUT_OF_RANGE")],
    "sections.name": text(64),
    "sections.bars": [(65, "OUT_OF_RANGE"), (-1, "OUT_OF_RANGE")],
    "sections.intensity": number(0, 1),
    "sections.seed": [],
    "engine": [("nothing", "UNKNOWN_VALUE"), ("../x", "UNKNOWN_VALUE")],
    "model": [("large", "UNKNOWN_VALUE"), ("../../weights", "MALFORMED"), ("A B", "MALFORMED")],
    "seed": [],  # every uint64 is a seed
    "variations": number(1, 8, whole=True),
    "vocals": choice(),
    "conditioning.continue_from": [("songs/../x", "MALFORMED"), (f"files/{SHA}", "MALFORMED")],
    "conditioning.melody": [("artifacts/42", "MALFORMED")],
    "conditioning.strength": number(0, 1),
    "conditioning.start_seconds": number(1, 599),
    "sampling.temperature": number(0, 2),
    "sampling.top_k": number(1, 2048, whole=True),
    "sampling.guidance": number(1, 10),
    "sampling.stride_seconds": number(5, 25),
    "mastering.preset": choice(),
    "mastering.target_lufs": number(-30, -8),
    "mastering.ceiling_dbtp": number(-9, 0),
    "mastering.intensity": number(0, 1),
    "outputs.formats": [(["aiff"], "UNKNOWN_VALUE"), (["opus"], "NOT_YET_SUPPORTED")],
    "outputs.stems": [],
    "outputs.midi": [],
    "outputs.dawproject": [],
    "outputs.ardour": [],
    "labels": [
        ({str(n): "" for n in range(21)}, "OUT_OF_RANGE"),
        ({"a" * 65: ""}, "TOO_LONG"),
        ({"a": "b" * 65}, "TOO_LONG"),
        ({" ": "b"}, "MALFORMED"),
        ({"a": "\x07"}, "MALFORMED"),
    ],
    "project": [("projects/a", "MALFORMED"), ("songs/" + "a" * 32, "MALFORMED")],
    "deadline": [
        ("2026-11-21T12:00:00Z", "OUT_OF_RANGE"),
        ("2026-11-28T12:00:01Z", "OUT_OF_RANGE"),
        ("0001-01-01T00:00:00Z", "OUT_OF_RANGE"),
    ],
    "batch": [],
    "webhook": [("http://example.org/done", "MALFORMED"), ("https://" + "x" * 1993, "MALFORMED")],
}


def spec_with(path: str, value: Any, **others: Any) -> spec_pb2.SongSpec:
    for name in reversed(path.split(".")):
        value = {name: [value] if name == "sections" and not isinstance(value, list) else value}
    return json_format.ParseDict({"prompt": "rain", "engine": "anything", **others, **value}, spec_pb2.SongSpec())


@pytest.mark.parametrize("path", PATHS)
def test_every_field_of_a_spec_has_a_rule(path):
    assert path in rules.RULES
    assert path in BAD


def test_no_rule_is_left_over():
    assert sorted(rules.RULES) == PATHS == sorted(BAD)


@pytest.mark.parametrize(("path", "value", "reason"), [(p, v, r) for p in PATHS for v, r in BAD.get(p, [])])
def test_bad_value_is_refused_by_the_name_of_its_field(path, value, reason, capabilities, now):
    spec = spec_with(path, value)

    with pytest.raises(InvalidInput) as caught:
        songs.validate(spec, capabilities, now)

    assert caught.value.reason == reason
    assert caught.value.field.replace("[0]", "") == f"spec.{path}"
    assert caught.value.field in str(caught.value)


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("bpm", [40, 240]),
        ("duration_seconds", [5, 600]),
        ("complexity", [0, 1]),
        ("variations", [1, 8]),
        ("seed", [0, 2**64 - 1]),
        ("title", ["x" * 120, "שיר אהבה", "🌧 rain"]),
        ("prompt", ["🌧" * 2000, "ליל גשם\nשני", "line\r\n\tline"]),
        ("mastering.target_lufs", [-30, -8]),
        ("mastering.ceiling_dbtp", [-9, 0]),
        ("labels", [{f"k{n}": "v" * 64 for n in range(20)}, {"ключ": ""}]),
        ("key", ["a minor", "F♯ Major", "Bb dorian"]),
        ("deadline", ["2026-11-21T12:00:01Z", "2026-11-28T12:00:00Z"]),
        ("outputs.formats", [["WAV"], ["flac", "mp3"]]),
        ("genre", ["TECHNO"]),
    ],
)
def test_the_limits_themselves_are_allowed(path, good, capabilities, now):
    for value in good:
        assert songs.validate(spec_with(path, value), capabilities, now) == ()


@pytest.mark.parametrize(
    ("path", "value", "reason", "told"),
    [
        ("kind", "LOOP", "NOT_SUPPORTED", "anything"),
        ("bars", 4, "NOT_YET_SUPPORTED", "arranger"),
        ("sections", [{"name": "verse"}], "NOT_YET_SUPPORTED", "arranger"),
        ("vocals", "GUIDE", "NOT_SUPPORTED", "anything"),
        ("conditioning.melody", f"artifacts/{SHA}", "NOT_YET_SUPPORTED", "arranger"),
        ("sampling.temperature", 1, "NOT_SUPPORTED", "anything"),
        ("sampling.top_k", 5, "NOT_SUPPORTED", "anything"),
        ("model", "small", "NOT_SUPPORTED", "anything"),
        ("time_signature", "3/4", "NOT_SUPPORTED", "anything"),
        ("language", "de", "NOT_SUPPORTED", "anything"),
        ("genre", "ska", "NOT_SUPPORTED", "anything"),
        ("genre", "opera", "UNKNOWN_VALUE", "lo-fi hip-hop, techno, folk"),
        ("moods", ["calm", "silly"], "UNKNOWN_VALUE", "calm, dark, warm"),
    ],
)
def test_what_the_engine_does_not_take_is_refused_with_the_way_out(path, value, reason, told, capabilities, now):  # noqa: PLR0917  # a table
    with pytest.raises(InvalidInput) as caught:
        songs.validate(spec_with(path, value, engine="arranger"), capabilities, now)

    assert caught.value.reason == reason
    assert caught.value.field.startswith(f"spec.{path}")
    assert told in str(caught.value)


def test_a_time_signature_no_engine_has_is_of_a_later_release(capabilities, now):
    del capabilities.engines[1]

    with pytest.raises(InvalidInput, match="4/4") as caught:
        songs.validate(spec_with("time_signature", "3/4", engine="arranger"), capabilities, now)

    assert caught.value.reason == "NOT_YET_SUPPORTED"


def test_a_hint_is_a_warning_and_not_a_refusal(capabilities, now):
    warnings = songs.validate(spec_with("negative_prompt", "no drums", engine="arranger"), capabilities, now)

    assert [w.split(":")[0] for w in warnings] == ["spec.negative_prompt"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"lyrics": {"mode": "INSTRUMENTAL", "text": "la"}}, "lyrics.mode"),
        ({"lyrics": {"mode": "WRITE", "text": "la"}}, "lyrics.mode"),
        ({"lyrics": {"mode": "TEXT"}}, "lyrics.text"),
        ({"lyrics": {"text": "la", "text_artifact": {"sha256": SHA}}}, "lyrics.text_artifact"),
        ({"kind": "LOOP", "duration_seconds": 8}, "duration_seconds"),
        ({"bars": 4}, "bars"),
        ({"kind": "BEAT", "bars": 4}, "bars"),
        ({"vocals": "GUIDE", "lyrics": {"mode": "INSTRUMENTAL"}}, "vocals"),
        ({"mastering": {"preset": "NONE", "target_lufs": -14}}, "mastering.target_lufs"),
        ({"conditioning": {"strength": 1}}, "conditioning.strength"),
        ({"conditioning": {"melody": f"artifacts/{SHA}", "start_seconds": 1}}, "conditioning.start_seconds"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(fields, field, capabilities, now):
    spec = json_format.ParseDict({"prompt": "rain", "engine": "anything", **fields}, spec_pb2.SongSpec())

    with pytest.raises(InvalidInput) as caught:
        songs.validate(spec, capabilities, now)

    assert (caught.value.reason, caught.value.field) == ("CONTRADICTORY", f"spec.{field}")


@pytest.mark.parametrize("fields", [{}, {"prompt": "  \n"}, {"bpm": 84}, {"lyrics": {"mode": "WRITE"}}])
def test_a_spec_that_says_nothing_is_refused(fields, capabilities, now):
    with pytest.raises(InvalidInput, match=r"lyrics\.text or a genre") as caught:
        songs.validate(json_format.ParseDict(fields, spec_pb2.SongSpec()), capabilities, now)

    assert caught.value.field == "spec.prompt"


@pytest.mark.parametrize("fields", [{"genre": "techno"}, {"lyrics": {"text": "[verse]\nla"}}, {"prompt": "rain"}])
def test_a_genre_or_words_or_a_prompt_is_enough(fields, capabilities, now):
    assert songs.validate(json_format.ParseDict(fields, spec_pb2.SongSpec()), capabilities, now) == ()


@pytest.mark.parametrize("place", ["", "mastering", "outputs", "lyrics"])
def test_a_field_this_version_does_not_know_is_refused_by_number(place, capabilities, now):
    spec = spec_pb2.SongSpec(prompt="rain")
    message = getattr(spec, place) if place else spec
    message.MergeFromString(b"\xf8\x06\x01")  # field 111, varint 1

    with pytest.raises(InvalidInput, match="number 111") as caught:
        songs.validate(spec, capabilities, now)

    assert caught.value.reason == "UNKNOWN_FIELD"
    assert caught.value.field == (f"spec.{place}" if place else "spec")


def resolved_of(spec, capabilities, seed=7):
    return songs.resolve(spec, capabilities, draw_seed=lambda: seed)


def test_resolve_fixes_what_costs_nothing(capabilities):
    resolved = resolved_of(spec_pb2.SongSpec(prompt="rain", genre="Techno", key="a♭ MINOR"), capabilities)

    assert json_format.MessageToDict(resolved, preserving_proto_field_name=True) == {
        "kind": "SONG",
        "lyrics": {"mode": "AUTO"},
        "genre": "techno",
        "key": "Ab minor",
        "duration_seconds": 60.0,
        "engine": "arranger",
        "seed": "7",
        "variations": 1,
        "vocals": "OFF",
        "mastering": {"preset": "STREAMING", "target_lufs": -14.0, "ceiling_dbtp": -1.0, "intensity": 0.5},
        "outputs": {"formats": ["wav", "flac", "mp3"], "stems": True, "midi": True},
    }


@pytest.mark.parametrize(
    ("preset", "target_lufs"), [("STREAMING", -14), ("PODCAST", -16), ("BROADCAST", -23), ("LOUD", -9)]
)
def test_each_preset_has_its_target(preset, target_lufs, capabilities):
    resolved = resolved_of(spec_with("mastering.preset", preset), capabilities)

    assert resolved.mastering.target_lufs == target_lufs
    assert resolved.mastering.ceiling_dbtp == -1


def test_preset_none_has_no_target(capabilities):
    assert not resolved_of(spec_with("mastering.preset", "NONE"), capabilities).mastering.HasField("target_lufs")


def test_a_target_of_the_user_wins_over_the_preset(capabilities):
    resolved = resolved_of(spec_with("mastering", {"preset": "LOUD", "target_lufs": -11}), capabilities)

    assert resolved.mastering.target_lufs == -11


def test_a_given_seed_is_kept_even_when_it_is_zero(capabilities):
    assert resolved_of(spec_with("seed", 0), capabilities).seed == 0


def test_a_loop_has_four_bars_and_no_duration(capabilities):
    resolved = resolved_of(spec_with("kind", "LOOP"), capabilities)

    assert resolved.bars == 4
    assert not resolved.HasField("duration_seconds")


specs = st.builds(
    spec_pb2.SongSpec,
    prompt=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=200).filter(str.strip),
    negative_prompt=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=50),
    title=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=120),
    genre=st.sampled_from(["", "techno", "Folk", "LO-FI HIP-HOP"]),
    moods=st.lists(st.sampled_from(["calm", "dark", "warm"]), unique=True),
    instruments=st.lists(st.sampled_from(["rhodes", "Drums", "bass"]), unique=True),
    bpm=st.none() | st.floats(40, 240),
    complexity=st.none() | st.floats(0, 1),
    duration_seconds=st.none() | st.floats(5, 600),
    key=st.sampled_from(["", "A minor", "f# major", "B♭ dorian"]),
    seed=st.none() | st.integers(0, 2**64 - 1),
    variations=st.none() | st.integers(1, 8),
    batch=st.booleans(),
    labels=st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz")),
)


@given(spec=specs)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the fixtures are only read
def test_a_resolved_spec_is_valid_and_resolves_to_itself(spec, capabilities, now):
    songs.validate(spec, capabilities, now)
    first = resolved_of(spec, capabilities)
    again = spec_pb2.SongSpec()
    again.CopyFrom(first)
    again.prompt = spec.prompt

    songs.validate(again, capabilities, now)

    assert resolved_of(again, capabilities, seed=8) == first


REQUESTER = songs.Requester(tenant="local", owner="user", request_id="r1", traceparent="00-" + "a" * 32)


def planned(spec, capabilities, now, **changes):
    values = {"id": "f" * 32, "spec_digest": songs.digest(spec), "grant": "g", "warnings": ("w",), **changes}
    return songs.plan(spec, resolved_of(spec, capabilities), REQUESTER, capabilities=capabilities, now=now, **values)


def test_a_plan_is_write_compose_master(capabilities, now):
    job = planned(spec_pb2.SongSpec(prompt="rain"), capabilities, now)

    assert [(s.name, s.lane) for s in job.stages] == [
        ("write", "write"),
        ("compose", "compose-arranger"),
        ("master", "master"),
    ]
    assert (job.kind, job.tenant, job.owner, job.request_id, job.drive) == ("song", "local", "user", "r1", 1)
    assert job.deadline.ToDatetime(tzinfo=now.tzinfo) == now + timedelta(hours=24)
    assert list(job.palette.genres) == ["lo-fi hip-hop", "techno", "folk"]
    assert list(job.palette.time_signatures) == ["4/4"]
    assert not job.palette.not_taken


def test_a_batch_song_goes_by_the_background_lanes(capabilities, now):
    job = planned(spec_pb2.SongSpec(prompt="rain", batch=True), capabilities, now)

    assert [s.lane for s in job.stages] == ["write-batch", "compose-arranger-batch", "master-batch"]
    assert job.batch


def test_prose_is_kept_once(capabilities, now):
    job = planned(spec_pb2.SongSpec(prompt="rain", negative_prompt="snow", labels={"a": "b"}), capabilities, now)

    assert (job.spec.prompt, job.spec.negative_prompt, dict(job.spec.labels)) == ("rain", "snow", {"a": "b"})
    assert (job.resolved.prompt, job.resolved.negative_prompt, dict(job.resolved.labels)) == ("", "", {})


def test_the_same_request_of_the_same_owner_is_the_same_song():
    def id_of(tenant="local", owner="user", request_id="r1"):
        return songs.song_id(songs.Requester(tenant=tenant, owner=owner, request_id=request_id), new_id=lambda: "new")

    ids = {id_of(), id_of(tenant="other"), id_of(owner="other"), id_of(request_id="r2"), id_of(request_id="")}

    assert id_of() == id_of()
    assert len(ids) == 5
    assert id_of(request_id="") == "new"
    assert len(id_of()) == 32


def test_names_that_only_look_alike_when_joined_are_different_songs():
    one = songs.Requester(tenant="a", owner="b/c", request_id="d")
    two = songs.Requester(tenant="a/b", owner="c", request_id="d")

    assert songs.song_id(one, new_id=str) != songs.song_id(two, new_id=str)


def test_a_digest_does_not_depend_on_the_order_of_labels():
    one, two = spec_pb2.SongSpec(), spec_pb2.SongSpec()
    for name in "abcdef":
        one.labels[name] = name
    for name in "fedcba":
        two.labels[name] = name

    assert songs.digest(one) == songs.digest(two)
    assert songs.digest(one) != songs.digest(spec_pb2.SongSpec(labels={"a": "a"}))


def test_an_estimate_grows_with_length_takes_and_queue(capabilities):
    def estimate(ahead=0, **fields):
        spec = json_format.ParseDict({"prompt": "rain", **fields}, spec_pb2.SongSpec())
        return songs.estimate(resolved_of(spec, capabilities), capabilities, ahead=ahead)

    short, long = estimate(duration_seconds=60), estimate(duration_seconds=120)

    assert long.cpu_seconds > short.cpu_seconds
    assert estimate(variations=2).bytes == long.bytes
    assert estimate(ahead=3).wall_seconds == pytest.approx(4 * short.wall_seconds)
    assert estimate(ahead=3).queue_seconds == pytest.approx(3 * short.wall_seconds)
    assert (
        short.bytes
        > estimate(outputs={"stems": False}).bytes
        > estimate(outputs={"stems": False, "formats": ["mp3"]}).bytes
    )
    assert estimate(engine="anything").gpu_seconds == pytest.approx(30)
