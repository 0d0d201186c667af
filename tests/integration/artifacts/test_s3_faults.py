"""What goes wrong between artifacts and S3, each with its answer. Whatever happens: what was kept before stays and is
served whole, what was refused left nothing that is served, and nothing corrupt goes out."""

import hashlib
import itertools
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from minio import Minio

from harmonia_artifacts.blocks import BLOCK_BYTES
from harmonia_artifacts.parts import compares_what_is_signed
from harmonia_artifacts.s3 import S3Store, connections
from harmonia_artifacts.store import CHUNK_BYTES, Arrival, Artifact, Kept
from harmonia_chassis.chunks import Chunk
from harmonia_chassis.errors import HarmoniaError, Overloaded, Reason, Unavailable
from tests.integration.artifacts.fault_proxy import (
    BYTES,
    Answer,
    Cut,
    FaultProxy,
    FlipAnswer,
    FlipRequest,
    Judge,
    Stall,
    always,
    fault_proxy,
    first,
)
from tests.integration.artifacts.s3_servers import S3Server

NOW = datetime(2026, 1, 1, tzinfo=UTC)
buckets = itertools.count()
SLOW_DOWN, BROKEN = Answer(503, "SlowDown"), Answer(500, "InternalError")
UNREACHABLE = Reason.UNREACHABLE


def store_at(
    address: str, folder: Path, *, secret: str, bucket: str, retry_for_s: float = 1, read_s: float = 0.4
) -> S3Store:
    http = connections(read_s=read_s)
    client = Minio(
        address, access_key="harmonia", secret_key=secret, secure=False, region="us-east-1", http_client=http
    )
    (folder / "scratch").mkdir(exist_ok=True)
    return S3Store(
        client, bucket, scratch=folder / "scratch", now=lambda: NOW, retry_for=timedelta(seconds=retry_for_s)
    )


def put(store: S3Store, body: bytes) -> Artifact:
    with store.spool() as spool:
        spool.write(body[at : at + CHUNK_BYTES] for at in range(0, len(body), CHUNK_BYTES))
        return store.keep(spool, Arrival("acme", "ann", "audio/flac", Kept.OUTPUT))


def song(size_bytes: int) -> bytes:
    return hashlib.shake_128(b"song").digest(size_bytes)


@dataclass
class Faulty:
    """A store whose way to S3 is the test's to spoil, and one with a way of its own. `kept` was put before."""

    proxy: FaultProxy
    store: S3Store
    patient: S3Store
    direct: S3Store
    kept: Artifact
    scratch: Path


@pytest.fixture
def faulty(s3_server: S3Server, tmp_path: Path) -> Iterator[Faulty]:
    with faulty_way_to(s3_server, tmp_path) as faulty:
        yield faulty


@pytest.fixture(params=["s3_server", "minio_server"], ids=["seaweedfs", "minio"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Faulty]:
    with faulty_way_to(request.getfixturevalue(request.param), tmp_path) as faulty:
        yield faulty


@contextmanager
def faulty_way_to(server: S3Server, tmp_path: Path) -> Iterator[Faulty]:
    bucket = f"faults-{os.getpid()}-{next(buckets)}"
    with fault_proxy(server.address) as proxy:
        direct = store_at(server.address, tmp_path, secret=server.secret_key, bucket=bucket, retry_for_s=10, read_s=10)
        direct.prepare()
        kept = put(direct, song(2_500_000))
        store = store_at(proxy.address, tmp_path, secret=server.secret_key, bucket=bucket)
        patient = store_at(proxy.address, tmp_path, secret=server.secret_key, bucket=bucket, retry_for_s=10, read_s=10)
        yield Faulty(proxy, store, patient, direct, kept, tmp_path / "scratch")


# fault: what a Put answers, what a Get answers; None: as if nothing had been.
Expected = tuple[type[HarmoniaError], Reason, str] | None
Row = tuple[str, Callable[[], Judge], Expected, Expected]
BUSY: Expected = (Unavailable, UNREACHABLE, "SlowDown")
ERRORS: Expected = (Unavailable, UNREACHABLE, "InternalError")
AWAY: Expected = (Unavailable, UNREACHABLE, "S3 does not answer")
BREAKS_OFF: Expected = (Unavailable, UNREACHABLE, "breaks off")
DIFFERS: Expected = (Unavailable, UNREACHABLE, "differ each time")
FULL_DISK: Expected = (Overloaded, Reason.STORE_FULL, "XMinioStorageFull")
FULL_QUOTA: Expected = (Overloaded, Reason.STORE_FULL, "send it again")
NO_BUCKET: Expected = (Unavailable, UNREACHABLE, "HARMONIA_S3_BUCKET")
NO_KEYS: Expected = (Unavailable, UNREACHABLE, "HARMONIA_S3_ACCESS_KEY_FILE")
TABLE: list[Row] = [
    ("busy three times", partial(first, 3, SLOW_DOWN), None, None),
    ("busy for ever", partial(always, SLOW_DOWN), BUSY, BUSY),
    ("an error of the server, once", partial(first, 1, BROKEN), None, None),
    ("errors for ever", partial(always, BROKEN), ERRORS, ERRORS),
    ("stalls once", partial(first, 1, Stall()), None, None),
    ("stalls for ever", partial(always, Stall()), AWAY, AWAY),
    ("breaks off before the answer, twice", partial(first, 2, Cut(0)), None, None),
    ("breaks off before the answer, for ever", partial(always, Cut(0)), AWAY, AWAY),
    ("breaks off in the bytes, three times", partial(first, 3, Cut(900_000), of=BYTES), None, None),
    ("breaks off in the bytes, for ever", partial(always, Cut(20_000), of=BYTES), None, BREAKS_OFF),
    ("flips a bit of the bytes read, twice", partial(first, 2, FlipAnswer(), of=BYTES), None, None),
    ("flips a bit of the bytes read, for ever", partial(always, FlipAnswer(), of=BYTES), None, DIFFERS),
    ("flips a bit of the bytes sent, once", partial(first, 1, FlipRequest(), of="PUT"), None, None),
    ("full: MinIO", partial(always, Answer(507, "XMinioStorageFull"), of="PUT"), FULL_DISK, None),
    ("full: a quota", partial(always, Answer(403, "QuotaExceeded"), of="PUT"), FULL_QUOTA, None),
    ("the bucket is lost", partial(always, Answer(404, "NoSuchBucket")), NO_BUCKET, NO_BUCKET),
    ("the keys are refused", partial(always, Answer(403, "AccessDenied")), NO_KEYS, NO_KEYS),
]


def outcome(caught: HarmoniaError | None, expected: Expected) -> str:
    if caught is None or expected is None:
        return "as ever" if (caught, expected) == (None, None) else f"not as ever: {caught!r}, {expected!r}"
    kind, reason, part = expected
    fits = type(caught) is kind and caught.reason is reason and part in caught.message and caught.retry_after
    return f"{kind.__name__} {reason}" if fits else f"not as expected: {caught!r} {caught.reason}"


@pytest.mark.parametrize(("judge", "at_put", "at_get"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_each_fault_has_its_answer(
    faulty: Faulty, judge: Callable[[], Judge], at_put: Expected, at_get: Expected, request: pytest.FixtureRequest
) -> None:
    new, served = song(1_400_000)[::-1], list[Chunk]()

    faulty.proxy.judge = judge()
    refused = trouble(lambda: put(faulty.store, new))
    faulty.proxy.judge = judge()
    broken = trouble(lambda: served.extend(faulty.store.read(faulty.store.find("acme", faulty.kept.sha256))))
    faulty.proxy.judge = lambda method, path: None

    answers = outcome(refused, at_put), outcome(broken, at_get)
    print(f"{request.node.callspec.id}: put {answers[0]}; get {answers[1]}")
    assert not any(answer.startswith("not") for answer in answers)
    assert song(2_500_000).startswith(b"".join(served))
    assert list(faulty.scratch.iterdir()) == []
    assert_whole(faulty.direct, song(2_500_000))
    if refused is None:
        assert_whole(faulty.direct, new)
    put(faulty.store, new)
    assert_whole(faulty.store, new)


def assert_whole(store: S3Store, body: bytes) -> None:
    assert b"".join(store.read(store.find("acme", hashlib.sha256(body).hexdigest()))) == body


def trouble(act: Callable[[], object]) -> HarmoniaError | None:
    try:
        act()
    except HarmoniaError as error:
        return error
    return None


def test_a_server_that_is_away_is_unavailable_after_the_time_for_retries(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    store = store_at(f"127.0.0.1:{port}", tmp_path, secret="secret", bucket="any", retry_for_s=1)

    with pytest.raises(Unavailable, match="does not answer") as caught:
        store.find("acme", "0" * 64)

    assert caught.value.reason is Reason.UNREACHABLE


def test_a_wrong_key_is_named_at_once(s3_server: S3Server, tmp_path: Path) -> None:
    store = store_at(s3_server.address, tmp_path, secret="wrong", bucket="any", retry_for_s=60)

    with pytest.raises(Unavailable, match=r"SignatureDoesNotMatch.*HARMONIA_S3_SECRET_KEY_FILE"):
        put(store, b"abc")


def test_a_lost_bucket_is_named_at_once(s3_server: S3Server, tmp_path: Path) -> None:
    store = store_at(s3_server.address, tmp_path, secret=s3_server.secret_key, bucket="never-made", retry_for_s=60)

    with pytest.raises(Unavailable, match=r"NoSuchBucket.*HARMONIA_S3_BUCKET"):
        store.find("acme", "0" * 64)


def test_an_upload_in_parts_goes_on_through_errors(either: Faulty) -> None:
    body = song(40 * BLOCK_BYTES)
    either.proxy.judge = first(4, BROKEN, of="PUT")

    put(either.patient, body)

    assert_whole(either.direct, body)


def test_a_presigned_link_opens_the_object_as_an_attachment(either: Faulty) -> None:
    link = either.direct.link(either.kept, "ann", valid_for=timedelta(seconds=120))

    response = connections().request("GET", link.url)
    forged = connections().request("GET", link.url.replace("X-Amz-Expires=120", "X-Amz-Expires=9999"))

    assert (response.status, response.data) == (200, song(2_500_000))
    assert response.headers["content-disposition"] == "attachment"
    assert response.headers["content-type"] == "audio/flac"
    assert forged.status == 403
    assert link.expires == NOW + timedelta(seconds=120)


@pytest.mark.parametrize("size", [1_400_000, 20_000_000])
@pytest.mark.parametrize("asked", [False, True])
def test_bytes_that_are_spoiled_on_their_way_to_s3_are_sent_again(either: Faulty, size: int, asked: bool) -> None:
    """asked: whether it is known which server compares the signed SHA-256, and is sent no MD5."""
    if asked:
        either.patient.prepare()
    body = song(size)[::-1]
    either.proxy.judge = first(2, FlipRequest(), of="PUT")

    put(either.patient, body)

    assert_whole(either.direct, body)


def test_a_server_that_compares_what_is_signed_is_sent_no_second_digest(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    compares = {}
    for name in ("s3_server", "minio_server"):
        server: S3Server = request.getfixturevalue(name)
        client, bucket = server.client(), f"compares-{os.getpid()}-{next(buckets)}"
        client.make_bucket(bucket)
        compares[name] = compares_what_is_signed(client, bucket, "probe")
        assert list(client.list_objects(bucket)) == []

    assert compares == {"s3_server": False, "minio_server": True}


def test_the_bucket_may_be_lost_and_come_back(either: Faulty) -> None:
    client, bucket = either.direct._client, either.direct._bucket
    for item in client.list_objects(bucket, recursive=True):
        client.remove_object(bucket, item.object_name or "")
    client.remove_bucket(bucket)

    with pytest.raises(Unavailable, match=r"NoSuchBucket.*HARMONIA_S3_BUCKET"):
        put(either.direct, b"abc")
    either.direct.prepare()

    put(either.direct, b"abc")
    assert_whole(either.direct, b"abc")
