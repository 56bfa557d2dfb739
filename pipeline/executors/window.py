"""Tasks on their way: as many as keep the workers busy, sent and fetched in groups.

Each call between driver, scheduler and workers costs a few tenths of a millisecond, whatever it carries. So tasks that
end by the hundred a second are sent and their results fetched by the hundred.
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
"""Tasks submitted ahead per thread of a worker: enough that none waits for the driver."""
AHEAD_SECONDS = 1.0
"""Short tasks are submitted ahead for this time instead …"""
MOST_AHEAD = 4096
"""… but no more than these beyond TASKS_PER_WORKER, so that neither the driver nor the scheduler ever holds all."""
ENDED = frozenset({"finished", "error"})
"""What a future's status says when nothing more comes of it."""
PAUSE_SECONDS = 0.05
"""While the workers have more to do than this, results are let gather before they are fetched."""
POLL_SECONDS = 0.1
"""Between two looks for results while there are none, as in Dask's own ``as_completed``."""
_REFRESH_SECONDS = 1.0
_OBSERVED_SECONDS = 0.2
"""How long tasks are counted for the rate at which they end."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An item on its way, and how many workers died under it."""

    item: Any
    lost: int = 0


class Window:
    """The tasks on their way to a Dask cluster and back.

    Parameters
    ----------
    client : Client
    threads : callable
        How many tasks can run at once; asked about once a second, since it may ask the scheduler.
    known : Surroundings, optional
        What is known of the workers.
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
        """How many tasks are on their way."""
        return len(self._sent)

    @property
    def room(self) -> int:
        """How many more tasks should be sent now."""
        now = time.monotonic()
        if now - self._asked >= _REFRESH_SECONDS:
            self._known_threads, self._asked = self._threads(), now
        short = min(int(self._rate * AHEAD_SECONDS), MOST_AHEAD)
        return max(TASKS_PER_WORKER * self._known_threads, short) - len(self._sent)

    def send(self, function: Callable[[Any], Any], sent: Sequence[Sent], keys: Sequence[str]) -> None:
        """Submit `function` of each item sent, under these keys."""
        if sent:
            # packed here, so that the scheduler passes on bytes instead of making objects of them and bytes again
            packed = [pickle.dumps(one.item, pickle.HIGHEST_PROTOCOL) for one in sent]
            futures = self._client.map(_call_packed, packed, key=list(keys), pure=False, function=function)
            self._sent.update(zip(keys, sent, strict=True))
            self._lost = self._lost or any(one.lost for one in sent)
            self._completed.update(futures)

    def fetch(self) -> Iterator[tuple[Sent, Any, Exception | None]]:
        """Wait until something has ended, and yield ``(sent, result, error)`` of all that has.

        Raises
        ------
        ClusterError
            Where the scheduler was lost, or no worker will ever end anything. It takes nothing that was yielded with it.
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
        """Wait until at least one has ended, with an eye on the workers."""
        while not (futures := self._completed.next_batch(block=False)):
            with self._completed.thread_condition:
                self._completed.thread_condition.wait(POLL_SECONDS)
            self._standstill.look()
        return list(futures)

    def check_losses(self) -> None:
        """See whether any of the tasks on their way will ever end, where some were lost with their workers.

        Raises
        ------
        ClusterError
            Where workers die again and again.
        """
        if self._lost:
            check_losses([one.lost for one in self._sent.values()], self._known_threads, ended=self._some_ended)
            self._lost = False

    def note_ended(self) -> None:
        """Take note that a task has ended by itself."""
        self._some_ended = True
        self._standstill.moved()

    def _ended_ones(self, futures: Sequence[Future]) -> list[Future]:
        """Go on waiting for those whose worker left with the result before it was fetched: they are done again."""
        ended = []
        for future in futures:
            if future.status == "cancelled":  # by the client itself, when it loses the scheduler: nobody else cancels
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
            with suppress(Exception, CancelledError):  # a worker died with some of them: then each tells for itself
                pairs = [_unpacked(result) for result in self._client.gather(list(futures))]
                return [result for result, _ in pairs], [error for _, error in pairs]
        pairs = [self._result(future) for future in futures]
        return [result for result, _ in pairs], [error for _, error in pairs]

    def _result(self, future: Future) -> tuple[Any, Exception | None]:
        """Return what one future has, or waits for again: its worker may just have left with it."""
        try:
            return _unpacked(future.result())
        except (CommClosedError, CancelledError) as error:
            raise scheduler_lost(self._client) from error
        except Exception as error:  # noqa: BLE001  a task's error is data here
            return None, error


@dataclass(frozen=True, slots=True)
class Raised:
    """What a task raised that isn't its own fault: a result for Dask, lest it log the task with all its bytes."""

    error: Exception


def _call_packed(packed: bytes, *, function: Callable[[Any], Any]) -> Any:
    """Run in a worker."""
    token = IN_TASK.set(True)
    try:
        return function(pickle.loads(packed))  # noqa: S301  the driver packed it, as Dask does  # nosec B301
    except (PipelineError, OSError) as error:
        return Raised(error)
    finally:
        IN_TASK.reset(token)


def _unpacked(result: Any) -> tuple[Any, Exception | None]:
    return (None, result.error) if isinstance(result, Raised) else (result, None)
