"""Objects as files: only the bytes that are read are fetched, as joined ranges, several in flight."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any

from pipeline.errors import SourceError
from pipeline.storage.positioned import PositionedFile
from pipeline.storage.ranges import Range, coalesce
from pipeline.storage.remote_requests import Found, Object
from pipeline.storage.retrying import RangesNotServedError

HEAD = 128 << 10
"""Bytes of the first request at an object's beginning; most headers are shorter."""
PART = 8 << 20
"""Most bytes of one request."""
GAP = 64 << 10
"""Bytes between two ranges up to which they are fetched as one."""
_BLOCK = 64 << 10
_LARGEST_BLOCK = 4 << 20
_SMALL = 1 << 10
"""Shorter reads are hops from item to item, which don't need the bytes around them."""
THROUGH = 256 << 10
"""Bytes of a fragment below which reading it, with parallel requests, takes less time than skipping it."""
WHOLE = 64 << 20
"""Most bytes of an object that is held in memory if the server doesn't serve ranges."""
_THREADS = 32

Piece = tuple[int, memoryview]


class RangeFile(PositionedFile):
    """A seekable file that fetches its bytes on reading, or earlier if :meth:`expect` announced them.

    Every answer's size and ETag (or time) are compared with the first answer's or the scan's, so that bytes of two versions
    of an object never mix.

    Parameters
    ----------
    target : Object
        The object to read.
    expected : Found, optional
        Size and identity that the scan recorded.

    Raises
    ------
    SourceError
        On reading, with reason ``file_not_found``, ``unreadable``, ``source_changed`` or ``no_range_requests``.
    """

    near = 16 << 10
    """Bytes up to which reading on costs less than another request; used by the walk over items."""
    through = near
    """The same if the items' positions are unknown, so that requests can't run in parallel; see :meth:`read_through`."""

    def __init__(self, target: Object, expected: Found | None = None) -> None:
        super().__init__()
        self.name = target.name
        self.foreseen = False
        """Whether a caller that knows all reads has announced them; later announcements are ignored."""
        self._target = target
        self._found = expected
        self._block = _BLOCK
        self._fetched = -1
        self._pieces: deque[Piece] = deque(maxlen=3)
        self._ahead: Iterator[Range] = iter(())
        self._flight: deque[tuple[int, int, Future[memoryview]]] = deque()
        own = target.options.for_url(target.name)
        self._requests, self._window = own.requests, own.prefetch

    @property
    def found(self) -> Found:
        """Size and identity of the object; fetches the object's beginning if they are unknown."""
        if self._found is None:
            self._pieces.append((0, self._fetch(0, HEAD)))
        if self._found is None:
            raise AssertionError("an answer always says what the object is")
        return self._found

    def _end(self) -> int:
        return self.found.size

    def close(self) -> None:
        """Drop held bytes and requests in flight."""
        self._drop()
        self._pieces.clear()
        super().close()

    def expect(self, ranges: Iterable[Range], gap: int = GAP) -> None:
        """Announce the next reads in their order; they are fetched ahead as far as the options allow.

        Parameters
        ----------
        ranges : iterable of (start, stop)
            Consumed as reading goes on; replaces earlier announcements.
        gap : int
            Bytes between two ranges up to which they are fetched as one.
        """
        if self.foreseen:
            return
        self._drop()
        self._ahead = coalesce(ranges, gap=gap, part=min(PART, max(self._window // 2, _BLOCK)))
        self._advance()

    def read_through(self) -> None:
        """Prefer few requests to few bytes; for a walk over items whose frames will all be read anyway."""
        self.through = THROUGH

    def readinto(self, target: Any) -> int:
        """Copy the bytes after the position into `target` and return their number; 0 only at the end."""
        view = memoryview(target).cast("B")
        if not len(view) or (self._found and self._position >= self._found.size):
            return 0
        start, data = self._piece(self._position, len(view))
        piece = data[self._position - start : self._position - start + len(view)]
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def _piece(self, position: int, length: int) -> Piece:
        for held in self._pieces:
            if held[0] <= position < held[0] + len(held[1]):
                return held
        while any(start <= position < stop for start, stop, _ in self._flight):
            start, stop, future = self._flight.popleft()
            self._advance()
            if start <= position < stop:
                return self._keep(start, future.result())
        if length > PART and not self._flight:  # fetch in parallel; the recursive call takes the first part from there
            self.expect([(position, min(position + length, self.found.size))])
            return self._piece(position, 0)
        stop = position + self._size_of_block(position, length)
        if self._found:
            stop = min(stop, self._found.size)
        return self._keep(position, self._fetch(position, stop))

    def _size_of_block(self, position: int, length: int) -> int:
        """Return how much to fetch for a read that wasn't announced; grows as long as reads are sequential."""
        if position == self._fetched:
            self._block = min(2 * self._block, _LARGEST_BLOCK)
            return max(length, self._block)
        self._block = _BLOCK
        if position == 0:
            return max(length, HEAD)
        return length if length < _SMALL else max(length, _BLOCK)

    def _keep(self, start: int, data: memoryview) -> Piece:
        self._pieces.append((start, data))
        self._fetched = start + len(data)
        return start, data

    def _advance(self) -> None:
        """Send requests until enough bytes are in flight."""
        under_way = sum(stop - start for start, stop, _ in self._flight)
        while len(self._flight) < self._requests and under_way < self._window:
            part = next(self._ahead, None)
            if part is None:
                return
            self._flight.append((*part, _pool(os.getpid()).submit(self._fetch, *part)))
            under_way += part[1] - part[0]

    def _drop(self) -> None:
        self._ahead = iter(())
        for _, _, future in self._flight:
            future.cancel()
        self._flight.clear()

    def _fetch(self, start: int, stop: int) -> memoryview:
        if self._found and self._found.size == 0:
            return memoryview(b"")
        try:
            data, found = self._answer(start, stop)
        except FileNotFoundError as error:
            raise SourceError(f"{self.name}: no such object", reason="file_not_found", source=self.name) from error
        except SourceError:
            raise
        except OSError as error:
            raise SourceError(str(error), source=self.name) from error
        self._check(found)
        return data

    def _answer(self, start: int, stop: int) -> tuple[memoryview, Found]:
        try:
            return self._target.get_range(start, stop)
        except RangesNotServedError:
            data, found = self._whole()
            return data[start:stop], found

    def _whole(self) -> tuple[memoryview, Found]:
        data, found = self._target.get(limit=WHOLE)
        if found.size > WHOLE:
            raise SourceError(
                f"{self.name}: the server doesn't serve byte ranges, and the object of {found.size >> 20} MiB exceeds the "
                f"{WHOLE >> 20} MiB that are held in memory; use a server with ranges, or copy the file",
                reason="no_range_requests",
                source=self.name,
            )
        self._pieces = deque([(0, data)], maxlen=1)
        return data, found

    def _check(self, found: Found) -> None:
        known = self._found
        if known is None:
            self._found = found
        elif known.etag and known.etag == found.etag and known.size != found.size:
            raise SourceError(
                f"{self.name}: the server answers with {found.size} bytes, but listed {known.size} bytes under the same ETag",
                source=self.name,
            )
        elif not is_same_object(known, found):
            raise SourceError(
                f"{self.name}: changed since it was first read (size {known.size} then, {found.size} now); run again",
                reason="source_changed",
                source=self.name,
            )


def is_same_object(known: Found, now: Found) -> bool:
    """Return whether two answers describe the same version: by size, and by ETag or, if one is missing, by time."""
    if known.size != now.size:
        return False
    if known.etag and now.etag:
        return known.etag == now.etag
    return not (known.mtime_ns and now.mtime_ns) or known.mtime_ns == now.mtime_ns


@lru_cache(maxsize=1)
def _pool(_process: int) -> ThreadPoolExecutor:
    """Return the process's pool of threads that wait for answers; a forked process makes its own."""
    return ThreadPoolExecutor(_THREADS, "dcm2zarr-fetch")
