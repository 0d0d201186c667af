"""Names that came from titles, made fit for any file system. Applied here whatever the server did."""

import unicodedata
from collections.abc import Iterator
from itertools import count
from pathlib import Path, PurePosixPath

# Leaves room for "-2" and for ".part" within the 255 bytes that file systems allow.
LONGEST_BYTES = 120
# Device names on Windows, with or without an ending.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}


def safe_name(text: str, *, otherwise: str = "song") -> str:
    """One file name out of any text: letters, digits, marks, ".", "_" and "-"; never hidden, never a path."""
    kept = "".join(char if _harmless(char) else "-" for char in unicodedata.normalize("NFC", text))
    name = _shortened("-".join(part for part in kept.split("-") if part).strip(".-"))
    if name.split(".")[0].lower() in RESERVED:
        return f"{name.split('.')[0]}-{name.partition('.')[2]}".strip("-") + "-1"
    return name or otherwise


def slug(title: str) -> str:
    """The folder of a song: "Rain & Tea" -> "rain-tea"."""
    return safe_name(title.lower().replace(".", "-").replace("_", "-"))


def safe_file(path: str) -> PurePosixPath:
    """A place inside a saved folder, whatever the server called it: "../../x" -> "x"."""
    parts = [part for part in path.replace("\\", "/").split("/") if part.strip(". ")]
    return PurePosixPath(*(safe_name(part, otherwise="file") for part in parts or ["file"]))


def folders_for(title: str, base: Path) -> Iterator[Path]:
    """base/rain, base/rain-2, base/rain-3, …"""
    first = base / slug(title)
    yield first
    yield from (first.with_name(f"{first.name}-{n}") for n in count(2))


def _harmless(char: str) -> bool:
    return char in "._-" or unicodedata.category(char)[0] in "LNM"


def _shortened(name: str) -> str:
    return name.encode()[:LONGEST_BYTES].decode(errors="ignore").strip(".-")
