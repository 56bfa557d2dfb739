"""Checks that a worker's memory holds the worker itself and its tasks; otherwise Dask would silently pause the worker."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

import dask

from pipeline.errors import ConfigError, PlanError
from pipeline.model import Task

MEBIBYTE = 2**20
WORKER_BYTES = 240 * MEBIBYTE
"""Memory of a worker process with everything that tasks import, without large pictures; measured: 201 to 226 MiB."""
_PAUSE, _TERMINATE = 0.80, 0.95
"""Dask's defaults: the fractions of its memory at which a worker is paused, and ended."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Fractions of its memory at which a worker is paused (starts no further task), and ended; 1 for never."""

    pause: float = _PAUSE
    terminate: float = _TERMINATE

    def needed(self, tasks: int = 0) -> int:
        """Return the smallest memory, in bytes, of a worker whose concurrent tasks take `tasks` bytes."""
        return ceil(max(WORKER_BYTES / self.pause, (WORKER_BYTES + tasks) / self.terminate))


def configured_thresholds() -> Thresholds:
    """Return the thresholds of Dask's configuration, for workers that use it."""
    given = (dask.config.get(f"distributed.worker.memory.{name}", None) for name in ("pause", "terminate"))
    return Thresholds(*(value if isinstance(value, float) and 0 < value <= 1 else 1.0 for value in given))


def check_worker(memory: int, thresholds: Thresholds, problem: str) -> None:
    """Refuse a memory, in bytes, that doesn't hold a worker; `problem` names its setting and what to change.

    Raises
    ------
    ConfigError
        If the memory is too small.
    """
    needed = thresholds.needed()
    if memory < needed:
        raise ConfigError(
            f"{problem}: a worker takes {_mebibytes(WORKER_BYTES)} for itself, and Dask starts no task on a worker that uses "
            f"more than {thresholds.pause:.0%} of its memory: {_mebibytes(needed)} are needed, but the worker would have "
            f"{_mebibytes(memory)}"
        )


def check_tasks(memory: int, threads: int, tasks: Iterable[Task], thresholds: Thresholds) -> None:
    """Refuse a memory, in bytes, that doesn't hold a worker and the largest task on each of its threads.

    Raises
    ------
    PlanError
        If the memory is too small.
    """
    largest = max((task.memory_bytes for task in tasks), default=0)
    needed = thresholds.needed(threads * largest)
    if memory < needed:
        raise PlanError(
            f"cluster.memory: {_mebibytes(memory)} don't hold a worker ({_mebibytes(WORKER_BYTES)}) and {threads} task(s) of "
            f"up to {_mebibytes(largest)}; set it to {_mebibytes(needed)} or more, or make output.shard smaller"
        )


def _mebibytes(count: int) -> str:
    return f"{ceil(count / MEBIBYTE)} MiB"
