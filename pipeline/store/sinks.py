"""Destinations of a shard's bytes: a file that is renamed when it is whole, or memory and then one object."""

from __future__ import annotations

import contextlib
import os
from typing import Any, BinaryIO, Protocol
from uuid import uuid4

import numpy as np
from zarr.buffer import cpu

from pipeline.storage import MOVED, PARTIAL, Folder, LocalPlace, patiently
from pipeline.store.coroutines import run
from pipeline.store.remote_store import RemoteStore

_BUFFER = 64 * 2**10
"""Chunks larger than this aren't copied together before they are written."""


class Sink(Protocol):
    """Takes bytes that stay invisible until :meth:`finish`."""

    def write(self, data: Any) -> None:
        """Append `data`."""

    def finish(self) -> None:
        """Make the value appear in the store, whole."""

    def discard(self) -> None:
        """Remove the bytes written so far."""


class FileSink:
    """A file of a local store.

    It is named as zarr names its unfinished files, so a dead worker's leftovers can be recognised.
    """

    def __init__(self, at: LocalPlace) -> None:
        self._at = at
        self._partial = f"{at.path.stem}.{uuid4().hex}{PARTIAL}"
        self._folder, self._file = patiently(self._open, MOVED)

    def write(self, data: Any) -> None:
        """Append `data` to the file."""
        self._file.write(data)

    def finish(self) -> None:
        """Close the file and give it its name."""
        self._file.flush()
        begin_to_flush(self._file.fileno())
        self._file.close()
        self._folder.replace(self._partial, self._at.path.name)
        self._folder.close()

    def discard(self) -> None:
        """Remove the file."""
        with contextlib.suppress(OSError):  # the disk may be full, and closing flushes
            self._file.close()
        with self._folder, contextlib.suppress(OSError):  # the next run removes it
            self._folder.remove(self._partial)

    def _open(self) -> tuple[Folder, BinaryIO]:
        folder = self._at.folder(make=True)
        try:
            return folder, os.fdopen(folder.create(self._partial), "wb", buffering=_BUFFER)
        except BaseException:
            folder.close()
            raise


def begin_to_flush(descriptor: int) -> None:
    """Ask the system to start writing a file to the disk, without waiting, so that the end of the run needn't wait either."""
    if hasattr(os, "posix_fadvise"):  # Linux starts to write data that the caller doesn't need any more
        with contextlib.suppress(OSError):  # some file systems accept no advice
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


class ObjectSink:
    """An object of a remote store, put in one request."""

    def __init__(self, store: RemoteStore, key: str) -> None:
        self._store = store
        self._key = key
        self._data = bytearray()

    def write(self, data: Any) -> None:
        """Append `data` in memory."""
        self._data += data

    def finish(self) -> None:
        """Put the object, without a copy."""
        run(self._store.set(self._key, cpu.Buffer.from_array_like(np.frombuffer(self._data, np.uint8))))

    def discard(self) -> None:
        """Drop the bytes."""
        self._data = bytearray()
