"""Warn if the output's disk may be too small, and explain errors of a disk that is full or can't be written."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.storage import OutputDir, is_remote
from pipeline.units import size

_REPAIRS = {
    "disk_full": "Free some space there",
    "no_permission": "Get the permission to write there",
    "read_only": "Make that disk writable",
    "output_unusable": "Repair the cause",
}


def free_bytes(path: str) -> int | None:
    """Return the free bytes of the disk of a path, even if the path doesn't exist yet; None if unknown."""
    if is_remote(path):
        return None
    for folder in (Path(path), *Path(path).parents):
        try:
            found = shutil.disk_usage(folder)
        except OSError:  # not there yet
            continue
        return found.free if found.total else None  # some file systems in user space give no sizes
    return None


def too_small(out: OutputDir, needed: int) -> str:
    """Return a warning if the disk may have no room for `needed` bytes (before compression); else an empty text."""
    free = free_bytes(out.name)
    if free is None or needed <= free:
        return ""
    return f"The disk may be too small: up to {size(needed)} may be needed (before compression), {size(free)} are free"


@contextmanager
def explain_disk_errors(out: OutputDir, needed: Callable[[], int] = int) -> Iterator[None]:
    """Explain errors of a disk that is full or can't be written any more: say how much is free, and how to go on.

    Parameters
    ----------
    out : OutputDir
        The output directory.
    needed : callable
        Returns the bytes that may still be needed, before compression; 0 if unknown.
    """
    try:
        yield
    except OutputError as error:
        if error.reason not in _REPAIRS or not error.source:  # without a source it has been explained already
            raise
        raise OutputError(_explain(error, out, needed()), reason=error.reason) from error


def _explain(error: OutputError, out: OutputDir, needed: int) -> str:
    place, repair = str(error.source), _REPAIRS[error.reason]
    room = _room(place, needed) if error.reason == "disk_full" else ""
    if place == out.name:
        return f"{error}{room}. {repair}, or choose another output directory"
    if place.startswith(tempfile.gettempdir() + os.sep) and not place.startswith(out.name):
        return f"{error}{room}. {repair}, or let TMPDIR name another folder, and give the same command again"
    return f"{error}{room}. {repair}, and give the same command again: it goes on where it stopped"


def _room(place: str, needed: int) -> str:
    free = free_bytes(place)
    parts = [] if free is None else [f"{size(free)} free there"]
    if needed:
        parts.append(f"up to {size(needed)} more may be needed, before compression")
    return f" ({'; '.join(parts)})" if parts else ""
