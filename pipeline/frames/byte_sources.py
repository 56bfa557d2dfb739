"""Sources of bytes: files, file objects and buffers, read by ranges and never beyond their end."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.storage import PositionedFile, open_source

__all__ = [
    "BufferFile",
    "Bytes",
    "HeaderFile",
    "clip",
    "is_blank",
    "kept_position",
    "name_of",
    "open_source",
    "read_range",
    "size_of",
    "view_range",
]
Bytes = npt.NDArray[np.uint8]

_TRUSTED = 1 << 16
"""Most bytes to allocate without checking that the file holds them."""
_PIECE = 1 << 20
_PADDING = b"\0 \r\n"
"""Bytes that writers, tapes and multipart messages append to files."""


def size_of(file: BinaryIO) -> int:
    """Return the size of `file` in bytes; its position moves."""
    return file.seek(0, os.SEEK_END)


def clip(file: BinaryIO, offset: int, length: int) -> int:
    """Return how many of the bytes ``[offset, offset + length)`` exist in `file`; its position moves."""
    reach = getattr(file, "reach", None)
    end = reach(offset + length) if reach is not None else size_of(file)
    return max(min(length, end - offset), 0)


def read_range(file: BinaryIO, offset: int, length: int) -> Bytes:
    """Return bytes ``[offset, offset + length)`` of `file`, fewer if the file ends earlier.

    The array is writeable and not shared, so that a frame decoded in place needs no further copy.
    """
    if isinstance(file, BufferFile):
        return file.view[offset : offset + length].copy()
    if length > _TRUSTED:
        length = clip(file, offset, length)
    data = np.empty(length, np.uint8)
    file.seek(offset)
    return data[: _fill(file, data.data)]


def read_bytes(file: BinaryIO, offset: int, length: int) -> bytes:
    """Return the same bytes as :func:`read_range` as an immutable object, as most codecs need."""
    if isinstance(file, io.FileIO):
        there = clip(file, offset, length) if length > _TRUSTED else length
        file.seek(offset)
        data = file.read(there)
        if len(data) == length:
            return data
    return read_range(file, offset, length).tobytes()


def fill_range(file: BinaryIO, offset: int, target: memoryview) -> bool:
    """Fill `target` with the bytes from `offset` on; return False if `file` ends earlier."""
    file.seek(offset)
    return _fill(file, target) == len(target)


def is_blank(file: BinaryIO, start: int, stop: int) -> bool:
    """Return whether the bytes ``[start, stop)`` are padding only: zeros, blanks, line ends."""
    for offset in range(start, stop, _PIECE):
        if read_bytes(file, offset, min(_PIECE, stop - offset)).strip(_PADDING):
            return False
    return True


def view_range(file: BinaryIO, offset: int, length: int) -> Bytes:
    """Return the same bytes as :func:`read_range`, read-only, and without a copy if `file` is a buffer."""
    data = file.view[offset : offset + length] if isinstance(file, BufferFile) else read_range(file, offset, length)
    data.flags.writeable = False
    return data


def _fill(file: BinaryIO, target: memoryview) -> int:
    """Read until `target` is full or `file` ends, because unbuffered and remote files may return less than requested."""
    readinto = getattr(file, "readinto", None)
    done = 0
    while done < len(target):
        if readinto is not None:
            count = readinto(target[done:]) or 0
        else:
            piece = file.read(len(target) - done)
            count = len(piece)
            target[done : done + count] = piece
        if not count:
            break
        done += count
    return done


class BufferFile(PositionedFile):
    """A buffer (the value of a Dataset's pixel data) as a file, without copying it."""

    def __init__(self, buffer: Any) -> None:
        super().__init__()
        self.view: Bytes = np.frombuffer(buffer, np.uint8)

    def _end(self) -> int:
        return len(self.view)

    def readinto(self, target: Any) -> int:
        """Copy as many bytes as fit into `target` and return their number."""
        piece = self.view[self._position : self._position + len(target)]
        memoryview(target).cast("B")[: len(piece)] = piece.data
        self._position += len(piece)
        return len(piece)


class _Window(PositionedFile):
    """A view of a file object with its own position; closing the view leaves the file open."""

    def __init__(self, file: BinaryIO, start: int) -> None:
        super().__init__(start)
        self._file = file

    def _end(self) -> int:
        return size_of(self._file)

    def readinto(self, target: Any) -> int:
        self._file.seek(self._position)
        count = _fill(self._file, memoryview(target).cast("B"))
        self._position += count
        return count


class HeaderFile(io.BufferedReader):
    """A buffered file for reading headers that allocates no more than the rest of the file.

    pydicom requests as many bytes as a damaged element declares, up to 4 GiB, and Python allocates them before it reads.
    """

    def __init__(self, file: BinaryIO, start: int = 0, buffer_size: int = 1 << 13) -> None:
        super().__init__(_Window(file, start), buffer_size)
        self.source = file

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, or the rest of the file."""
        if size is not None and size > _TRUSTED:
            size = clip(self.source, self.tell(), size)
        return super().read(size)


@contextmanager
def kept_position(file: BinaryIO) -> Iterator[BinaryIO]:
    """Restore a file object's position after the block, also on errors."""
    position = file.tell()
    try:
        yield file
    finally:
        file.seek(position)


def name_of(src: Any) -> str:
    """Return a name for messages: the path, the file object's own name, or its type."""
    if isinstance(src, str | os.PathLike):
        return os.fspath(src)
    name = getattr(src, "name", None) or getattr(src, "path", None)
    return name if isinstance(name, str) else type(src).__name__
