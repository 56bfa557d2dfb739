"""Checks and permissions of folder entries: refuse links, set configured permissions."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import OutputError
from pipeline.storage.file_system_gaps import CALLS, doing_without


def link_error(path: str | os.PathLike[str]) -> OutputError:
    """Return the error for a link in place of one of our files or folders."""
    return OutputError(
        f"{os.fspath(path)} is a symbolic link in the output directory. dcm2zarr doesn't follow the link, because it could "
        "lead to somebody else's files: remove the link, or replace it by its target",
        reason="linked_entry",
    )


def folder_bits(file_bits: int) -> int:
    """Return the permissions of a folder whose files have `file_bits`: whoever may read may also enter.

    >>> f"{folder_bits(0o640):o}"
    '750'
    """
    return file_bits | (file_bits & 0o444) >> 2


def permit(descriptor: int, bits: int, path: str) -> None:
    """Set the permissions of an open file or folder, if its file system has permissions."""
    with doing_without("Setting permissions (output.mode_bits)", path, CALLS):
        os.fchmod(descriptor, bits)


@contextmanager
def naming_path(path: str) -> Iterator[None]:
    """Put the whole path into system errors, because the system call got only a part of it."""
    try:
        yield
    except OSError as error:
        error.filename = path
        error.filename2 = None
        raise


def list_kinds(folder: str | int) -> list[tuple[str, str]]:
    """Return name and kind (``link``, ``folder`` or ``file``) of each entry of a folder, sorted."""

    def kind(entry: os.DirEntry[str]) -> str:
        if entry.is_symlink():
            return "link"
        return "folder" if entry.is_dir(follow_symlinks=False) else "file"

    with os.scandir(folder) as entries:
        return sorted((entry.name, kind(entry)) for entry in entries)


def require_regular(descriptor: int, path: str, *, alone: bool = False) -> None:
    """Close the descriptor and raise if it isn't a regular file; with `alone`, also if the file has hard links."""
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and not (alone and status.st_nlink > 1):
        return
    os.close(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    what = "has further names (hard links)" if stat.S_ISREG(status.st_mode) else "isn't a regular file"
    raise OutputError(f"{path} {what}, so dcm2zarr doesn't use it: remove it", reason="linked_entry")
