"""Local paths as :class:`~pipeline.storage.any_place.Place`; links below the caller's path are never followed."""

from __future__ import annotations

import errno
import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import OutputError, PipelineError
from pipeline.storage.any_place import Place, inner_names, too_large
from pipeline.storage.entries import link_error
from pipeline.storage.file_system_gaps import FILES, doing_without
from pipeline.storage.linkless_folder import Folder, open_below
from pipeline.storage.patience import MOVED, patiently
from pipeline.storage.write_errors import as_place_error

PART = ".part"
"""End of the names of files that aren't whole yet."""


@dataclass(frozen=True, slots=True)
class LocalPlace(Place):
    """A path on this machine or on a file system that all workers share.

    The caller's path may be a link; entries below it may not, see :mod:`pipeline.storage.linkless_folder`.
    """

    path: Path
    depth: int = 0
    """Number of the path's last names that lie below the caller's path."""

    @property
    def name(self) -> str:
        """The path."""
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __truediv__(self, part: str) -> LocalPlace:
        return LocalPlace(self.path / part, self.depth + len(inner_names(self, part)))

    def folder(self, *, make: bool = False) -> Folder:
        """Open the parent folder."""
        if not self.depth:
            return open_below(self.path.parent, (), make=make)
        return open_below(self.path.parents[self.depth - 1], self.path.parts[-self.depth : -1], make=make)

    def _opened(self) -> Folder:
        """Open this place as a folder."""
        root = self.path.parents[self.depth - 1] if self.depth else self.path
        return open_below(root, self.path.parts[len(root.parts) :])

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
        return self._replacing_or_explain()

    def _write(self, data: Any, *, flushing: bool) -> None:
        def once() -> None:
            with self._replacing(flushing=flushing) as file:
                file.write(data)

        try:
            patiently(once, MOVED)
        except OSError as error:
            raise as_place_error(self.path, error) from error

    @contextmanager
    def _replacing_or_explain(self) -> Iterator[BinaryIO]:
        try:
            with self._replacing(flushing=True) as file:
                yield file
        except PipelineError:
            raise
        except OSError as error:
            raise as_place_error(self.path, error) from error

    @contextmanager
    def _replacing(self, *, flushing: bool) -> Iterator[BinaryIO]:
        """Yield a new file with a temporary name in the same folder, then rename it.

        The name is unique, so that two tasks that write the same file (a repeated task, say) don't mix their bytes.

        Raises
        ------
        OSError
            If writing or renaming fails: no space, no permission.
        """
        part = f".{self.path.name}.{os.getpid()}-{uuid.uuid4().hex}.part"
        with self.folder(make=True) as folder:
            try:
                with os.fdopen(folder.create(part), "wb") as file:
                    yield file
                    file.flush()
                    if flushing:  # otherwise a power failure may keep the rename and lose the bytes
                        with doing_without("Flushing files to the disk (fsync)", self.name, FILES):
                            os.fsync(file.fileno())
                folder.replace(part, self.path.name)
            except BaseException:
                with suppress(OSError):  # the first failure counts
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
        """Return the descriptor of a lock file, see :meth:`Folder.open_in_place`."""
        with self.folder(make=create) as folder:
            return folder.open_in_place(self.path.name, create=create)

    def exists(self) -> bool:
        """See :class:`Place`; links, and everything behind them, don't count."""
        try:
            return stat.S_ISREG(self._stat().st_mode)
        except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte
            return False
        except OutputError:
            return False

    def size(self) -> int:
        """See :class:`Place`."""
        # called for every shard, so by path in one step: this reads no content, and readers check for links themselves
        try:
            status = self.path.stat(follow_symlinks=not self.depth)
        except NotADirectoryError as error:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.name) from error
        if stat.S_ISLNK(status.st_mode):
            raise link_error(self.path)
        return status.st_size

    def modified(self) -> float:
        """See :class:`Place`."""
        return self._stat().st_mtime

    def _stat(self) -> os.stat_result:
        """Return the entry's status without following links below the caller's path."""
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
        """See :class:`Place`; OutputError for a link."""
        try:
            with self._opened() as folder:
                yield from folder.files()
        except (FileNotFoundError, NotADirectoryError):
            return

    def remove(self) -> None:
        """See :class:`Place`; of a link, only the link."""
        with suppress(FileNotFoundError, NotADirectoryError), self.folder() as folder:
            folder.remove(self.path.name)

    def remove_empty(self) -> None:
        """Remove an empty folder; OSError if it isn't empty."""
        with self.folder() as folder:
            folder.remove_empty(self.path.name)
