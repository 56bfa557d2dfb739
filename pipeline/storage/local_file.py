"""Local files with retries after errors that may pass, such as those of a stalled network share.

The pauses grow. Each process waits a limited time in total, so that thousands of files on a dead disk don't delay a run for
hours: afterwards each error counts immediately. The next run tries such files again in any case.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

from pipeline.storage.patience import patiently

T = TypeVar("T")
PAUSES = (0.1, 0.4, 1.5)
"""Seconds before the second, third and fourth try."""
IN_ALL = 30.0
"""Seconds that a process waits in total."""
_NAMES = (
    *("EIO", "ESTALE", "EAGAIN", "EBUSY", "EREMOTEIO", "ETIMEDOUT", "ENOLINK", "ENODATA"),
    *("ECONNRESET", "ECONNABORTED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENOTCONN", "EPIPE"),
)
MAY_PASS = frozenset(getattr(errno, name) for name in _NAMES if hasattr(errno, name))
"""Errors of reading and opening that may pass, as far as this system defines them."""
_OF_OPENING = MAY_PASS | {errno.EACCES, errno.EPERM}
"""A share that comes back may briefly refuse permissions."""
_waited = 0.0


def persistently(action: Callable[[], T], passing: frozenset[int] = _OF_OPENING) -> T:
    """Return the result of `action`, retried after errors that may pass; OSError if retries don't help."""
    return patiently(action, passing, _pauses())


def _pauses() -> Iterator[float]:
    """Yield the next pause while the process's total allows it; a pause counts after it has passed."""
    global _waited  # noqa: PLW0603  of the process as a whole
    for pause in PAUSES:
        if _waited + pause > IN_ALL:
            return
        yield pause
        _waited += pause


class LocalFile(io.FileIO):
    """An unbuffered file for reading.

    Raises
    ------
    OSError
        If opening or reading fails several times in a row.
    """

    def __init__(self, path: str) -> None:
        persistently(lambda: super(LocalFile, self).__init__(path, "rb"))

    def read(self, size: int | None = -1, /) -> bytes:  # noqa: D102
        return self._again(super().read, size)

    def readall(self) -> bytes:  # noqa: D102
        return self._again(super().readall)

    def readinto(self, buffer: Any, /) -> int:  # noqa: D102
        return self._again(super().readinto, buffer)

    def _again(self, read: Callable[..., T], *arguments: Any) -> T:
        position = self.tell()

        def attempt() -> T:
            try:
                return read(*arguments)
            except OSError as error:
                if error.errno == errno.ESTALE:
                    self._reopen()
                self.seek(position)
                raise

        return persistently(attempt, MAY_PASS)

    def _reopen(self) -> None:
        """Open the path again after the server has lost the open file, unless another file has its path now."""
        with suppress(OSError):
            file = os.open(str(self.name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                before, now = os.fstat(self.fileno()), os.fstat(file)
                if (before.st_size, before.st_mtime_ns) == (now.st_size, now.st_mtime_ns):
                    os.dup2(file, self.fileno(), inheritable=False)
            finally:
                os.close(file)
