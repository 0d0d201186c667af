"""What files say of where they come from: Ogg pages, marks for machines, provenance; read back by other programs."""

import hashlib
import json
import shutil
import subprocess
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from tinytag import TinyTag

from harmonia_mastering.encode import LOSSY, Format, Order, fill
from harmonia_mastering.master import PRESETS, Preset, master
from harmonia_mastering.ogg import with_ogg_comment
from harmonia_mastering.provenance import Origin, digests, provenance_json
from harmonia_mastering.tags import SourceType, Tags, vorbis_comment, xmp
from harmonia_mastering.true_peak import Samples

RATE_HZ = 48_000
LONG_WORDS = "雨が降る & <la la>\n" * 2_000
TAGS = Tags(title="Rain & <Tea> 雨", lyrics=LONG_WORDS, comment="ab" * 32, source_type=SourceType.TRAINED)
URI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


def chord(seconds: float = 2.0) -> Samples:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.ascontiguousarray(
        [0.2 * np.sin(2 * np.pi * hz * time) + 0.2 * np.sin(2 * np.pi * 1.5 * hz * time) for hz in (220.0, 221.0)],
        dtype=np.float32,
    )


def written(folder: Path, to: Format, samples: Samples, tags: Tags = TAGS) -> Path:
    np.save(folder / "samples.npy", samples)
    fill(Order(folder / "samples.npy", RATE_HZ, to, tags, folder / to.file))
    return folder / to.file


@pytest.mark.parametrize("to", list(Format))
def test_long_words_and_the_mark_for_machines_survive_every_format(to: Format, tmp_path: Path) -> None:
    tag = TinyTag.get(written(tmp_path, to, chord()))
    others = {key.lower(): value for key, value in tag.other.items()}

    assert tag.title == TAGS.title
    assert others["lyrics"] == [LONG_WORDS.rstrip("\n")] or others["lyrics"] == [LONG_WORDS]
    assert others["digitalsourcetype"] == [URI]


@pytest.mark.parametrize("to", list(Format))
def test_the_same_samples_are_the_same_file(to: Format, tmp_path: Path) -> None:
    first = written(tmp_path, to, chord()).read_bytes()

    assert written(tmp_path, to, chord()).read_bytes() == first


@pytest.mark.parametrize("to", [Format.OGG, Format.OPUS])
def test_pages_written_anew_hold_the_same_sound(to: Format, tmp_path: Path) -> None:
    plain = written(tmp_path, to, chord(), Tags()).read_bytes()
    tagged = written(tmp_path, to, chord()).read_bytes()

    assert (soundfile.read(BytesIO(plain))[0] == soundfile.read(BytesIO(tagged))[0]).all()
    assert len(tagged) - len(plain) > len(LONG_WORDS)


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed: no second opinion on checksums")
@pytest.mark.parametrize("to", [Format.OGG, Format.OPUS])
def test_ffmpeg_finds_no_fault_in_the_pages(to: Format, tmp_path: Path) -> None:
    file = written(tmp_path, to, chord(30.0))
    command = [
        "ffmpeg",
        "-v",
        "warning",
        "-err_detect",
        "crccheck+explode",
        "-f",
        "ogg",
        "-i",
        str(file),
        "-f",
        "null",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert done.stderr == ""


def test_what_is_no_ogg_is_refused() -> None:
    with pytest.raises(ValueError, match="not an Ogg"):
        with_ogg_comment(b"RIFF" + bytes(60), vorbis_comment(Tags()))


def test_the_xmp_packet_is_xml_that_names_the_source() -> None:
    packet = xmp(TAGS)
    tree = ElementTree.fromstring(packet[packet.index(b"<x:xmpmeta") : packet.rindex(b"<?xpacket")])

    found = tree.find(".//{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType")
    assert found is not None
    assert found.text == URI
    assert xmp(Tags(title="mine")) == b""


def test_wav_files_carry_the_packet_where_xmp_looks_for_it(tmp_path: Path) -> None:
    body = written(tmp_path, Format.WAV, chord()).read_bytes()
    at = body.index(b"_PMX")

    assert int.from_bytes(body[4:8], "little") == len(body) - 8
    assert body[at + 8 :].startswith(b"<?xpacket")


def test_provenance_holds_the_digests_that_others_compute(tmp_path: Path) -> None:
    mastered = master(chord(), RATE_HZ, PRESETS[Preset.STREAMING])
    found = {to: digests(written(tmp_path, to, mastered.samples), to) for to in Format}
    text = provenance_json(
        found,
        premaster_sha256="c" * 64,
        seed=7,
        origin=Origin("arranger", "0.1.0", "", "Apache-2.0", ("write", "compose"), continued_from="d" * 64),
        tags=TAGS,
        target=PRESETS[Preset.STREAMING],
        mastered=mastered,
        versions=[("harmonia-mastering", "0.1.0")],
    )
    statement = json.loads(text)

    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    by_name = {subject["name"]: subject for subject in statement["subject"]}
    for to in Format:
        body = (tmp_path / to.file).read_bytes()
        assert by_name[to.file]["digest"]["sha256"] == hashlib.sha256(body).hexdigest()
        assert ("annotations" in by_name[to.file]) == (to not in LOSSY)
    floats = mastered.samples.T.astype("<f4").tobytes()
    assert by_name["master-32float.wav"]["annotations"]["pcm"]["sha256"] == hashlib.sha256(floats).hexdigest()
    data = (tmp_path / "master-16bit.wav").read_bytes()[44 : 44 + mastered.samples.size * 2]
    assert by_name["master-16bit.wav"]["annotations"]["pcm"]["sha256"] == hashlib.sha256(data).hexdigest()
    pcm = {by_name[name]["annotations"]["pcm"]["sha256"] for name in ("master.wav", "master.flac")}
    assert len(pcm) == 1
    assert statement["predicate"]["stages"] == ["write", "compose", "master"]
    materials = {one["name"]: one["digest"]["sha256"] for one in statement["predicate"]["materials"]}
    assert materials == {"premaster": "c" * 64, "continued_from": "d" * 64}
    assert statement["predicate"]["digitalSourceType"] == URI
    assert b"time" not in text
