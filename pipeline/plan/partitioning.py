"""Cut a plan's tasks into partitions: what one job of an array does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from pipeline.model import Task

PARTITION_BYTES = 64 * 2**30
"""Bytes read and stored by a partition, where nobody says how many there are to be: some minutes for one process."""

TASK_COST = 128 * 2**20
"""What a task takes besides its own bytes, at most: one that stores many small files has few of them."""


def partition(tasks: Sequence[Task], count: int) -> tuple[range, ...]:
    """Cut tasks into `count` runs of neighbours with about equal work, none empty; fewer where there are fewer tasks.

    Neighbours share images and instances, so that few files are opened by two partitions. ::

        tasks       0 1 2 3 4 5 6 7 8 9 …
        partitions  └──0──┘ └1┘ └───2───┘

    Returns
    -------
    tuple of range
        Positions in `tasks`: each of them in one range, in order.
    """
    count = min(count, len(tasks))
    ends = list(accumulate(work(task) for task in tasks))
    bounds = [0]
    for number in range(1, count):
        wanted = ends[-1] * number / count
        # at least one task for this partition, and one for each that follows
        last = len(tasks) - (count - number)
        bound = bounds[-1] + 1
        while bound < last and ends[bound - 1] < wanted:
            bound += 1
        bounds.append(bound)
    return tuple(range(a, b) for a, b in zip(bounds, [*bounds[1:], len(tasks)], strict=True) if a < b)


def partition_count(tasks: Sequence[Task], partition_bytes: int = PARTITION_BYTES) -> int:
    """Return how many partitions of about `partition_bytes` read and stored there are to be: at least one, if any task."""
    return min(len(tasks), max(1, -(-sum(map(size, tasks)) // partition_bytes)))


def work(task: Task) -> int:
    """Return what stands for the time of a task: its bytes, and the files that it opens, which are packed into tasks."""
    return TASK_COST + size(task)


def size(task: Task) -> int:
    """Return the bytes that a task reads and stores."""
    return task.encoded_bytes + task.stored_bytes
