"""Prefetching of objects that are read in a known order: while one is processed, the next ones are in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from pipeline.storage.objects import RangeFile
from pipeline.storage.options import active
from pipeline.storage.ranges import Range
from pipeline.storage.remote_requests import Found, Object
from pipeline.storage.urls import DICOMWEB, scheme_of


@dataclass(frozen=True, slots=True)
class Expected:
    """Size, time and identity of a file when the scan found it; see :class:`pipeline.model.SourceFile`."""

    size: int
    mtime_ns: int
    etag: str = ""
    sha256: str = ""
    """If known, a local file with this SHA-256 counts as unchanged, even with another time."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An object to be opened, and the ranges to be read from it, in order."""

    source: str
    expected: Expected
    ranges: tuple[Range, ...]


class _Prefetcher:
    """Opens objects ahead, in order, as many as the options allow."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._left = iter(readings)
        self._waiting: deque[tuple[Reading, RangeFile]] = deque()
        self._options = active()
        self._fill()

    def take(self, source: str) -> RangeFile | None:
        """Return the prefetched file of `source` and drop those before it; None if `source` wasn't prefetched."""
        if all(reading.source != source for reading, _ in self._waiting):
            return None
        while True:
            reading, file = self._waiting.popleft()
            if reading.source == source:
                self._fill()
                return file
            file.close()

    def close(self) -> None:
        """Close all files that nobody took."""
        for _, file in self._waiting:
            file.close()
        self._waiting.clear()

    def _fill(self) -> None:
        ahead = sum(_bytes(reading) for reading, _ in self._waiting)
        while len(self._waiting) < self._options.requests and ahead < self._options.prefetch:
            reading = next(self._left, None)
            if reading is None:
                return
            if scheme_of(reading.source) in DICOMWEB:  # instances are fetched whole
                continue
            file = open_object(reading.source, reading.expected)
            file.expect(reading.ranges)
            file.foreseen = True
            self._waiting.append((reading, file))
            ahead += _bytes(reading)


def _bytes(reading: Reading) -> int:
    return sum(stop - start for start, stop in reading.ranges)


_prefetcher: ContextVar[_Prefetcher | None] = ContextVar("storage_prefetcher", default=None)


@contextmanager
def prefetching(readings: Iterable[Reading]) -> Iterator[None]:
    """Fetch objects ahead of their opening in the block.

    Parameters
    ----------
    readings : iterable of Reading
        In the order of opening; consumed as objects are opened. An object that is never opened is fetched in vain.
    """
    prefetcher = _Prefetcher(readings)
    token = _prefetcher.set(prefetcher)
    try:
        yield
    finally:
        _prefetcher.reset(token)
        prefetcher.close()


def take_prefetched(source: str) -> RangeFile | None:
    """Return the prefetched file of `source`; None if it wasn't prefetched."""
    prefetcher = _prefetcher.get()
    return prefetcher.take(source) if prefetcher else None


def open_object(source: str, expected: Expected | None) -> RangeFile:
    """Open an object without sending a request."""
    return RangeFile(Object(source, active()), as_found(source, expected))


def as_found(source: str, expected: Expected | None) -> Found | None:
    """Return the scan's record of an object in the form of a listing's."""
    return Found(source, expected.size, expected.mtime_ns, expected.etag) if expected else None
