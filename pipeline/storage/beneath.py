"""What lies below a folder, reached without following a link: somebody else may have put one there.

Where a result goes is for the user to say, and may be a link. What lies below is ours, and there a link is refused by
name: through it, files of other folders would be overwritten or removed. Each folder on the way is opened by its name in
the one above, so that none of them can be exchanged between a look and the use.

Files are created, never opened for writing as they are (but locks, see :meth:`Folder.open_in_place`), and created with
the permissions that ``output.mode_bits`` asks for, or the caller's umask leaves.
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

from pipeline.storage.entries import folder_bits, kinds, linked, named, permit, require_regular
from pipeline.storage.lacking import FOLDERS, doing_without
from pipeline.storage.options import active
from pipeline.storage.patience import HELD, patiently
from pipeline.storage.strays import is_stray

_BY_DESCRIPTOR = os.open in os.supports_dir_fd
"""Where systems can't open by a name in an open folder, links are looked for before each use."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_LIST = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
_WAY = _LIST | getattr(os, "O_PATH", 0)
"""To open what is in a folder takes no permission to list it."""
_READ = os.O_RDONLY | _NO_LINK | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
"""Not waiting: a pipe that somebody put there has no writer."""
_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK | getattr(os, "O_BINARY", 0)
_ANY_FILE, _ANY_FOLDER = 0o666, 0o777
_RENAME_EXCHANGE = 2
_SPECIAL = 0o7000
"""Set-group-ID of a shared folder and the like, which a new folder inherits."""
_MAYBE_LINK = (errno.ELOOP, errno.EMLINK, errno.ENOTDIR)
"""What systems say of a link that isn't to be followed."""
_NOT_EMPTY = (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY)
"""What systems say of a folder that can't be removed because something is left in it."""


class Folder:
    """An open folder; a context manager, made by :func:`below`."""

    def __init__(self, path: str, descriptor: int | None) -> None:
        self.path = path
        self._descriptor = descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
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
        """Give a folder that was made just now the permissions asked for, whatever the umask."""
        bits = active().file_bits
        if bits and self._descriptor is not None:
            with self._listing() as descriptor:
                permit(descriptor, folder_bits(bits) | (os.fstat(descriptor).st_mode & _SPECIAL), self.path)

    @contextmanager
    def _listing(self) -> Iterator[int]:
        """Give a descriptor of this folder that can do more than lead into it."""
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
        """Create a file and return its descriptor, for reading and writing; FileExistsError where there is anything."""
        bits = active().file_bits
        descriptor = self._open(name, _CREATE, bits or _ANY_FILE)
        if bits:
            permit(descriptor, bits, f"{self.path}/{name}")
        return descriptor

    def open_in_place(self, name: str, *, create: bool) -> int:
        """Return the descriptor of a small file of ours that is written as it is, a lock's.

        Raises
        ------
        OutputError
            Where it is anything but a regular file with this name alone: a hard link would be another's file.
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
                raise linked(f"{self.path}/{name}")

    def _at(self, name: str) -> tuple[str, dict[str, Any]]:
        """Return how a function of the system is told of an entry."""
        if self._descriptor is None:
            return f"{self.path}/{name}", {}
        return name, {"dir_fd": self._descriptor}

    def stat(self, name: str) -> os.stat_result:
        """Look at an entry; a link isn't followed."""
        where, known = self._at(name)
        return os.stat(where, follow_symlinks=False, **known)

    def names(self) -> list[str]:
        """Return the names of what lies in it, sorted."""
        return [name for name, _ in self._entries()]

    def files(self) -> Iterator[str]:
        """Yield the names, relative to this one, of all files below it, in no order; OutputError for a link."""
        for name, kind in self._entries():
            if kind == "link":
                raise linked(f"{self.path}/{name}")
            if kind == "file":
                yield name
                continue
            with suppress(FileNotFoundError), self.folder(name) as lower:  # it may be gone by now
                yield from (f"{name}/{one}" for one in lower.files())

    def _entries(self) -> list[tuple[str, str]]:
        """Return the name of each entry and what it is, by name, without those that nobody of us has put there."""
        return [(name, kind) for name, kind in self._all_entries() if not is_stray(name)]

    def _all_entries(self) -> list[tuple[str, str]]:
        """Return the name of each entry and what it is, by name; most systems tell without a look at each."""
        if self._descriptor is None:
            return kinds(self.path)
        with self._listing() as descriptor:
            return kinds(descriptor)

    def replace(self, name: str, other: str) -> None:
        """Give a file of this folder another name, whatever that was before."""
        self.move(name, self, other)

    def exchange(self, name: str, other: Folder, its: str) -> bool:
        """Let an entry and one of another folder change their names at once; False where that can't be done here."""
        if self._descriptor is None or other._descriptor is None:
            return False
        rename = getattr(ctypes.CDLL(None), "renameat2", None)
        if rename is None:  # Linux alone has it
            return False
        return bool(
            rename(self._descriptor, os.fsencode(name), other._descriptor, os.fsencode(its), _RENAME_EXCHANGE) == 0
        )

    def move(self, name: str, other: Folder, its: str) -> None:
        """Give an entry a name in another folder; a folder there must be empty."""
        where, known = self._at(name)
        there, known_there = other._at(its)
        folders = {"src_dir_fd": known.get("dir_fd"), "dst_dir_fd": known_there.get("dir_fd")}
        with named(f"{other.path}/{its}"):
            patiently(lambda: os.replace(where, there, **folders), HELD)

    def remove(self, name: str) -> None:
        """Remove an entry with all below it, of a link the link; nothing where it isn't there.

        A folder stays, empty as far as we are concerned, where a file in it was removed while somebody has it open.
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
        """Remove all that lies in it; returns whether something is left that isn't ours to be removed."""
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
        """Whether a folder holds nothing of ours."""
        with self.folder(name) as lower:
            return next(lower.files(), None) is None

    def _unlink(self, name: str) -> None:
        where, known = self._at(name)
        with named(f"{self.path}/{name}"):
            if is_stray(name):  # removed already, while somebody has it open
                os.unlink(where, **known)
            else:
                patiently(lambda: os.unlink(where, **known), HELD)

    def remove_empty(self, name: str) -> None:
        """Remove a folder that holds nothing; OSError where it holds something."""
        where, known = self._at(name)
        with named(f"{self.path}/{name}"):
            patiently(lambda: os.rmdir(where, **known))

    def flush(self) -> None:
        """Bring its names to the disk; not everywhere can folders be opened, or flushed."""
        if self._descriptor is not None:
            with (
                doing_without("Flushing folders to the disk (fsync)", self.path, FOLDERS),
                self._listing() as descriptor,
            ):
                os.fsync(descriptor)


def below(root: Path, names: Sequence[str], *, make: bool = False) -> Folder:
    """Open the folder ``root/<name>/<name>…``: `root` may be a link, the others may not.

    Raises
    ------
    FileNotFoundError, NotADirectoryError
        Where it isn't there; with `make` it is made.
    OutputError
        Where a link is in the way, reason ``linked_entry``.
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
