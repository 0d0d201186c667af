"""Writes docs/sound.md, docs/sound/figures.json and the pictures beside it: `make sound-report`, some ten minutes.

Makes songs of every genre, measures them (tests/figures.py) and shows what was measured, good or bad.
"""

import argparse
import json
import multiprocessing
import re
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import combinations, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from harmonia_composer.engine import Brief
from harmonia_composer.engines.arranger.arrange import arrange
from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_composer.engines.arranger.genres import GENRES
from harmonia_composer.engines.arranger.score import Score
from tests import figures
from tests.figures import RATE, Heard, Samples, Written

DOCS = Path(__file__).parent.parent / "docs"
PAGE, PICTURES, FIGURES = DOCS / "sound.md", DOCS / "sound", DOCS / "sound" / "figures.json"
SEEDS = (1, 2, 3)
LENGTH_S = 60.0
BLIND_SEEDS, BLIND_S = range(1, 9), 24.0
KEY_SEEDS, KEY_S = range(100, 200), 45.0
ALIKE_SEEDS = range(1, 17)


@dataclass(frozen=True, slots=True)
class Song:
    """`cpu_s`: of one core, brief to master; `memory_mb`: the process at its largest meanwhile."""

    genre: str
    seed: int
    bpm: float
    key: str
    written: Written
    heard: Heard
    sections: list[tuple[str, float]]
    cpu_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Paper:
    """Counted without a sound."""

    genre: str
    keys_found: float
    in_scale: float
    different: int
    most_alike: float


def forget_peak() -> None:
    """Linux's own switch: VmHWM counts from now on (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def warm_up() -> None:
    Arranger().warm_up()


def song(genre: str, seed: int) -> tuple[Song, Image.Image]:
    brief = Brief(genre=genre, duration_seconds=LENGTH_S)
    score = arrange(brief, seed)
    with TemporaryDirectory() as folder:
        forget_peak()
        before = time.process_time()
        take = figures.made(brief, seed, Path(folder))
        finished = figures.mastered(take)
        cpu_s, memory_mb = time.process_time() - before, peak_mb()
        made = Song(
            genre, seed, score.bpm, score.key.name, figures.written(score), figures.heard(take, finished, score),
            figures.section_lufs(finished.samples, score), cpu_s, memory_mb,
        )  # fmt: skip
    return made, picture(finished.samples, score)


def paper(genre: str) -> Paper:
    brief = Brief(genre=genre, duration_seconds=LENGTH_S)
    short = Brief(genre=genre, duration_seconds=KEY_S)
    found = [figures.says_its_key(arrange(short, seed)) for seed in KEY_SEEDS]
    hooks = [figures.hook(arrange(brief, seed)) for seed in ALIKE_SEEDS]
    return Paper(
        genre,
        float(np.mean([right for right, _ in found])),
        float(np.mean([inside for _, inside in found])),
        len({tuple(hook) for hook in hooks}),
        max(figures.likeness(one, other) for one, other in combinations(hooks, 2)),
    )


def blind(genre: str, seed: int) -> NDArray[np.float64]:
    brief = Brief(genre=genre, duration_seconds=BLIND_S)
    with TemporaryDirectory() as folder:
        samples = figures.read(figures.made(brief, seed, Path(folder)).premaster)
    return figures.features(samples, arrange(brief, seed).bpm)


Measured = tuple[list[tuple[Song, Image.Image]], Paper, dict[int, NDArray[np.float64]]]


def measured(genre: str) -> Measured:
    return [song(genre, seed) for seed in SEEDS], paper(genre), {seed: blind(genre, seed) for seed in BLIND_SEEDS}


WIDE, HIGH, ROLL = 320, 96, 64
# From silence to loud; then paper, section lines, and a colour a role.
SHADES = ((8, 8, 24), (60, 20, 90), (170, 40, 80), (250, 140, 40), (255, 250, 200))
TONES = 40
PAPER, LINE, OTHERS = TONES, TONES + 1, TONES + 2
INKS = {
    "drums": (130, 130, 130), "bass": (50, 90, 200), "chords": (70, 150, 80), "arp": (160, 180, 40),
    "lead": (210, 40, 40), "pad": (170, 150, 220),
}  # fmt: skip


def palette() -> list[int]:
    steps = np.linspace(0, len(SHADES) - 1, TONES)
    tones = [[round(float(np.interp(step, range(len(SHADES)), [one[at] for one in SHADES]))) for at in range(3)]
             for step in steps]  # fmt: skip
    inks = [(255, 255, 255), (190, 190, 190), (40, 160, 170), *INKS.values()]
    return [level for colour in (*tones, *inks) for level in colour]


def picture(samples: Samples, score: Score) -> Image.Image:
    """Spectrogram of the master, 40 Hz to 16 kHz and 70 dB, over the piano roll, two octaves under middle C and up."""
    image = Image.new("P", (WIDE, HIGH + ROLL), PAPER)
    image.putpalette(palette())
    image.paste(Image.fromarray(spectrogram(samples), "P"), (0, 0))
    draw = ImageDraw.Draw(image)
    second = WIDE / (samples.shape[1] / RATE)
    for section in score.sections[1:]:
        x = score.seconds(section.tick) * second
        draw.line([(x, 0), (x, HIGH + ROLL)], fill=LINE)
    for part in score.parts:
        ink = OTHERS + 1 + list(INKS).index(part.role) if part.role in INKS else OTHERS
        for note in part.notes if part.style not in {"texture", "riser"} else ():
            x, end = score.seconds(note.start) * second, score.seconds(note.start + note.length) * second
            y = HIGH + ROLL - 1 - (note.pitch - 24) * (ROLL - 1) / 80
            draw.line([(x, y), (max(x, end - 1), y)], fill=ink)
    return image


def spectrogram(samples: Samples) -> NDArray[np.uint8]:
    """Tones of the palette, [HIGH, WIDE]."""
    hop = (samples.shape[1] - figures.FRAME) // WIDE
    power = figures.frames(samples.mean(axis=0), hop)[:WIDE] ** 2
    edges = np.geomspace(40, 16_000, HIGH + 1) / RATE * figures.FRAME
    bins = [(int(low), max(int(low) + 1, int(high))) for low, high in pairwise(edges)]
    bands = np.stack([power[:, low:high].mean(axis=1) for low, high in bins])
    # Pink, not white, is even to the ear.
    level = 10 * np.log10(bands * np.geomspace(1, 400, HIGH)[:, None] + 1e-12)
    return np.asarray(np.clip((level - level.max() + 70) / 70, 0, 1)[::-1] * (TONES - 1), dtype=np.uint8)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--genre", action="append", choices=sorted(GENRES), help="measure only these anew")
    chosen = options.parse_args()
    genres = chosen.genre or list(GENRES)
    PICTURES.mkdir(exist_ok=True)
    record = json.loads(FIGURES.read_text()) if FIGURES.exists() else {"songs": [], "papers": [], "features": []}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(chosen.jobs, mp_context=context, initializer=warm_up) as pool:
        for genre, found in zip(genres, pool.map(measured, genres), strict=True):
            record = with_genre(record, genre, found)
            FIGURES.write_text(json.dumps(record, indent=1) + "\n")
            PAGE.write_text(page(record))


def with_genre(record: dict, genre: str, found: Measured) -> dict:
    """What was said of it before goes."""
    made, paper_of_it, features = found
    for one, image in made:
        image.save(PICTURES / f"{slug(genre)}-{one.seed}.png", optimize=True)
    new = {
        "songs": [asdict(one) for one, _ in made],
        "papers": [asdict(paper_of_it)],
        "features": [{"genre": genre, "seed": seed, "vector": vector.tolist()} for seed, vector in features.items()],
    }
    known = [name for name in GENRES if name != genre]
    return {
        key: sorted(
            [one for one in record[key] if one["genre"] in known] + rounded(new[key]), key=lambda one: one["genre"]
        )
        for key in new
    }


def slug(genre: str) -> str:
    return genre.replace(" ", "-")


def vectors(record: dict) -> dict[tuple[str, int], NDArray[np.float64]]:
    return {(one["genre"], one["seed"]): np.array(one["vector"]) for one in record["features"]}


def rounded(value: Any) -> Any:
    match value:
        case float():
            return round(value, 3) if abs(value) >= 0.001 else float(f"{value:.1e}")
        case dict():
            return {key: rounded(one) for key, one in value.items()}
        case list() | tuple():
            return [rounded(one) for one in value]
        case _:
            return value


# What is shown of a song: heading, group, field, format, and the lowest and highest value that is good.
Column = tuple[str, str, str, str, float, float]
WRITTEN: tuple[Column, ...] = (
    ("in harmony", "written", "in_harmony", "{:.2f}", 0.95, 1),
    ("strong beats", "written", "strong_on_chord", "{:.2f}", 0.9, 1),
    ("voices move", "written", "voice_motion", "{:.1f}", 0, 2.5),
    ("bass on root", "written", "bass_on_root", "{:.2f}", 0.8, 1),
    ("range", "written", "tune_range", "{}", 0, 19),
    ("leap", "written", "tune_leap", "{}", 0, 12),
    ("motif", "written", "motif_returns", "{}", 2, 999),
    ("drift", "written", "register_drift", "{:.1f}", 0, 5),
    ("onsets ms", "written", "onset_spread_ms", "{:.1f}", 4, 15),
    ("touch", "written", "touch_spread", "{:.1f}", 3, 12),
    ("same bars", "written", "repeated_drum_bars", "{}", 0, 0),
    ("key", "written", "key_found", "{}", 0, 1),
)
HEARD: tuple[Column, ...] = (
    ("lift LU", "heard", "lift_lu", "{:.1f}", 1.5, 99),
    ("LRA LU", "heard", "range_lu", "{:.1f}", 4, 12),
    ("residue dBFS", "heard", "stems_residue_db", "{:.0f}", -999, -90),
    ("quietest stem", "heard", "quietest_stem", "", -32, 0),
    ("loudest stem", "heard", "loudest_stem", "", -99, -12),
    ("offset", "heard", "offset", "{:.0e}", 0, 1e-3),
    ("peak", "heard", "peak", "{:.2f}", 0, 0.999),
    ("gap s", "heard", "gap_s", "{:.2f}", 0, 0.5),
    ("slope dB", "heard", "slope_db", "{:.1f}", -5, -1),
    ("L/R", "heard", "correlation", "{:.2f}", 0.3, 1),
)
CALM = {"techno", "house", "lo-fi hip-hop", "ambient"}


def good(column: Column, one: dict) -> bool:
    _, group, field, _, low, high = column
    value = one[group][field]
    value = value[1] if isinstance(value, list) else value
    if field == "range_lu" and one["genre"] in CALM:
        low = 3
    if field == "repeated_drum_bars" and GENRES[one["genre"]].same_bars:
        return True
    return bool(low <= value <= high)


def shown(column: Column, one: dict) -> str:
    _, group, field, form, *_ = column
    value = one[group][field]
    text = f"{value[0]} {value[1]:.1f}" if isinstance(value, list) else form.format(value)
    if isinstance(value, bool):
        text = "yes" if value else "no"
    return text if good(column, one) else f"**{text}**"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |"]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def page(record: dict) -> str:
    made, papers = record["songs"], record["papers"]
    apart = figures.told_apart(vectors(record))
    misses = [
        f"{one['genre']} {one['seed']}: {column[0]} {shown(column, one).strip('*')}"
        for one in made for column in (*WRITTEN, *HEARD) if column[0] != "key" and not good(column, one)
    ]  # fmt: skip
    parts = [
        (DOCS / "sound" / "head.md").read_text().rstrip(),
        "",
        "## Told apart blind",
        "",
        f"{apart.right:.1%} of {int(apart.confusion.sum())} songs are given their own genre. Rows are what was made,",
        "columns what was heard.",
        "",
        "```",
        *matrix(apart),
        "```",
        "",
        "## Keys and likeness, on paper",
        "",
        f"How often the key found by Krumhansl and Schmuckler's method is the declared one, of {len(KEY_SEEDS)} seeds",
        "(C9: 85 %), and the share of pitches in its scale (95 %).",
        f"How many of {len(ALIKE_SEEDS)} seeds' hooks differ, and how like the two most alike are (C2: under 0.80).",
        "",
        *table(
            ("genre", "key found", "in scale", "hooks", "most alike"),
            [
                (
                    one["genre"],
                    f"{one['keys_found']:.0%}",
                    f"{one['in_scale']:.1%}",
                    str(one["different"]),
                    f"{one['most_alike']:.2f}",
                )
                for one in papers
            ],
        ),
        "",
        "## Outside the limits",
        "",
        *([f"- {miss}" for miss in misses] or ["Nothing."]),
        "",
        "## Genre by genre",
        "",
        *(line for genre in dict.fromkeys(one["genre"] for one in made) for line in chapter(genre, made)),
    ]
    return "\n".join(parts).rstrip() + "\n"


def matrix(apart: figures.Blind) -> list[str]:
    head = " " * 15 + "".join(genre[:5].rjust(6) for genre in apart.genres)
    rows = [
        genre.ljust(15) + "".join((str(count) if count else ".").rjust(6) for count in row)
        for genre, row in zip(apart.genres, apart.confusion, strict=True)
    ]
    return [head, *rows]


def chapter(genre: str, made: Sequence[dict]) -> list[str]:
    own = [one for one in made if one["genre"] == genre]
    lines = [
        f"### {genre}",
        "",
        " ".join(f"![{genre}, seed {one['seed']}](sound/{slug(genre)}-{one['seed']}.png)" for one in own),
        "",
    ]
    for columns in (WRITTEN, HEARD):
        rows = [(str(one["seed"]), *(shown(column, one) for column in columns)) for one in own]
        lines += [*table(("seed", *(column[0] for column in columns)), rows), ""]
    for one in own:
        levels = " · ".join(f"{name} {level:.1f}" for name, level in one["sections"])
        minutes = LENGTH_S / 60
        lines.append(
            f"- seed {one['seed']}: {one['key']}, {one['bpm']:g} bpm; LUFS by section: {levels}; "
            f"{one['cpu_s'] / minutes:.1f} CPU-s a minute, {one['memory_mb']:.0f} MB"
        )
    return [*lines, ""]


if __name__ == "__main__":
    main()
