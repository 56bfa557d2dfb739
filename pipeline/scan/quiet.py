"""Headers without pydicom's warnings: they quote values, which can be a patient's."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_MODULES = r"pydicom(\.|$)"
_lock = threading.Lock()
_held: list[warnings.catch_warnings[None]] = []
_inside = 0


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore pydicom's warnings inside the block; what is wrong with a value is in the catalog.

    The warnings module has one state for all threads, so the first thread that comes sets it and the last that leaves
    puts back what was there.
    """
    global _inside  # noqa: PLW0603  one state for all threads
    with _lock:
        _inside += 1
        if _inside == 1:
            _held.append(warnings.catch_warnings())
            _held[-1].__enter__()
            warnings.filterwarnings("ignore", module=_MODULES)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _held.pop().__exit__(None, None, None)
