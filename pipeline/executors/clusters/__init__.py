"""Where tasks run: this process, workers of this machine, a running scheduler, a batch system, any cluster of Dask's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pipeline.config import BATCH_SYSTEMS, Cluster
from pipeline.executors.clusters import batch_system, custom
from pipeline.executors.clusters.address import connected
from pipeline.executors.clusters.here import check_local_memory, in_dask, synchronous
from pipeline.executors.clusters.worker_memory import Thresholds, check_tasks, configured_thresholds
from pipeline.executors.executor import Executor
from pipeline.executors.main_guard import refuse_without_guard
from pipeline.executors.progress import NullProgress, Progress
from pipeline.executors.surroundings import possible
from pipeline.isolation import SAFE_PATH
from pipeline.model import Task

__all__ = ["check", "check_memory", "start"]


@contextmanager
def start(cluster: Cluster, progress: Progress | None = None) -> Iterator[Executor]:
    """Give the executor that the configuration asks for, and stop at the end what was started.

    The executor is ready with the first worker; others join while the run is under way.

    Raises
    ------
    ConfigError
        Where a scheduler doesn't answer, a cluster's class is missing or refuses its arguments, a batch system refuses
        the jobs, or workers have another version of this package.
    """
    progress = progress or NullProgress()
    cluster = possible(cluster, progress)
    starters = {
        "synchronous": synchronous,
        "threads": in_dask,
        "local": in_dask,
        "address": connected,
        "custom": custom.started,
        **dict.fromkeys(BATCH_SYSTEMS, batch_system.started),
    }
    with SAFE_PATH, starters[cluster.kind](cluster, progress) as executor:
        yield executor


def check(cluster: Cluster) -> None:
    """Find out, before anything is read or written, what is wrong with a cluster's class, its options, or who starts it.

    Raises
    ------
    ConfigError
    """
    if cluster.kind in BATCH_SYSTEMS:
        batch_system.arguments(cluster)
    elif cluster.kind == "custom":
        custom.arguments(cluster)
    elif possible(cluster, NullProgress()).kind == "local":
        refuse_without_guard()
        check_local_memory(cluster)


def check_memory(cluster: Cluster, tasks: Iterable[Task]) -> None:
    """Find out, before anything is converted, whether the memory that the configuration gives a worker holds its tasks.

    Raises
    ------
    PlanError
        Naming what is needed.
    """
    if cluster.memory != "auto":
        thresholds = Thresholds() if cluster.kind == "local" else configured_thresholds()
        check_tasks(cluster.memory, cluster.threads_per_worker, tasks, thresholds)
