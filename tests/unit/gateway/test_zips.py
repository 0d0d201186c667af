"""Zip files as Python's own zipfile reads them."""

import io
import zipfile
import zlib
from datetime import UTC, datetime
from pathlib import Path

from harmonia_gateway import zips

MADE = datetime(2026, 11, 21, 16, 20, 42, tzinfo=UTC)


def zipped(files: dict[str, bytes]) -> bytes:
    entries = [zips.Entry(path, len(body), MADE) for path, body in files.items()]
    crcs = [zlib.crc32(body) for body in files.values()]
    parts = [
        zips.before(entry) + body + zips.after(entry, crc)
        for entry, body, crc in zip(entries, files.values(), crcs, strict=True)
    ]
    whole = b"".join(parts) + zips.end(entries, crcs)
    assert len(whole) == zips.length(entries)
    return whole


def test_every_file_comes_out_as_it_went_in_with_its_name_and_time() -> None:
    files = {"rain/01-später/master.flac": b"fLaC" * 1000, "rain/empty": b"", "rain/雨.txt": "雨".encode()}
    with zipfile.ZipFile(io.BytesIO(zipped(files))) as archive:
        read = {info.filename: archive.read(info) for info in archive.infolist()}
        bad = archive.testzip()
        times = {info.date_time for info in archive.infolist()}

    assert read == files
    assert bad is None
    assert times == {(2026, 11, 21, 16, 20, 42)}


def test_an_archive_of_nothing_is_one() -> None:
    with zipfile.ZipFile(io.BytesIO(zipped({}))) as archive:
        assert archive.namelist() == []


def test_files_behind_four_gigabytes_are_found(tmp_path: Path) -> None:
    entries = [zips.Entry(f"{n}.wav", 3 << 30, MADE) for n in range(3)] + [zips.Entry("last.txt", 3, MADE)]
    path, crc = tmp_path / "large.zip", zlib.crc32(b"end")
    with path.open("wb") as file:  # sparse: nobody writes nine gigabytes
        for entry in entries[:3]:
            file.write(zips.before(entry))
            file.seek(entry.size, io.SEEK_CUR)
            file.write(zips.after(entry, 0))
        file.write(zips.before(entries[3]) + b"end" + zips.after(entries[3], crc))
        file.write(zips.end(entries, [0, 0, 0, crc]))
    with zipfile.ZipFile(path) as archive:
        told = [(info.filename, info.file_size) for info in archive.infolist()]
        last = archive.read("last.txt")

    assert path.stat().st_size == zips.length(entries)
    assert told == [(entry.path, entry.size) for entry in entries]
    assert last == b"end"
