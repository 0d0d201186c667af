"""An S3 server that is away, refuses, or breaks off: each with its own answer."""

import hashlib
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest
from minio import Minio

from harmonia_artifacts.s3 import S3Store, connections
from harmonia_artifacts.store import Arrival, Artifact, Kept
from harmonia_chassis.errors import Reason, Unavailable


class S3Server(Protocol):
    address: str
    secret_key: str


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def store_at(address: str, tmp_path: Path, *, secret: str, retry_for_s: float = 5, bucket: str = "faults") -> S3Store:
    client = Minio(
        address,
        access_key="harmonia",
        secret_key=secret,
        secure=False,
        region="us-east-1",
        http_client=connections(),
    )
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return S3Store(
        client, bucket, scratch=tmp_path / "scratch", now=lambda: NOW, retry_for=timedelta(seconds=retry_for_s)
    )


def put(store: S3Store, body: bytes) -> Artifact:
    with store.spool() as spool:
        spool.write([body])
        return store.keep(spool, Arrival("acme", "ann", "audio/flac", Kept.OUTPUT))


def song(size_bytes: int) -> bytes:
    return hashlib.shake_128(b"song").digest(size_bytes)


@contextmanager
def proxy_to(address: str, cut_after_bytes: Callable[[], int | None]) -> Iterator[str]:
    """A door to `address` that ends each connection after so many bytes of answer; None: never."""
    host, port = address.split(":")

    class Door(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((host, int(port))) as behind:
                up = threading.Thread(target=pump, args=(self.request, behind, None), daemon=True)
                up.start()
                pump(behind, self.request, cut_after_bytes())
                self.request.shutdown(socket.SHUT_RDWR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Door) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()


def pump(source: socket.socket, sink: socket.socket, limit_bytes: int | None) -> None:
    passed = 0
    try:
        while (data := source.recv(65536)) and (limit_bytes is None or passed < limit_bytes):
            sink.sendall(data)
            passed += len(data)
    except OSError:
        return


def test_a_server_that_is_away_is_unavailable_after_the_time_for_retries(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = store_at(f"127.0.0.1:{port}", tmp_path, secret="secret", retry_for_s=1)
    began = time.monotonic()

    with pytest.raises(Unavailable, match="does not answer") as caught:
        store.find("acme", "0" * 64)

    assert caught.value.reason is Reason.UNREACHABLE
    assert 0.5 < time.monotonic() - began < 60


def test_a_refused_credential_is_named_at_once(s3_server: S3Server, tmp_path: Path) -> None:
    store = store_at(s3_server.address, tmp_path, secret="wrong", retry_for_s=60)

    with pytest.raises(Unavailable, match="S3 refuses: SignatureDoesNotMatch"):
        put(store, b"abc")


def test_a_lost_bucket_is_named_at_once(s3_server: S3Server, tmp_path: Path) -> None:
    store = store_at(s3_server.address, tmp_path, secret=s3_server.secret_key, retry_for_s=60, bucket="never-made")

    with pytest.raises(Unavailable, match="S3 refuses: NoSuchBucket"):
        store.find("acme", "0" * 64)


def test_a_connection_that_breaks_off_goes_on_where_it_was(s3_server: S3Server, tmp_path: Path) -> None:
    cuts = iter([1_000_000, 1_500_000])
    with proxy_to(s3_server.address, lambda: next(cuts, None)) as address:
        direct = store_at(s3_server.address, tmp_path, secret=s3_server.secret_key, bucket="breaks")
        direct.prepare()
        artifact = put(direct, song(4_000_000))
        broken = store_at(address, tmp_path, secret=s3_server.secret_key, bucket="breaks")

        assert b"".join(broken.read(artifact)) == song(4_000_000)
        assert next(cuts, None) is None


def test_a_server_that_always_breaks_off_is_unavailable_and_nothing_is_quarantined(
    s3_server: S3Server, tmp_path: Path
) -> None:
    direct = store_at(s3_server.address, tmp_path, secret=s3_server.secret_key, bucket="always")
    direct.prepare()
    artifact = put(direct, song(4_000_000))
    with proxy_to(s3_server.address, lambda: 300_000) as address:
        broken = store_at(address, tmp_path, secret=s3_server.secret_key, bucket="always")

        with pytest.raises(Unavailable, match="breaks off after"):
            list(broken.read(artifact))

    assert direct.find("acme", artifact.sha256) == artifact


def test_a_put_whose_answers_are_lost_is_made_again(s3_server: S3Server, tmp_path: Path) -> None:
    direct = store_at(s3_server.address, tmp_path, secret=s3_server.secret_key, bucket="lost-answers")
    direct.prepare()
    cuts = iter([0, 0, None])
    with proxy_to(s3_server.address, lambda: next(cuts, None)) as address:
        broken = store_at(address, tmp_path, secret=s3_server.secret_key, bucket="lost-answers")

        artifact = put(broken, song(300_000))

    assert b"".join(direct.read(direct.find("acme", artifact.sha256))) == song(300_000)


def test_a_presigned_link_opens_the_object_as_an_attachment(s3_server: S3Server, tmp_path: Path) -> None:
    store = store_at(s3_server.address, tmp_path, secret=s3_server.secret_key, bucket="linked")
    store.prepare()
    link = store.link(put(store, b"abc"), "ann", valid_for=timedelta(seconds=120))

    response = connections().request("GET", link.url)
    forged = connections().request("GET", link.url.replace("X-Amz-Expires=120", "X-Amz-Expires=9999"))

    assert (response.status, response.data) == (200, b"abc")
    assert response.headers["content-disposition"] == "attachment"
    assert response.headers["content-type"] == "audio/flac"
    assert forged.status == 403
    assert link.expires == NOW + timedelta(seconds=120)
