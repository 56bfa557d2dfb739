"""Foreign code on a leash: what a task does when a decoder or a header parser hangs or takes all memory.

Nothing is started for it and nothing is asked of each frame but the time (:mod:`~pipeline.isolation.watch`). What happens
when a limit is passed depends on where the task runs:

- In a worker process that a nanny starts again, a watchdog ends the process, as a crash would. Dask tells the driver,
  which sends the tasks that were there again, to be done carefully (:mod:`~pipeline.tasks.isolated`).
- In a process that can't be spared, such as the driver's own, the task runs in a thread of its own. A thread that hangs
  is left behind, and the task is done carefully in its place. Memory can't be taken from a thread, nor can it crash
  alone: for these, there are worker processes.
- In no worker at all (``synchronous``, for debugging), nothing stands between the task and the debugger.
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
"""Whether a worker runs a task that this package has sent there."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What foreign code may take."""

    seconds: float
    """For one frame or header."""
    memory: int
    """Bytes by which a worker's memory may grow while it is busy with one task."""


def guarded(work: Callable[[Watch], T], carefully: Callable[[], T], bounds: Bounds) -> T:
    """Return what `work` returns, or what `carefully` does where `work` had to be left behind.

    Parameters
    ----------
    work : callable
        Gets the watch to tell of each frame.
    carefully : callable
        Does the same in other processes.
    bounds : Bounds
    """
    if not IN_TASK.get():  # of this package: another one's worker isn't ours to be ended
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
    """Ends a thread that was left behind, should what it hung in ever return: its shard is another's now."""


class _Leash(Watch):
    """The watch of a thread that can be left behind, but only inside a frame."""

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
        """Leave the thread behind if its frame is overdue; whether it is."""
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
        except BaseException as error:  # noqa: BLE001  raised again where it was waited for
            future.set_exception(error)

    context = copy_context()
    Thread(target=lambda: context.run(target), name="dcm2zarr-task", daemon=True).start()
    while True:
        try:
            result: T = future.result(timeout=min(1.0, seconds / 4))
        except TimeoutError:
            if future.done():
                raise  # its own
            if leash.leave(seconds):
                return carefully()
        else:
            return result
