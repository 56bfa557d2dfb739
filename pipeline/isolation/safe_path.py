"""Protection against imports from the current folder, in this process and in all processes that it starts.

:mod:`multiprocessing` and Dask start processes by ``python -c`` and ``python -m``, which search the current folder first. There,
anyone with write permission, or the author of an unpacked archive, could plant a ``multiprocessing.py`` that every worker runs.
A script's own modules stay importable, because workers get the script's search path.
"""

from __future__ import annotations

import os
from threading import Lock

VARIABLE = "PYTHONSAFEPATH"
"""Python's own switch; see ``python -P``."""


class _SafePath:
    """A context manager in which processes start with the switch on; any number of blocks may overlap."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks = 0
        self._before: str | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._blocks:
                self._before = os.environ.get(VARIABLE)
                os.environ[VARIABLE] = "1"
            self._blocks += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                os.environ.pop(VARIABLE, None)
                if self._before is not None:
                    os.environ[VARIABLE] = self._before


SAFE_PATH = _SafePath()
