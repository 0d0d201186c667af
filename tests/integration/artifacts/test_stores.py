"""One suite over every store: what holds on files holds on two real S3 servers."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from harmonia_artifacts.blocks import BLOCK_BYTES, stored_digest
from harmonia_artifacts.store import CHUNK_BYTES, Kept
from harmonia_chassis.chunks import Chunk
from harmonia_chassis.errors import Internal, InvalidInput, NotFound, Reason
from tests.integration.artifacts.stores import ABC_SHA256, Bench, key_of


def song(size_bytes: int) -> bytes:
    return hashlib.shake_128(b"song").digest(size_bytes)


def flipped(body: bytes, at: int) -> bytes:
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def test_an_object_lies_under_its_tenant_and_the_digest_of_its_bytes(bench: Bench) -> None:
    artifact = bench.put(b"abc")

    assert artifact.sha256 == ABC_SHA256
    assert bench.behind.read(f"acme/ba/{ABC_SHA256}") == b"abc"
    assert bench.behind.keys() == {f"acme/ba/{ABC_SHA256}", f"acme/ba/{ABC_SHA256}.json"}


@pytest.mark.parametrize("size_bytes", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5_000_000])
def test_bytes_come_back_as_they_went_in(bench: Bench, size_bytes: int) -> None:
    artifact = bench.put(song(size_bytes))

    assert artifact.size_bytes == size_bytes
    assert bench.get(artifact) == song(size_bytes)


def test_an_object_in_several_parts_comes_back_whole(bench: Bench) -> None:
    body = song(40 << 20)

    assert bench.get(bench.put(body)) == body


@pytest.mark.parametrize("offset", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, 1_700_000, 1_999_999, 2_000_000])
def test_a_read_from_an_offset_is_the_rest(bench: Bench, offset: int) -> None:
    artifact = bench.put(song(2_000_000))

    assert bench.get(artifact, offset) == song(2_000_000)[offset:]


@pytest.mark.parametrize("offset", [-1, 4])
def test_an_offset_outside_the_object_is_refused(bench: Bench, offset: int) -> None:
    artifact = bench.put(b"abc")

    with pytest.raises(InvalidInput, match="outside the 3 bytes"):
        bench.get(artifact, offset)


def test_the_sidecar_is_what_find_answers(bench: Bench) -> None:
    artifact = bench.put(b"abc", owner="ann", media_type="audio/midi", kept=Kept.PREVIEW)

    assert bench.store.find("acme", ABC_SHA256) == artifact
    assert (artifact.media_type, artifact.kept) == ("audio/midi", Kept.PREVIEW)
    assert artifact.owners == {"ann"}


def test_an_object_of_another_tenant_does_not_exist(bench: Bench) -> None:
    bench.put(b"abc", tenant="acme")

    with pytest.raises(NotFound, match=ABC_SHA256):
        bench.store.find("emca", ABC_SHA256)
    assert list(bench.store.artifacts("emca")) == []


def test_the_same_bytes_of_two_tenants_are_two_objects(bench: Bench) -> None:
    ours, theirs = bench.put(b"abc", tenant="acme"), bench.put(b"abc", tenant="emca")

    bench.behind.write(key_of(theirs), b"abd")

    assert bench.get(ours) == b"abc"


@pytest.mark.parametrize("tenant", ["", ".", "..", "../acme", "a/b", ".quarantine", "Acme", "a" * 64])
def test_a_tenant_that_could_be_another_path_is_refused(bench: Bench, tenant: str) -> None:
    with pytest.raises(InvalidInput, match="no tenant is called"):
        bench.put(b"abc", tenant=tenant)
    with pytest.raises(InvalidInput, match="no tenant is called"):
        bench.store.find(tenant, ABC_SHA256)
    with pytest.raises(InvalidInput, match="no tenant is called"):
        list(bench.store.artifacts(tenant))


@pytest.mark.parametrize("sha256", ["", "ba", "../../../etc/passwd", ABC_SHA256.upper(), ABC_SHA256 + "\n"])
def test_a_digest_that_could_be_another_path_is_refused(bench: Bench, sha256: str) -> None:
    with pytest.raises(InvalidInput, match="64 lower-case hex digits"):
        bench.store.find("acme", sha256)


def test_a_second_put_adds_its_owner_and_refreshes_the_age(bench: Bench) -> None:
    first = bench.put(b"abc", owner="ann")

    second = bench.put(b"abc", owner="bob")

    assert second.owners == {"ann", "bob"}
    assert second.created == first.created
    assert second.refreshed > first.refreshed
    assert bench.store.find("acme", ABC_SHA256) == second


def test_a_second_put_never_shortens_a_life(bench: Bench) -> None:
    bench.put(b"abc", kept=Kept.CHECKPOINT)
    assert bench.put(b"abc", kept=Kept.OUTPUT).kept is Kept.OUTPUT
    assert bench.put(b"abc", kept=Kept.PREVIEW).kept is Kept.OUTPUT


def test_eight_puts_of_one_object_at_once_are_one_object_of_eight_owners(bench: Bench) -> None:
    body, owners = song(2_000_000), [f"owner-{n}" for n in range(8)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda owner: bench.put(body, owner=owner), owners))

    [artifact] = bench.store.artifacts("acme")
    assert artifact.owners == set(owners)
    assert bench.get(artifact) == body
    assert len(bench.behind.keys()) == 2


@pytest.mark.parametrize("at", [0, 1_500_000, 2_999_999])
def test_a_flipped_byte_is_found_quarantined_and_never_served_again(bench: Bench, at: int) -> None:
    artifact = bench.put(song(3_000_000))
    rotten = flipped(song(3_000_000), at)
    bench.behind.write(key_of(artifact), rotten)

    served: list[Chunk] = []
    with pytest.raises(Internal, match="quarantined") as caught:
        served.extend(bench.store.read(artifact))

    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert caught.value.metadata["stored_sha256"] == hashlib.sha256(rotten).hexdigest()
    whole_blocks = at // BLOCK_BYTES * BLOCK_BYTES
    assert b"".join(served) == song(3_000_000)[:whole_blocks]
    with pytest.raises(NotFound):
        bench.store.find("acme", artifact.sha256)
    assert list(bench.store.artifacts("acme")) == []
    [aside] = [key for key in sorted(bench.behind.keys()) if ".quarantine" in key and not key.endswith(".json")]
    assert bench.behind.read(aside) == rotten


@pytest.mark.parametrize("body", [b"", song(2_999_999), song(3_000_000) + b"\0"], ids=["empty", "shorter", "longer"])
def test_an_object_of_another_length_is_found_and_quarantined(bench: Bench, body: bytes) -> None:
    artifact = bench.put(song(3_000_000))
    bench.behind.write(key_of(artifact), body)

    with pytest.raises(Internal, match="quarantined"):
        bench.get(artifact)
    with pytest.raises(NotFound):
        bench.store.find("acme", artifact.sha256)


def test_a_read_from_an_offset_notices_a_byte_flipped_before_it_in_its_block(bench: Bench) -> None:
    artifact = bench.put(song(1_000_000))
    bench.behind.write(key_of(artifact), flipped(song(1_000_000), 10))

    with pytest.raises(Internal, match="quarantined"):
        bench.get(artifact, 900_000)


def test_verify_tells_the_digest_that_is_really_there(bench: Bench) -> None:
    artifact = bench.put(b"abd")
    assert stored_digest(bench.store, artifact) == artifact.sha256

    bench.behind.write(key_of(artifact), b"abc")

    assert stored_digest(bench.store, artifact) == ABC_SHA256


def test_a_new_put_heals_what_was_quarantined(bench: Bench) -> None:
    artifact = bench.put(b"abc")
    bench.behind.write(key_of(artifact), b"abd")
    with pytest.raises(Internal, match="quarantined"):
        bench.get(artifact)

    healed = bench.put(b"abc", owner="bob")

    assert bench.get(healed) == b"abc"
    assert healed.owners == {"bob"}


def test_a_put_in_the_middle_of_a_read_of_rotten_bytes_heals_it(bench: Bench) -> None:
    body = song(3 * BLOCK_BYTES)
    artifact = bench.put(body)
    bench.behind.write(key_of(artifact), flipped(body, len(body) - 1))
    reading = bench.store.read(artifact)
    first = next(reading)

    bench.put(body)

    assert b"".join([first, *reading]) == body
    assert bench.get(bench.store.find("acme", artifact.sha256)) == body


def test_no_byte_of_a_rotten_block_is_served(bench: Bench) -> None:
    body = song(5 * BLOCK_BYTES)
    artifact = bench.put(body)
    bench.behind.write(key_of(artifact), flipped(body, 3 * BLOCK_BYTES + 17))

    served: list[Chunk] = []
    with pytest.raises(Internal, match="quarantined"):
        served.extend(bench.store.read(artifact))

    assert b"".join(served) == body[: 3 * BLOCK_BYTES]


RANGES = [
    (0, 1),
    (BLOCK_BYTES - 1, 2),
    (BLOCK_BYTES, BLOCK_BYTES),
    (2_500_000, 10**9),
    (5 * BLOCK_BYTES + 3, 1),
    (5 * BLOCK_BYTES + 4, 1),
    (3, 0),
]


@pytest.mark.parametrize(("offset", "length"), RANGES)
def test_a_range_is_what_was_asked_for(bench: Bench, offset: int, length: int) -> None:
    body = song(5 * BLOCK_BYTES + 4)
    artifact = bench.put(body)

    assert b"".join(bench.store.read(artifact, offset, length)) == body[offset : offset + length]


def test_a_range_is_served_and_proven_by_the_blocks_it_touches_alone(bench: Bench) -> None:
    body = song(5 * BLOCK_BYTES)
    artifact = bench.put(body)
    bench.behind.write(key_of(artifact), flipped(body, 4 * BLOCK_BYTES))

    assert b"".join(bench.store.read(artifact, BLOCK_BYTES + 5, 1000)) == body[BLOCK_BYTES + 5 :][:1000]
    with pytest.raises(Internal, match="quarantined"):
        list(bench.store.read(artifact, 4 * BLOCK_BYTES + 500, 10))


@pytest.mark.parametrize("at", [None, 0, 2 * BLOCK_BYTES + 1])
def test_an_object_from_before_there_were_blocks_is_served_whole_or_not_at_all(bench: Bench, at: int | None) -> None:
    body = song(2 * BLOCK_BYTES + 5)
    artifact = replace(bench.put(body), blocks=())
    if at is None:
        assert bench.get(artifact) == body
        assert b"".join(bench.store.read(artifact, BLOCK_BYTES, 9)) == body[BLOCK_BYTES:][:9]
        return
    bench.behind.write(key_of(artifact), flipped(body, at))

    with pytest.raises(Internal, match="quarantined"):
        next(bench.store.read(artifact, 5))


def test_a_rotten_sidecar_does_not_condemn_sound_bytes(bench: Bench) -> None:
    body = song(2 * BLOCK_BYTES)
    artifact = bench.put(body)
    rotten = replace(artifact, blocks=(artifact.blocks[0], "0" * 64))

    assert bench.get(rotten) == body
    assert bench.store.find("acme", artifact.sha256) == artifact


def test_an_object_without_a_sidecar_does_not_exist(bench: Bench) -> None:
    half, whole = bench.put(b"half"), bench.put(b"whole")
    bench.behind.remove(f"{key_of(half)}.json")

    with pytest.raises(NotFound):
        bench.store.find("acme", half.sha256)
    assert list(bench.store.artifacts("acme")) == [whole]


def test_a_sidecar_without_an_object_opens_nothing(bench: Bench) -> None:
    lost = bench.put(b"lost")
    bench.behind.remove(key_of(lost))

    with pytest.raises(NotFound, match=lost.sha256):
        bench.get(lost)
    with pytest.raises(NotFound, match=lost.sha256):
        bench.get(bench.store.find("acme", lost.sha256))


@pytest.mark.parametrize("text", [b"", b"{", b"{}", b"[1]", b'{"class": "unheard-of"}'])
def test_an_object_whose_sidecar_does_not_parse_is_absent_until_it_is_put_again(bench: Bench, text: bytes) -> None:
    torn, whole = bench.put(b"torn"), bench.put(b"whole")
    bench.behind.write(f"{key_of(torn)}.json", text)

    with pytest.raises(NotFound, match=torn.sha256):
        bench.store.find("acme", torn.sha256)
    assert list(bench.store.artifacts("acme")) == [whole]
    assert bench.get(bench.put(b"torn")) == b"torn"


def test_a_list_goes_on_behind_its_token_in_the_order_of_digests(bench: Bench) -> None:
    digests = sorted(bench.put(bytes([n])).sha256 for n in range(30))

    listed = [artifact.sha256 for artifact in bench.store.artifacts("acme")]
    rest = [artifact.sha256 for artifact in bench.store.artifacts("acme", after=digests[11])]

    assert listed == digests
    assert rest == digests[12:]


def test_an_abandoned_spool_leaves_nothing(bench: Bench) -> None:
    with bench.store.spool() as spool:
        spool.write([b"abc"])

    assert list(bench.spools.iterdir()) == []
    assert bench.behind.keys() == set()


def test_a_finished_put_leaves_no_spool(bench: Bench) -> None:
    bench.put(b"abc")

    assert list(bench.spools.iterdir()) == []
