"""Pages whose examples are run: each is followed by what it prints, with … for anything."""

import fnmatch
import re
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
BETWEEN = "-- next example --"


def examples(page: str, language: str) -> list[tuple[str, str]]:
    """Of docs/<page>, in order: code, and what it is said to print. None may be left without."""
    text = (DOCS / page).read_text()
    found = re.findall(rf"```{language}\n(.*?)```\n+```text\n(.*?)```", text, re.DOTALL)
    assert len(found) == text.count(f"```{language}\n"), "an example does not say what it prints"
    return found


def untrue(told: list[tuple[str, str]], printed: list[str]) -> list[str]:
    """Examples that print something else, and what."""
    pairs = zip(told, printed, strict=True)
    return [f"{code}\nprinted\n{text}" for (code, output), text in pairs if not _is_as_told(output, text)]


def _is_as_told(told: str, printed: str) -> bool:
    return fnmatch.fnmatchcase(printed.strip(), re.sub(r"([*?[])", r"[\1]", told.strip()).replace("…", "*"))
