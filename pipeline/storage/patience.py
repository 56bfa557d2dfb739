"""Trying again what a file system refuses for a moment only.

Another host, a virus scanner, a backup or an indexer has a file open: then network file systems and Windows refuse to rename,
replace or remove it. A server that was restarted has forgotten what it gave out. Both pass.
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
"""And what SMB says of a name that is to be replaced while somebody has the file open."""
MOVED = frozenset({errno.ESTALE, errno.ENOENT})
"""A folder was exchanged, or removed because it was empty, between its opening and its use: to be opened again."""


def patiently(action: Callable[[], T], passing: Collection[int] = BUSY, pauses: Iterable[float] = PAUSES) -> T:
    """Return what `action` does, tried again after `pauses`, in seconds, where it fails with one of these error numbers.

    Raises
    ------
    OSError
        That of the last try.
    """
    for pause in pauses:
        try:
            return action()
        except OSError as error:
            if error.errno not in passing:
                raise
        time.sleep(pause)
    return action()
