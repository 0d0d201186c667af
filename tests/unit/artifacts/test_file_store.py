"""What only the file store has: a disk that fills up, leftovers of a crash, and a lock."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harmonia_artifacts.files import FileStore
from harmonia_artifacts.links import opened
from harmonia_artifacts.store import Arrival, Kept
from harmonia_chassis.errors import FailedPrecondition, NotFound, Overloaded, Reason

ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ARRIVAL = Arrival("acme", "ann", "audio/flac", Kept.OUTPUT)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "artifacts"


@contextmanager
def opened_store(root: Path, *, link_base: str = "") -> Iterator[FileStore]:
    store = FileStore(root, now=lambda: NOW, link_base=link_base)
    try:
        yield store
    finally:
        store.close()


@contextmanager
def room_for_files_of(size_bytes: int) -> Iterator[None]:
    """The kernel's own refusal, without a full disk: RLIMIT_FSIZE gives EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(root: Path) -> set[str]:
    found = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return found - {".lock", ".link-key"}


def test_a_disk_that_fills_up_in_the_middle_is_named_and_keeps_nothing(root: Path) -> None:
    small, full = room_for_files_of(1_000_000), pytest.raises(Overloaded, match="full")
    with opened_store(root) as store, store.spool() as spool, small, full as caught:
        spool.write(bytes(100_000) for _ in range(20))

    assert caught.value.reason is Reason.STORE_FULL
    assert caught.value.retry_after == timedelta(seconds=30)
    assert files(root) == set()


def test_a_disk_that_has_no_room_for_the_sidecar_keeps_nothing(root: Path) -> None:
    with opened_store(root) as store, store.spool() as spool:
        spool.write([b"abc"])
        with room_for_files_of(10), pytest.raises(Overloaded, match="full"):
            store.keep(spool, ARRIVAL)

    assert files(root) == set()


def test_a_put_after_room_was_made_succeeds(root: Path) -> None:
    with opened_store(root) as store:
        with room_for_files_of(1), pytest.raises(Overloaded), store.spool() as spool:
            spool.write([b"abc"])

        with store.spool() as spool:
            spool.write([b"abc"])
            assert store.keep(spool, ARRIVAL).sha256 == ABC_SHA256


def test_what_a_crash_left_arriving_is_swept_at_start(root: Path) -> None:
    with opened_store(root):
        pass
    (root / ".incoming" / "leftover").write_bytes(b"half")

    with opened_store(root):
        assert files(root) == set()


def test_an_object_whose_sidecar_a_crash_prevented_appears_with_the_next_put(root: Path) -> None:
    (root / "acme/ba").mkdir(parents=True)
    (root / f"acme/ba/{ABC_SHA256}").write_bytes(b"abc")

    with opened_store(root) as store:
        with pytest.raises(NotFound):
            store.find("acme", ABC_SHA256)
        with store.spool() as spool:
            spool.write([b"abc"])
            store.keep(spool, ARRIVAL)
        assert store.find("acme", ABC_SHA256).owners == {"ann"}


def test_two_processes_cannot_keep_one_folder(root: Path) -> None:
    with opened_store(root), pytest.raises(FailedPrecondition, match="another process"):
        FileStore(root, now=lambda: NOW)


def test_a_link_is_signed_with_a_key_that_survives_a_restart(root: Path) -> None:
    with opened_store(root, link_base="http://127.0.0.1:7480/v1/links/") as store, store.spool() as spool:
        spool.write([b"abc"])
        link = store.link(store.keep(spool, ARRIVAL), "ann", valid_for=timedelta(seconds=120))
    with opened_store(root):
        key = (root / ".link-key").read_bytes()

    token = link.url.removeprefix("http://127.0.0.1:7480/v1/links/")
    assert opened(key, token, now=NOW).sha256 == ABC_SHA256
    assert link.expires == NOW + timedelta(seconds=120)
    assert (root / ".link-key").stat().st_mode & 0o777 == 0o600


def test_without_a_door_that_serves_links_there_are_none(root: Path) -> None:
    with opened_store(root) as store, store.spool() as spool:
        spool.write([b"abc"])
        artifact = store.keep(spool, ARRIVAL)

        with pytest.raises(FailedPrecondition, match="on files makes no links: download the artifact, share the song"):
            store.link(artifact, "ann", valid_for=timedelta(seconds=120))
