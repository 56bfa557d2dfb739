"""Planning of byte ranges."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.storage.ranges import coalesce

RANGES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 500)).map(lambda pair: (pair[0], sum(pair))))


@given(RANGES, st.integers(0, 200), st.integers(1, 3000))
def test_every_byte_is_covered_in_order_and_no_part_is_too_long(ranges, gap, part):
    planned = list(coalesce(ranges, gap=gap, part=part))
    assert all(0 < stop - start <= part for start, stop in planned)
    position = 0
    for start, stop in ranges:
        # each range's bytes come from the planned ones at or behind the place where the one before it was found
        at = start
        while at < stop:
            position = next(i for i in range(max(position - 1, 0), len(planned)) if planned[i][0] <= at < planned[i][1])
            at = planned[position][1]


@given(RANGES, st.integers(0, 200))
def test_nothing_beyond_the_gaps_is_fetched(ranges, gap):
    wanted = sum(stop - start for start, stop in ranges)
    fetched = sum(stop - start for start, stop in coalesce(ranges, gap=gap, part=1 << 40))
    assert fetched <= wanted + gap * len(ranges)


def test_neighbours_become_one_request_and_long_ranges_several():
    assert list(coalesce([(0, 10), (12, 20), (100, 110)], gap=5, part=100)) == [(0, 20), (100, 110)]
    assert list(coalesce([(0, 250)], gap=5, part=100)) == [(0, 100), (100, 200), (200, 250)]
    assert list(coalesce([(50, 60), (0, 10)], gap=5, part=100)) == [(50, 60), (0, 10)]
    assert list(coalesce([], gap=5, part=100)) == []
