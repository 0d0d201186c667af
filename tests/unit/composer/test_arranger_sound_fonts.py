"""Sound fonts, on one that is written here: a sawtooth of one second, looped, with its root at A3."""

import hashlib
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from harmonia_composer.engine import Brief, Order, Take, Unheard
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.arranger.fonts import FontUnreadable, with_fonts
from harmonia_composer.engines.arranger.synth.voice import Played

RATE = 44_100
ROOT_HZ = 220.5
Samples = NDArray[np.float64]


def chunk(name: str, body: bytes) -> bytes:
    return name.encode() + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def listed(name: str, *chunks: bytes) -> bytes:
    return chunk("LIST", name.encode() + b"".join(chunks))


def saw() -> NDArray[np.int16]:
    """200 frames a turn: 220.5 Hz."""
    return np.tile(np.linspace(-9000, 9000, 200), 220).astype(np.int16)


def font(*, packed: bool = False, extra: tuple[tuple[int, int], ...] = ()) -> bytes:
    """`extra`: more generators of the instrument's only zone."""
    wave = saw()
    data = wave.tobytes() + b"\0" * 92
    end, kind = wave.size, 1
    if packed:
        file = io.BytesIO()
        soundfile.write(file, np.repeat(wave, 1) / 32768, RATE, format="OGG", subtype="VORBIS")
        data, end, kind = file.getvalue(), len(file.getvalue()), 0x11
    generators = (*extra, (54, 1), (53, 0))
    pack = struct.pack
    return b"RIFF" + chunk("", b"sfbk" + b"".join((
        listed("INFO", chunk("ifil", pack("<HH", 2, 4))),
        listed("sdta", chunk("smpl", data)),
        listed(
            "pdta",
            chunk("phdr", pack("<20sHHHIII", b"Saw", 3, 1, 0, 0, 0, 0) + pack("<20sHHHIII", b"EOP", 0, 0, 1, 0, 0, 0)),
            chunk("pbag", pack("<HHHH", 0, 0, 1, 0)),
            chunk("pmod", bytes(10)),
            chunk("pgen", pack("<HhHh", 41, 0, 0, 0)),
            chunk("inst", pack("<20sH", b"Saw", 0) + pack("<20sH", b"EOI", 1)),
            chunk("ibag", pack("<HHHH", 0, 0, len(generators), 0)),
            chunk("imod", bytes(10)),
            chunk("igen", b"".join(pack("<Hh", *one) for one in generators) + bytes(4)),
            chunk(
                "shdr",
                pack("<20sIIIIIBbHH", b"Saw", 0, end, 20_000, 40_000, RATE, 57, -4, 0, kind)
                + pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0),
            ),
        ),
    )))  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "saw.sf2"
    file.write_bytes(font())
    return file


def played(path: Path, pitch: int, *, velocity: float = 0.7, held_s: float = 3.0) -> Samples:
    voice = with_fonts({"piano": f"{path}:1:3"})["piano"].voice
    out = np.zeros((4 * 48_000, 2), dtype=np.float32)
    hz = 440 * 2 ** ((pitch - 69) / 12)
    voice.play(out, Played(0, int(held_s * 48_000), hz, 0.2, 0.2, velocity, 1.0, 1))
    return np.asarray(out.mean(axis=1), dtype=np.float64)


def loudest_hz(samples: Samples) -> float:
    power = np.abs(np.fft.rfft(samples * np.hanning(samples.size), 1 << 19))
    return float(np.argmax(power) * 48_000 / (1 << 19))


@pytest.mark.parametrize("pitch", [45, 57, 72])
def test_a_key_sounds_at_its_pitch_and_for_as_long_as_it_is_held(path: Path, pitch: int) -> None:
    """The sample is 4 cents sharp of A3 and says so; held for three times its length it goes round its loop."""
    note = played(path, pitch)
    hz = 440 * 2 ** ((pitch - 69) / 12) * ROOT_HZ / 220 * 2 ** (-4 / 1200)

    assert 1200 * np.log2(loudest_hz(note[: 2 * 48_000]) / hz) == pytest.approx(0, abs=2)
    assert np.abs(note[140_000:143_000]).max() > 0.9 * np.abs(note[20_000:23_000]).max()
    assert np.abs(note[3 * 48_000 + 2400 :]).max() < 1e-4


def test_a_harder_touch_is_brighter(path: Path) -> None:
    centroids = []
    for velocity in (0.2, 0.5, 0.9):
        power = np.abs(np.fft.rfft(played(path, 57, velocity=velocity)[:48_000])) ** 2
        centroids.append((power * np.arange(power.size)).sum() / power.sum())

    assert centroids == sorted(centroids)
    assert centroids[2] > 1.2 * centroids[0]


def test_ranges_attenuation_and_release_are_obeyed(tmp_path: Path) -> None:
    low_keys, ten_db_down, half_a_second = (43, 60 << 8), (48, 250), (38, -1200)
    limited, plain = tmp_path / "limited.sf2", tmp_path / "plain.sf2"
    limited.write_bytes(font(extra=(low_keys, ten_db_down, half_a_second)))
    plain.write_bytes(font())
    note = played(limited, 57, held_s=1.0)
    fall = np.sqrt((note[57_600:58_600] ** 2).mean() / (note[48_000:49_000] ** 2).mean())

    assert not played(limited, 61).any()
    assert 20 * np.log10(np.abs(note[:40_000]).max() / np.abs(played(plain, 57)[:40_000]).max()) == pytest.approx(
        -10, abs=0.1
    )
    # 100 dB in half a second: 40 dB in a fifth.
    assert 20 * np.log10(fall) == pytest.approx(-40, abs=2)


def test_vorbis_samples_are_read(tmp_path: Path) -> None:
    packed, plain = tmp_path / "saw.sf3", tmp_path / "saw.sf2"
    packed.write_bytes(font(packed=True))
    plain.write_bytes(font())

    assert loudest_hz(played(packed, 60)) == pytest.approx(loudest_hz(played(plain, 60)), rel=1e-3)


def test_a_song_with_a_font_is_the_same_twice_and_its_stem_has_a_recipe_of_its_own(path: Path, tmp_path: Path) -> None:
    order = Order(Brief(genre="folk", duration_seconds=6.0, instruments=("piano",)), seed=4)
    takes: list[Take] = []
    for name, arranger in (
        ("own", Arranger()),
        ("font", Arranger(with_fonts({"piano": f"{path}:1:3"}))),
        ("again", Arranger(with_fonts({"piano": f"{path}:1:3"}))),
    ):
        takes += arranger.compose(order, folder=tmp_path / name, listener=Unheard())
    own, first, again = takes
    changed = {role for role in own.stems if own.stems[role].recipe != first.stems[role].recipe}

    assert {role: stem.recipe for role, stem in first.stems.items()} == {
        role: stem.recipe for role, stem in again.stems.items()
    }
    assert digest(first.premaster) == digest(again.premaster) != digest(own.premaster)
    assert len(changed) == 1


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"piano": "nowhere.sf2:0:0"}, "nowhere.sf2 of 'piano' cannot be read"),
        ({"piano": "a.sf2"}, "should be file:bank:program"),
        ({"pianola": "a.sf2:0:0"}, "'pianola' is no instrument"),
        ({"drum kit": "a.sf2:128:0"}, "'drum kit' has no pitch to play a font at"),
        ({"piano": "{path}:0:7"}, "has no preset 7 in bank 0"),
        ({"piano": "{text}:0:0"}, "is not a SoundFont 2 file"),
    ],
)
def test_a_font_that_cannot_be_had_is_refused_in_words(
    asked: dict[str, str], why: str, path: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.sf2"
    text.write_text("no font at all")
    with pytest.raises(FontUnreadable, match=why):
        with_fonts({name: place.format(path=path, text=text) for name, place in asked.items()})
