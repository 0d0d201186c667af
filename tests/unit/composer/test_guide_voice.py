"""The guide voice: V3 and V4 of the design's sound page, its stem, and what happens where nobody can speak."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from io import BytesIO
from itertools import groupby
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile

from harmonia_composer.engine import Brief, LyricLine, LyricSection, Order, Take, Unheard
from harmonia_composer.engines.arranger import effects
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.dice import take_seed
from harmonia_composer.engines.arranger.engine import Arranger, timed_lyrics
from harmonia_composer.engines.arranger.midi import midi_bytes
from harmonia_composer.engines.arranger.score import Score
from harmonia_composer.voice import world
from harmonia_composer.voice.guide import seated
from harmonia_composer.voice.karaoke import karaoke
from harmonia_composer.voice.speech import Flite, NoSpeech, Phone, installed, speakable
from harmonia_composer.voice.syllables import fitted, nuclei
from tests.singing import RATE, Written, cents_off, needs_vocoder, sung_at, thirds

needs_flite = pytest.mark.skipif(
    shutil.which("flite") is None, reason="Flite is not installed: apt-get install flite brings it"
)
WORDS = (
    LyricSection(
        "verse",
        tuple(
            LyricLine(text, syllables, stresses)
            for text, syllables, stresses in (
                ("I found a letter on the stair", 8, "0 1 0 10 1 0 1"),
                ("The paper kept the smell of rain", 8, "0 10 1 0 1 0 1"),
            )
        ),
    ),
    LyricSection(
        "chorus",
        tuple(
            LyricLine(text, syllables, stresses)
            for text, syllables, stresses in (
                ("So take me down to silver bay", 8, "0 1 0 1 0 10 1"),
                ("And let the water sing to me", 8, "0 1 0 10 1 0 1"),
            )
        ),
    ),
)
BRIEF = Brief(title="Bay", genre="folk", bpm=100, key="D major", duration_seconds=30.0, lyrics=WORDS)
SEED = 4


def made(folder: Path, *, brief: Brief = BRIEF, vocals: bool = True) -> Take:
    return Arranger().compose(Order(brief, SEED, vocals=vocals), folder=folder, listener=Unheard())[0]


def sung_score(brief: Brief = BRIEF) -> Score:
    return seated(arrange(brief, take_seed(SEED, 1)), brief, lambda *_: np.ones(1))


@pytest.fixture(scope="module")
def take(tmp_path_factory: pytest.TempPathFactory) -> Take:
    return made(tmp_path_factory.mktemp("sung"))


def notes_of(score: Score) -> list[Written]:
    return [
        Written(score.seconds(note.start), score.seconds(note.start + note.length), note.pitch)
        for note in score.parts[-1].notes
    ]


def voice_of(take: Take) -> np.ndarray:
    return thirds(soundfile.read(take.stems["vocals"].path)[0].mean(axis=1))


@needs_flite
@needs_vocoder
def test_the_voice_is_in_tune(take: Take) -> None:
    """V3, by a tracker that had no part in making it."""
    off = np.abs(cents_off(voice_of(take), notes_of(sung_score())))

    assert len(off) >= 32
    assert np.median(off) <= 10
    assert np.percentile(off, 95) <= 25
    assert np.mean(off > 600) <= 0.01


@needs_flite
@needs_vocoder
def test_vowels_begin_with_their_notes(take: Take, tmp_path: Path) -> None:
    """V4: where the same line, spoken, has its vowels, by aligning the two sounds."""
    score, sound, flite = sung_score(), voice_of(take), installed()
    notes, late = notes_of(score), []
    for line, numbers in groupby(range(len(notes)), key=lambda number: score.syllables[number].line):
        own = [notes[number] for number in numbers]
        assert flite
        speech = flite.speak(score.lines[line].text, tmp_path)
        vowels = [nucleus.start_s for nucleus in nuclei(speech.phones)]
        start_s = max(0.0, own[0].start_s - 0.4)
        song = sound[round(start_s * RATE) : round((own[-1].end_s + 0.3) * RATE)]
        found = sung_at(speech.samples, song, vowels)
        late += [start_s + at - note.start_s for at, note in zip(found, own, strict=True)]

    assert np.mean(np.abs(late) <= 0.03) >= 0.9


@needs_flite
@needs_vocoder
def test_the_voice_is_a_stem_of_the_mix_a_little_under_the_band(take: Take) -> None:
    stems = {role: soundfile.read(stem.path, dtype="int32")[0].astype(np.int64) for role, stem in take.stems.items()}
    mixed = soundfile.read(take.premaster, dtype="int32")[0].astype(np.int64)
    voice, band = (power(one) for one in (stems["vocals"], mixed - stems["vocals"]))
    singing = voice > 0.1 * voice[voice > 0].mean()
    under = 10 * np.log10(band[singing].mean() / voice[singing].mean())

    assert (sum(stems.values()) == mixed).all()
    assert np.abs(mixed).max() < 0.999 * 2**31
    assert under == pytest.approx(2.5, abs=1.5)


def power(sound: np.ndarray) -> np.ndarray:
    """K-weighted, in cells of 100 ms."""
    sums = np.zeros(-(-len(sound) // 4800))
    effects.weighed((sound / 2**31).astype(np.float32), np.zeros(8), sums)
    return np.convolve(sums, np.ones(4) / 4, "same")


@needs_flite
@needs_vocoder
def test_the_same_song_has_the_same_voice_and_other_words_another(take: Take, tmp_path: Path) -> None:
    turned = replace(BRIEF, lyrics=tuple(replace(part, lines=part.lines[::-1]) for part in WORDS))
    again, other = made(tmp_path / "again"), made(tmp_path / "other", brief=turned)

    assert digest(again.stems["vocals"].path) == digest(take.stems["vocals"].path)
    assert again.stems["vocals"].recipe == take.stems["vocals"].recipe != other.stems["vocals"].recipe
    assert other.stems["bass"].recipe == take.stems["bass"].recipe
    assert digest(other.stems["vocals"].path) != digest(take.stems["vocals"].path)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_part_of_the_voice_has_the_words_in_the_midi_file() -> None:
    tracks = {track.name: track for track in mido.MidiFile(file=BytesIO(midi_bytes(sung_score()))).tracks}
    words = {
        name: "".join(message.text for message in track if message.type == "lyrics") for name, track in tracks.items()
    }
    struck = sum(message.type == "note_on" and message.velocity > 0 for message in tracks["vocals"])

    assert words["vocals"].replace("\r", "\n").split("\n")[:2] == [line.text for line in WORDS[0].lines]
    assert not words["lead"]
    assert struck == sum(line.syllables for part in WORDS for line in part.lines)


@needs_vocoder
def test_without_a_synthesiser_nobody_sings_and_a_warning_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    short = replace(BRIEF, duration_seconds=10.0)
    silent, asked = made(tmp_path / "off", brief=short, vocals=False), made(tmp_path / "on", brief=short)

    assert any("apt install flite" in warning for warning in asked.warnings)
    assert not silent.warnings
    assert asked.stems.keys() == silent.stems.keys()
    assert digest(asked.premaster) == digest(silent.premaster)


@needs_vocoder
@pytest.mark.parametrize(
    ("brief", "why"),
    [(replace(BRIEF, lyrics=()), "no words"), (replace(BRIEF, language="de"), "English only")],
)
def test_what_it_cannot_sing_is_played_and_said_so(brief: Brief, why: str, tmp_path: Path) -> None:
    if shutil.which("flite") is None and "English" in why:
        pytest.skip("Flite is not installed: apt-get install flite brings it")
    take = made(tmp_path, brief=replace(brief, duration_seconds=5.0))

    assert "vocals" not in take.stems
    assert any(why in warning for warning in take.warnings)


ILL = {
    "sleeps": ("sleep 60", "longer than 0.5 s"),
    "fails": ("exit 3", "ended with 3"),
    "says nothing": ("exit 0", "no sound"),
    "takes all memory": (r"python3 -c 'x = bytearray(1 << 32)'", "ended with"),
}


@pytest.mark.parametrize("name", ILL)
def test_an_ill_synthesiser_is_ended_and_its_line_not_sung(name: str, tmp_path: Path) -> None:
    does, why = ILL[name]
    program = tmp_path / "flite"
    program.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 1\nPATH=/usr/bin:/bin:/usr/local/bin\n{does}\n')
    program.chmod(0o700)

    with pytest.raises(NoSpeech, match=re.escape(why)):
        Flite(program, wait_s=0.5 if name == "sleeps" else 20.0).speak("la la", tmp_path)


@needs_vocoder
def test_a_line_that_cannot_be_spoken_is_left_out_and_the_stem_is_never_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "flite"
    program.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 1\nexit 3\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    take = made(tmp_path / "song", brief=replace(BRIEF, duration_seconds=12.0, lyrics=WORDS[:1]))

    assert take.warnings == ("vocals: a line is not sung: the synthesiser ended with 3",)
    assert not take.stems["vocals"].recipe
    assert take.stems["lead"].recipe


def test_words_are_never_arguments_or_a_second_sentence() -> None:
    assert speakable("-o /etc/passwd; $(touch x). Über “rain”…\n\x00") == "o etc passwd touch x Uber rain\n"
    assert len(speakable("la " * 10_000)) <= 401


def phones(*names: str) -> list[Phone]:
    return [Phone(name, 0.1 * place, 0.1 * place + 0.1) for place, name in enumerate(names)]


def test_every_note_has_a_vowel_whatever_the_synthesiser_says() -> None:
    """'fire' is spoken as two and sung as one; 'oh' is sung on three; ''s' has no vowel of its own."""
    spoken = nuclei(phones("pau", "f", "ay", "er", "pau", "ow", "z", "pau"))
    notes = fitted(spoken, [2, 1, 0], [1, 3, 1])

    assert [note.phone for note in notes] == ["ay", "ow", "ow", "ow", "ow"]
    assert (notes[0].start_s, notes[0].end_s) == pytest.approx((0.2, 0.4))
    assert [phone.name for phone in notes[3].after] == ["z"]
    assert all(note.end_s > note.start_s for note in notes)
    assert len(fitted(spoken, [9], [2, 5])) == 7


def test_karaoke_lrc_and_midi_tell_the_same_times() -> None:
    """Swung, too: where the tune has it."""
    brief = replace(BRIEF, genre="jazz")
    score = sung_score(brief)
    lines = json.loads(karaoke(score, "en"))["lines"]
    stamps = re.findall(r"\[(\d\d):(\d\d\.\d\d)\](.*)", timed_lyrics(score))
    notes = [score.seconds(note.tick) for note in score.parts[-1].notes]
    syllables = [one for line in lines for word in line.get("words", ()) for one in word["syllables"]]

    assert [line["text"] for line in lines] == [text for _, _, text in stamps]
    for line, (minutes, seconds, _) in zip(lines, stamps, strict=True):
        assert line["start_seconds"] == pytest.approx(60 * int(minutes) + float(seconds), abs=0.006)
    assert [one["start_seconds"] for one in syllables] == pytest.approx(notes, abs=0.001)
    assert all("".join(one["text"] for one in word["syllables"]).strip() == word["text"]
               for line in lines for word in line.get("words", ()))  # fmt: skip
    assert all(one["end_seconds"] > one["start_seconds"] for one in syllables)


@needs_vocoder
def test_the_vocoder_is_installed_where_tests_run() -> None:
    assert world.library() is not None
