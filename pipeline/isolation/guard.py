"""Guard for tasks against decoders and header parsers that hang or take all memory.

Guarding starts no process and costs only a look at the clock per frame (:mod:`~pipeline.isolation.watch`). If a limit is
exceeded, the reaction depends on where the task runs:

- In a worker process with a nanny, a watchdog ends the process like a crash, and the nanny starts another one. Dask tells the
  driver, which sends the lost tasks again, to be run carefully (:mod:`~pipeline.tasks.isolated`).
- In a process that must survive, such as the driver's own, the task runs in a separate thread. A hanging thread is abandoned,
  and the task is run carefully in its place. A thread's memory can't be limited, and its crash ends the process: only worker
  processes protect against these.
- Outside of workers (``synchronous``, for debugging), tasks aren't guarded.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any, TypeVar

from distributed import get_worker

from pipeline.isolation.watch import Watch
from pipeline.isolation.watchdog import WATCHDOG
from pipeline.printable import make_logs_printable

T = TypeVar("T")
IN_TASK: ContextVar[bool] = ContextVar("in_task", default=False)
"""Whether a worker is running a task of this package."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits of foreign code."""

    seconds: float
    """Seconds for one frame or header."""
    memory: int
    """Bytes by which a worker's memory may grow during one task."""


def guarded(work: Callable[[Watch], T], carefully: Callable[[], T], bounds: Bounds) -> T:
    """Return the result of `work`, or of `carefully` if `work` had to be abandoned.

    Parameters
    ----------
    work : callable
        Gets the watch, to call around each frame.
    carefully : callable
        Does the same work in other processes.
    bounds : Bounds
        The limits.
    """
    if not IN_TASK.get():  # another package's worker mustn't be ended
        return work(Watch())
    try:
        worker = get_worker()
    except ValueError:
        return work(Watch())
    if worker.nanny is None:
        return _run_in_thread(work, carefully, bounds.seconds)
    make_logs_printable()
    with WATCHDOG.watching(bounds.seconds, bounds.memory) as watch:
        return work(watch)


class _Left(BaseException):
    """Ends an abandoned thread if its hanging call ever returns, because its shard now belongs to another task."""


class _Leash(Watch):
    """The watch of a thread that can be abandoned, but only inside a frame."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = Lock()
        self._left = False

    def begin(self) -> None:
        with self._lock:
            self._check()
            super().begin()

    def end(self) -> None:
        with self._lock:
            self._check()
            super().end()

    def leave(self, seconds: float) -> bool:
        """Abandon the thread if its frame is overdue; return whether it is abandoned."""
        with self._lock:
            self._left = self._left or self.overdue(seconds)
            return self._left

    def _check(self) -> None:
        if self._left:
            raise _Left


def _run_in_thread(work: Callable[[Watch], T], carefully: Callable[[], T], seconds: float) -> T:
    leash, future = _Leash(), Future[Any]()

    def target() -> None:
        try:
            future.set_result(work(leash))
        except _Left:
            return
        except BaseException as error:  # noqa: BLE001  raised again by the waiting thread
            future.set_exception(error)

    context = copy_context()
    Thread(target=lambda: context.run(target), name="dcm2zarr-task", daemon=True).start()
    while True:
        try:
            result: T = future.result(timeout=min(1.0, seconds / 4))
        except TimeoutError:
            if future.done():
                raise  # the work's own TimeoutError
            if leash.leave(seconds):
                return carefully()
        else:
            return result
