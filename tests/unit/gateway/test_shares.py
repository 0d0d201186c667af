"""Links under a clock of the test's own: which open, and that all others are refused in the same words."""

from datetime import timedelta

import pytest

from harmonia_chassis.errors import NotFound, QuotaExceeded, Unauthenticated
from harmonia_chassis.identity import Principal
from harmonia_chassis.job_stream import Refused
from harmonia_gateway.shares import MOST, SCOPE, Share, Shares

OWNER = Principal("user", "user", "local", "user", frozenset({"songs:write"}))


class Kept:
    """Entities in memory."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str, str], tuple[int, bytes]] = {}
        self.seq = 0

    async def get(self, kind: str, entity_id: str, *, tenant: str = "mesh") -> tuple[int, bytes] | None:
        return self.records.get((tenant, kind, entity_id))

    async def put(
        self, kind: str, entity_id: str, payload: bytes, *, tenant: str = "mesh", expected: int | None = None
    ) -> int:
        if expected is not None and self.records.get((tenant, kind, entity_id), (0, b""))[0] != expected:
            raise Refused(entity_id)
        self.seq += 1
        self.records[tenant, kind, entity_id] = (self.seq, payload)
        return self.seq

    replace = put

    async def forget(self, kind: str, entity_id: str, *, tenant: str = "mesh") -> None:
        self.records.pop((tenant, kind, entity_id))

    async def list(self, kind: str, *, tenant: str = "*") -> "list[tuple[str, int, bytes]]":
        return [(name[2], *kept) for name, kept in self.records.items() if name[:2] == (tenant, kind)]


class World:
    def __init__(self) -> None:
        self.time = 1_000_000.0
        self.kept = Kept()
        self.shares = Shares(self.kept, now=lambda: self.time)  # type: ignore[arg-type]  # as Entities

    async def share(self, *, days: float = 7) -> Share:
        return await self.shares.create(
            OWNER, song="songs/a", what="PAGE", formats=["mp3"], valid_for=timedelta(days=days)
        )


@pytest.fixture
def world() -> World:
    return World()


async def test_a_link_opens_until_it_ends_and_not_a_second_longer(world: World) -> None:
    share = await world.share(days=1)
    opened = await world.shares.recognise(share.token)
    world.time += 86400 - 1
    assert await world.shares.recognise(share.token) == opened
    world.time += 1

    with pytest.raises(Unauthenticated, match="opens nothing"):
        await world.shares.recognise(share.token)
    assert (opened.tenant, opened.owner, opened.scopes) == ("local", "user", frozenset({SCOPE}))


async def test_every_wrong_link_is_refused_in_the_same_words(world: World) -> None:
    good, revoked, ended = await world.share(), await world.share(), await world.share(days=1)
    await world.shares.revoke(OWNER, revoked.name)
    world.time += 2 * 86400
    later = f"{good.expire_time + 86400:08x}"
    now = f"{good.expire_time:08x}"
    other = await world.share()
    wrong = [
        revoked.token,
        ended.token,
        good.token.replace(now, later),
        good.token[:-1] + ("A" if good.token[-1] != "A" else "E"),
        good.token[:-43] + other.token[-43:],
        good.token.replace(good.id, other.id),
        good.token.upper(),
        f"hml_{'0' * 32}_{now}_{'A' * 43}",
        "hml_",
        "",
    ]
    said = set()
    for token in wrong:
        with pytest.raises(Unauthenticated) as refused:
            await world.shares.recognise(token)
        said.add((refused.value.message, refused.value.reason))

    assert len(said) == 1
    assert await world.shares.recognise(good.token)


async def test_a_revoked_link_keeps_no_key_and_a_stranger_revokes_none(world: World) -> None:
    share = await world.share()
    stranger = Principal("user", "x", "local", "somebody else", frozenset())
    with pytest.raises(NotFound):
        await world.shares.revoke(stranger, share.name)
    _, new = await world.shares.revoke(OWNER, share.name)
    _, again = await world.shares.revoke(OWNER, share.name)

    assert (new, again) == (True, False)
    assert share.key.encode() not in world.kept.records["local", "share", share.id][1]


async def test_there_are_so_many_open_links_and_no_more(world: World) -> None:
    made = [await world.share(days=1) for _ in range(MOST)]
    with pytest.raises(QuotaExceeded, match=str(MOST)):
        await world.share()
    await world.shares.revoke(OWNER, made[0].name)
    await world.share()
    world.time += 40 * 86400
    await world.share()

    assert len(await world.shares.of(OWNER)) == 1
