"""A song that is sung, on a real mesh; and V7: what its services have in memory meanwhile."""

import json
import re
import shutil
import sys
import threading
from importlib import metadata
from pathlib import Path

import pytest

from tests.e2e.cli.command import Run
from tests.e2e.cli.conftest import Up
from tests.singing import needs_vocoder

# Libraries of a bare system: the C and C++ runtimes (with their exception), what Python itself is linked to, and
# FriBidi (LGPL), which Pillow looks for.
SYSTEM = re.compile(
    r"/(ld-linux|ld|libc|libm|libdl|librt|libutil|libpthread|libresolv|libnss_\w+|libnsl|libtirpc|libgcc_s|libstdc\+\+|"
    r"libz|libbz2|liblzma|libzstd|libffi|libssl|libcrypto|libexpat|libsqlite3|libuuid|libcrypt|libpython[\d.]+|"
    r"libgomp|libatomic|libb2|libmpdec|libnuma|libgssapi_krb5|libkrb5|libk5crypto|libkrb5support|libcom_err|libkeyutils|libfribidi)"
    r"[-.\d+\w]*\.so[.\d]*$"
)


def libraries_of(pid: int) -> set[str]:
    try:
        maps = Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return set()
    return {line.split(maxsplit=5)[5] for line in maps.splitlines() if ".so" in line and "/" in line}


def wheel_licences() -> dict[str, str]:
    """File of an installed package → what its package says of its licence."""
    found: dict[str, str] = {}
    for one in metadata.distributions():
        rows = one.metadata.json
        said = " ".join(str(rows.get(name, ""))[:200] for name in ("license_expression", "license"))
        said += " ".join(row for row in one.metadata.get_all("Classifier") or () if row.startswith("License"))
        found |= {str(one.locate_file(file)): said for file in one.files or () if ".so" in str(file)}
    return {str(Path(file).resolve()): said for file, said in found.items()}


def is_gpl(said: str) -> bool:
    return bool(re.search(r"(?<![L])GPL|GNU General Public|AGPL|Affero", said)) and "LGPL" not in said


@pytest.mark.skipif(shutil.which("flite") is None, reason="Flite is not installed: apt-get install flite brings it")
@needs_vocoder
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_song_is_sung_and_no_service_loads_a_gpl_library(up: Up, run: Run, tmp_path: Path) -> None:
    services = {service["name"]: service["pid"] for service in up.info["services"]}
    seen: dict[str, set[str]] = {name: set() for name in services}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            for name, pid in services.items():
                seen[name] |= libraries_of(pid)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        told = run("compose", "a folk song about the sea", "--vocals", "guide", "--duration", "20", "--seed", "7",
                   "--bpm", "100", "--out", "sung")  # fmt: skip
    finally:
        over.set()
        watching.join()
    song = json.loads((tmp_path / "sung" / "song.json").read_text())
    times = json.loads((tmp_path / "sung" / "karaoke.json").read_text())
    licences = wheel_licences()

    assert told.code == 0, told.err
    assert not [warning for warning in song.get("warnings", ()) if "vocals" in warning]
    assert (tmp_path / "sung" / "stems" / "vocals.flac").is_file()
    assert any(line.get("words") for line in times["lines"])
    assert any("pyworld" in library for library in seen["composer"])
    strangers = {library for found in seen.values() for library in found if not SYSTEM.search(library)}
    assert not {library for library in strangers if is_gpl(licences.get(library, ""))}
    unknown = {library for library in strangers if library not in licences and not ours(library)}
    assert not unknown


def ours(library: str) -> bool:
    """Of Python itself, or bundled beside a wheel's own files."""
    return "/lib-dynload/" in library or ".libs/" in library


def test_musicgen_refuses_to_sing_by_name(run: Run) -> None:
    told = run("compose", "rain", "--vocals", "guide", "--engine", "musicgen", "--json")

    assert told.code in (2, 3)
    assert json.loads(told.err.splitlines()[-1])["error"]["field"] in ("spec.vocals", "spec.engine", "spec.model")
