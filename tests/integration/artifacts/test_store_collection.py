"""Garbage collection on every store: it takes what it may, in two rounds, and never what somebody has put or found."""

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from harmonia_artifacts.garbage import GRACE, Fate, Reach, collected
from harmonia_artifacts.s3 import S3Store
from harmonia_artifacts.store import Artifact, Kept
from harmonia_chassis.errors import NotFound
from tests.integration.artifacts.stores import Bench, key_of

HOUR = timedelta(hours=1)


def round_of(bench: Bench, *held: Artifact, dry_run: bool = False, grace: timedelta = GRACE) -> list[tuple[str, Fate]]:
    """Keys and fates of one round, half a second after now; `held` are referred to by a record."""
    reach = Reach(since=bench.clock(), born=bench.clock.at - timedelta(days=365))
    for number, artifact in enumerate(held):
        reach.take(artifact.tenant, str(number), artifact.sha256.encode())
    reach.settle()
    found = list(collected(bench.store, reach, dry_run=dry_run, grace=grace))
    return sorted(
        (key_of(each.what) if isinstance(each.what, Artifact) else each.what.key, each.fate) for each in found
    )


def fates(fate: Fate, *artifacts: Artifact) -> list[tuple[str, Fate]]:
    return sorted((key_of(artifact), fate) for artifact in artifacts)


def test_a_dry_run_lists_exactly_the_planted_orphans_and_changes_nothing(bench: Bench) -> None:
    orphans = [bench.put(bytes([n]), kept=kept, tenant=f"t{n % 3}") for n, kept in enumerate(Kept)]
    held = [bench.put(b"held %d" % n, kept=kept, tenant=f"t{n % 3}") for n, kept in enumerate(Kept)]
    bench.clock.forward(8 * 24 * HOUR)
    young = [bench.put(b"young %d" % n, kept=kept) for n, kept in enumerate(Kept)]
    before = bench.behind.keys()

    found = round_of(bench, *held, dry_run=True)

    assert found == fates(Fate.FOUND, *orphans)
    assert round_of(bench, *held, dry_run=True) == found
    assert bench.behind.keys() == before
    assert all(bench.store.find(one.tenant, one.sha256) == one for one in (*orphans, *held, *young))


def test_what_one_round_condemns_a_later_one_removes(bench: Bench) -> None:
    orphan, held = bench.put(b"orphan"), bench.put(b"held")
    bench.clock.forward(49 * HOUR)

    assert round_of(bench, held) == fates(Fate.CONDEMNED, orphan)
    assert round_of(bench, held) == []  # too soon
    bench.clock.forward(HOUR)
    assert round_of(bench, held) == fates(Fate.REMOVED, orphan)

    with pytest.raises(NotFound, match=orphan.sha256):
        bench.store.find("acme", orphan.sha256)
    assert not bench.behind.keys() & {key_of(orphan)}
    assert bench.get(bench.store.find("acme", held.sha256)) == b"held"
    assert [one.sha256 for one in bench.store.artifacts("acme")] == [held.sha256]


def test_whoever_asks_for_a_condemned_object_saves_it(bench: Bench) -> None:
    orphan = bench.put(b"orphan")
    bench.clock.forward(49 * HOUR)
    round_of(bench)

    assert bench.get(bench.store.find("acme", orphan.sha256)) == b"orphan"
    bench.clock.forward(HOUR)

    assert round_of(bench) == fates(Fate.CONDEMNED, orphan)


def test_a_put_of_a_condemned_object_saves_it_and_refreshes_its_age(bench: Bench) -> None:
    bench.put(b"orphan")
    bench.clock.forward(49 * HOUR)
    round_of(bench)

    again = bench.put(b"orphan")
    bench.clock.forward(47 * HOUR)

    assert round_of(bench) == []
    assert bench.store.find("acme", again.sha256) == again


def test_a_record_that_comes_after_the_first_round_saves_its_objects(bench: Bench) -> None:
    orphan = bench.put(b"orphan")
    bench.clock.forward(49 * HOUR)
    round_of(bench)
    bench.clock.forward(HOUR)

    assert round_of(bench, orphan) == []
    assert bench.get(bench.store.find("acme", orphan.sha256)) == b"orphan"


def test_what_is_older_than_the_stream_of_jobs_is_kept(bench: Bench) -> None:
    bench.put(b"orphan")
    bench.clock.forward(49 * HOUR)
    reach = Reach(since=bench.clock.at, born=bench.clock.at - HOUR)

    assert list(collected(bench.store, reach, dry_run=False)) == []


def test_a_put_after_a_removal_is_a_new_object(bench: Bench) -> None:
    orphan = bench.put(b"orphan", owner="ann")
    bench.clock.forward(49 * HOUR)
    round_of(bench)
    round_of(bench, grace=timedelta(0))

    again = bench.put(b"orphan", owner="bob")

    assert again.owners == {"bob"}
    assert again.created > orphan.created
    assert bench.get(bench.store.find("acme", again.sha256)) == b"orphan"


def test_what_a_crash_left_half_is_listed_and_cleared_when_it_is_old(bench: Bench) -> None:
    whole, half = bench.put(b"whole"), bench.put(b"half")
    bench.behind.remove(f"{key_of(half)}.json")

    assert round_of(bench, whole) == []  # it may be arriving
    bench.clock.forward(49 * HOUR)
    assert round_of(bench, whole, dry_run=True) == [(key_of(half), Fate.FOUND)]
    assert round_of(bench, whole) == [(key_of(half), Fate.REMOVED)]

    assert not bench.behind.keys() & {key_of(half)}
    assert bench.get(bench.put(b"half")) == b"half"
    assert bench.get(whole) == b"whole"


def test_quarantined_bytes_are_kept(bench: Bench) -> None:
    rotten = bench.put(b"abc")
    bench.behind.write(key_of(rotten), b"abd")
    with pytest.raises(Exception, match="quarantined"):
        bench.get(rotten)
    bench.clock.forward(timedelta(days=365))
    before = bench.behind.keys()

    assert round_of(bench) == []
    assert bench.behind.keys() == before
    assert any(".quarantine" in key and bench.behind.read(key) == b"abd" for key in before)


def test_an_upload_to_s3_that_was_cut_short_is_cleared(bench: Bench) -> None:
    if bench.name != "seaweedfs" or not isinstance(bench.store, S3Store):
        pytest.skip("files have none; MinIO clears them itself after a day, and lists them by their whole key only")
    s3, key = bench.store, f"acme/{'a' * 2}/{'a' * 64}"
    s3._client._create_multipart_upload(s3._bucket, key, {})
    bench.clock.forward(49 * HOUR)
    bench.put(b"so that the tenant is there")

    [(listed, fate)] = round_of(bench)

    assert listed.startswith(f"{key}?uploadId=")
    assert fate is Fate.REMOVED
    assert round_of(bench) == []


def test_dead_sidecars_go_where_the_server_deletes_conditionally(bench: Bench) -> None:
    bench.put(b"orphan")
    bench.clock.forward(49 * HOUR)
    round_of(bench)
    round_of(bench, grace=timedelta(0))
    bench.clock.forward(49 * HOUR)
    round_of(bench)

    left = [key for key in sorted(bench.behind.keys()) if key.startswith("acme/")]

    stays = isinstance(bench.store, S3Store) and not bench.store.buries
    assert len(left) == (1 if stays else 0)


def test_a_race_of_puts_against_collection_loses_nothing(bench: Bench) -> None:
    """Every object is condemned when its Put comes, and rounds without grace run all the time: removing and condemning
    meet every step of a Put. What was put is there afterwards, and what was not is gone."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    dice, bodies = random.Random(seed), [hashlib.shake_128(b"%d" % n).digest(20_000) for n in range(60)]
    old = [bench.put(body) for body in bodies]
    bench.clock.forward(49 * HOUR)
    assert len(round_of(bench)) == 60
    put_again = dice.sample(range(60), 40)
    over, removed = threading.Event(), list[str]()

    def collect() -> None:
        while not over.is_set():
            removed.extend(key for key, fate in round_of(bench, grace=timedelta(0)) if fate is Fate.REMOVED)

    def put(number: int) -> Artifact:
        kept = bench.put(bodies[number])
        assert bench.get(bench.store.find("acme", kept.sha256)) == bodies[number]
        return kept

    with ThreadPoolExecutor(6) as threads:
        collectors = [threads.submit(collect) for _ in range(2 if isinstance(bench.store, S3Store) else 1)]
        try:
            kept = list(threads.map(put, put_again))
        finally:
            over.set()
        for collector in collectors:
            collector.result()
    round_of(bench)
    round_of(bench, grace=timedelta(0))

    for artifact, number in zip(kept, put_again, strict=True):
        assert bench.get(bench.store.find("acme", artifact.sha256)) == bodies[number]
    there = {one.sha256 for one in bench.store.artifacts("acme")}
    assert there == {old[number].sha256 for number in put_again}
    assert set(removed) & {key_of(old[number]) for number in put_again}, "no removal met a Put"
