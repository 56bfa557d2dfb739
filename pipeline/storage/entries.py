"""What an entry of a folder may be: links are refused by name, permissions follow from those that were asked for."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import OutputError
from pipeline.storage.lacking import CALLS, doing_without


def linked(path: str | os.PathLike[str]) -> OutputError:
    """Return the error for a link where a file or a folder of ours should be."""
    return OutputError(
        f"{os.fspath(path)} is a symbolic link in the output directory. It isn't followed, because it could lead to "
        "anybody's files: remove it, or put what it leads to in its place",
        reason="linked_entry",
    )


def folder_bits(file_bits: int) -> int:
    """Return the permissions of a folder whose files have `file_bits`: may be entered by who may read.

    >>> f"{folder_bits(0o640):o}"
    '750'
    """
    return file_bits | (file_bits & 0o444) >> 2


def permit(descriptor: int, bits: int, path: str) -> None:
    """Give an open file or folder these permissions, if its file system has any."""
    with doing_without("Setting permissions (output.mode_bits)", path, CALLS):
        os.fchmod(descriptor, bits)


@contextmanager
def named(path: str) -> Iterator[None]:
    """Let an error of the system name the path, which the system was told in parts."""
    try:
        yield
    except OSError as error:
        error.filename = path
        error.filename2 = None
        raise


def kinds(folder: str | int) -> list[tuple[str, str]]:
    """Return the name of each entry of a folder, and whether it is a ``link``, a ``folder`` or a ``file``; by name."""

    def kind(entry: os.DirEntry[str]) -> str:
        if entry.is_symlink():
            return "link"
        return "folder" if entry.is_dir(follow_symlinks=False) else "file"

    with os.scandir(folder) as entries:
        return sorted((entry.name, kind(entry)) for entry in entries)


def require_regular(descriptor: int, path: str, *, alone: bool = False) -> None:
    """Close what was opened, and raise, if it isn't a regular file; with `alone` also if the file has other names."""
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and not (alone and found.st_nlink > 1):
        return
    os.close(descriptor)
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    what = "has other names too (hard links)" if stat.S_ISREG(found.st_mode) else "is no regular file"
    raise OutputError(f"{path} {what}, so it isn't ours to be used: remove it", reason="linked_entry")
