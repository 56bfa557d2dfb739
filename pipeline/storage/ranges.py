"""Byte ranges, planned: neighbours joined, long ones divided. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First byte, and the one behind the last."""


def coalesce(ranges: Iterable[Range], *, gap: int, part: int) -> Iterator[Range]:
    """Yield what to fetch so that all of `ranges` is covered, in their order.

    Parameters
    ----------
    ranges : iterable of (start, stop)
        In the order in which they will be read; consumed lazily, one ahead.
    gap : int
        Bytes between two neighbours up to which reading them too costs less than another request.
    part : int
        Bytes that no fetch exceeds: longer ranges are divided, so that their parts are fetched side by side.
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
