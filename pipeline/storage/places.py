"""Places that are read and written: the folders and files of an output, or the objects that stand for them."""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from pipeline.errors import OutputError, PipelineError
from pipeline.storage.beneath import Folder, below, linked
from pipeline.storage.lacking import FILES, doing_without
from pipeline.storage.objects import RangeFile
from pipeline.storage.options import Options, active
from pipeline.storage.patience import MOVED, patiently
from pipeline.storage.remote import Object, Version
from pipeline.storage.strays import is_stray
from pipeline.storage.trouble import unwritable
from pipeline.storage.urls import check_url, is_remote

_BUFFER = 64 << 10
_OUTWARDS = frozenset({"", ".", ".."})
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
        """Return what lies in it under a relative name; OutputError for a name that leads out of it."""

    @abstractmethod
    def read_bytes(self, most: int | None = None) -> bytes:
        """Return the bytes; FileNotFoundError where there is none, OSError for all else, and where it has over `most`."""

    @abstractmethod
    def write_bytes(self, data: Any) -> None:
        """Write bytes, whole or not at all."""

    def write_lightly(self, data: Any) -> None:
        """Write as :meth:`write_bytes`, but a machine that loses power may lose it, or leave it empty."""
        self.write_bytes(data)

    @abstractmethod
    def replacing(self) -> AbstractContextManager[BinaryIO]:
        """Give a file to write to; what it holds becomes this place's on success, and vanishes on failure."""

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
    """A path of this machine or of a file system that all workers share.

    What the caller named may be a link; what lies below it may not, see :mod:`pipeline.storage.beneath`.
    """

    path: Path
    depth: int = 0
    """How many of the path's last names lie below what the caller named."""

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __truediv__(self, part: str) -> LocalPlace:
        return LocalPlace(self.path / part, self.depth + len(inner_names(self, part)))

    def folder(self, *, make: bool = False) -> Folder:
        """Open the folder that it lies in."""
        if not self.depth:
            return below(self.path.parent, (), make=make)
        return below(self.path.parents[self.depth - 1], self.path.parts[-self.depth : -1], make=make)

    def _opened(self) -> Folder:
        """Open it as a folder."""
        root = self.path.parents[self.depth - 1] if self.depth else self.path
        return below(root, self.path.parts[len(root.parts) :])

    def read_bytes(self, most: int | None = None) -> bytes:
        """See :class:`Place`."""
        with self.open() as file:
            data = file.read() if most is None else file.read(most + 1)
        if most is not None and len(data) > most:
            raise too_large(self, most)
        return data

    def write_bytes(self, data: Any) -> None:
        """See :class:`Place`."""
        self._write(data, flushing=True)

    def write_lightly(self, data: Any) -> None:
        """See :class:`Place`."""
        self._write(data, flushing=False)

    def replacing(self) -> AbstractContextManager[BinaryIO]:
        """See :class:`Place`."""
        return self._telling()

    def _write(self, data: Any, *, flushing: bool) -> None:
        def once() -> None:
            with self._replacing(flushing=flushing) as file:
                file.write(data)

        try:
            patiently(once, MOVED)
        except OSError as error:
            raise unwritable(self.path, error) from error

    @contextmanager
    def _telling(self) -> Iterator[BinaryIO]:
        try:
            with self._replacing(flushing=True) as file:
                yield file
        except PipelineError:
            raise
        except OSError as error:
            raise unwritable(self.path, error) from error

    @contextmanager
    def _replacing(self, *, flushing: bool) -> Iterator[BinaryIO]:
        """Give a new file of a temporary name beside, then rename.

        The name is unique, so that two tasks writing the same file (a repeated task, say) don't mix their bytes.

        Raises
        ------
        OSError
            Where that can't be done: no space, no permission.
        """
        part = f".{self.path.name}.{os.getpid()}-{uuid.uuid4().hex}.part"
        with self.folder(make=True) as folder:
            try:
                with os.fdopen(folder.create(part), "wb") as file:
                    yield file
                    file.flush()
                    if flushing:  # a rename alone may outlive the bytes when the machine loses power
                        with doing_without("Flushing files to the disk (fsync)", self.name, FILES):
                            os.fsync(file.fileno())
                folder.replace(part, self.path.name)
            except BaseException:
                with suppress(OSError):  # what failed first counts
                    folder.remove(part)
                raise
            if flushing:
                folder.flush()

    def open(self) -> BinaryIO:
        """See :class:`Place`."""
        if not self.depth:
            return self.path.open("rb")
        try:
            with self.folder() as folder:
                return folder.open(self.path.name)
        except (FileNotFoundError, NotADirectoryError) as error:
            error.filename = self.name
            raise

    def open_in_place(self, *, create: bool) -> int:
        """Return the descriptor of a lock's file, see :meth:`Folder.open_in_place`."""
        with self.folder(make=create) as folder:
            return folder.open_in_place(self.path.name, create=create)

    def exists(self) -> bool:
        """See :class:`Place`; a link is none either, nor is what one leads to."""
        try:
            return stat.S_ISREG(self._stat().st_mode)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte
            return False
        except OutputError:
            return False

    def size(self) -> int:
        """See :class:`Place`."""
        # of each shard: by its path at once, since nothing is read there; whoever reads it is refused a link on the way
        try:
            found = self.path.stat(follow_symlinks=not self.depth)
        except NotADirectoryError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.name) from error
        if stat.S_ISLNK(found.st_mode):
            raise linked(self.path)
        return found.st_size

    def modified(self) -> float:
        """See :class:`Place`."""
        return self._stat().st_mtime

    def _stat(self) -> os.stat_result:
        """Look at it; what lies below what the caller named isn't looked at through links."""
        if not self.depth:
            return self.path.stat()
        try:
            with self.folder() as folder:
                return folder.stat(self.path.name)
        except NotADirectoryError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.name) from error

    def children(self) -> list[str]:
        """See :class:`Place`."""
        try:
            with self._opened() as folder:
                return folder.names()
        except (FileNotFoundError, NotADirectoryError):
            return []

    def walk(self) -> Iterator[str]:
        """See :class:`Place`; links are among them, what they lead to isn't."""
        try:
            with self._opened() as folder:
                yield from folder.files()
        except (FileNotFoundError, NotADirectoryError):
            return

    def remove(self) -> None:
        """See :class:`Place`; of a link the link alone."""
        with suppress(FileNotFoundError, NotADirectoryError), self.folder() as folder:
            folder.remove(self.path.name)

    def remove_empty(self) -> None:
        """Remove a folder that holds nothing; OSError where it holds something."""
        with self.folder() as folder:
            folder.remove_empty(self.path.name)


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
        return RemotePlace("/".join([self.url, *inner_names(self, part)]), self.options)

    def read_bytes(self, most: int | None = None) -> bytes:
        """See :class:`Place`."""
        data, found = self._object.get(most)
        if most is not None and found.size > most:
            raise too_large(self, most)
        return bytes(data)

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
        """Write it where it isn't there, see :meth:`Object.create`."""
        self._object.create(data)

    def read_version(self, most: int) -> tuple[bytes, Version]:
        """Return its bytes, none where it has over `most`, and what tells them from later ones."""
        return self._object.get_version(most)

    def replace_version(self, data: bytes, version: Version) -> None:
        """Write it where it is still this version, see :meth:`Object.replace`."""
        self._object.replace(data, version)

    @contextmanager
    def replacing(self) -> Iterator[BinaryIO]:
        """See :class:`Place`: a local temporary file, then a put."""
        with tempfile.TemporaryDirectory(prefix="dcm2zarr-") as folder:
            part = Path(folder) / "part"
            with part.open("wb") as file:
                yield file
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
        names = {*folders, *(one.name.rpartition("/")[2] for one in found)}
        return sorted(name for name in names if not is_stray(name))

    def walk(self) -> Iterator[str]:
        """See :class:`Place`."""
        for found in self._object.below():
            name = found.name.removeprefix(f"{self.url}/")
            if not any(map(is_stray, name.split("/"))):
                yield name

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


def inner_names(within: Place, part: str) -> list[str]:
    """Return the names between the slashes of what lies below a place.

    Raises
    ------
    OutputError
        Where one of them leads elsewhere, reason ``leads_outside``: names come from tables that others could have written.
    """
    names = part.split("/")
    if not is_inner(part):
        raise OutputError(f"{within}: {part!r} doesn't lie in it, so it isn't touched", reason="leads_outside")
    return names


def is_inner(part: str) -> bool:
    """Whether a relative name, with slashes or without, can only be that of something below."""
    return "\0" not in part and not _OUTWARDS.intersection(part.split("/"))


def too_large(what: Place, most: int) -> OutputError:
    """Return the error for a file of a result that has more bytes than any such file."""
    return OutputError(f"{what} has more than {most} bytes, so it isn't what a run left", reason="not_ours")


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
