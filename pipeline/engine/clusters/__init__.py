"""Where tasks run: this process, workers of this machine, a running scheduler, a batch system, any cluster of Dask's."""

from __future__ import annotations

from contextlib import AbstractContextManager

from pipeline.config import BATCH_SYSTEMS, Cluster
from pipeline.engine.clusters import batch, custom
from pipeline.engine.clusters.address import connected
from pipeline.engine.clusters.here import local_processes, local_threads, synchronous
from pipeline.engine.executors import Executor
from pipeline.engine.mainguard import refuse_without_guard
from pipeline.engine.progress import NullProgress, Progress

__all__ = ["check", "start"]


def start(cluster: Cluster, progress: Progress | None = None) -> AbstractContextManager[Executor]:
    """Return the executor that the configuration asks for, as a context manager that stops what it started.

    The executor is ready with the first worker; others join while the run is under way.

    Raises
    ------
    ConfigError
        Where a scheduler doesn't answer, a cluster's class is missing or refuses its arguments, a batch system refuses
        the jobs, or workers have another version of this package.
    """
    starters = {
        "synchronous": synchronous,
        "threads": local_threads,
        "local": local_processes,
        "address": connected,
        "custom": custom.started,
        **dict.fromkeys(BATCH_SYSTEMS, batch.started),
    }
    return starters[cluster.kind](cluster, progress or NullProgress())


def check(cluster: Cluster) -> None:
    """Find out, before anything is read or written, what is wrong with a cluster's class, its options, or who starts it.

    Raises
    ------
    ConfigError
    """
    if cluster.kind in BATCH_SYSTEMS:
        batch.arguments(cluster)
    elif cluster.kind == "custom":
        custom.arguments(cluster)
    elif cluster.kind == "local":
        refuse_without_guard()
