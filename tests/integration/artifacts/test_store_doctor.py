"""What `harmonia doctor` says of a store: that it keeps, or what is wrong and what to do."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harmonia_local.doctor import Check, store
from tests.integration.artifacts.fault_proxy import Answer, FlipAnswer, always, fault_proxy
from tests.integration.artifacts.s3_servers import S3Server

SERVERS = pytest.mark.parametrize("server_name", ["s3_server", "minio_server"], ids=["seaweedfs", "minio"])


@contextmanager
def room_for_files_of(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def variables(server: S3Server, folder: Path, *, address: str = "", bucket: str = "doctor") -> dict[str, str]:
    (folder / "access").write_text(server.access_key)
    (folder / "secret").write_text(server.secret_key)
    client = server.client()
    if bucket == "doctor" and not client.bucket_exists("doctor"):
        client.make_bucket("doctor")
    return {
        "HARMONIA_S3_ENDPOINT": f"http://{address or server.address}",
        "HARMONIA_S3_BUCKET": bucket,
        "HARMONIA_S3_ACCESS_KEY_FILE": str(folder / "access"),
        "HARMONIA_S3_SECRET_KEY_FILE": str(folder / "secret"),
    }


def test_a_folder_that_keeps_is_well_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()

    assert store(tmp_path, {}).ok
    assert list((tmp_path / "artifacts").iterdir()) == []


def test_a_folder_that_is_not_there_yet_will_be_made(tmp_path: Path) -> None:
    assert store(tmp_path, {}) == Check("store", True, f"{tmp_path / 'artifacts'} will be made")


def test_a_full_disk_is_found_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    with room_for_files_of(5000):
        check = store(tmp_path, {})

    assert (check.ok, check.way_out) == (False, "make room there")
    assert "full" in check.detail
    assert list((tmp_path / "artifacts").rglob("*.*")) == []


@SERVERS
def test_a_bucket_that_keeps_is_well_and_left_as_it_was(
    server_name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server: S3Server = request.getfixturevalue(server_name)

    check = store(tmp_path, variables(server, tmp_path))

    assert check.ok, check.detail
    assert list(server.client().list_objects("doctor", recursive=True)) == []


def test_a_bucket_that_is_not_there_is_found_with_a_way_out(s3_server: S3Server, tmp_path: Path) -> None:
    check = store(tmp_path, variables(s3_server, tmp_path, bucket="nowhere"))

    assert not check.ok
    assert "HARMONIA_S3_BUCKET" in check.detail


def test_a_server_that_is_away_is_found_with_a_way_out(s3_server: S3Server, tmp_path: Path) -> None:
    check = store(tmp_path, variables(s3_server, tmp_path, address="127.0.0.1:1"))

    assert not check.ok
    assert "does not answer" in check.detail
    assert "HARMONIA_S3_ENDPOINT" in check.way_out


def test_a_way_that_spoils_bytes_and_keys_that_may_not_write_are_found(s3_server: S3Server, tmp_path: Path) -> None:
    with fault_proxy(s3_server.address) as proxy:
        told = variables(s3_server, tmp_path, address=proxy.address)
        proxy.judge = always(FlipAnswer(), of="GET")
        spoiled = store(tmp_path, told)
        proxy.judge = always(Answer(403, "AccessDenied"), of="PUT")
        refused = store(tmp_path, told)

    assert not spoiled.ok
    assert "came back" in spoiled.detail
    assert not refused.ok
    assert "HARMONIA_S3_ACCESS_KEY_FILE" in refused.detail


def test_a_server_that_ignores_conditions_is_found(s3_server: S3Server, tmp_path: Path) -> None:
    with fault_proxy(s3_server.address) as proxy:
        told = variables(s3_server, tmp_path, address=proxy.address)
        puts = iter(range(10))
        proxy.judge = lambda method, path: Answer(200, "Ignored") if method == "PUT" and next(puts) else None
        check = store(tmp_path, told)

    assert not check.ok
    assert "ignores If-None-Match" in check.detail
