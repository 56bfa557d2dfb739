"""Places that are read and written: the folders and files of an output, or the objects that stand for them."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from pipeline.errors import PipelineError
from pipeline.storage.objects import RangeFile
from pipeline.storage.options import Options, active
from pipeline.storage.remote import Object
from pipeline.storage.trouble import unwritable
from pipeline.storage.urls import check_url, is_remote

_BUFFER = 64 << 10
_DELETING = 16
"""Objects removed at a time; not every server knows requests that remove many."""


class Place(ABC):
    """A file or a folder, or the objects that stand for them; ``place / "name"`` is what lies in it.

    What is written appears whole or not at all, and replaces what was there. Folders needn't be made.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The path or the URL."""

    @abstractmethod
    def __truediv__(self, part: str) -> Self:
        """Return what lies in it under a relative name."""

    @abstractmethod
    def read_bytes(self) -> bytes:
        """Return the bytes; FileNotFoundError where there is none, OSError for all else."""

    @abstractmethod
    def write_bytes(self, data: Any) -> None:
        """Write bytes, whole or not at all."""

    def write_lightly(self, data: Any) -> None:
        """Write as :meth:`write_bytes`, but a machine that loses power may lose it, or leave it empty."""
        self.write_bytes(data)

    @abstractmethod
    def replacing(self) -> AbstractContextManager[Path]:
        """Give a local path to write to; what stands there becomes this place's on success, and vanishes on failure."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """Open it for reading by ranges."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is a file or an object of this name (a folder is none)."""

    @abstractmethod
    def size(self) -> int:
        """Return the number of bytes; FileNotFoundError where there is none."""

    @abstractmethod
    def modified(self) -> float:
        """Return when it last changed, in seconds since 1970; FileNotFoundError where it isn't there."""

    @abstractmethod
    def children(self) -> list[str]:
        """Return the names of what lies directly in it, sorted; none where it isn't there."""

    @abstractmethod
    def walk(self) -> Iterator[str]:
        """Yield the names, relative to this place, of all files below it, in no order."""

    @abstractmethod
    def remove(self) -> None:
        """Remove it, with all below it; nothing where it isn't there."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class LocalPlace(Place):
    """A path of this machine or of a file system that all workers share."""

    path: Path

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __truediv__(self, part: str) -> LocalPlace:
        return LocalPlace(self.path / part)

    def read_bytes(self) -> bytes:
        """See :class:`Place`."""
        return self.path.read_bytes()

    def write_bytes(self, data: Any) -> None:
        """See :class:`Place`."""
        with self.replacing() as part:
            part.write_bytes(data)

    def write_lightly(self, data: Any) -> None:
        """See :class:`Place`."""
        with self._replacing(flushing=False) as part:
            part.write_bytes(data)

    def replacing(self) -> AbstractContextManager[Path]:
        """See :class:`Place`."""
        return self._replacing(flushing=True)

    @contextmanager
    def _replacing(self, *, flushing: bool) -> Iterator[Path]:
        """Give a temporary name beside, then rename.

        The name is unique, so that two tasks writing the same file (a repeated task, say) don't mix their bytes.

        Raises
        ------
        OutputError
            Where that can't be done: no space, no permission.
        """
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}-{uuid.uuid4().hex}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield part
                if flushing:
                    _flush(part)
                part.replace(self.path)
                if flushing:
                    _flush(self.path.parent)
            finally:
                part.unlink(missing_ok=True)
        except PipelineError:
            raise
        except OSError as error:
            raise unwritable(self.path, error) from error

    def open(self) -> BinaryIO:
        """See :class:`Place`."""
        return self.path.open("rb")

    def exists(self) -> bool:
        """See :class:`Place`."""
        return self.path.is_file()

    def size(self) -> int:
        """See :class:`Place`."""
        return self.path.stat().st_size

    def modified(self) -> float:
        """See :class:`Place`."""
        return self.path.stat().st_mtime

    def children(self) -> list[str]:
        """See :class:`Place`."""
        try:
            return sorted(entry.name for entry in os.scandir(self.path))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def walk(self) -> Iterator[str]:
        """See :class:`Place`."""
        for folder, _, names in os.walk(self.path):
            yield from ((Path(folder) / name).relative_to(self.path).as_posix() for name in names)

    def remove(self) -> None:
        """See :class:`Place`."""
        if self.path.is_dir() and not self.path.is_symlink():
            shutil.rmtree(self.path)
        else:
            self.path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Bring bytes, or a folder's names, to the disk: a rename alone may outlive them when the machine loses power."""
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class RemotePlace(Place):
    """An object, or the prefix of several; each is written by a single put, so nothing is ever there in part."""

    url: str
    options: Options

    @property
    def name(self) -> str:
        """The URL."""
        return self.url

    @property
    def _object(self) -> Object:
        return Object(self.url, self.options)

    def __truediv__(self, part: str) -> RemotePlace:
        return RemotePlace(f"{self.url}/{part}", self.options)

    def read_bytes(self) -> bytes:
        """See :class:`Place`."""
        return bytes(self._object.get()[0])

    def read_range(self, start: int, stop: int) -> bytes:
        """Return bytes ``[start, stop)``, fewer where it ends before."""
        return bytes(self._object.get_range(start, stop)[0])

    def read_last(self, count: int) -> bytes:
        """Return the last `count` bytes, fewer where there aren't so many."""
        return bytes(self._object.get_last(count))

    def size(self) -> int:
        """See :class:`Place`."""
        return self._object.head().size

    def write_bytes(self, data: Any) -> None:
        """See :class:`Place`."""
        self._object.put(data)

    def copy_to(self, other: RemotePlace) -> None:
        """Write another object of the same store with the same bytes, whole or not at all."""
        self._object.copy_to(other._object)

    def modified(self) -> float:
        """See :class:`Place`; by the server's clock."""
        return self._object.head().mtime_ns / 1e9

    def create(self, data: bytes) -> None:
        """Write it where it isn't there; FileExistsError where it is, as far as the server can tell."""
        self._object.create(data)

    @contextmanager
    def replacing(self) -> Iterator[Path]:
        """See :class:`Place`: a local temporary file, then a put."""
        with tempfile.TemporaryDirectory(prefix="dcm2zarr-") as folder:
            part = Path(folder) / "part"
            yield part
            self._object.put_file(part)

    def open(self) -> BinaryIO:
        """See :class:`Place`."""
        # Buffered, because readers of Parquet take a short read for the end.
        return cast(BinaryIO, io.BufferedReader(RangeFile(self._object), _BUFFER))

    def exists(self) -> bool:
        """See :class:`Place`."""
        try:
            self._object.head()
        except FileNotFoundError:
            return False
        return True

    def children(self) -> list[str]:
        """See :class:`Place`."""
        folders, found = self._object.children()
        return sorted({*folders, *(one.name.rpartition("/")[2] for one in found)})

    def walk(self) -> Iterator[str]:
        """See :class:`Place`."""
        for found in self._object.below():
            yield found.name.removeprefix(f"{self.url}/")

    def remove_one(self) -> None:
        """Remove the object of this very name, nothing below it."""
        self._object.delete()

    def remove(self) -> None:
        """See :class:`Place`. What is listed meanwhile may come in any order, or twice."""
        with ThreadPoolExecutor(_DELETING, "dcm2zarr-delete") as threads:
            deleted = [threads.submit(Object(found.name, self.options).delete) for found in list(self._object.below())]
            for done in deleted:
                done.result()
        self._object.delete()


def place(name: str | os.PathLike[str] | Place) -> Place:
    """Return the place that a path or a URL names, reached with the options that hold here; a place as it is.

    Raises
    ------
    ConfigError
        For a URL that can't be used, see :func:`pipeline.storage.check_url`.
    """
    if isinstance(name, Place):
        return name
    text = os.fspath(name)
    if is_remote(text):
        return RemotePlace(check_url(text).rstrip("/"), active())
    return LocalPlace(Path(text))
