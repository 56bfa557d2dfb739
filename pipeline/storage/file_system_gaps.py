"""Notes about abilities that a file system lacks and a run can do without; each is reported once."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_NOT_THERE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY})
"""Errors for a call that the system or the file system doesn't support."""
FILES = _NOT_THERE
FOLDERS = _NOT_THERE | {errno.EBADF, errno.EISDIR, errno.EACCES, errno.EPERM}
"""The same for folders, which some systems don't open or flush."""
CALLS = _NOT_THERE | {errno.EPERM, errno.EACCES, errno.EBADF}
"""The same for calls that a container may also forbid."""
_noted: dict[str, str] = {}


@contextmanager
def doing_without(what: str, path: str, lacking: Collection[int]) -> Iterator[None]:
    """If the block fails with an error number in `lacking`, note that `what` is impossible at `path` and go on.

    Raises
    ------
    OSError
        For all other error numbers, such as those of a failing disk.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in lacking:
            raise
        note(what, path, os.strerror(error.errno or 0))


def note(what: str, path: str, why: str) -> None:
    """Note that `what` is impossible; only the first `path` is reported."""
    _noted.setdefault(what, f"{what} isn't possible at {path} ({why}): the run continues without it")


def take_notes() -> list[str]:
    """Return and forget the notes of this process."""
    notes = list(_noted.values())
    _noted.clear()
    return notes
