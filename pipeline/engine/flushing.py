"""Bringing what a run wrote from the operating system's memory to the disk."""

from __future__ import annotations

import ctypes
import os

from pipeline.storage import Place, RemotePlace, unwritable


def flush(out: Place) -> None:
    """Return when everything written to the file system of `out` is on its disk, as far as this host wrote it.

    Shards aren't flushed one by one, which would cost more than writing them where they are small. Before a run says
    that it has ended, they are: originals are deleted on its word.

    Raises
    ------
    OutputError
        Where the disk refuses.
    """
    if isinstance(out, RemotePlace) or os.name != "posix":  # an object store has what it has acknowledged
        return
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "syncfs"):  # Linux alone has it
        os.sync()
        return
    descriptor = os.open(str(out), os.O_RDONLY)
    try:
        if library.syncfs(descriptor):
            code = ctypes.get_errno()
            raise unwritable(str(out), OSError(code, os.strerror(code)), "can't be brought to the disk")
    finally:
        os.close(descriptor)
