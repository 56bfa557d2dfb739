"""Bringing what a run wrote from the operating system's memory to the disk."""

from __future__ import annotations

import ctypes
import os

from pipeline.storage import CALLS, OutputDir, as_place_error, doing_without, note

_FLUSHING = "Flushing one file system to the disk (syncfs)"


def flush(out: OutputDir) -> None:
    """Return when everything written to the file system of `out` is on its disk, as far as this host wrote it.

    Shards aren't flushed one by one, which would cost more than writing them where they are small. Before a run says
    that it has ended, they are: originals are deleted on its word.

    Raises
    ------
    OutputError
        Where the disk refuses.
    """
    if out.is_remote or os.name != "posix":  # an object store has what it has acknowledged
        return
    try:
        if not _flush_one(out.name):
            os.sync()  # of all file systems, and it tells of no error
    except OSError as error:
        raise as_place_error(out.name, error, "can't be brought to the disk") from error


def _flush_one(folder: str) -> bool:
    """Flush the file system of a folder; whether that could be done alone."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (AttributeError, OSError):  # Linux alone has it, and not with every C library
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
