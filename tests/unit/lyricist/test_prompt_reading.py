"""The parser against a table of prompts, and against everything that is not one."""

import random
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmonia_lyricist.brief import Asked, Kind, Palette, Words
from harmonia_lyricist.lexicon import Lexicon, load
from harmonia_lyricist.prompt import read
from tests.palette import arrangers
from tests.prompt_report import HALVES, everything, misses, score

TABLE: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("prompts.toml").read_text(encoding="utf-8"))[
    "prompt"
]
ASIDE: list[dict[str, Any]] = tomllib.loads(Path(__file__).with_name("prompts_300.toml").read_text(encoding="utf-8"))[
    "prompt"
]
SPINE = Palette(
    genres=("lo-fi hip-hop", "techno", "folk"),
    moods=("warm", "dark", "calm", "energetic", "melancholic", "happy", "dreamy"),
    instruments=("drums", "bass", "electric piano", "piano", "acoustic guitar", "fiddle", "synth", "pad"),
    time_signatures=("4/4",),
)


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return load()


@pytest.mark.parametrize("row", TABLE, ids=[row["text"][:40] or "empty" for row in TABLE])
def test_a_prompt_reads_as_expected(row: dict[str, Any], lexicon: Lexicon) -> None:
    palette = SPINE if row.get("palette") == "spine" else everything(lexicon)

    reading = read(row["text"], Asked(seed=7), palette, lexicon=lexicon)

    assert misses(reading, row["expect"]) == []


@pytest.mark.parametrize("half", HALVES)
def test_nine_of_ten_fields_of_prompts_it_was_not_tuned_on_are_right(half: str, lexicon: Lexicon) -> None:
    found = score(half, lexicon)

    assert found.prompts == 150
    assert found.right / found.fields >= 0.9, f"{found.right} of {found.fields} fields"


def test_readme_prompt_explains_every_decision(lexicon: Lexicon) -> None:
    reading = read("warm lo-fi hip-hop for a rainy evening, 84 bpm, A minor", Asked(), Palette(), lexicon=lexicon)

    said = {(u.field, u.text, u.value) for u in reading.understood}
    assert {("genre", "lo-fi hip-hop", "lo-fi hip-hop"), ("bpm", "84 bpm", "84"), ("key", "A minor", "A minor")} <= said
    assert {("duration_seconds", "", "60"), ("time_signature", "", "4/4"), ("lyrics", "", "instrumental")} <= said
    assert reading.warnings == ()


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=2000), st.text(max_size=200), st.integers(0, 2**64 - 1))
def test_no_text_is_an_error(lexicon: Lexicon, prompt: str, negative: str, seed: int) -> None:
    brief = read(prompt, Asked(seed=seed, negative_prompt=negative), SPINE, lexicon=lexicon).brief

    assert brief.genre in SPINE.genres
    assert 40 <= brief.bpm <= 240
    assert 5 <= brief.duration_seconds <= 600
    assert 1 <= len(brief.title) <= 60
    assert brief.time_signature == "4/4"
    assert set(brief.moods) <= set(SPINE.moods)
    assert len(brief.moods) <= 8
    assert len(brief.instruments) <= 16


# fmt: off
_WORDS = st.sampled_from([
    "no", "not", "without", "but", "like", "about", "called", "titled", "in", "at", "a", "minor", "major", "84",
    "bpm", "3/4", "80s", "30s", "techno", "jazz", "piano", "drums", "sad", "fast", "slow", ",", ".", "'", '"', "(",
    ":", "waltz", "C#", "Bb", "vocals", "instrumental", "and", "or", "with", "lyrics", "two", "minutes", "1:30",
    "bars", "intro", "verse", "chorus", "loop", "beat", "🎹", "♭", "٨٤", "ß", "İ",
])
# fmt: on


@settings(max_examples=500, deadline=None)
@given(st.lists(_WORDS, max_size=60))
def test_no_jumble_of_musical_words_is_an_error(lexicon: Lexicon, words: list[str]) -> None:
    reading = read(" ".join(words), Asked(), SPINE, lexicon=lexicon)

    tonic, mode = reading.brief.key.split(" ")
    assert tonic[0] in "ABCDEFG"
    assert mode in {"major", "minor", "dorian", "phrygian", "lydian", "mixolydian", "locrian"}


def test_two_thousand_characters_of_noise_give_a_song(lexicon: Lexicon) -> None:
    dice = random.Random(1)
    noise = "".join(
        chr(dice.choice([*range(32, 127), *range(0x600, 0x700), *range(0x4E00, 0x4F00)])) for _ in range(2000)
    )

    reading = read(noise, Asked(), Palette(), lexicon=lexicon)

    assert reading.brief.title
    assert len(reading.brief.description) <= 500


@pytest.mark.parametrize("text", ["sad folk", "", "energetic techno with bells, in D"])
def test_the_same_seed_chooses_the_same(text: str, lexicon: Lexicon) -> None:
    readings = {repr(read(text, Asked(seed=11), Palette(), lexicon=load())) for _ in range(3)}

    assert len(readings) == 1


def test_another_seed_chooses_otherwise(lexicon: Lexicon) -> None:
    chosen = {
        (brief.bpm, brief.key)
        for seed in range(20)
        for brief in [read("lo-fi hip-hop", Asked(seed=seed), Palette(), lexicon=lexicon).brief]
    }

    assert len(chosen) >= 15
    assert all(70 <= bpm <= 90 for bpm, _ in chosen)


def test_sad_is_minor_and_happy_is_major(lexicon: Lexicon) -> None:
    modes = {
        mood: {read(f"{mood} folk", Asked(seed=s), Palette(), lexicon=lexicon).brief.key.split()[1] for s in range(20)}
        for mood in ("sad", "happy")
    }

    assert modes == {"sad": {"minor"}, "happy": {"major"}}


def test_fields_win_over_the_prompt_and_conflicts_are_said(lexicon: Lexicon) -> None:
    asked = Asked(
        genre="folk",
        bpm=100.0,
        key="C major",
        time_signature="3/4",
        duration_seconds=30.0,
        title="Mine",
        words=Words.INSTRUMENTAL,
        moods=("happy",),
        instruments=("piano",),
        kind=Kind.SONG,
        language="en",
        complexity=0.9,
    )
    prompt = "dark techno beat called 'Theirs', 132 bpm, F minor, 4/4, 2 minutes, with vocals and synth, in german"

    reading = read(prompt, asked, Palette(kinds=tuple(Kind)), lexicon=lexicon)

    b = reading.brief
    assert (b.genre, b.bpm, b.key, b.time_signature, b.duration_seconds) == ("folk", 100, "C major", "3/4", 30)
    assert (b.title, b.moods, b.instruments, b.language, b.complexity) == ("Mine", ("happy",), ("piano",), "en", 0.9)
    assert reading.theme is None
    conflicts = {warning.split(":")[0] for warning in reading.warnings}
    fields = "genre bpm key time_signature duration_seconds title moods instruments lyrics language kind"
    assert conflicts == set(fields.split())


def test_the_negative_prompt_excludes(lexicon: Lexicon) -> None:
    asked = Asked(negative_prompt="drums, vocals, sad, fast, no saxophone")

    reading = read("folk with lyrics and piano", asked, Palette(), lexicon=lexicon)

    assert {"drums", "saxophone"} <= set(reading.brief.excluded_instruments)
    assert reading.theme is None
    assert reading.brief.bpm <= 102
    assert "sad" not in reading.brief.moods


def test_what_the_engine_alone_knows_is_read_too(lexicon: Lexicon) -> None:
    palette = Palette(genres=("zydeco", "folk"), moods=("zesty",), instruments=("washboard",))

    brief = read("a zesty zydeco with washboard", Asked(), palette, lexicon=lexicon).brief

    assert (brief.genre, brief.moods, brief.instruments) == ("zydeco", ("zesty",), ("washboard",))


def test_understood_quotes_the_user(lexicon: Lexicon) -> None:
    prompt = "WARM Lo‑Fi hip‑hop, Ｂｐｍ ８４, in A♭ minor — “no drums”, café vibes"

    reading = read(prompt, Asked(), Palette(), lexicon=lexicon)

    assert reading.brief.bpm == 84
    assert reading.brief.key == "Ab minor"
    assert all(u.text in prompt for u in reading.understood)


@pytest.mark.parametrize("row", TABLE, ids=[row["text"][:40] or "empty" for row in TABLE])
def test_the_brief_as_fields_gives_the_same_brief_again(row: dict[str, Any], lexicon: Lexicon) -> None:
    palette = SPINE if row.get("palette") == "spine" else everything(lexicon)
    first = read(row["text"], Asked(seed=7), palette, lexicon=lexicon)
    b = first.brief
    words = Words.INSTRUMENTAL if first.theme is None else Words.WRITE
    asked = Asked(
        kind=b.kind,
        title=b.title,
        words=words,
        language=b.language,
        genre=b.genre,
        moods=b.moods,
        instruments=b.instruments,
        complexity=b.complexity,
        bpm=b.bpm,
        key=b.key,
        time_signature=b.time_signature,
        duration_seconds=b.duration_seconds,
        seed=7,
    )

    again = read(row["text"], asked, palette, lexicon=lexicon)

    assert (again.brief, again.theme, again.form) == (first.brief, first.theme, first.form)


@pytest.mark.parametrize(("set_s", "bars", "warned"), [(30.0, 8, True), (10.0, 4, True), (5.0, 2, False)])
def test_a_length_that_is_set_wins_over_bars_in_the_prompt_and_says_so(
    set_s: float, bars: int, warned: bool, lexicon: Lexicon
) -> None:
    palette = everything(lexicon)
    reading = read("a loop, 2 bars, 96 bpm", Asked(duration_seconds=set_s), palette, lexicon=lexicon)

    assert (reading.brief.kind, reading.brief.bars) == (Kind.LOOP, bars)
    assert any("the prompt says 2 bars" in one and f"{bars} are taken" in one for one in reading.warnings) == warned


@pytest.mark.parametrize(
    ("prompt", "bars", "seconds"),
    [("techno loop, 2 bars, 120 bpm", 2, 4.0), ("one bar trap loop at 140 bpm", 1, 12 / 7)],
)
def test_a_loop_is_as_short_as_its_bars(prompt: str, bars: int, seconds: float, lexicon: Lexicon) -> None:
    reading = read(prompt, Asked(seed=1), everything(lexicon), lexicon=lexicon)

    assert (reading.brief.kind, reading.brief.bars) == (Kind.LOOP, bars)
    assert reading.brief.duration_seconds == pytest.approx(seconds, abs=0.001)
    assert not reading.warnings


@pytest.mark.parametrize("prompt", ["like Sade but slower", "jazz in the style of Beyoncé", "like Daft Punk but rock"])
def test_a_song_is_not_called_after_whoever_is_not_imitated(prompt: str, lexicon: Lexicon) -> None:
    reading = read(prompt, Asked(seed=1), everything(lexicon), lexicon=lexicon)

    assert any("imitated" in warning for warning in reading.warnings)
    assert not {"sade", "beyoncé", "daft", "punk"} & set(reading.brief.title.lower().split())


def test_every_instrument_of_the_arranger_can_be_asked_for_in_words(lexicon: Lexicon) -> None:
    palette = arrangers()
    unheard = [
        name
        for name in palette.instruments
        if name not in read(f"an instrumental with {name}", Asked(seed=1), palette, lexicon=lexicon).brief.instruments
    ]

    assert unheard == []


@pytest.mark.parametrize(
    ("slang", "meant"),
    [
        ("wurli", "wurlitzer"),
        ("pipe organ", "church organ"),
        ("supersaws", "supersaw"),
        ("pizzicato", "pizzicato strings"),
        ("an amen break", "breakbeat drums"),
        ("a 909", "909 drums"),
        ("808s", "808 bass"),
        ("a DX7", "fm piano"),
        ("cor anglais", "oboe"),
        ("a harmon mute", "muted trumpet"),
        ("brushes", "jazz drums"),
        ("taikos", "orchestral percussion"),
        ("orchestra hits", "string stabs"),
        ("a reese", "reese bass"),
        ("synth brass", "analog brass"),
        ("timpani", "orchestral percussion"),
    ],
)
def test_musicians_words_for_what_the_arranger_plays(slang: str, meant: str, lexicon: Lexicon) -> None:
    reading = read(f"an instrumental folk song with {slang}", Asked(seed=1), arrangers(), lexicon=lexicon)

    assert meant in reading.brief.instruments
