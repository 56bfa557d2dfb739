"""Kinds of clusters: this process, workers of this machine, a running scheduler, a batch system, any Dask cluster class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from pipeline.config import BATCH_SYSTEMS, Cluster
from pipeline.executors.clusters import batch_system, custom
from pipeline.executors.clusters.address import connected
from pipeline.executors.clusters.this_machine import check_local_memory, in_dask, synchronous
from pipeline.executors.clusters.worker_memory import Thresholds, check_tasks, configured_thresholds
from pipeline.executors.executor import Executor
from pipeline.executors.main_guard import refuse_without_guard
from pipeline.executors.progress import NullProgress, Progress
from pipeline.executors.started_from import possible
from pipeline.isolation import SAFE_PATH
from pipeline.model import Task

__all__ = ["check", "check_memory", "start"]


@contextmanager
def start(cluster: Cluster, progress: Progress | None = None) -> Iterator[Executor]:
    """Yield the configured executor, and stop everything that was started at the end.

    The executor is ready with the first worker; others join during the run.

    Raises
    ------
    ConfigError
        If a cluster class is missing or refuses its arguments, or a batch system refuses the jobs.
    ClusterError
        If a scheduler doesn't answer, or workers have another version of this package.
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
    """Check a cluster's class and options, and the script that starts it, before anything is read or written.

    Raises
    ------
    ConfigError
        If the cluster can't be started.
    """
    if cluster.kind in BATCH_SYSTEMS:
        batch_system.arguments(cluster)
    elif cluster.kind == "custom":
        custom.arguments(cluster)
    elif possible(cluster, NullProgress()).kind == "local":
        refuse_without_guard()
        check_local_memory(cluster)


def check_memory(cluster: Cluster, tasks: Iterable[Task]) -> None:
    """Check, before conversion starts, that the configured memory of a worker holds its tasks.

    Raises
    ------
    PlanError
        If it doesn't; the message names the needed memory.
    """
    if cluster.memory != "auto":
        thresholds = Thresholds() if cluster.kind == "local" else configured_thresholds()
        check_tasks(cluster.memory, cluster.threads_per_worker, tasks, thresholds)
