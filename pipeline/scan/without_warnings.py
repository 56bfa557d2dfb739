"""Suppression of pydicom's warnings, because they quote values, which may be a patient's."""

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
    """Ignore pydicom's warnings in the block; the catalog records problems of values.

    The warnings module has one state for all threads, so the first thread that enters changes it, and the last thread that
    leaves restores it.
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
