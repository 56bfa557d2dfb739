"""What a file system can't do and a run can do without: noted, once, for whoever reads what the run says."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager

_NOT_THERE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOTTY})
"""What a system says of a call that it, or this file system, doesn't have."""
FILES = _NOT_THERE
FOLDERS = _NOT_THERE | {errno.EBADF, errno.EISDIR, errno.EACCES, errno.EPERM}
"""Of a folder, which some let nobody open or flush."""
CALLS = _NOT_THERE | {errno.EPERM, errno.EACCES, errno.EBADF}
"""Of a call that a container may forbid too."""
_noted: dict[str, str] = {}


@contextmanager
def doing_without(what: str, path: str, lacking: Collection[int]) -> Iterator[None]:
    """Note, where the block fails with one of these error numbers, that `what` can't be had at `path`.

    Raises
    ------
    OSError
        All others: a disk that fails is no disk that lacks something.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in lacking:
            raise
        note(what, path, os.strerror(error.errno or 0))


def note(what: str, path: str, why: str) -> None:
    """Note that `what` can't be had, of which `path` is the first example."""
    _noted.setdefault(what, f"{what} isn't possible at {path} ({why}): the run goes on without")


def take_notes() -> list[str]:
    """Return what was noted in this process since it was last asked."""
    notes = list(_noted.values())
    _noted.clear()
    return notes
