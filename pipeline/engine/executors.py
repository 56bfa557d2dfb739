"""What runs tasks: this process, its threads, worker processes of this machine, or a running Dask scheduler.

Every executor does the same: call a function on each item and give the results back as they come. Submission is
windowed, so that neither this process nor the scheduler ever holds more than a few tasks per worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Protocol

import dask
from dask.system import CPU_COUNT
from distributed import Client, Future, LocalCluster, as_completed

from pipeline.config import Cluster
from pipeline.errors import ConfigError

TASKS_PER_WORKER = 4
"""Tasks submitted ahead per thread of a worker: enough that none waits for the driver."""
CONNECT_SECONDS = 15


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

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], *, name: str) -> Iterator[Outcome]:
        """Yield an :class:`Outcome` for every item, in the order in which they finish.

        `items` may yield None: nothing to do until another result is in. It is asked again then.
        """


class Synchronous:
    """One after the other in this process: what this does is what the others must do."""

    workers = 1

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], *, name: str) -> Iterator[Outcome]:
        """See :meth:`Executor.map`."""
        del name
        for item in items:
            if item is not None:
                yield _call(function, item)


def _call(function: Callable[[Any], Any], item: Any) -> Outcome:
    try:
        return Outcome(item, result=function(item))
    # a task's error is data here, as it is with Dask: the run goes on, and the driver records whom it hit
    except Exception as error:  # noqa: BLE001
        return Outcome(item, error=error)


class Distributed:
    """A Dask cluster: one future a task, a window of them at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._keys = count()

    @property
    def workers(self) -> int:
        """Threads of all workers that are there now."""
        return int(sum(self._client.nthreads().values())) or 1

    def map(self, function: Callable[[Any], Any], items: Iterable[Any], *, name: str) -> Iterator[Outcome]:
        """See :meth:`Executor.map`."""
        queue = iter(items)
        pending: dict[str, Any] = {}
        completed = as_completed([])

        def fill() -> None:
            while len(pending) < TASKS_PER_WORKER * self.workers and (item := next(queue, None)) is not None:
                key = f"{name}-{next(self._keys)}"
                pending[key] = item
                completed.add(self._client.submit(function, item, key=key, pure=False))

        fill()
        for future in completed:
            yield _outcome(pending.pop(future.key), future)
            future.release()
            fill()


def _outcome(item: Any, future: Future) -> Outcome:
    if future.status == "finished":
        return Outcome(item, result=future.result())
    error = future.exception() if future.status == "error" else None
    return Outcome(item, error=error or RuntimeError(f"The task ended as {future.status!r}"))


def start(cluster: Cluster) -> AbstractContextManager[Executor]:
    """Return the executor that the configuration asks for, as a context manager that stops what it started.

    Raises
    ------
    ConfigError
        Where the scheduler of kind ``address`` doesn't answer.
    """
    return {
        "synchronous": _synchronous,
        "threads": _local_threads,
        "local": _local_processes,
        "address": _address,
    }[cluster.kind](cluster)


@contextmanager
def _synchronous(cluster: Cluster) -> Iterator[Executor]:
    del cluster
    yield Synchronous()


@contextmanager
def _local_threads(cluster: Cluster) -> Iterator[Executor]:
    threads = _count(cluster) * cluster.threads_per_worker
    # workers of this process need no address, and none that others could reach
    with _local_cluster(n_workers=1, threads_per_worker=threads, processes=False) as executor:
        yield executor


@contextmanager
def _local_processes(cluster: Cluster) -> Iterator[Executor]:
    # on loopback only: nobody outside this machine is to reach a worker that runs any code
    options = {"host": "127.0.0.1", "threads_per_worker": cluster.threads_per_worker}
    with _local_cluster(n_workers=_count(cluster), **options) as executor:
        yield executor


@contextmanager
def _local_cluster(**options: Any) -> Iterator[Executor]:
    with (
        dask.config.set({"distributed.admin.system-monitor.gil.enabled": False}),
        LocalCluster(dashboard_address=None, silence_logs="ERROR", **options) as local,
        Client(local) as client,
    ):
        yield Distributed(client)


@contextmanager
def _address(cluster: Cluster) -> Iterator[Executor]:
    try:
        client = Client(cluster.address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cluster.address: no Dask scheduler answers at {cluster.address!r} ({error}); start one with "
            "'dask scheduler' and 'dask worker', or use cluster.kind: local"
        ) from error
    with client:
        yield Distributed(client)


def _count(cluster: Cluster) -> int:
    return CPU_COUNT if cluster.workers == "auto" else int(cluster.workers)
