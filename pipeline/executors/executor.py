"""Executors: call a function on each item and yield the results in order of completion.

Submission is windowed, so that neither this process nor the scheduler ever holds more than a few tasks per worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import chain, count, islice, takewhile
from typing import Any, Protocol, Self, TypeVar

from distributed import Client, KilledWorker

from pipeline.executors.scheduler import reaching
from pipeline.executors.standstill import Surroundings
from pipeline.executors.window import Sent, Window
from pipeline.output import still_held
from pipeline.storage import Carried

T = TypeVar("T")
LOST_TRIES = 20
"""How often to resend a task that was lost with its worker. Most lost tasks are bystanders: from the second time on, a task that
kills workers runs in a separate process."""


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
        """Number of tasks that run at the same time."""

    def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        name: str,
        carefully: Callable[[Any], Any] | None = None,
    ) -> Iterator[Outcome]:
        """Yield an :class:`Outcome` for every item, in the order in which they finish.

        `items` may yield None, which means that there is nothing to do before the next result; then `items` is asked again.

        An item whose worker died is repeated, with `carefully` if given: a function with the same result that protects the
        worker. Therefore `function` must allow a second call with the same item.
        """


class Synchronous:
    """Runs one item after the other in this process; the reference for all other executors."""

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
    # a task's error is data here, as with Dask: the run goes on, and the driver records the failed item
    except Exception as error:  # noqa: BLE001
        return Outcome(item, error=error)


def _no_task_is_lost(record: logging.LogRecord) -> bool:
    """Drop the scheduler's log records about tasks whose worker died, because they are repeated."""
    return "marked as failed because" not in str(record.msg)


class Distributed:
    """Runs items on a Dask cluster, one future per item, in a window.

    Parameters
    ----------
    client : Client
    workers : int
        Number of tasks that can run at the same time when all workers have started. The window has this size, so that the
        scheduler has work for joining workers, and an adaptive cluster has a reason to request them.
    known : Surroundings, optional
        Facts about the workers, for messages when no task ends any more.
    """

    def __init__(self, client: Client, workers: int = 0, known: Surroundings | None = None) -> None:
        logging.getLogger("distributed.scheduler").addFilter(_no_task_is_lost)
        self._client = client
        self._expected = workers
        self._known = known
        self._keys = count()

    @property
    def workers(self) -> int:
        """Number of threads of all current workers."""
        return int(sum(self._client.nthreads().values())) or 1

    def map(
        self,
        function: Callable[[Any], Any],
        items: Iterable[Any],
        *,
        name: str,
        carefully: Callable[[Any], Any] | None = None,
    ) -> Iterator[Outcome]:
        """See :meth:`Executor.map`.

        Raises
        ------
        ClusterError
            If the scheduler is lost, or the workers are permanently paused, dead or gone.
        """
        again = Carried(carefully or function)
        function = Carried(function)
        queue = iter(items)
        window = Window(self._client, lambda: max(self.workers, self._expected), self._known)

        def send(call: Callable[[Any], Any], group: list[Sent]) -> None:
            window.send(call, group, [f"{name}-{next(self._keys)}" for _ in group])

        def fill() -> None:
            group = takewhile(lambda item: item is not None, islice(queue, max(window.room, 0)))
            send(function, [Sent(item) for item in group])

        with reaching(self._client):
            fill()
            while len(window):
                for sent, result, error in window.fetch():
                    if not isinstance(error, KilledWorker):
                        window.note_ended()
                    elif sent.lost < LOST_TRIES:
                        send(again, [Sent(sent.item, sent.lost + 1)])
                        continue
                    yield Outcome(sent.item, result, error)
                window.check_losses()
                fill()


def _while_lock_is_held(items: Iterable[T]) -> Iterator[T]:
    for item in items:
        still_held()
        yield item


class Deferred:
    """An executor that starts with the first item, so that a run with nothing to do starts no cluster.

    A context manager that stops the started executor.
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
        """See :meth:`Executor.map`.

        Raises
        ------
        OutputError
            If this run has lost its lock on the output, reason ``in_use``.
        """
        queue = _while_lock_is_held(items)
        for first in queue:
            outcomes = self._executor().map(function, chain([first], queue), name=name, carefully=carefully)
            yield from _while_lock_is_held(outcomes)

    def _executor(self) -> Executor:
        if self._started is None:
            self._started = self._exit.enter_context(self._start())
        return self._started
