"""Nothing is imported from the current folder: not here, and not by any process that is started from here.

``python -c`` and ``python -m``, by which :mod:`multiprocessing` and Dask start theirs, look into the current folder first.
Whoever can write there, or has packed the archive that was unpacked there, would have a ``multiprocessing.py`` of theirs
run by every worker. What a script imports from its own folder stays importable: workers get the script's search path.
"""

from __future__ import annotations

import os
from threading import Lock

VARIABLE = "PYTHONSAFEPATH"
"""Python's own switch; see ``python -P``."""


class _SafePath:
    """A context manager, for any number of blocks at once, in which processes are started with the switch on."""

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
