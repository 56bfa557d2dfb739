"""Deflated data sets (PS3.5 A.5) as seekable files that are inflated only as far as they are read."""

from __future__ import annotations

import sys
import tempfile
import zlib
from typing import Any, BinaryIO

from pipeline.errors import HeaderLimitError, PixelDataError
from pipeline.frames.byte_sources import is_blank, size_of
from pipeline.storage import PositionedFile

_PIECE = 1 << 18
_IN_MEMORY = 16 << 20


class InflatedFile(PositionedFile):
    """The inflated data set of a deflated file, read-only; offset 0 is its first byte.

    A temporary file (in memory up to 16 MiB) keeps the inflated bytes, so that memory stays bounded and seeking back is
    cheap. Bytes after the last requested one aren't inflated.

    Parameters
    ----------
    file : BinaryIO
        The deflated file; stays open when this object is closed.
    start : int
        First byte of the deflated stream in the file.
    source : str
        The file's name for messages.
    most : int, optional
        Most bytes to inflate to.
    """

    def __init__(self, file: BinaryIO, start: int, source: str, most: int | None = None) -> None:
        super().__init__()
        self._most = sys.maxsize if most is None else most
        self._file = file
        self._next = start
        self._source = source
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._kept = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  closed in close()
        self._size = 0
        self._finished = False

    def close(self) -> None:
        """Drop the inflated bytes."""
        self._kept.close()
        super().close()

    def _end(self) -> int:
        return self.reach(None)

    def readinto(self, target: Any) -> int:
        """Inflate as far as needed and copy into `target`."""
        view = memoryview(target).cast("B")
        count = max(min(len(view), self.reach(self._position + len(view)) - self._position), 0)
        self._kept.seek(self._position)
        view[:count] = self._kept.read(count)
        self._position += count
        return count

    def reach(self, end: int | None) -> int:
        """Inflate up to byte `end`, or everything, and return the number of inflated bytes.

        Raises
        ------
        PixelDataError
            If the stream is corrupt.
        HeaderLimitError
            If the stream inflates to more than allowed, reason ``inflated_too_large``.
        """
        self._kept.seek(self._size)
        while not self._finished and (end is None or self._size < end):
            piece = self._step()
            if self._size + len(piece) > self._most:
                raise HeaderLimitError(
                    f"{self._source}: the deflated data set inflates to more than {self._most:,} bytes (limits.inflated)",
                    reason="inflated_too_large",
                    source=self._source,
                )
            self._kept.write(piece)
            self._size += len(piece)
        return self._size

    def left_over(self) -> int:
        """Inflate everything and return the number of bytes after the deflated stream; 0 if they are padding."""
        self.reach(None)
        start, size = self._next - len(self._inflate.unused_data), size_of(self._file)
        return 0 if is_blank(self._file, start, size) else size - start

    def _step(self) -> bytes:
        """Return the next inflated piece; empty only at the end."""
        pending = self._inflate.unconsumed_tail
        if not pending:
            self._file.seek(self._next)
            pending = self._file.read(_PIECE)
            self._next += len(pending)
        try:
            # A piece of zeros may inflate a thousandfold; the rest waits in unconsumed_tail.
            piece = self._inflate.decompress(pending, 4 * _PIECE)
        except zlib.error as error:
            raise PixelDataError(
                f"{self._source}: the deflated data set is corrupt after {self._size} inflated bytes: {error}",
                source=self._source,
            ) from error
        self._finished = self._inflate.eof or not (pending or piece)
        return piece
