"""Retries of file system calls that fail only for a moment.

While another host, a virus scanner, a backup or an indexer has a file open, network file systems and Windows refuse to
rename, replace or remove it. A restarted file server has lost its clients' open files. Both pass.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

T = TypeVar("T")
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds between two tries."""
BUSY = frozenset({errno.EBUSY, errno.EAGAIN, errno.EINTR, errno.ETXTBSY, errno.ESTALE})
HELD = BUSY | {errno.EACCES}
"""Also the error of SMB for replacing a file that somebody has open."""
MOVED = frozenset({errno.ESTALE, errno.ENOENT})
"""Errors for a folder that was exchanged, or removed when empty, after its opening: open it again."""


def patiently(action: Callable[[], T], passing: Collection[int] = BUSY, pauses: Iterable[float] = PAUSES) -> T:
    """Return the result of `action`; retry after `pauses`, in seconds, if it fails with one of the error numbers.

    Raises
    ------
    OSError
        The error of the last try.
    """
    for pause in pauses:
        try:
            return action()
        except OSError as error:
            if error.errno not in passing:
                raise
        time.sleep(pause)
    return action()
