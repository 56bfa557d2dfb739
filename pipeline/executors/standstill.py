"""Detection of a standstill: no task ends, because workers are paused, gone, or die again and again.

Dask silently waits for such workers forever. A slow run is never ended: nothing is reported as long as one worker executes a
task or could start one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from time import monotonic
from typing import Any

from distributed import Client

from pipeline.errors import ClusterError
from pipeline.executors.progress import NullProgress, Progress

LOOK_SECONDS = 5.0
"""Seconds between two checks of the workers, while no task ends."""
SAY_SECONDS = 20.0
"""Seconds for which all workers are paused, or none exists, before the first message."""
PATIENCE = (60.0, 120.0, 300.0)
"""Seconds between further messages about missing workers; the last pause is repeated."""
END_SECONDS = 90.0
"""Seconds for which all workers are paused, and none executes a task, before the run ends."""
GONE_SECONDS = 15.0
"""Seconds for which no worker process exists or is being started before the run ends."""
LOSSES = 3
"""Number of failed starts of a worker, and of losses of every submitted task, that ends the run if no other task has ended in this
phase …"""
MORE_LOSSES = 6
"""… and if other tasks have ended. Then as many tasks as keep all workers busy must be lost, since a few may be the cause."""
_AT_WORK = ("executing", "long-running")
_MEMORY = (
    "Most often their memory is too small, by their own limit or the machine's: give them more (cluster.memory, or fewer "
    "cluster.workers), or read their logs"
)
_RECORDED = "Finished work is recorded: afterwards, the same command continues."


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Facts about the workers, for messages."""

    progress: Progress = field(default_factory=NullProgress)
    memory: str = "Start them with more memory (dask worker --memory-limit), or another such setting"
    """How to give workers more memory."""
    look: str = "check whether their processes or jobs still run, and read their logs"
    """Where to look for missing workers."""
    processes: Callable[[], Collection[int]] | None = None
    """Returns the processes of running and starting workers; None if this process can't know them."""


class Standstill:
    """Finds out why no task ends.

    Parameters
    ----------
    client : Client
    known : Surroundings
    """

    def __init__(self, client: Client, known: Surroundings) -> None:
        self._client = client
        self._known = known
        self._looked = monotonic()
        self._state = ""
        self._since = 0.0
        self._seen: set[int] = set()
        self._most = 1
        self._waits: Iterator[float] = iter(())
        self._say_at = 0.0

    def moved(self) -> None:
        """Take note that a task has ended."""
        self._looked, self._state = monotonic(), ""
        self._seen.clear()

    def look(self) -> None:
        """Check the workers at intervals.

        Raises
        ------
        ClusterError
            If all workers stay paused (reason ``workers_paused``), or have ended permanently (``workers_failed``).
        """
        now = monotonic()
        if now - self._looked < LOOK_SECONDS or self._client.status != "running":
            return
        try:
            workers = list(self._client.scheduler_info(n_workers=-1)["workers"].values())
        except OSError:  # the scheduler is lost, which the tasks' futures will report
            return
        self._looked = monotonic()
        self._enter(_state(workers), now)
        if self._state == "paused":
            self._all_paused(workers, now)
        elif self._state == "none":
            self._none_there(now)

    def _enter(self, state: str, now: float) -> None:
        if state != self._state:
            self._state, self._since = state, now
            self._waits = chain(PATIENCE, repeat(PATIENCE[-1]))
            self._say_at = now + SAY_SECONDS

    def _all_paused(self, workers: Sequence[Mapping[str, Any]], now: float) -> None:
        left = self._since + END_SECONDS - now
        if now >= self._say_at:
            self._say_at = float("inf")
            threat = f"The run ends in {max(left, 0):.0f} s unless that changes"
            self._known.progress.message(f"Warning: {_describe_paused(workers)}. {threat}")
        elif left <= 0:
            raise ClusterError(
                f"{_describe_paused(workers)}. {self._known.memory}. {_RECORDED}", reason="workers_paused"
            )

    def _none_there(self, now: float) -> None:
        if self._known.processes:
            processes = self._known.processes()
            self._seen.update(processes)
            self._most = max(self._most, len(processes))
            if len(self._seen) > LOSSES * self._most:
                raise _dying("none of them lives long enough to get a task")
            if not processes and now - self._since >= GONE_SECONDS:
                raise _failed(f"all worker processes have ended and could not be started again. {_MEMORY}")
        if now >= self._say_at:
            self._say_at = now + next(self._waits)
            self._known.progress.message(f"Waiting: no worker is running; {self._known.look}")


def _state(workers: Sequence[Mapping[str, Any]]) -> str:
    """Return ``none`` without workers, ``paused`` if all are paused and idle, or an empty text if one can go on."""
    if not workers:
        return "none"
    return "paused" if all(worker["status"] == "paused" and not _at_work(worker) for worker in workers) else ""


def _at_work(worker: Mapping[str, Any]) -> bool:
    counts = worker["metrics"].get("task_counts", {})
    return any(counts.get(state) for state in _AT_WORK)


def _describe_paused(workers: Sequence[Mapping[str, Any]]) -> str:
    """Describe the memory of the paused worker that uses the largest part of its limit."""
    used, limit = max(
        ((worker["metrics"].get("memory", 0), worker["memory_limit"] or 0) for worker in workers),
        key=lambda memory: memory[0] / (memory[1] or 1),
    )
    who = (
        "the only worker is paused: it uses"
        if len(workers) == 1
        else f"all {len(workers)} workers are paused: one uses"
    )
    return (
        f"{who} {used / 2**20:.0f} MiB of {limit / 2**20:.0f} MiB, and Dask starts no task on a worker above its threshold "
        "(80 % of its memory, unless distributed.worker.memory.pause sets another)"
    )


def check_losses(losses: Sequence[int], busy: int, *, ended: bool) -> None:
    """Check whether workers die again and again, whatever their tasks.

    From the second time on, a task that kills workers runs in a separate process. So if all submitted tasks were lost several
    times, the tasks aren't the cause.

    Parameters
    ----------
    losses : sequence of int
        For each submitted task, the number of workers that died with it.
    busy : int
        Number of tasks that keep all workers busy.
    ended : bool
        Whether any other task has ended.

    Raises
    ------
    ClusterError
        If workers keep dying, reason ``workers_failed``.
    """
    least = min(losses, default=0)
    if least >= (MORE_LOSSES if ended else LOSSES) and (not ended or len(losses) > busy):
        raise _dying(f"each of the {len(losses)} tasks under way was lost {least} times")


def _dying(seen: str) -> ClusterError:
    return _failed(f"workers die again and again, and no task ends: {seen}. {_MEMORY}")


def _failed(problem: str) -> ClusterError:
    return ClusterError(f"{problem}. {_RECORDED}", reason="workers_failed")
