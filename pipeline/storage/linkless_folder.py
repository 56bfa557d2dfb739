"""Access below a folder without following links, because somebody else may have put a link there.

The output directory itself is the user's choice and may be a link. Everything below belongs to dcm2zarr, and a link there
is refused by name: writing through it would overwrite or remove files of other folders. Each folder is opened by its name
in its open parent, so that nobody can exchange a folder between check and use.

Files are always created new; only locks are written in place (:meth:`Folder.open_in_place`). New files get the permissions
of ``output.mode_bits``, or those that the umask leaves.
"""

# ruff: noqa: PTH102, PTH105, PTH116  a name in an open folder is no path

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

from pipeline.storage.entries import folder_bits, link_error, list_kinds, naming_path, permit, require_regular
from pipeline.storage.file_system_gaps import FOLDERS, doing_without
from pipeline.storage.options import active
from pipeline.storage.patience import HELD, patiently
from pipeline.storage.strays import is_stray

_BY_DESCRIPTOR = os.open in os.supports_dir_fd
"""Whether the system can open a name in an open folder; if not, each use is preceded by a check for links."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_LIST = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_WAY = _LIST | getattr(os, "O_PATH", 0)
"""Opening a folder's entries needs no permission to list the folder."""
_READ = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Non-blocking, because opening a pipe that somebody put there would wait for a writer."""
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_BINARY", 0)
_ANY_FILE, _ANY_FOLDER = 0o666, 0o777
_RENAME_EXCHANGE = 2
_SPECIAL = 0o7000
"""Special bits such as set-group-ID, which a new folder inherits from a shared one."""
_MAYBE_LINK = (errno.ELOOP, errno.EMLINK, errno.ENOTDIR)
"""Errors for a link that must not be followed."""
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY)
"""Errors for removing a folder that isn't empty."""


class Folder:
    """An open folder; a context manager. :func:`open_below` makes one."""

    def __init__(self, path: str, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def folder(self, name: str, *, make: bool = False) -> Folder:
        """Open a folder in this one."""
        made = make and self._make(name)
        if not _BY_DESCRIPTOR:
            self._refuse_link(name)
        lower = Folder(f"{self.path}/{name}", self._open(name, _WAY | _NO_LINK) if _BY_DESCRIPTOR else None)
        if made:
            lower.permit()
        return lower

    def _make(self, name: str) -> bool:
        with suppress(FileExistsError):
            where, known = self._at(name)
            patiently(lambda: os.mkdir(where, folder_bits(active().file_bits) or _ANY_FOLDER, **known))
            return True
        return False

    def permit(self) -> None:
        """Set the configured permissions of a new folder, regardless of the umask."""
        bits = active().file_bits
        if bits and self._descriptor is not None:
            with self._listing() as descriptor:
                permit(descriptor, folder_bits(bits) | (os.fstat(descriptor).st_mode & _SPECIAL), self.path)

    @contextmanager
    def _listing(self) -> Iterator[int]:
        """Yield a descriptor that can also list, flush and change this folder."""
        descriptor = os.open(".", _LIST, dir_fd=self._descriptor)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open(self, name: str, *, buffering: int = -1) -> BinaryIO:
        """Open a regular file for reading."""
        descriptor = self._open(name, _READ)
        require_regular(descriptor, f"{self.path}/{name}")
        return os.fdopen(descriptor, "rb", buffering=buffering)

    def create(self, name: str) -> int:
        """Create a file and return its descriptor for reading and writing; FileExistsError if the name is taken."""
        bits = active().file_bits
        descriptor = self._open(name, _CREATE, bits or _ANY_FILE)
        if bits:
            permit(descriptor, bits, f"{self.path}/{name}")
        return descriptor

    def open_in_place(self, name: str, *, create: bool) -> int:
        """Return the descriptor of a lock file, which is written in place.

        Raises
        ------
        OutputError
            If the entry isn't a regular file, or has further names (hard links): then it may be somebody else's file.
        """
        flags = os.O_RDWR | _NO_LINK | getattr(os, "O_NONBLOCK", 0)
        while True:
            with suppress(FileNotFoundError):
                descriptor = self._open(name, flags)
                break
            if not create:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), f"{self.path}/{name}")
            with suppress(FileExistsError):
                return self.create(name)
        require_regular(descriptor, f"{self.path}/{name}", alone=True)
        return descriptor

    def _open(self, name: str, flags: int, mode: int = _ANY_FILE) -> int:
        where, known = self._at(name)
        try:
            if not known:
                self._refuse_link(name)
            return patiently(lambda: os.open(where, flags, mode, **known))
        except OSError as error:
            if error.errno in _MAYBE_LINK:
                self._refuse_link(name)
            error.filename = f"{self.path}/{name}"
            raise

    def _refuse_link(self, name: str) -> None:
        with suppress(FileNotFoundError):
            if stat.S_ISLNK(self.stat(name).st_mode):
                raise link_error(f"{self.path}/{name}")

    def _at(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return the path and keyword arguments with which system functions address an entry."""
        if self._descriptor is None:
            return f"{self.path}/{name}", {}
        return name, {"dir_fd": self._descriptor}

    def stat(self, name: str) -> os.stat_result:
        """Return an entry's status without following a link."""
        where, known = self._at(name)
        return os.stat(where, follow_symlinks=False, **known)

    def names(self) -> list[str]:
        """Return the sorted names of the folder's entries."""
        return [name for name, _ in self._entries()]

    def files(self) -> Iterator[str]:
        """Yield the names, relative to this folder, of all files below it, in arbitrary order; OutputError for a link."""
        for name, kind in self._entries():
            if kind == "link":
                raise link_error(f"{self.path}/{name}")
            if kind == "file":
                yield name
                continue
            with suppress(FileNotFoundError), self.folder(name) as lower:  # somebody may have removed it meanwhile
                yield from (f"{name}/{inner}" for inner in lower.files())

    def _entries(self) -> list[tuple[str, str]]:
        """Return name and kind of each entry, sorted, without entries of file systems, servers and desktops."""
        return [(name, kind) for name, kind in self._all_entries() if not is_stray(name)]

    def _all_entries(self) -> list[tuple[str, str]]:
        """Return name and kind of each entry, sorted; most systems list kinds without a call for each entry."""
        if self._descriptor is None:
            return list_kinds(self.path)
        with self._listing() as descriptor:
            return list_kinds(descriptor)

    def replace(self, name: str, other: str) -> None:
        """Rename a file of this folder, replacing a file of the new name."""
        self.move(name, self, other)

    def exchange(self, name: str, other: Folder, its: str) -> bool:
        """Swap an entry with an entry of another folder in one step; return False if this system can't."""
        if self._descriptor is None or other._descriptor is None:
            return False
        rename = getattr(ctypes.CDLL(None), "renameat2", None)
        if rename is None:  # only Linux has it
            return False
        return bool(
            rename(self._descriptor, os.fsencode(name), other._descriptor, os.fsencode(its), _RENAME_EXCHANGE) == 0
        )

    def move(self, name: str, other: Folder, its: str) -> None:
        """Move an entry to another folder; a folder that it replaces must be empty."""
        where, known = self._at(name)
        there, known_there = other._at(its)
        folders = {"src_dir_fd": known.get("dir_fd"), "dst_dir_fd": known_there.get("dir_fd")}
        with naming_path(f"{other.path}/{its}"):
            patiently(lambda: os.replace(where, there, **folders), HELD)

    def remove(self, name: str) -> None:
        """Remove an entry with everything below it; of a link, only the link. Do nothing if the entry is missing.

        On some file systems a removed file that somebody has open stays under another name; its folder then stays too.
        """
        with suppress(FileNotFoundError):
            if not stat.S_ISDIR(self.stat(name).st_mode):
                self._unlink(name)
                return
            with self.folder(name) as lower:
                left = lower.clear()
            try:
                self.remove_empty(name)
            except OSError as error:
                if not (left or error.errno in _NOT_EMPTY) or not self._is_bare(name):
                    raise

    def clear(self) -> bool:
        """Remove all entries; return whether entries are left that don't belong to dcm2zarr."""
        left = False
        for name, _ in self._all_entries():
            try:
                self.remove(name)
            except OSError:
                if not is_stray(name):
                    raise
                left = True
        return left

    def _is_bare(self, name: str) -> bool:
        """Return whether a folder holds no file of ours."""
        with self.folder(name) as lower:
            return next(lower.files(), None) is None

    def _unlink(self, name: str) -> None:
        where, known = self._at(name)
        with naming_path(f"{self.path}/{name}"):
            if is_stray(name):  # already removed, but somebody has it open
                os.unlink(where, **known)
            else:
                patiently(lambda: os.unlink(where, **known), HELD)

    def remove_empty(self, name: str) -> None:
        """Remove an empty folder; OSError if it isn't empty."""
        where, known = self._at(name)
        with naming_path(f"{self.path}/{name}"):
            patiently(lambda: os.rmdir(where, **known))

    def flush(self) -> None:
        """Flush the folder's entries to the disk, on systems where folders can be opened and flushed."""
        if self._descriptor is not None:
            with (
                doing_without("Flushing folders to the disk (fsync)", self.path, FOLDERS),
                self._listing() as descriptor,
            ):
                os.fsync(descriptor)


def open_below(root: Path, names: Sequence[str], *, make: bool = False) -> Folder:
    """Open the folder ``root/<name>/<name>…``. Only `root` may be a link.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        If a folder is missing; with `make`, missing folders are made.
    OutputError
        If an inner folder is a link, reason ``linked_entry``.
    """
    folder = _root(root, make=make)
    try:
        for name in names:
            with folder:
                lower = folder.folder(name, make=make)
            folder = lower
    except BaseException:
        folder.close()
        raise
    return folder


def _root(root: Path, *, make: bool) -> Folder:
    made = False
    if make and not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            root.mkdir(folder_bits(active().file_bits) or _ANY_FOLDER)
            made = True
    folder = Folder(str(root), os.open(root, _WAY) if _BY_DESCRIPTOR else None)
    if made:
        folder.permit()
    return folder
