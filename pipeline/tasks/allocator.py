"""Keep the memory that codecs free after each frame, and give it back before large data of another kind."""

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
    """Make glibc return memory to the system as late as in any other process; only the first call has an effect.

    Dask starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``. That also stops glibc from learning which sizes are
    requested again and again, so each frame's buffers come as fresh pages, zeroed by the system one by one: four
    hundred page faults to compress one slice of a CT, which take as long as the compression. The settings here are
    those that glibc itself arrives at (``man mallopt``). They cost a worker up to 64 MiB more.
    """
    if library := _glibc():
        library.mallopt(_MMAP_THRESHOLD, _MMAP_BYTES)
        library.mallopt(_TRIM_THRESHOLD, _TRIM_BYTES)


def give_back_freed_memory() -> None:
    """Return freed memory to the system before something large of another kind is made."""
    if library := _glibc():
        library.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None) if os.name == "posix" else None
    return library if hasattr(library, "gnu_get_libc_version") else None
