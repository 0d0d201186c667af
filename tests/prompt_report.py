"""How prompts are read, counted: 300 of them, half kept aside; the mistakes by name. `python -m tests.prompt_report`.

Writes docs/prompts.md, which `make lyrics-report` makes anew too.
"""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harmonia_lyricist.brief import Asked, Kind, Palette, Reading
from harmonia_lyricist.lexicon import Lexicon, load
from harmonia_lyricist.prompt import read

PAGE = Path(__file__).parent.parent / "docs" / "prompts.md"
PROMPTS = Path(__file__).parent / "unit" / "lyricist" / "prompts_300.toml"
# The parser may be tuned on the first half and never on the second.
HALVES = {"may be looked at": slice(0, None, 2), "is kept aside": slice(1, None, 2)}
SEED = 7


@dataclass(frozen=True, slots=True)
class Score:
    """`mistakes`: a prompt and what of it was misread."""

    prompts: int
    fields: int
    right: int
    mistakes: tuple[tuple[str, tuple[str, ...]], ...]


def everything(lexicon: Lexicon) -> Palette:
    return Palette(
        genres=tuple(lexicon.genres),
        moods=tuple(lexicon.moods),
        instruments=tuple(lexicon.instruments),
        kinds=tuple(Kind),
    )


def misses(reading: Reading, expect: dict[str, Any]) -> list[str]:
    """The expectations a reading does not meet."""
    brief, tonic, mode = reading.brief, *reading.brief.key.split(" ")
    checks: dict[str, Callable[[Any], bool]] = {
        "words": lambda v: (reading.theme is not None) == v,
        "theme": lambda v: reading.theme == v,
        "moods": lambda v: set(v) <= set(brief.moods),
        "not_moods": lambda v: not set(v) & set(brief.moods),
        "instruments": lambda v: set(v) <= set(brief.instruments),
        "excluded": lambda v: set(v) <= set(brief.excluded_instruments),
        "warns": lambda v: any(v in warning for warning in reading.warnings),
        "silent": lambda v: not any(v in warning for warning in reading.warnings),
        "unsaid": lambda v: list(reading.unsaid) == v,
        "bpm_at_least": lambda v: brief.bpm >= v,
        "bpm_between": lambda v: v[0] <= brief.bpm <= v[1],
        "mode": lambda v: mode == v,
        "tonic": lambda v: tonic == v,
        "not_key_text": lambda v: all(u.text.lower() != v for u in reading.understood if u.field == "key"),
    }
    return [
        f"{name}: expected {value!r}, brief has {getattr(brief, name, '')!r}"
        for name, value in expect.items()
        if not (checks[name](value) if name in checks else getattr(brief, name) == value)
    ]


def score(half: str, lexicon: Lexicon) -> Score:
    rows = tomllib.loads(PROMPTS.read_text(encoding="utf-8"))["prompt"][HALVES[half]]
    palette = everything(lexicon)
    found = [
        (row["text"], tuple(misses(read(row["text"], Asked(seed=SEED), palette, lexicon=lexicon), row["expect"])))
        for row in rows
    ]
    fields = sum(len(row["expect"]) for row in rows)
    wrong = tuple((text, missed) for text, missed in found if missed)
    return Score(len(rows), fields, fields - sum(len(missed) for _, missed in wrong), wrong)


def page(lexicon: Lexicon) -> str:
    rows = [
        "# How prompts are read",
        "",
        "Made by `make lyrics-report`. 300 prompts with the brief they should give, written before the parser had met",
        "one of them (tests/unit/lyricist/prompts_300.toml). It may be tuned on one half; the other is kept aside.",
        "A prompt counts by the fields that are expected of it.",
        "",
        "| half | prompts | fields right | asked for |",
        "|---|---|---|---|",
    ]
    scores = {half: score(half, lexicon) for half in HALVES}
    for half, found in scores.items():
        share = 100 * found.right / found.fields
        rows.append(f"| {half} | {found.prompts} | {found.right} of {found.fields} ({share:.1f} %) | ≥ 90 % |")
    for half, found in scores.items():
        rows += ["", f"## Mistakes in the half that {half}", ""]
        rows += [f"- `{text}`: {'; '.join(missed)}" for text, missed in found.mistakes]
    return "\n".join([*rows, ""])


def main() -> None:
    told = page(load())
    PAGE.write_text(told, encoding="utf-8")
    print(told)


if __name__ == "__main__":
    main()
