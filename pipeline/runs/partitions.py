"""The partitions of a plan: kept below ``OUT/plan``, locked while a job is at one, and counted at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.errors import OutputError, PipelineError
from pipeline.model import Plan, Task
from pipeline.output import Holder, find_holders, hold_lock, lock_holder
from pipeline.plan import partition
from pipeline.runs.conversion import Conversion
from pipeline.runs.state import Prepared
from pipeline.storage import OutputDir


@dataclass(frozen=True, slots=True)
class Partitions:
    """How a plan's tasks are shared out among jobs."""

    out: OutputDir
    ranges: tuple[range, ...]
    """By partition, the positions of its tasks in the plan."""

    def __len__(self) -> int:
        return len(self.ranges)

    def tasks(self, plan: Plan, number: int) -> tuple[Task, ...]:
        """Return the tasks of one partition; OutputError (reason ``no_such_partition``) where there is none."""
        if not 0 <= number < len(self):
            raise OutputError(
                f"{self.out} has no partition {number}: there are {len(self)}, and they count from 0",
                reason="no_such_partition",
            )
        own = self.ranges[number]
        return plan.tasks[own.start : own.stop]

    def missing(self, plan: Plan, done: Collection[int]) -> dict[int, tuple[int, int]]:
        """Return, for each partition that isn't complete, how many of its tasks aren't in `done`, and how many it has."""
        left = {n: sum(task.id not in done for task in self.tasks(plan, n)) for n in range(len(self))}
        return {number: (count, len(self.ranges[number])) for number, count in left.items() if count}


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the partitions are, by number; each is in one of these."""

    done: tuple[int, ...] = ()
    under_way: tuple[int, ...] = ()
    """A process is at them."""
    begun: tuple[int, ...] = ()
    """Some of their tasks are done, but nobody is at them: run them again."""
    missing: tuple[int, ...] = ()
    """Nothing is recorded of them, and nobody is at them."""

    def __len__(self) -> int:
        return sum(map(len, (self.done, self.under_way, self.begun, self.missing)))

    @property
    def to_run(self) -> tuple[int, ...]:
        """Those to run, for the first time or again."""
        return tuple(sorted((*self.begun, *self.missing)))


class IncompleteError(PipelineError, RuntimeError):
    """Tasks are missing, so that there is no result yet; :attr:`partitions` tells how many in which."""

    def __init__(self, out: OutputDir, missing: dict[int, tuple[int, int]]) -> None:
        told = ", ".join(f"{number} ({left} of {tasks} tasks)" for number, (left, tasks) in missing.items())
        again = ",".join(map(str, missing))
        super().__init__(
            f"{out} is incomplete. Missing in partition {told}. Run these again, as in --array={again}, and then "
            "finalize",
            reason="incomplete",
        )
        self.partitions = missing


def write_partitions(out: OutputDir, prepared: Prepared, parts: Partitions) -> None:
    """Keep how the plan is cut."""
    facts = {"plan": prepared.id, "stops": [own.stop for own in parts.ranges]}
    out.partitions.write_bytes(json.dumps(facts).encode())


def read_partitions(out: OutputDir, prepared: Prepared) -> Partitions | None:
    """Return how :func:`init` has cut the plan of `out`; None where it hasn't."""
    try:
        facts = json.loads(out.partitions.read_bytes())
    except FileNotFoundError:
        return None  # not `init`, but a run has planned
    stops = facts["stops"] if facts["plan"] == prepared.id else []
    if not stops and prepared.plan.tasks:
        return None
    return Partitions(out, tuple(range(a, b) for a, b in zip([0, *stops], stops, strict=False)))


def recut(out: OutputDir, before: Prepared, after: Prepared) -> None:
    """Cut the plan that follows another one into as many partitions, where that was cut."""
    parts = read_partitions(out, before)
    if parts:
        write_partitions(out, after, Partitions(out, partition(after.plan.tasks, len(parts))))


def progressed(out: OutputDir, plan: Plan, parts: Partitions, done: Collection[int]) -> Progressed:
    """Return how far the partitions are, by the tasks that are done and the locks that are held."""
    left = parts.missing(plan, done)
    there = set(out.partition_locks())
    locks = {name: number for number in left if (name := out.partition_lock(number)) in there}
    held = {locks[name] for name in find_holders(out, list(locks))}
    return Progressed(
        done=tuple(number for number in range(len(parts)) if number not in left),
        under_way=tuple(sorted(held)),
        begun=tuple(n for n, (count, tasks) in left.items() if count < tasks and n not in held),
        missing=tuple(n for n, (count, tasks) in left.items() if count == tasks and n not in held),
    )


def writer(out: OutputDir) -> Holder | None:
    """Return who is at work on an output, on the whole or on a partition; None where nobody is."""
    return next(filter(None, find_holders(out, [out.RUN_LOCK, *out.partition_locks()]).values()), None)


def refuse_running(out: OutputDir, tell: Callable[[str], object]) -> None:
    """Refuse to work on the whole while partitions are under way; locks that a killed job left are removed.

    Parameters
    ----------
    out : OutputDir
    tell : callable
        Told why it takes a minute, where it may.

    Raises
    ------
    OutputError
        Naming one of them (reason ``in_use``).
    """
    names = out.partition_locks()
    if names:
        tell(
            f"Watching the locks of {len(names)} partition(s), for {lock_holder.SILENCE:.0f} s at most, for signs of life"
        )
    for name, at_work in find_holders(out, names, lock_holder.SILENCE).items():
        who = at_work or "an unknown process"
        raise OutputError(f"{out}: {name.removesuffix('.lock')} is under way ({who}): wait for it", reason="in_use")
    for name in names:
        out.lock(name).remove()


@contextmanager
def partition_locked(out: OutputDir, number: int, tell: Callable[[str], object] = lambda _: None) -> Iterator[None]:
    """Keep others away from one partition; OutputError (reason ``in_use``) where it, or the whole, is being written."""
    with hold_lock(out, out.partition_lock(number), tell):
        for whole in find_holders(out, [out.RUN_LOCK], lock_holder.SILENCE).values():
            who = whole or "an unknown process"
            raise OutputError(f"{out}: a run is writing there ({who}): wait for it", reason="in_use")
        yield


def refuse_incomplete(parts: Partitions, conversion: Conversion) -> None:
    """Refuse to complete what isn't.

    Raises
    ------
    IncompleteError
        Naming the partitions that are to be run again.
    """
    missing = parts.missing(conversion.plan, conversion.outcomes.done)
    if missing:
        raise IncompleteError(parts.out, missing)
