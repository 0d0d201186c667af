"""What the bench counts, against figures from elsewhere."""

import pytest

from bench import stock
from bench.counted import arrivals, percentile, song_bytes, step_bytes, weight_bytes

MEDIUM, LARGE = stock.Dimensions(1536, 48, 24, 2048), stock.Dimensions(2048, 48, 32, 2048)


@pytest.mark.parametrize(
    ("size", "slots", "seconds"),
    [
        # The floors of the design's page musicgen.md: a 30 s song in float16 at 4.3 TB/s.
        (stock.SMALL, 1, 0.30), (stock.SMALL, 16, 1.09), (stock.SMALL, 64, 3.61),
        (MEDIUM, 1, 1.27), (MEDIUM, 16, 3.64), (MEDIUM, 64, 11.2),
        (LARGE, 1, 2.19), (LARGE, 16, 5.34), (LARGE, 64, 15.4),
    ],
)  # fmt: skip
def test_a_song_cannot_be_drawn_faster_than_its_bytes_are_moved(size, slots, seconds):
    assert song_bytes(size, 1500, slots=slots, text=20, item=2) / 4.3e12 == pytest.approx(seconds, rel=0.05)


def test_a_step_reads_the_matrices_once_and_every_slots_cache():
    one, four = (step_bytes(stock.SMALL, 99, slots=slots, text=0, item=2) for slots in (1, 4))

    # Keys and values of 100 columns, with and without the text, in 24 layers of width 1024.
    assert four - one == 3 * 2 * 2 * 100 * 24 * 1024 * 2
    assert weight_bytes(stock.SMALL, item=2) == one - 2 * 2 * 100 * 24 * 1024 * 2


def test_songs_arrive_at_the_rate_asked_for_and_irregularly():
    at = arrivals(2.0, 4000, seed=1)
    gaps = [b - a for a, b in zip([0.0, *at], at, strict=False)]

    assert at == sorted(at)
    assert at == arrivals(2.0, 4000, seed=1)
    # Of an exponential distribution mean and standard deviation are the same.
    assert sum(gaps) / 4000 == pytest.approx(0.5, rel=0.05)
    assert (sum((gap - 0.5) ** 2 for gap in gaps) / 4000) ** 0.5 == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(("share", "value"), [(0.5, 5), (0.95, 10), (0.1, 1), (1.0, 10)])
def test_percentiles_are_values_that_were_measured(share, value):
    assert percentile([10, 9, 8, 7, 6, 5, 4, 3, 2, 1], share) == value
