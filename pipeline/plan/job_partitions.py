"""Cut a plan's tasks into partitions, one for each job of an array."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from pipeline.model import Task

PARTITION_BYTES = 64 * 2**30
"""Bytes that a partition reads and writes if the number of partitions isn't given: some minutes for one process."""

TASK_COST = 128 * 2**20
"""Upper limit of a task's cost beside its own bytes; a task that stores many small files has few bytes."""


def partition(tasks: Sequence[Task], count: int) -> tuple[range, ...]:
    """Cut tasks into `count` runs of neighbours with about equal work, none empty; fewer runs if there are fewer tasks.

    Neighbours share images and instances, so two partitions open few files in common. ::

        tasks       0 1 2 3 4 5 6 7 8 9 …
        partitions  └──0──┘ └1┘ └───2───┘

    Returns
    -------
    tuple of range
        Positions in `tasks`: each position in one range, in order.
    """
    count = min(count, len(tasks))
    ends = list(accumulate(work(task) for task in tasks))
    bounds = [0]
    for number in range(1, count):
        wanted = ends[-1] * number / count
        # At least one task for this partition, and one for each that follows.
        last = len(tasks) - (count - number)
        bound = bounds[-1] + 1
        while bound < last and ends[bound - 1] < wanted:
            bound += 1
        bounds.append(bound)
    return tuple(range(a, b) for a, b in zip(bounds, [*bounds[1:], len(tasks)], strict=True) if a < b)


def partition_count(tasks: Sequence[Task], partition_bytes: int = PARTITION_BYTES) -> int:
    """Return the number of partitions that each read and write about `partition_bytes`; at least one if there is a task."""
    return min(len(tasks), max(1, -(-sum(map(size, tasks)) // partition_bytes)))


def work(task: Task) -> int:
    """Return an estimate of a task's time: its bytes, and the cost of the files that it opens."""
    return TASK_COST + size(task)


def size(task: Task) -> int:
    """Return the bytes that a task reads and writes."""
    return task.encoded_bytes + task.stored_bytes
