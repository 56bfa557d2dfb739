"""What runs tasks, and how: each item once, a window of them at a time, results as they come.

Every executor does the same: call a function on each item and give the results back as they come. Submission is
windowed, so that neither this process nor the scheduler ever holds more than a few tasks per worker.
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
"""How often a task is sent again that a dying worker took with it. It is mostly a bystander: what kills workers runs in
processes of its own from the second time on."""


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
    known : Surroundings, optional
        What is known of the workers, for when no task ends any more.
    """

    def __init__(self, client: Client, workers: int = 0, known: Surroundings | None = None) -> None:
        logging.getLogger("distributed.scheduler").addFilter(_no_task_is_lost)
        self._client = client
        self._expected = workers
        self._known = known
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
        """See :meth:`Executor.map`.

        Raises
        ------
        ClusterError
            Where the scheduler is lost on the way, or the workers are paused, dead or gone for good.
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


def _as_long_as_held(items: Iterable[T]) -> Iterator[T]:
    for item in items:
        still_held()
        yield item


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
        """See :meth:`Executor.map`.

        Raises
        ------
        OutputError
            Where this run has lost its lock on the output (reason ``in_use``).
        """
        queue = _as_long_as_held(items)
        for first in queue:
            outcomes = self._executor().map(function, chain([first], queue), name=name, carefully=carefully)
            yield from _as_long_as_held(outcomes)

    def _executor(self) -> Executor:
        if self._started is None:
            self._started = self._exit.enter_context(self._start())
        return self._started
