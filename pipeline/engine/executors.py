"""What runs tasks, and how: each item once, a window of them at a time, results as they come.

Every executor does the same: call a function on each item and give the results back as they come. Submission is
windowed, so that neither this process nor the scheduler ever holds more than a few tasks per worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import chain, count
from typing import Any, Protocol, Self

from distributed import Client, Future, KilledWorker, as_completed

from pipeline.storage import Carried

TASKS_PER_WORKER = 4
"""Tasks submitted ahead per thread of a worker: enough that none waits for the driver."""
LOST_AT_ONCE = {"distributed.scheduler.allowed-failures": 0}
"""Dask's configuration for a scheduler of our own: what a dying worker took with it comes back to the driver, which knows
how to do it more carefully, instead of going on to kill other workers."""
LOST_TRIES = 20
"""How often a task is sent again that a dying worker took with it. It is mostly a bystander: what kills workers runs in
processes of its own from the second time on."""

ENDED = frozenset({"finished", "error", "cancelled"})
"""What a future's status says when nothing more comes of it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A task's result, or the error that ended it."""

    item: Any
    result: Any = None
    error: Exception | None = None


class Executor(Protocol):
    """Runs a function over items."""

    @property
    def workers(self) -> int:
        """How many tasks run at once."""

    def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        name: str,
        carefully: Callable[[Any], Any] | None = None,
    ) -> Iterator[Outcome]:
        """Yield an :class:`Outcome` for every item, in the order in which they finish.

        `items` may yield None: nothing to do until another result is in. It is asked again then.

        An item whose worker died is done again, by `carefully` where that is given: the same in a way that what killed
        the worker can't do so again. `function` must therefore be one that can be called twice.
        """


class Synchronous:
    """One after the other in this process: what this does is what the others must do."""

    workers = 1

    def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        name: str,
        carefully: Callable[[Any], Any] | None = None,
    ) -> Iterator[Outcome]:
        """See :meth:`Executor.map`."""
        del name, carefully
        function = Carried(function)
        for item in items:
            if item is not None:
                yield _call(function, item)


def _call(function: Callable[[Any], Any], item: Any) -> Outcome:
    try:
        return Outcome(item, result=function(item))
    # a task's error is data here, as it is with Dask: the run goes on, and the driver records whom it hit
    except Exception as error:  # noqa: BLE001
        return Outcome(item, error=error)


def _no_task_is_lost(record: logging.LogRecord) -> bool:
    """Drop what a scheduler in this process says of tasks whose worker died: they are done again."""
    return "marked as failed because" not in str(record.msg)


class Distributed:
    """A Dask cluster: one future a task, a window of them at a time.

    Parameters
    ----------
    client : Client
    workers : int
        How many tasks could run at once when all workers have come: the window is made for them, so that the scheduler
        has work for those that join, and an adaptive cluster a reason to ask for them.
    """

    def __init__(self, client: Client, workers: int = 0) -> None:
        logging.getLogger("distributed.scheduler").addFilter(_no_task_is_lost)
        self._client = client
        self._expected = workers
        self._keys = count()

    @property
    def workers(self) -> int:
        """Threads of all workers that are there now."""
        return int(sum(self._client.nthreads().values())) or 1

    def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        name: str,
        carefully: Callable[[Any], Any] | None = None,
    ) -> Iterator[Outcome]:
        """See :meth:`Executor.map`."""
        again = Carried(carefully or function)
        function = Carried(function)
        queue = iter(items)
        pending: dict[str, _Sent] = {}
        completed = as_completed([])

        def submit(sent: _Sent) -> None:
            key = f"{name}-{next(self._keys)}"
            pending[key] = sent
            call = function if sent.lost == 0 else again
            completed.add(self._client.submit(call, sent.item, key=key, pure=False))

        def fill() -> None:
            while (
                len(pending) < TASKS_PER_WORKER * max(self.workers, self._expected)
                and (item := next(queue, None)) is not None
            ):
                submit(_Sent(item))

        fill()
        for future in completed:
            status = future.status
            if status not in ENDED:  # its worker left with the result before it was fetched: it is done again
                completed.add(future)
                continue
            sent = pending.pop(future.key)
            outcome = _outcome(sent.item, future, status)
            future.release()
            if isinstance(outcome.error, KilledWorker) and sent.lost < LOST_TRIES:
                submit(_Sent(sent.item, sent.lost + 1))
            else:
                yield outcome
            fill()


@dataclass(frozen=True, slots=True)
class _Sent:
    """An item on its way, and how many workers died under it."""

    item: Any
    lost: int = 0


class Deferred:
    """An executor that is started when there is something to run: a run with nothing left to do needs no cluster.

    A context manager that stops what it started.
    """

    def __init__(self, start: Callable[[], AbstractContextManager[Executor]]) -> None:
        self._start = start
        self._started: Executor | None = None
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.__exit__(*error)  # type: ignore[arg-type]

    @property
    def workers(self) -> int:
        """See :attr:`Executor.workers`."""
        return self._executor().workers

    def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        name: str,
        carefully: Callable[[Any], Any] | None = None,
    ) -> Iterator[Outcome]:
        """See :meth:`Executor.map`."""
        queue = iter(items)
        for first in queue:
            yield from self._executor().map(function, chain([first], queue), name=name, carefully=carefully)

    def _executor(self) -> Executor:
        if self._started is None:
            self._started = self._exit.enter_context(self._start())
        return self._started


def _outcome(item: Any, future: Future, status: str) -> Outcome:
    if status == "finished":
        return Outcome(item, result=future.result())
    error = future.exception() if status == "error" else None
    return Outcome(item, error=error or RuntimeError(f"The task ended as {status!r}"))
