"""What is said and done when no task ends any more: workers that are paused, gone, or die again and again.

Dask waits for such workers for ever and says nothing. A run that is only slow is never ended: as long as one worker is at a
task, or could begin one, nothing is said.
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
"""Between two looks at the workers, while nothing ends."""
SAY_SECONDS = 20.0
"""How long all workers are paused, or none is there, before the first word about it."""
PATIENCE = (60.0, 120.0, 300.0)
"""Between further words about workers that haven't come; the last is repeated."""
END_SECONDS = 90.0
"""How long all workers are paused, and none is at a task, before the run ends."""
GONE_SECONDS = 15.0
"""How long no process of a worker is there, and none is being started, before the run ends."""
LOSSES = 3
"""How often a worker may be started in vain, and all tasks that are on their way be lost with their workers, while no other
has ended in this phase …"""
MORE_LOSSES = 6
"""… and where others have, which takes as many of them as keep all workers busy: a few may be to blame themselves."""
_AT_WORK = ("executing", "long-running")
_MEMORY = (
    "Most often their memory is too small, by their own limit or the machine's: give them more (cluster.memory, or fewer "
    "cluster.workers), or look at what they log"
)
_RECORDED = "What was finished is recorded: the same command goes on then."


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of the workers, for people."""

    progress: Progress = field(default_factory=NullProgress)
    memory: str = "Start them with more memory (dask worker --memory-limit), or another such setting"
    """What gives workers more memory."""
    look: str = "see whether their processes, or jobs, still run, and what they log"
    """Where to look for workers that don't come."""
    processes: Callable[[], Collection[int]] | None = None
    """Returns the processes of workers that are there, or are being started; None where nobody here knows."""


class Standstill:
    """Notices why no task ends.

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
        """See, every now and then, what the workers are at.

        Raises
        ------
        ClusterError
            Where all are paused and stay so (reason ``workers_paused``), or have ended for good (``workers_failed``).
        """
        now = monotonic()
        if now - self._looked < LOOK_SECONDS or self._client.status != "running":
            return
        try:
            workers = list(self._client.scheduler_info(n_workers=-1)["workers"].values())
        except OSError:  # the scheduler is lost, as the tasks' futures will tell
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
            told = f"The run ends in {max(left, 0):.0f} s if that stays so"
            self._known.progress.message(f"Warning: {_paused(workers)}. {told}")
        elif left <= 0:
            raise ClusterError(f"{_paused(workers)}. {self._known.memory}. {_RECORDED}", reason="workers_paused")

    def _none_there(self, now: float) -> None:
        if self._known.processes:
            there = self._known.processes()
            self._seen.update(there)
            self._most = max(self._most, len(there))
            if len(self._seen) > LOSSES * self._most:
                raise _dying("none of them lives long enough to be given anything")
            if not there and now - self._since >= GONE_SECONDS:
                raise _failed(f"all worker processes have ended and could not be started again. {_MEMORY}")
        if now >= self._say_at:
            self._say_at = now + next(self._waits)
            self._known.progress.message(f"Waiting: no worker is there; {self._known.look}")


def _state(workers: Sequence[Mapping[str, Any]]) -> str:
    """Return ``none``, ``paused`` where all are and none is at a task, or an empty text where one may go on."""
    if not workers:
        return "none"
    return "paused" if all(worker["status"] == "paused" and not _at_work(worker) for worker in workers) else ""


def _at_work(worker: Mapping[str, Any]) -> bool:
    counts = worker["metrics"].get("task_counts", {})
    return any(counts.get(state) for state in _AT_WORK)


def _paused(workers: Sequence[Mapping[str, Any]]) -> str:
    """Say how full the fullest is."""
    used, limit = max(
        ((worker["metrics"].get("memory", 0), worker["memory_limit"] or 0) for worker in workers),
        key=lambda one: one[0] / (one[1] or 1),
    )
    who = (
        "the only worker is paused: it uses"
        if len(workers) == 1
        else f"all {len(workers)} workers are paused: one uses"
    )
    return (
        f"{who} {used / 2**20:.0f} MiB of {limit / 2**20:.0f} MiB, and Dask begins nothing on a worker above its limit "
        "(80 % of that, unless distributed.worker.memory.pause says otherwise)"
    )


def check_losses(losses: Sequence[int], busy: int, *, ended: bool) -> None:
    """See whether workers die again and again, whatever they are given to do.

    What kills a worker is done in a process of its own from the second time on. So where all tasks that are on their way
    were lost several times, the workers die of something else.

    Parameters
    ----------
    losses : sequence of int
        For each task on its way, with how many dying workers it was lost.
    busy : int
        How many tasks keep all workers busy.
    ended : bool
        Whether any other task has ended.

    Raises
    ------
    ClusterError
        Reason ``workers_failed``.
    """
    least = min(losses, default=0)
    if least >= (MORE_LOSSES if ended else LOSSES) and (not ended or len(losses) > busy):
        raise _dying(f"each of the {len(losses)} tasks under way was lost {least} times")


def _dying(seen: str) -> ClusterError:
    return _failed(f"workers die again and again, and no task ends: {seen}. {_MEMORY}")


def _failed(told: str) -> ClusterError:
    return ClusterError(f"{told}. {_RECORDED}", reason="workers_failed")
