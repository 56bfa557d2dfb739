"""The window of submitted tasks: as many as keep the workers busy, sent and fetched in groups.

Each call between driver, scheduler and workers costs a few tenths of a millisecond, whatever its content. So if hundreds of
tasks end per second, they are also sent and fetched by the hundred.
"""

from __future__ import annotations

import pickle
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from distributed import Client, Future, as_completed
from distributed.comm import CommClosedError

from pipeline.errors import PipelineError
from pipeline.executors.scheduler import scheduler_lost
from pipeline.executors.standstill import Standstill, Surroundings, check_losses
from pipeline.isolation import IN_TASK

TASKS_PER_WORKER = 4
"""Tasks submitted ahead per worker thread: enough that no thread waits for the driver."""
AHEAD_SECONDS = 1.0
"""Seconds of work that are submitted ahead if tasks are short …"""
MOST_AHEAD = 4096
"""… but at most this number of tasks, so that neither the driver nor the scheduler ever holds all."""
ENDED = frozenset({"finished", "error"})
"""Statuses of ended futures."""
PAUSE_SECONDS = 0.05
"""Seconds for which results may gather before they are fetched, if the workers have enough to do."""
POLL_SECONDS = 0.1
"""Seconds between two checks for results, as in Dask's own ``as_completed``."""
_REFRESH_SECONDS = 1.0
_OBSERVED_SECONDS = 0.2
"""Seconds over which the rate of ended tasks is measured."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A submitted item, and the number of workers that died with it."""

    item: Any
    lost: int = 0


class Window:
    """The tasks that are submitted to a Dask cluster and haven't been fetched.

    Parameters
    ----------
    client : Client
    threads : callable
        Returns the number of tasks that can run at the same time; called about once a second, since it may ask the scheduler.
    known : Surroundings, optional
        Facts about the workers, for messages.
    """

    def __init__(self, client: Client, threads: Callable[[], int], known: Surroundings | None = None) -> None:
        self._client = client
        self._threads = threads
        self._standstill = Standstill(client, known or Surroundings())
        self._some_ended = False
        self._lost = False
        self._known_threads, self._asked = 0, float("-inf")
        self._sent: dict[str, Sent] = {}
        self._completed = as_completed([])
        self._rate = 0.0
        self._ended, self._since = 0, time.monotonic()

    def __len__(self) -> int:
        """Return the number of submitted tasks."""
        return len(self._sent)

    @property
    def room(self) -> int:
        """Number of further tasks to send now."""
        now = time.monotonic()
        if now - self._asked >= _REFRESH_SECONDS:
            self._known_threads, self._asked = self._threads(), now
        short = min(int(self._rate * AHEAD_SECONDS), MOST_AHEAD)
        return max(TASKS_PER_WORKER * self._known_threads, short) - len(self._sent)

    def send(self, function: Callable[[Any], Any], sent: Sequence[Sent], keys: Sequence[str]) -> None:
        """Submit the call of `function` on each item, under the given keys."""
        if sent:
            # pickled here, so that the scheduler passes on bytes instead of unpickling and pickling objects
            packed = [pickle.dumps(task.item, pickle.HIGHEST_PROTOCOL) for task in sent]
            futures = self._client.map(_call_packed, packed, key=list(keys), pure=False, function=function)
            self._sent.update(zip(keys, sent, strict=True))
            self._lost = self._lost or any(task.lost for task in sent)
            self._completed.update(futures)

    def fetch(self) -> Iterator[tuple[Sent, Any, Exception | None]]:
        """Wait until a task has ended, and yield ``(sent, result, error)`` for each ended task.

        Raises
        ------
        ClusterError
            If the scheduler is lost, or no worker will ever end a task. Results that were yielded before stay valid.
        """
        futures = self._first_ones()
        if len(self._sent) - len(futures) > self._rate * PAUSE_SECONDS * 2 > 1:
            time.sleep(PAUSE_SECONDS)
            futures += self._completed.next_batch(block=False)
        futures = self._ended_ones(futures)
        self._observe(len(futures))
        for future, result, error in zip(futures, *self._results(futures), strict=True):
            future.release()
            yield self._sent.pop(future.key), result, error

    def _first_ones(self) -> list[Future]:
        """Wait until at least one task has ended, and check the workers meanwhile."""
        while not (futures := self._completed.next_batch(block=False)):
            with self._completed.thread_condition:
                self._completed.thread_condition.wait(POLL_SECONDS)
            self._standstill.look()
        return list(futures)

    def check_losses(self) -> None:
        """If tasks were lost with their workers, check whether any submitted task will ever end.

        Raises
        ------
        ClusterError
            If workers die again and again.
        """
        if self._lost:
            check_losses([task.lost for task in self._sent.values()], self._known_threads, ended=self._some_ended)
            self._lost = False

    def note_ended(self) -> None:
        """Record that a task has ended by itself."""
        self._some_ended = True
        self._standstill.moved()

    def _ended_ones(self, futures: Sequence[Future]) -> list[Future]:
        """Return the ended futures; keep waiting for those that are repeated, because their worker left with the result."""
        ended = []
        for future in futures:
            if future.status == "cancelled":  # only the client cancels, when it loses the scheduler
                raise scheduler_lost(self._client)
            if future.status in ENDED:
                ended.append(future)
            else:
                self._completed.add(future)
        return ended

    def _observe(self, ended: int) -> None:
        self._ended += ended
        now = time.monotonic()
        if now - self._since >= _OBSERVED_SECONDS:
            self._rate = self._ended / (now - self._since)
            self._ended, self._since = 0, now

    def _results(self, futures: Sequence[Future]) -> tuple[list[Any], list[Exception | None]]:
        if all(future.status == "finished" for future in futures):
            with suppress(Exception, CancelledError):  # a worker died with some results: fetch them one by one
                pairs = [_unpacked(result) for result in self._client.gather(list(futures))]
                return [result for result, _ in pairs], [error for _, error in pairs]
        pairs = [self._result(future) for future in futures]
        return [result for result, _ in pairs], [error for _, error in pairs]

    def _result(self, future: Future) -> tuple[Any, Exception | None]:
        """Return one future's result or error; wait again if its worker has just left with the result."""
        try:
            return _unpacked(future.result())
        except (CommClosedError, CancelledError) as error:
            raise scheduler_lost(self._client) from error
        except Exception as error:  # noqa: BLE001  a task's error is data here
            return None, error


@dataclass(frozen=True, slots=True)
class Raised:
    """An expected error of a task, returned as a result, because Dask would log the task with all its bytes."""

    error: Exception


def _call_packed(packed: bytes, *, function: Callable[[Any], Any]) -> Any:
    """Call the function on a pickled item, in a worker."""
    token = IN_TASK.set(True)
    try:
        return function(pickle.loads(packed))  # noqa: S301  the driver packed it, as Dask does  # nosec B301
    except (PipelineError, OSError) as error:
        return Raised(error)
    finally:
        IN_TASK.reset(token)


def _unpacked(result: Any) -> tuple[Any, Exception | None]:
    return (None, result.error) if isinstance(result, Raised) else (result, None)
