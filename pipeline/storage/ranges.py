"""Planning of byte ranges: join neighbours, divide long ranges. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First byte, and the byte after the last."""


def coalesce(ranges: Iterable[Range], *, gap: int, part: int) -> Iterator[Range]:
    """Yield the ranges to fetch that cover all of `ranges`, in their order.

    Parameters
    ----------
    ranges : iterable of (start, stop)
        In the order of reading; consumed lazily, one ahead.
    gap : int
        Bytes between two neighbours up to which fetching the gap costs less than another request.
    part : int
        Most bytes of one fetch; longer ranges are divided, so that their parts are fetched in parallel.
    """
    start = stop = 0
    for first, last in ranges:
        if last <= first:
            continue
        if stop and start <= first <= stop + gap and max(last, stop) - start <= part:
            stop = max(last, stop)
            continue
        if stop:
            yield from _parts(start, stop, part)
        start, stop = first, last
    if stop:
        yield from _parts(start, stop, part)


def _parts(start: int, stop: int, part: int) -> Iterator[Range]:
    for first in range(start, stop, part):
        yield first, min(first + part, stop)
