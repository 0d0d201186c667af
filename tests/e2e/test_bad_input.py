"""Whatever a stranger sends to a running mesh: refused by the field's name, in one line, and nothing is queued.

The table has a row for every field of SongSpec that can be wrong; a field without one fails the test.
"""

import asyncio
import json
import string
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from harmonia.song.v1.spec_pb2 import Section, SongSpec
from harmonia_chassis.status import rpc_errors
from harmonia_gateway.rules import paths_of
from harmonia_sdk.client import AsyncClient
from harmonia_sdk.errors import HarmoniaError, InvalidInput
from harmonia_sdk.spec import spec_from_json
from tests.e2e.cli.command import HARMONIA, environment, harmonia

pytestmark = pytest.mark.timeout(180)

HUGE = 10**400
LONG = "x" * 10_000
DIGEST = "0" * 64

# JSON of the field, several to a row; the name of the proto file, whatever the JSON's spelling.
WRONG: dict[str, Sequence[str]] = {
    "prompt": [f'"{LONG}"', '""', '" "', '"a\\u0000b"', '"\\ud800"', "7", "[]", "true", '"\\u001b[2J"'],
    "negative_prompt": [f'"{LONG}"', '"\\u0000"', "{}"],
    "kind": ['"OPERA"', "9", "-1", "1.5", "true", '"loop "', "[]"],
    "title": [f'"{LONG}"', '"two\\nlines"', "1"],
    "lyrics": ["[]", '"words"', '{"wrods": ""}'],
    "lyrics.mode": ['"SUNG"', "12", "1.5"],
    "lyrics.text": [f'"{"la " * 4000}"', '"\\u0007"', "[]"],
    "lyrics.text_artifact": ['{"sha256": "x"}', f'{{"sha256": "{DIGEST}", "size_bytes": "-1"}}', '"x"'],
    "language": ['"klingon!"', '"x"', '"tlh"', "3"],
    "genre": ['"polka"', f'"{LONG}"', '"\\u202e"', "[]"],
    "moods": ['["purple"]', '"happy"', '["happy", "happy"]', json.dumps(["m"] * 9), "[1]", "[null]"],
    "instruments": ['["kazoo"]', json.dumps(list(string.ascii_letters)), "{}", '[""]'],
    "complexity": ["1.1", "-0.1", "NaN", "Infinity", "-Infinity", "1e999", '"much"', "true", str(HUGE)],
    "bpm": ["39.9", "240.1", "0", "-84", "NaN", '"fast"', "[84]", '{"value": 84}', str(HUGE)],
    "key": ['"H minor"', '"A"', '"A  "', f'"{LONG}"', "5"],
    "time_signature": ['"4/3"', '"9/4"', '"four"', "4"],
    "duration_seconds": ["4.9", "600.1", "0", "-60", "NaN", "Infinity", '"1 min"', "1e308", "false"],
    "bars": ["0", "9", "4", "-1", "2147483648", "1.5", '"four"'],
    "sections": ["{}", json.dumps([{"name": "verse", "bars": 4}] * 65), '["verse"]'],
    "sections.name": [f'"{LONG}"', "1"],
    "sections.bars": ["65", "-1", "1e99"],
    "sections.intensity": ["2", "NaN", '"loud"'],
    "sections.seed": [str(2**64), "-1", "1.5"],
    "engine": ['"orchestra"', '"Arranger"', '"../arranger"', "1", f'"{LONG}"'],
    "model": ['"large"', '"a/b"', "[]"],
    "seed": [str(2**64), "-1", "1.5", '"abc"', "NaN", "1e400", "true"],
    "variations": ["0", "9", "-1", "1.5", "1e10", '"two"'],
    "vocals": ['"LOUD"', "99", "[]"],
    "conditioning": ["[]", '"song"'],
    "conditioning.continue_from": ['"songs/x"', f'"songs/{"0" * 32}"', f'"artifacts/{DIGEST}"'],
    "conditioning.melody": ['"x"', f'"artifacts/{DIGEST}"'],
    "conditioning.strength": ["0.5", "2", "NaN"],
    "conditioning.start_seconds": ["1", "-1"],
    "sampling": ["1"],
    "sampling.temperature": ["0.8", "2.1", "-1", "NaN", '"hot"'],
    "sampling.top_k": ["250", "0", "2049", "1.5"],
    "sampling.guidance": ["3", "0", "11"],
    "sampling.stride_seconds": ["18", "4", "26"],
    "mastering": ['"LOUD"', "[]"],
    "mastering.preset": ['"LOUDEST"', "77", "true"],
    "mastering.target_lufs": ["-30.1", "-7.9", "0", "NaN", '"loud"'],
    "mastering.ceiling_dbtp": ["-9.1", "0.1", "Infinity"],
    "mastering.intensity": ["1.1", "-0.1", "NaN"],
    "outputs": ['"wav"', '{"format": ["wav"]}'],
    "outputs.formats": ['["wma"]', '["opus", "aac"]', '"wav"', "[3]", '[""]'],
    "outputs.stems": ["1", '"yes"', "[]"],
    "outputs.midi": ["0", '"no"'],
    "outputs.dawproject": ['"true"', "1"],
    "outputs.ardour": ['"no"', "{}"],
    "labels": [
        json.dumps({f"k{n}": "v" for n in range(21)}), json.dumps({"k" * 65: "v"}), json.dumps({"k": "v" * 65}),
        '{"k": 1}', '{" ": "v"}', '{"k": "\\u0000"}', "[]", '{"k": null}',
    ],
    "project": ['"projects/p"', "1"],
    "deadline": [
        '"2001-01-01T00:00:00Z"', '"2999-01-01T00:00:00Z"', '"soon"', "1", '"0000-00-00T00:00:00Z"', "{}",
    ],
    "batch": ["1", '"true"', "[]"],
    "webhook": ['"https://example.com"', "1"],
}  # fmt: skip
# What is said of another field than the one that is wrong.
LATER = dict.fromkeys(("sections.name", "sections.bars", "sections.intensity", "sections.seed"), "sections")
NO_SPEC = [
    "", "{", "[]", "null", '"folk"', '{"prompt": "folk", "prompt": "techno"}', '{"prompt": "folk"} {}', "\u0000",
    '{"prompt": "folk", "bpm": 84', "[" * 100_000, "<xml/>",
]  # fmt: skip
UNKNOWN = {
    '{"prompt": "folk", "tempo": 84}': "spec.tempo",
    '{"prompt": "folk", "Bpm": 84}': "spec.Bpm",
    '{"prompt": "folk", "lyrics": {"words": "la"}}': "spec.lyrics.words",
    '{"prompt": "folk", "sections": [{"name": "a", "bars": 4, "key": "A minor"}]}': "spec.sections[0].key",
    '{"prompt": "folk", "durationSeconds": 1}': "spec.duration_seconds",
    '{"prompt": "folk", "duration_seconds": 60, "durationSeconds": 60}': "spec.duration_seconds",
    '{"prompt": "folk", "timeSignature": "9/4"}': "spec.time_signature",
    '{"prompt": "folk", "mastering": {"targetLufs": -3}}': "spec.mastering.target_lufs",
    '{"prompt": "folk", "outputs": {"dawProject": true}}': "spec.outputs.dawProject",
    '{"name": "songs/1", "spec": {"prompt": "folk"}}': "spec.resolved",
    '{"prompt": "folk", "": 1}': "spec.",
}


def spec_with(path: str, value: str) -> bytes:
    """A spec that is fine but for this one field."""
    *parents, last = path.split(".")
    text = f'{{"{last}": {value}}}'
    for parent in reversed(parents):
        text = f'{{"{parent}": [{text}]}}' if parent == "sections" else f'{{"{parent}": {text}}}'
    prompt = "" if path == "prompt" else '"prompt": "folk", '
    return f"{{{prompt}{text[1:]}".encode()


async def complaint(client: AsyncClient, text: bytes, field: str) -> str:
    """What is wrong with how it was refused; empty: nothing."""
    try:
        song = await client.create(spec_from_json(text))
    except HarmoniaError as error:
        shown, told = error.field, f"{error.code} {error.field!r} {error.message!r}"
        fine = isinstance(error, InvalidInput) and shown.startswith(field) and "\n" not in error.message
        return "" if fine else f"{text[:80]!r} expected {field}: {told}"
    return f"{text[:80]!r} became {song.name}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a mesh that runs."""
    place = tmp_path_factory.mktemp("home")
    with subprocess.Popen([HARMONIA, "up", "--json"], env=environment(place), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield place
            process.terminate()
            process.communicate(timeout=60)
        finally:
            process.kill()  # of a failure only: by now it has ended


@pytest.fixture
async def client(home: Path) -> AsyncIterator[AsyncClient]:
    """Whatever the test does with it, nothing may be queued."""
    async with AsyncClient(home=home) as to_mesh:
        yield to_mesh
        assert (await to_mesh.list()).total_size == 0


async def test_every_field_that_is_wrong_is_refused_by_its_name(client: AsyncClient) -> None:
    of_specs = [(spec_with(path, value), f"spec.{LATER.get(path, path)}") for path in WRONG for value in WRONG[path]]
    of_texts = [(text.encode(), "spec") for text in NO_SPEC]
    unknown = [(text.encode(), field) for text, field in UNKNOWN.items()]
    complaints = [await complaint(client, *row) for row in (*of_specs, *of_texts, *unknown)]

    assert [one for one in complaints if one] == []
    assert set(paths_of(SongSpec.DESCRIPTOR)) <= set(WRONG), "a field without a row"


def not_of_the_contract() -> SongSpec:
    return SongSpec.FromString(SongSpec(prompt="folk").SerializeToString() + b"\xf8\x3f\x01")


RAW = [
    (SongSpec(prompt="folk", kind=77), "spec.kind"),  # type: ignore[arg-type]  # no kind of this contract
    (SongSpec(prompt="folk", bpm=float("nan")), "spec.bpm"),
    (SongSpec(prompt="folk", complexity=float("-inf")), "spec.complexity"),
    (SongSpec(prompt="folk", lyrics={"text": "la\0la"}), "spec.lyrics.text"),  # type: ignore[arg-type]  # as a dict
    (SongSpec(prompt="folk", sections=[Section()] * 100_000), "spec.sections"),
    (not_of_the_contract(), "spec"),
    (SongSpec(prompt="x" * 5_000_000), ""),
]


@pytest.mark.parametrize(("spec", "field"), RAW, ids=[f"{n}" for n in range(len(RAW))])
async def test_what_no_json_can_say_is_refused_by_the_gateway(client: AsyncClient, spec: SongSpec, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await client.create(spec)

    assert (caught.value.field, "\n" in caught.value.message) == (field, False)


async def test_bytes_that_are_no_message_are_the_callers_to_change(client: AsyncClient) -> None:
    create: Any = client._channel.unary_unary("/harmonia.song.v1.SongService/CreateSong")
    upload: Any = client._channel.stream_unary("/harmonia.artifact.v1.ArtifactService/UploadArtifact")
    for call in (create(b"\xff\xff\xff"), upload(iter([b"\xff\xff\xff"]))):
        with pytest.raises(InvalidInput, match="no message of this method"), rpc_errors():
            await call


def files_in(folder: Path) -> None:
    (folder / "cut.json").write_text('{"prompt": "folk", "bpm": 84')
    (folder / "noise.json").write_bytes(bytes(range(256)) * 20)
    (folder / "nan.json").write_text('{"prompt": "folk", "bpm": NaN}')
    (folder / "camel.json").write_text('{"prompt": "folk", "durationSeconds": 1}')
    (folder / "folder").mkdir()
    (folder / "held").mkdir()
    (folder / "held" / "song.json").write_text('{"name": "songs/another"}')


TYPED: list[tuple[Sequence[str], int, str]] = [
    (["compose", "folk", "--set", "bpm=Infinity"], 2, "spec.bpm"),
    (["compose", "--spec", "nan.json"], 2, "spec.bpm"),
    (["compose", "--spec", "camel.json"], 2, "spec.duration_seconds"),
    (["compose", "--spec", "cut.json"], 2, "spec"),
    (["compose", "--spec", "noise.json"], 2, "spec"),
    (["compose", "--spec", "folder"], 2, "spec"),
    (["compose", "--spec", "missing.json"], 2, "spec"),
    (["compose"], 2, "prompt"),
    (["compose", ""], 2, "spec.prompt"),
    (["compose", LONG], 2, "spec.prompt"),
    (["compose", "folk\udcff"], 2, "spec.prompt"),
    (["compose", "folk", "--seed", str(2**64)], 2, "spec.seed"),
    (["compose", "folk", "--bpm", "84", "--bpm", "900"], 2, "spec.bpm"),
    (["compose", "folk", "--set", "title=\x1b[2J"], 2, "spec.title"),
    (["compose", "folk", "--bogus"], 2, "bogus"),
    (["compose", "folk", "--out", "held"], 5, "out"),
    (["compose", "folk", "--out", "cut.json"], 2, "out"),
    (["compose", "folk", "--out", "/proc/song"], 2, "out"),
]


async def test_a_command_says_it_in_one_line_and_its_exit_code(client: AsyncClient, home: Path, tmp_path: Path) -> None:
    files_in(tmp_path)
    for n, (arguments, code, field) in enumerate(TYPED):
        as_json = ["--json"] if n % 2 else []
        told = await asyncio.to_thread(harmonia, *arguments, *as_json, home=home, cwd=tmp_path)

        assert (told.code, told.out, told.err.count("\n")) == (code, "", 1), (arguments, told)
        assert "Traceback" not in told.err
        assert told.error["field"] == field if as_json else field.removeprefix("spec.") in told.err, (arguments, told)


async def test_emoji_and_right_to_left_text_are_text(client: AsyncClient) -> None:
    for prompt in ("folk 🌧️ 👩‍👩‍👧", "folk מטר 雨 مطر\u202e", "folk\tand\nrain", "folk " + "é" * 1995):
        assert (await client.create(SongSpec(prompt=prompt), validate_only=True)).spec.prompt == prompt
