"""Keeping the memory that codecs free after each frame, and giving it back where something else comes."""

from __future__ import annotations

import ctypes
import os
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of ``malloc.h``."""
_MMAP_BYTES = 32 * 2**20
_TRIM_BYTES = 2 * _MMAP_BYTES


@cache
def keep_freed_memory() -> None:
    """Let glibc give memory back to the system as late as it does in any other process; the first call does it.

    Dask starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``. That also stops glibc from learning which sizes are
    asked for again and again, so that each frame's buffers come as fresh pages, zeroed by the system one by one: four
    hundred page faults for compressing one slice of a CT, which take as long as the compression. What is set here is
    what glibc itself arrives at (``man mallopt``). A worker keeps up to 64 MiB more for it.
    """
    if library := _glibc():
        library.mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _TRIM_BYTES)


def give_back_freed_memory() -> None:
    """Give the system what is free now, before something large of another kind is made."""
    if library := _glibc():
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if os.name == "posix" else None
    return library if hasattr(library, "gnu_get_libc_version") else None
