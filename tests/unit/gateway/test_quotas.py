import asyncio
from datetime import timedelta

import pytest

from harmonia_chassis.errors import QuotaExceeded
from harmonia_gateway.quotas import Fullness, Places, Rate


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Counts:
    """A projection that has folded up to `seq`."""

    def __init__(self) -> None:
        self.seq = 0
        self.songs = {False: 0, True: 0}

    def unfinished(self, tenant: str, *, batch: bool) -> int:
        return self.songs[batch] if tenant == "local" else 0


def taken(rate: Rate, tenant: str = "local") -> int:
    """How many there were to take at once."""
    count = 0
    while True:
        try:
            rate.take(tenant)
        except QuotaExceeded:
            return count
        count += 1


def test_a_minutes_worth_is_there_at_once_and_comes_back_evenly():
    clock = Clock()
    rate = Rate("songs", 60, clock=clock)

    assert taken(rate) == 60
    clock.now = 10.0
    assert taken(rate) == 10
    clock.now = 1000.0
    assert taken(rate) == 60


def test_a_tenant_does_not_use_up_anothers():
    rate = Rate("songs", 3, clock=Clock())

    assert taken(rate) == 3
    assert taken(rate, "other") == 3


def test_a_refusal_says_when_the_next_is_free():
    clock = Clock()
    rate = Rate("songs", 30, clock=clock)
    taken(rate)
    clock.now = 0.5

    with pytest.raises(QuotaExceeded, match="more than 30 songs in a minute") as caught:
        rate.take("local")

    assert (caught.value.reason, caught.value.retry_after) == ("RATE_LIMITED", timedelta(seconds=1.5))
    clock.now = 2.01
    rate.take("local")


def enter(places: Places, tenant: str = "local", *, batch: bool = False, seq: int | None = None) -> None:
    with places.place(tenant, batch=batch) as place:
        place.seq = seq


def test_songs_on_their_way_into_the_projection_count():
    counts = Counts()
    places = Places(2, counts)
    enter(places, seq=7)
    enter(places, seq=8)
    with pytest.raises(QuotaExceeded, match="2 songs are unfinished"):
        enter(places)

    counts.seq, counts.songs[False] = 8, 1  # folded, and one has ended meanwhile

    enter(places, seq=9)
    with pytest.raises(QuotaExceeded, match="2 songs are unfinished"):
        enter(places)


def test_songs_being_made_at_once_count():
    places = Places(1, Counts())

    with places.place("local", batch=False), pytest.raises(QuotaExceeded, match="1 songs are unfinished"):
        enter(places)


def test_a_song_that_was_not_made_takes_no_place():
    places = Places(1, Counts())
    enter(places, seq=None)

    enter(places)
    enter(places, "other")


def test_the_background_lanes_have_ten_times_the_room():
    counts = Counts()
    counts.songs = {False: 2, True: 19}
    places = Places(2, counts)
    enter(places, batch=True, seq=1)

    with pytest.raises(QuotaExceeded, match="20 songs are unfinished"):
        enter(places, batch=True)
    with pytest.raises(QuotaExceeded) as caught:
        enter(places)

    assert caught.value.reason == "TENANT_UNFINISHED"
    assert caught.value.retry_after is not None


async def test_a_stream_over_four_fifths_takes_no_new_songs():
    clock, fill, asked = Clock(), [0.4], []

    async def measure() -> float:
        asked.append(clock.now)
        return fill[0]

    fullness = Fullness(measure, clock=clock)
    await fullness.check()
    fill[0] = 0.81
    await fullness.check()  # known for a second
    clock.now = 1.0

    with pytest.raises(QuotaExceeded, match="81% full") as caught:
        await fullness.check()

    assert caught.value.reason == "STORE_FULL"
    await asyncio.gather(*(refusal(fullness) for _ in range(3)))
    assert asked == [0.0, 1.0]


async def test_a_stream_that_is_more_than_half_full_is_measured_for_every_song():
    levels = [0.51, 0.81]

    async def measure() -> float:
        return levels.pop(0)

    fullness = Fullness(measure, clock=Clock())
    await fullness.check()

    with pytest.raises(QuotaExceeded, match="81% full"):
        await fullness.check()


async def test_many_songs_within_a_second_do_not_fill_a_small_stream_unseen():
    songs = 0

    async def measure() -> float:
        return songs / 220

    fullness = Fullness(measure, clock=Clock())
    while not await is_refused(fullness):
        songs += 1

    assert 0.8 < songs / 220 < 0.85


async def is_refused(fullness: Fullness) -> bool:
    try:
        await fullness.check()
    except QuotaExceeded:
        return True
    return False


async def refusal(fullness: Fullness) -> None:
    with pytest.raises(QuotaExceeded):
        await fullness.check()
