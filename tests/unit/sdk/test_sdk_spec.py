"""What people write becomes a SongSpec, or is refused by the name of the field."""

import json
from datetime import UTC, datetime

import pytest
from google.protobuf import json_format

from harmonia.song.v1.spec_pb2 import LyricsSpec, Mastering, SongSpec
from harmonia_sdk.errors import InvalidInput, Reason
from harmonia_sdk.spec import fill, set_text, song_spec, spec_from_json


def test_keywords_set_fields_parts_lists_and_maps() -> None:
    spec = song_spec(
        "rain",
        {
            "bpm": 84,
            "moods": ["warm"],
            "mastering": {"preset": "LOUD", "target_lufs": -9.5},
            "sections": [{"name": "intro", "bars": 4}],
            "labels": {"album": "tea"},
            "lyrics": LyricsSpec(mode=LyricsSpec.WRITE),
            "deadline": datetime(2030, 1, 2, tzinfo=UTC),
        },
    )

    assert (spec.prompt, spec.bpm, list(spec.moods), dict(spec.labels)) == ("rain", 84.0, ["warm"], {"album": "tea"})
    assert (spec.mastering.preset, spec.mastering.target_lufs) == (Mastering.LOUD, -9.5)
    assert (spec.sections[0].name, spec.sections[0].bars, spec.lyrics.mode) == ("intro", 4, LyricsSpec.WRITE)
    assert spec.deadline.ToDatetime(UTC) == datetime(2030, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize("proto_names", [True, False])
def test_json_is_read_in_both_spellings_as_protobuf_writes_it(proto_names: bool) -> None:
    spec = SongSpec(prompt="雨 🌧", duration_seconds=30, seed=2**64 - 1, key="A minor", batch=True, vocals=SongSpec.OFF)
    spec.outputs.formats.extend(["wav", "mp3"])
    spec.outputs.stems = False
    spec.labels["a.b"] = "c"
    spec.deadline.FromJsonString("2030-01-02T03:04:05.5Z")
    written = json_format.MessageToJson(spec, preserving_proto_field_name=proto_names)

    assert spec_from_json(written.encode()) == spec


def test_a_saved_song_gives_its_resolved_spec_without_the_old_deadline() -> None:
    resolved = {"prompt": "rain", "seed": "7", "bpm": 84, "deadline": "2020-01-01T00:00:00Z"}
    saved = {"name": "songs/1", "spec": {"prompt": "rain"}, "resolved": resolved, "state": "SUCCEEDED"}

    assert spec_from_json(json.dumps(saved).encode()) == SongSpec(prompt="rain", seed=7, bpm=84)


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ('{"bmp": 84}', "spec.bmp", Reason.UNKNOWN_FIELD),
        ('{"mastering": {"loud": 1}}', "spec.mastering.loud", Reason.UNKNOWN_FIELD),
        ('{"sections": [{"name": "intro"}, {"bar": 1}]}', "spec.sections[1].bar", Reason.UNKNOWN_FIELD),
        ('{"bpm": "fast"}', "spec.bpm", Reason.MALFORMED),
        ('{"bpm": true}', "spec.bpm", Reason.MALFORMED),
        ('{"seed": -1}', "spec.seed", Reason.OUT_OF_RANGE),
        ('{"seed": 18446744073709551616}', "spec.seed", Reason.OUT_OF_RANGE),
        ('{"variations": 1.5}', "spec.variations", Reason.MALFORMED),
        ('{"variations": 4294967296}', "spec.variations", Reason.OUT_OF_RANGE),
        ('{"kind": "OPERA"}', "spec.kind", Reason.UNKNOWN_VALUE),
        ('{"kind": 9}', "spec.kind", Reason.UNKNOWN_VALUE),
        ('{"moods": "warm"}', "spec.moods", Reason.MALFORMED),
        ('{"moods": [1]}', "spec.moods[0]", Reason.MALFORMED),
        ('{"lyrics": "la la"}', "spec.lyrics", Reason.MALFORMED),
        ('{"labels": {"a": 1}}', "spec.labels.a", Reason.MALFORMED),
        ('{"batch": "yes"}', "spec.batch", Reason.MALFORMED),
        ('{"deadline": "soon"}', "spec.deadline", Reason.MALFORMED),
        ('{"prompt": "\\ud800"}', "spec.prompt", Reason.MALFORMED),
        ('{"duration_seconds": 1, "durationSeconds": 2}', "spec.duration_seconds", Reason.MALFORMED),
        ('{"bpm": 1, "bpm": 2}', "spec", Reason.MALFORMED),
        ("[]", "spec", Reason.MALFORMED),
        ("{", "spec", Reason.MALFORMED),
        ("[" * 100_000, "spec", Reason.MALFORMED),
        ('{"name": "songs/1", "spec": {}}', "spec.resolved", Reason.MALFORMED),
        (json.dumps({"prompt": "x" * 5_000_000}), "spec.prompt", Reason.TOO_LONG),
    ],
)
def test_what_a_spec_cannot_mean_is_refused_by_name(text: str, field: str, reason: Reason) -> None:
    with pytest.raises(InvalidInput) as caught:
        spec_from_json(text.encode())

    assert (caught.value.field, caught.value.reason) == (field, reason)
    assert len(caught.value.message) < 600


def test_a_number_that_is_none_is_left_to_the_mesh_to_refuse() -> None:
    spec = spec_from_json(b'{"bpm": NaN, "complexity": "Infinity"}')

    assert spec.bpm != spec.bpm
    assert spec.complexity == float("inf")


def test_null_is_absent() -> None:
    assert spec_from_json(b'{"bpm": null}') == SongSpec()


def test_a_nul_byte_in_a_prompt_arrives_as_it_is() -> None:
    assert spec_from_json(b'{"prompt": "a\\u0000b"}').prompt == "a\0b"


@pytest.mark.parametrize(
    ("path", "texts", "expected"),
    [
        ("sampling.temperature", ["0.8"], {"sampling": {"temperature": 0.8}}),
        ("spec.title", ["Rain = Tea"], {"title": "Rain = Tea"}),
        ("moods", ["warm, calm", "sad"], {"moods": ["warm", "calm", "sad"]}),
        ("moods", ['["a,b"]'], {"moods": ["a,b"]}),
        ("labels.album.side", ["B"], {"labels": {"album.side": "B"}}),
        ("outputs.midi", ["false"], {"outputs": {"midi": False}}),
        ("batch", ["True"], {"batch": True}),
        ("mastering.preset", ["podcast"], {"mastering": {"preset": "PODCAST"}}),
        ("durationSeconds", ["12.5"], {"duration_seconds": 12.5}),
        ("sections", ['[{"name": "intro", "bars": 2}]'], {"sections": [{"name": "intro", "bars": 2}]}),
        ("deadline", ["2030-01-02T03:04:05Z"], {"deadline": "2030-01-02T03:04:05Z"}),
    ],
)
def test_set_reaches_every_kind_of_field(path: str, texts: list[str], expected: dict[str, object]) -> None:
    spec, same = SongSpec(), SongSpec()
    set_text(spec, path, texts)
    fill(same, expected)

    assert spec == same


def test_set_replaces_what_the_file_said() -> None:
    spec = song_spec("rain", {"moods": ["sad"], "bpm": 60})
    set_text(spec, "moods", ["warm"])
    set_text(spec, "bpm", ["84"])

    assert (list(spec.moods), spec.bpm) == (["warm"], 84)


@pytest.mark.parametrize("path", ["", "bmp", "sampling.heat", "prompt.x", "moods.0", "a\x1b[31mb", "." * 50])
def test_set_refuses_a_path_to_nowhere(path: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        set_text(SongSpec(), path, ["1"])

    assert caught.value.reason == Reason.UNKNOWN_FIELD
    assert "\x1b" not in caught.value.message


def test_a_misspelt_field_is_answered_with_the_right_one() -> None:
    with pytest.raises(InvalidInput, match="did you mean duration_seconds"):
        spec_from_json(b'{"duration_second": 5}')
