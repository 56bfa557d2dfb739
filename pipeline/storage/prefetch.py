"""Reading many objects in a known order: the next ones' bytes are on their way while one is worked on."""

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
    """What a file was when it was found; see :class:`pipeline.model.SourceFile`."""

    size: int
    mtime_ns: int
    etag: str = ""
    sha256: str = ""
    """Where known: a local file with another time of change is still the same if it has this SHA-256."""


@dataclass(frozen=True, slots=True)
class Reading:
    """An object that will be opened, and the ranges that will be read of it, in order."""

    source: str
    expected: Expected
    ranges: tuple[Range, ...]


class _Foresight:
    """Objects opened ahead, in order, as many as the options allow."""

    def __init__(self, readings: Iterable[Reading]) -> None:
        self._left = iter(readings)
        self._waiting: deque[tuple[Reading, RangeFile]] = deque()
        self._options = active()
        self._fill()

    def take(self, source: str) -> RangeFile | None:
        """Return the file opened ahead for `source`, and drop those before it; None where there is none."""
        if all(reading.source != source for reading, _ in self._waiting):
            return None
        while True:
            reading, file = self._waiting.popleft()
            if reading.source == source:
                self._fill()
                return file
            file.close()

    def close(self) -> None:
        """Close what nobody took."""
        for _, file in self._waiting:
            file.close()
        self._waiting.clear()

    def _fill(self) -> None:
        ahead = sum(_bytes(reading) for reading, _ in self._waiting)
        while len(self._waiting) < self._options.requests and ahead < self._options.prefetch:
            reading = next(self._left, None)
            if reading is None:
                return
            if scheme_of(reading.source) in DICOMWEB:  # those are fetched whole
                continue
            file = open_object(reading.source, reading.expected)
            file.expect(reading.ranges)
            file.foreseen = True
            self._waiting.append((reading, file))
            ahead += _bytes(reading)


def _bytes(reading: Reading) -> int:
    return sum(stop - start for start, stop in reading.ranges)


_foresight: ContextVar[_Foresight | None] = ContextVar("storage_foresight", default=None)


@contextmanager
def prefetching(readings: Iterable[Reading]) -> Iterator[None]:
    """Let objects that are opened in the block be fetched ahead.

    Parameters
    ----------
    readings : iterable of Reading
        In the order in which they will be opened; consumed as that goes on. One that is never opened costs its bytes.
    """
    foresight = _Foresight(readings)
    token = _foresight.set(foresight)
    try:
        yield
    finally:
        _foresight.reset(token)
        foresight.close()


def take_prefetched(source: str) -> RangeFile | None:
    """Return the object where it was opened ahead."""
    foresight = _foresight.get()
    return foresight.take(source) if foresight else None


def open_object(source: str, expected: Expected | None) -> RangeFile:
    """Open an object; nothing is asked for yet."""
    return RangeFile(Object(source, active()), found_before(source, expected))


def found_before(source: str, expected: Expected | None) -> Found | None:
    """Return what the scan saw of an object as what a look at it gives."""
    return Found(source, expected.size, expected.mtime_ns, expected.etag) if expected else None
