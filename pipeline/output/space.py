"""The room on the output's disk: whether it may be too small, and what is told when it is, or can't be written any more."""

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
    "output_unusable": "Mend that",
}


def free_bytes(path: str) -> int | None:
    """Return the free bytes of the disk that a path lies on, or will; None where that can't be told."""
    if is_remote(path):
        return None
    for folder in (Path(path), *Path(path).parents):
        try:
            found = shutil.disk_usage(folder)
        except OSError:  # not there yet
            continue
        return found.free if found.total else None  # some file systems in user space don't say
    return None


def too_small(out: OutputDir, needed: int) -> str:
    """Return a warning where `needed` bytes, before compression, may not find room; else an empty text."""
    free = free_bytes(out.name)
    if free is None or needed <= free:
        return ""
    return f"The disk may be too small: up to {size(needed)} may be needed (before compression), {size(free)} are free"


@contextmanager
def explaining(out: OutputDir, needed: Callable[[], int] = int) -> Iterator[None]:
    """Let errors of a disk that is full, or can't be written any more, say so in full: what is free, and how to go on.

    Parameters
    ----------
    out : OutputDir
        The output directory.
    needed : callable
        Returns how many bytes may still be needed, before compression; 0 where that isn't known.
    """
    try:
        yield
    except OutputError as error:
        if error.reason not in _REPAIRS or not error.source:  # without one it has been explained already
            raise
        raise OutputError(_explained(error, out, needed()), reason=error.reason) from error


def _explained(error: OutputError, out: OutputDir, needed: int) -> str:
    place, repair = str(error.source), _REPAIRS[error.reason]
    room = _room(place, needed) if error.reason == "disk_full" else ""
    if place == out.name:
        return f"{error}{room}. {repair}, or choose another output directory"
    if place.startswith(tempfile.gettempdir() + os.sep) and not place.startswith(out.name):
        return f"{error}{room}. {repair}, or let TMPDIR name another folder, and give the same command again"
    return f"{error}{room}. {repair}, and give the same command again: it goes on where it stopped"


def _room(place: str, needed: int) -> str:
    free = free_bytes(place)
    told = [] if free is None else [f"{size(free)} free there"]
    if needed:
        told.append(f"up to {size(needed)} more may be needed, before compression")
    return f" ({'; '.join(told)})" if told else ""
