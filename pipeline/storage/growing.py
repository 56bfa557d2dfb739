"""Files that grow record by record, and can be read after being cut anywhere."""

from __future__ import annotations

import os
import secrets
import threading
import time
from abc import ABC, abstractmethod
from io import FileIO
from typing import cast

from pipeline.storage.any_place import Place
from pipeline.storage.beneath import Folder
from pipeline.storage.lacking import FILES, doing_without
from pipeline.storage.local_place import LocalPlace
from pipeline.storage.remote_place import RemotePlace

LINES = ".jsonl"
"""End of the names of files that grow."""
OBJECT_BYTES = 1 << 20
"""Bytes of an object from which the next records go to another one."""
_NUMBERS = 10**8
PAUSE = 1.0
"""Seconds between two puts: only the records of the last one can be lost, and their work is then done again."""


class GrowingFile(ABC):
    """Takes whole lines; for one thread."""

    name: str
    """The path or URL that lines go to now."""
    closed = False

    @abstractmethod
    def append(self, lines: bytes) -> None:
        """Add whole lines; OSError where that can't be done, and the file is then closed."""

    @abstractmethod
    def sync(self) -> None:
        """Make sure that what was added outlives this process and this machine."""

    @abstractmethod
    def close(self) -> None:
        """Sync, and take no more."""


class GrowingLocalFile(GrowingFile):
    """A file that is appended to, created here; FileExistsError where it is there already."""

    def __init__(self, path: LocalPlace) -> None:
        self.name = path.name
        with _folder(path) as folder:
            self._file = FileIO(folder.create(path.path.name), "wb")
            folder.flush()

    def append(self, lines: bytes) -> None:
        """See :class:`GrowingFile`; with the operating system on return."""
        try:
            _write_all(self._file, lines)
        except OSError:
            # Half a line may stand at the end now: whatever followed it would be lost with it.
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
    """Objects that are each put again, longer, until one is long enough and the next one begins.

    A put replaces an object in one moment, so that what can be read is always whole, and what was once readable stays.

    Parameters
    ----------
    folder : RemotePlace
    number : int
        The first object's number is above it; its last eight digits are ones that no other process chooses.
    head : bytes
        Lines that every object begins with.
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
        """See :class:`GrowingFile`; put within a second, together with what comes until then."""
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
        """Put what nothing has followed; an error waits for the next call."""
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
    """Make the folder; not a FileExistsError where a file stands in its place, since another name wouldn't help."""
    try:
        return path.folder(make=True)
    except FileExistsError as error:
        raise NotADirectoryError(error.errno, "a file stands where the folder should be", path.name) from error


def growing(folder: Place, number: int, head: bytes = b"") -> GrowingFile:
    """Return a new growing file ``<number>.jsonl`` in a folder, beginning with the lines `head`.

    Raises
    ------
    FileExistsError
        Where another process has taken the number. Of objects never: their names have a part of their own.
    OSError
        Where it can't be written.
    """
    if isinstance(folder, RemotePlace):
        objects = GrowingObjects(folder, number, head)
        objects.sync()
        return objects
    file = GrowingLocalFile(cast(LocalPlace, folder / f"{number:06}{LINES}"))
    file.append(head)
    file.sync()
    return file
