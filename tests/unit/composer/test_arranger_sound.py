"""What the arranger sounds like, measured on its files: C1, C3, C8, C10 and C11 of the design's sound page."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyebur128
import pytest
import soundfile
from numpy.typing import NDArray

from harmonia_composer.engine import Brief, LyricLine, LyricSection, Order, Take, Unheard
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.arranger.metre import FOUR_FOUR

BAR = FOUR_FOUR.ticks
Samples = NDArray[np.float64]
# Every genre is measured in test_genres.py.
SOME = ("ambient", "folk", "rock")
SOME_GENRES = pytest.mark.parametrize("genre", SOME)
SECONDS = 30
SEED = 11


def made(folder: Path, brief: Brief, **choices: int) -> list[Take]:
    order = Order(brief, choices.get("seed", SEED), choices.get("variations", 1))
    return list(Arranger().compose(order, folder=folder, listener=Unheard()))


def read(path: Path) -> Samples:
    samples, rate = soundfile.read(path)
    assert rate == 48_000
    return np.asarray(samples, dtype=np.float64)


def digests(take: Take) -> list[str]:
    files = [take.premaster, *(stem.path for stem in take.stems.values())] + [
        path for path in (take.midi, take.lyrics_lrc) if path
    ]
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]


def meter(samples: Samples, mode: int) -> "pyebur128.R128State":
    state = pyebur128.R128State(samples.shape[1], 48_000, mode)
    state.add_frames(np.ascontiguousarray(samples).ravel(), samples.shape[0])
    return state


def lufs(samples: Samples) -> float:
    return float(pyebur128.get_loudness_global(meter(samples, pyebur128.MeasurementMode.MODE_I)))


@pytest.fixture(scope="session")
def song(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Take]:
    """Half a minute of a genre, made once."""
    takes: dict[str, Take] = {}

    def of(genre: str) -> Take:
        if genre not in takes:
            (takes[genre],) = made(tmp_path_factory.mktemp("song"), Brief(genre=genre, duration_seconds=SECONDS))
        return takes[genre]

    return of


AGAIN = """
import sys
from pathlib import Path
from harmonia_composer.engine import Brief, Order, Unheard
from harmonia_composer.engines.arranger.engine import Arranger
for genre in sys.argv[2:]:
    order = Order(Brief(genre=genre, duration_seconds=12.0), 11)
    Arranger().compose(order, folder=Path(sys.argv[1], genre), listener=Unheard())
"""


def test_another_process_makes_the_same_bytes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", AGAIN, str(tmp_path / "there"), *SOME], check=True, timeout=250)
    for genre in SOME:
        (take,) = made(tmp_path / "here" / genre, Brief(genre=genre, duration_seconds=12.0))
        names = ["premaster.flac", "song.mid", *(f"stems/{role}.flac" for role in take.stems)]

        for name in names:
            here, there = take.premaster.parent / name, tmp_path / "there" / genre / "1" / name
            assert here.read_bytes() == there.read_bytes(), f"{genre} {name}"


def test_the_first_of_two_takes_is_the_song_alone_and_the_second_can_be_had_alone(tmp_path: Path) -> None:
    brief = Brief(genre="folk", duration_seconds=6.0)
    first, second = made(tmp_path / "two", brief, variations=2)
    (alone,) = made(tmp_path / "one", brief)
    (other,) = made(tmp_path / "other", brief, seed=second.seed)

    assert digests(alone) == digests(first)
    assert digests(other) == digests(second)
    assert digests(first) != digests(second)


@SOME_GENRES
def test_stems_sum_to_the_premaster_and_each_is_heard(genre: str, song: Callable[[str], Take]) -> None:
    take = song(genre)
    stems = {role: read(stem.path) for role, stem in take.stems.items()}

    assert np.abs(sum(stems.values()) - read(take.premaster)).max() <= 10 ** (-90 / 20)
    for role, samples in stems.items():
        assert -32.0 <= lufs(samples) <= -12.0, role


@SOME_GENRES
def test_the_premaster_is_clean(genre: str, song: Callable[[str], Take]) -> None:
    samples = read(song(genre).premaster)

    assert samples.shape == (SECONDS * 48_000, 2)
    assert np.isfinite(samples).all()
    assert np.abs(samples.mean(axis=0)).max() < 1e-3
    assert np.abs(samples).max() < 0.999
    assert correlation(samples) > 0.3
    assert -5.0 <= octave_slope_db(samples) <= -1.0
    assert longest_gap_s(samples[: -2 * 48_000]) <= 0.5


def correlation(samples: Samples) -> float:
    left, right = samples[:, 0], samples[:, 1]
    return float((left * right).sum() / np.sqrt((left**2).sum() * (right**2).sum()))


def octave_slope_db(samples: Samples) -> float:
    """Of the power in octave bands from 62.5 Hz to 16 kHz."""
    spectrum = np.abs(np.fft.rfft(samples.mean(axis=1))) ** 2
    hz = np.fft.rfftfreq(samples.shape[0], 1 / 48_000)
    edges = 62.5 * 2.0 ** np.arange(9)
    levels = [10 * np.log10(spectrum[(hz >= low) & (hz < high)].sum()) for low, high in pairwise(edges)]
    return float(np.polyfit(np.arange(8), levels, 1)[0])


def longest_gap_s(samples: Samples) -> float:
    cells = np.abs(samples[: samples.shape[0] // 2400 * 2400]).reshape(-1, 4800).max(axis=1)
    longest = run = 0
    for quiet in cells < 1e-3:
        run = run + 1 if quiet else 0
        longest = max(longest, run)
    return longest * 0.05


@pytest.mark.parametrize(
    "brief",
    [
        Brief(genre="folk", bpm=40.0, key="F# locrian", duration_seconds=5.0),
        Brief(genre="techno", bpm=240.0, key="D dorian", duration_seconds=7.77, complexity=1.0),
        Brief(genre="lo-fi hip-hop", bpm=61.5, key="Bb major", duration_seconds=14.2, complexity=0.0, moods=("rainy",)),
        Brief(
            genre="folk",
            duration_seconds=9.0,
            instruments=("organ", "choir", "bells", "marimba", "sub bass"),
            excluded_instruments=("drums",),
        ),
    ],
    ids=lambda brief: f"{brief.genre}-{brief.bpm:g}",
)
def test_odd_briefs_make_sound_songs_of_the_length_asked_for(brief: Brief, tmp_path: Path) -> None:
    (take,) = made(tmp_path, brief)
    samples = read(take.premaster)
    stems = {role: read(stem.path) for role, stem in take.stems.items()}

    assert samples.shape[0] == round(brief.duration_seconds * 48_000)
    assert np.isfinite(samples).all()
    assert 0.02 < np.abs(samples).max() < 0.999
    assert all(stem.shape == samples.shape and np.abs(stem).max() > 0.001 for stem in stems.values())
    assert np.abs(sum(stems.values()) - samples).max() <= 10 ** (-90 / 20)
    assert np.abs(samples[-24:]).max() < 0.001


def test_lyrics_files_are_written_with_the_times_of_the_score(tmp_path: Path) -> None:
    brief = Brief(
        title="Rain",
        genre="folk",
        bpm=100.0,
        duration_seconds=40.0,
        lyrics=(LyricSection("verse", (LyricLine("Grey über the harbour"), LyricLine("Lamps in the rain"))),),
    )
    (take,) = made(tmp_path, brief)
    assert take.lyrics_lrc
    assert take.lyrics_text
    score = arrange(brief, SEED)
    seconds = next(section.start_seconds for section in take.sections if section.name == "verse")

    assert take.lyrics_text.read_text() == "[verse]\nGrey über the harbour\nLamps in the rain\n"
    title, first, second = take.lyrics_lrc.read_text().splitlines()
    assert title == "[ti:Rain]"
    assert first == f"[00:{seconds:05.2f}]Grey über the harbour"
    assert second == f"[00:{score.seconds(score.lines[1].tick):05.2f}]Lamps in the rain"


class Cancelled(Exception):
    pass


class Impatient(Unheard):
    checks = 0

    def check(self) -> None:
        self.checks += 1
        if self.checks > 40:
            raise Cancelled


def test_a_cancelled_song_stops_at_the_next_check(tmp_path: Path) -> None:
    listener = Impatient()

    with pytest.raises(Cancelled):
        Arranger().compose(Order(Brief(genre="folk"), 1), folder=tmp_path, listener=listener)
    assert listener.checks < 60


class Told(Unheard):
    def __init__(self) -> None:
        self.fractions: list[float] = []

    def progress(self, fraction: float, message: str) -> None:
        self.fractions.append(fraction)


def test_progress_grows_to_the_end(tmp_path: Path) -> None:
    listener = Told()
    Arranger().compose(Order(Brief(duration_seconds=5.0), 1, variations=2), folder=tmp_path, listener=listener)

    assert listener.fractions == sorted(listener.fractions)
    assert listener.fractions[-1] == 1.0
    assert len(listener.fractions) >= 8
