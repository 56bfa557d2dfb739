"""A watchdog that ends a worker process in which a frame hangs or takes all memory; its nanny starts another one.

A thread checks the current frames. A hanging decoder may hold Python's global lock, so that this thread never runs again.
Therefore a timer outside of Python (:func:`faulthandler.dump_traceback_later`) ends the process unless the thread keeps
resetting it.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Lock, Thread
from time import monotonic, sleep
from typing import NoReturn, TextIO

import psutil

from pipeline.isolation.watch import Watch

LOOK_SECONDS = 0.1
WIND_SECONDS = 1.0
STATUS = 75
"""The exit status of a process that ended itself (sysexits.h: EX_TEMPFAIL)."""


@dataclass(frozen=True, slots=True)
class _Watched:
    watch: Watch
    seconds: float
    memory: int


class Watchdog:
    """The watchdog of a process, for all threads that run tasks in it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._busy = Event()
        self._watched: list[_Watched] = []
        self._idle_bytes = 0
        self._thread: Thread | None = None

    @contextmanager
    def watching(self, seconds: float, memory: int) -> Iterator[Watch]:
        """Watch the block: end the process if a frame takes more than `seconds`, or if the process's memory grows by more
        than the sum of `memory` bytes over all watched blocks.
        """  # noqa: D205  one sentence
        watched = _Watched(Watch(), seconds, memory)
        with self._lock:
            if not self._watched:
                self._idle_bytes = _resident()
            self._watched.append(watched)
            self._busy.set()
            self._start()
        try:
            yield watched.watch
        finally:
            with self._lock:
                self._watched.remove(watched)
                if not self._watched:
                    self._busy.clear()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._look, name="dcm2zarr-watchdog", daemon=True)
            self._thread.start()

    def _look(self) -> None:
        with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123  the timer's tracebacks are dropped
            self._look_on(nowhere)

    def _look_on(self, nowhere: TextIO) -> NoReturn:
        wound = 0.0
        while True:
            with self._lock:
                watched = tuple(self._watched)
            if not watched:
                faulthandler.cancel_dump_traceback_later()
                self._busy.wait()
                wound = 0.0
                continue
            if any(each.watch.overdue(each.seconds) for each in watched) or self._memory_gone(watched):
                os._exit(STATUS)
            if monotonic() - wound > WIND_SECONDS:
                wound = monotonic()
                _wind(max(each.seconds for each in watched) + 2 * WIND_SECONDS, nowhere)
            sleep(LOOK_SECONDS)

    def _memory_gone(self, watched: tuple[_Watched, ...]) -> bool:
        decoding = any(each.watch.since is not None for each in watched)
        return decoding and _resident() > self._idle_bytes + sum(each.memory for each in watched)


def _wind(seconds: float, nowhere: TextIO) -> None:
    """Set the timer that ends the process in `seconds`, unless it is set again before."""
    faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)


def _resident() -> int:
    return int(psutil.Process().memory_info().rss)


WATCHDOG = Watchdog()
