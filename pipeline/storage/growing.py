"""Files that grow line by line; after a crash at any moment, all whole lines can be read."""

from __future__ import annotations

import os
import secrets
import threading
import time
from abc import ABC, abstractmethod
from io import FileIO
from typing import cast

from pipeline.storage.any_place import Place
from pipeline.storage.file_system_gaps import FILES, doing_without
from pipeline.storage.linkless_folder import Folder
from pipeline.storage.local_place import LocalPlace
from pipeline.storage.remote_place import RemotePlace

LINES = ".jsonl"
"""End of the names of files that grow."""
OBJECT_BYTES = 1 << 20
"""Size in bytes at which a new object takes the next lines."""
_NUMBERS = 10**8
PAUSE = 1.0
"""Seconds between two puts. A crash loses at most the lines of this time; their work is then repeated."""


class GrowingFile(ABC):
    """A file that takes whole lines, from one thread."""

    name: str
    """The path or URL of the current file or object."""
    closed = False

    @abstractmethod
    def append(self, lines: bytes) -> None:
        """Append whole lines; on failure close the file and raise OSError."""

    @abstractmethod
    def sync(self) -> None:
        """Make all appended lines survive a crash of this process and this machine."""

    @abstractmethod
    def close(self) -> None:
        """Sync and refuse further lines."""


class GrowingLocalFile(GrowingFile):
    """A new local file for appending; FileExistsError if it already exists."""

    def __init__(self, path: LocalPlace) -> None:
        self.name = path.name
        with _folder(path) as folder:
            self._file = FileIO(folder.create(path.path.name), "wb")
            folder.flush()

    def append(self, lines: bytes) -> None:
        """See :class:`GrowingFile`; on return, the operating system has the lines."""
        try:
            _write_all(self._file, lines)
        except OSError:
            # The file may end with half a line now: a further line would be lost with it.
            self.closed = True
            self._file.close()
            raise

    def sync(self) -> None:
        """See :class:`GrowingFile`."""
        with doing_without("Flushing files to the disk (fsync)", self.name, FILES):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """See :class:`GrowingFile`."""
        self.closed = True
        self._file.close()


class GrowingObjects(GrowingFile):
    """A series of objects: each is put again and again with more lines, until it is long enough for the next to begin.

    A put replaces an object atomically, so readers always see whole lines, and readable lines stay.

    Parameters
    ----------
    folder : RemotePlace
        Folder of the objects.
    number : int
        The first object's number is above this one; its last eight digits are random, so that processes don't collide.
    head : bytes
        Lines at the beginning of every object.
    """

    def __init__(self, folder: RemotePlace, number: int, head: bytes = b"") -> None:
        self._folder = folder
        self._number = (number // _NUMBERS + 1) * _NUMBERS + secrets.randbelow(_NUMBERS)
        self._head = head
        self._lines = bytearray(head)
        self._pending = bool(head)
        self._put = time.monotonic()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._error: OSError | None = None
        self.name = self._object.name

    @property
    def _object(self) -> RemotePlace:
        return self._folder / f"{self._number:016}{LINES}"

    def append(self, lines: bytes) -> None:
        """See :class:`GrowingFile`; the lines are put within a second, together with later ones."""
        with self._lock:
            self._raise()
            self._lines += lines
            self._pending = True
            if time.monotonic() - self._put >= PAUSE:
                self._flush()
            elif self._timer is None:
                self._timer = threading.Timer(PAUSE, self._late)
                self._timer.daemon = True
                self._timer.start()

    def sync(self) -> None:
        """See :class:`GrowingFile`."""
        with self._lock:
            self._raise()
            self._flush()

    def close(self) -> None:
        """See :class:`GrowingFile`."""
        with self._lock:
            self.closed = True
            if self._timer is not None:
                self._timer.cancel()
            self._flush()

    def _late(self) -> None:
        """Put pending lines after the pause; keep an error for the next call."""
        with self._lock:
            self._timer = None
            try:
                self._flush()
            except OSError as error:
                self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            self.closed = True
            raise self._error

    def _flush(self) -> None:
        if not self._pending:
            return
        try:
            self._object.write_bytes(bytes(self._lines))
        except OSError:
            self.closed = True
            raise
        self._pending = False
        self._put = time.monotonic()
        if len(self._lines) >= OBJECT_BYTES:
            self._number += _NUMBERS
            self.name = self._object.name
            self._lines = bytearray(self._head)


def _write_all(file: FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) or 0 :]


def _folder(path: LocalPlace) -> Folder:
    """Make the folder; NotADirectoryError if a file has its name, since FileExistsError would suggest another number."""
    try:
        return path.folder(make=True)
    except FileExistsError as error:
        raise NotADirectoryError(error.errno, "a file stands where the folder should be", path.name) from error


def create_growing_file(folder: Place, number: int, head: bytes = b"") -> GrowingFile:
    """Create a growing file ``<number>.jsonl`` in a folder, starting with the lines `head`.

    Raises
    ------
    FileExistsError
        If another process has taken the number; never for objects, whose names are partly random.
    OSError
        If the file can't be written.
    """
    if isinstance(folder, RemotePlace):
        objects = GrowingObjects(folder, number, head)
        objects.sync()
        return objects
    file = GrowingLocalFile(cast(LocalPlace, folder / f"{number:06}{LINES}"))
    file.append(head)
    file.sync()
    return file
