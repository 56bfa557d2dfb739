"""Flush the files that a run wrote from the operating system's memory to the disk."""

from __future__ import annotations

import ctypes
import os

from pipeline.storage import CALLS, OutputDir, as_place_error, doing_without, note

_FLUSHING = "Flushing one file system to the disk (syncfs)"


def flush(out: OutputDir) -> None:
    """Flush everything that this host wrote to the file system of `out`, and return when it is on the disk.

    Shards aren't flushed one by one: for small shards that would cost more than writing them. A run flushes before it
    says that it has ended, because users then delete originals.

    Raises
    ------
    OutputError
        If the disk refuses.
    """
    if out.is_remote or os.name != "posix":  # an object store keeps every object that it has acknowledged
        return
    try:
        if not _flush_one(out.name):
            os.sync()  # flushes all file systems, and reports no error
    except OSError as error:
        raise as_place_error(out.name, error, "can't be brought to the disk") from error


def _flush_one(folder: str) -> bool:
    """Flush the file system of a folder; return False if it can't be flushed without all others."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):  # only Linux has syncfs, and not every C library offers it
        note(_FLUSHING, folder, "this system doesn't have it; all were flushed")
        return False
    with doing_without(_FLUSHING, folder, CALLS):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            if syncfs(descriptor):
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
        finally:
            os.close(descriptor)
        return True
    return False
