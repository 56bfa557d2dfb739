"""Partitions hold every task once, in order, with about equal work."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.model import Task
from pipeline.plan import partition, partition_count
from pipeline.plan.job_partitions import size, work

tasks = st.lists(
    st.builds(
        Task,
        id=st.just(0),
        regions=st.just(()),
        memory_bytes=st.just(0),
        encoded_bytes=st.integers(0, 10**9),
        stored_bytes=st.integers(0, 10**9),
    ),
    max_size=200,
)


@given(tasks, st.integers(1, 300))
def test_every_task_is_in_one_partition_and_none_is_empty(tasks, count):
    parts = partition(tasks, count)
    assert [position for part in parts for position in part] == list(range(len(tasks)))
    assert all(parts)
    assert len(parts) == min(count, len(tasks))


@given(tasks, st.integers(1, 300))
def test_none_has_more_than_its_share_and_one_task(tasks, count):
    parts = partition(tasks, count)
    share = sum(map(work, tasks)) / max(1, len(parts))
    largest = max(map(work, tasks), default=0)
    assert all(sum(work(tasks[i]) for i in part) <= share + largest for part in parts)


@given(tasks, st.integers(1, 10**10))
def test_by_size_there_are_as_many_as_needed(tasks, wanted):
    count = partition_count(tasks, wanted)
    assert (count == 0) == (not tasks)
    assert count == len(tasks) or count * wanted >= sum(map(size, tasks))
