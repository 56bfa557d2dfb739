"""The partitions of a plan: saved below ``OUT/plan``, locked while a job works on one, and counted at the end."""

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
    """A plan's tasks, divided among jobs."""

    out: OutputDir
    ranges: tuple[range, ...]
    """Positions of each partition's tasks in the plan."""

    def __len__(self) -> int:
        return len(self.ranges)

    def tasks(self, plan: Plan, number: int) -> tuple[Task, ...]:
        """Return the tasks of one partition; OutputError (reason ``no_such_partition``) if it doesn't exist."""
        if not 0 <= number < len(self):
            raise OutputError(
                f"{self.out} has no partition {number}: there are {len(self)}, and they count from 0",
                reason="no_such_partition",
            )
        own = self.ranges[number]
        return plan.tasks[own.start : own.stop]

    def missing(self, plan: Plan, done: Collection[int]) -> dict[int, tuple[int, int]]:
        """Return, for each incomplete partition, how many of its tasks aren't in `done`, and how many it has."""
        left = {n: sum(task.id not in done for task in self.tasks(plan, n)) for n in range(len(self))}
        return {number: (count, len(self.ranges[number])) for number, count in left.items() if count}


@dataclass(frozen=True, slots=True)
class PartitionProgress:
    """Progress of the partitions; each partition's number is in one of these."""

    done: tuple[int, ...] = ()
    under_way: tuple[int, ...] = ()
    """A process is working on them."""
    begun: tuple[int, ...] = ()
    """Some of their tasks are done, but no process is working on them: run them again."""
    missing: tuple[int, ...] = ()
    """Nothing is recorded of them, and no process is working on them."""

    def __len__(self) -> int:
        return sum(map(len, (self.done, self.under_way, self.begun, self.missing)))

    @property
    def to_run(self) -> tuple[int, ...]:
        """Partitions to run, for the first time or again."""
        return tuple(sorted((*self.begun, *self.missing)))


class IncompleteError(PipelineError, RuntimeError):
    """Tasks are missing, so there is no result yet; :attr:`partitions` says how many are missing in which partition."""

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
    """Save how the plan is cut."""
    facts = {"plan": prepared.id, "stops": [own.stop for own in parts.ranges]}
    out.partitions.write_bytes(json.dumps(facts).encode())


def read_partitions(out: OutputDir, prepared: Prepared) -> Partitions | None:
    """Return how :func:`init` has cut the plan of `out`; None if it hasn't."""
    try:
        facts = json.loads(out.partitions.read_bytes())
    except FileNotFoundError:
        return None  # a run made the plan, not `init`
    stops = facts["stops"] if facts["plan"] == prepared.id else []
    if not stops and prepared.plan.tasks:
        return None
    return Partitions(out, tuple(range(a, b) for a, b in zip([0, *stops], stops, strict=False)))


def recut(out: OutputDir, before: Prepared, after: Prepared) -> None:
    """Cut the following plan into as many partitions as the earlier one, if that was cut."""
    parts = read_partitions(out, before)
    if parts:
        write_partitions(out, after, Partitions(out, partition(after.plan.tasks, len(parts))))


def read_progress(out: OutputDir, plan: Plan, parts: Partitions, done: Collection[int]) -> PartitionProgress:
    """Return the progress of the partitions, from the tasks that are done and the locks that are held."""
    left = parts.missing(plan, done)
    there = set(out.partition_locks())
    locks = {name: number for number in left if (name := out.partition_lock(number)) in there}
    held = {locks[name] for name in find_holders(out, list(locks))}
    return PartitionProgress(
        done=tuple(number for number in range(len(parts)) if number not in left),
        under_way=tuple(sorted(held)),
        begun=tuple(n for n, (count, tasks) in left.items() if count < tasks and n not in held),
        missing=tuple(n for n, (count, tasks) in left.items() if count == tasks and n not in held),
    )


def find_writer(out: OutputDir) -> Holder | None:
    """Return the process that is working on an output, on the whole or on a partition; None if no process is."""
    return next(filter(None, find_holders(out, [out.RUN_LOCK, *out.partition_locks()]).values()), None)


def refuse_running(out: OutputDir, tell: Callable[[str], object]) -> None:
    """Refuse to work on the whole while partitions are under way; remove the locks that killed jobs left.

    Parameters
    ----------
    out : OutputDir
    tell : callable
        Receives the reason why this may take a minute.

    Raises
    ------
    OutputError
        Names a partition under way (reason ``in_use``).
    """
    names = out.partition_locks()
    if names:
        tell(
            f"Watching the locks of {len(names)} partition(s) for signs of life, for {lock_holder.SILENCE:.0f} s at most"
        )
    for name, at_work in find_holders(out, names, lock_holder.SILENCE).items():
        who = at_work or "an unknown process"
        raise OutputError(f"{out}: {name.removesuffix('.lock')} is under way ({who}): wait for it", reason="in_use")
    for name in names:
        out.lock(name).remove()


@contextmanager
def lock_partition(out: OutputDir, number: int, tell: Callable[[str], object] = lambda _: None) -> Iterator[None]:
    """Keep others away from one partition; OutputError (reason ``in_use``) if a process is working on it, or on the whole."""
    with hold_lock(out, out.partition_lock(number), tell):
        for whole in find_holders(out, [out.RUN_LOCK], lock_holder.SILENCE).values():
            who = whole or "an unknown process"
            raise OutputError(f"{out}: a run is writing there ({who}): wait for it", reason="in_use")
        yield


def refuse_incomplete(parts: Partitions, conversion: Conversion) -> None:
    """Refuse to complete an incomplete conversion.

    Raises
    ------
    IncompleteError
        Names the partitions to run again.
    """
    missing = parts.missing(conversion.plan, conversion.outcomes.done)
    if missing:
        raise IncompleteError(parts.out, missing)
