"""Tasks in this process, its threads, or worker processes of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, Nanny, SpecCluster
from distributed.system import MEMORY_LIMIT

from pipeline.config import Cluster
from pipeline.engine.clusters.defaults import dask_defaults
from pipeline.engine.clusters.scratch import private_scratch
from pipeline.engine.clusters.security import of_this_run
from pipeline.engine.clusters.workers import tell_dashboard
from pipeline.engine.executors import Distributed, Executor, Synchronous
from pipeline.engine.progress import Progress
from pipeline.engine.servers import Scheduler, Worker, link_below, secret_path


@contextmanager
def synchronous(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """One task after the other in this process."""
    del cluster, progress
    yield Synchronous()


@contextmanager
def in_dask(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """Threads of this process, or worker processes of this machine."""
    with dask_cluster(cluster) as started, Client(started) as client:
        tell_dashboard(client, progress)
        yield Distributed(client)


@contextmanager
def dask_cluster(cluster: Cluster) -> Iterator[SpecCluster]:
    """Give the Dask cluster of kind ``threads`` or ``local`` that nobody else reaches, and stop it at the end."""
    connection, workers = _threads(cluster) if cluster.kind == "threads" else _processes(cluster)
    path = secret_path()
    options = {"dashboard": bool(cluster.dashboard), "dashboard_address": cluster.dashboard or None}
    with (
        dask.config.set({**dask_defaults(), **link_below(path)}),
        private_scratch(),
        SpecCluster(
            scheduler={"cls": Scheduler, "options": {**connection, **options, "http_prefix": path}},
            workers=dict(enumerate(workers)),
            security=connection.get("security"),
            silence_logs="ERROR",
        ) as started,
    ):
        yield started


def _threads(cluster: Cluster) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return how all talk to each other, and what the workers are: one in this process, without an address."""
    connection = {"protocol": "inproc://"}
    options = {"nthreads": _count(cluster) * cluster.threads_per_worker, "memory_limit": MEMORY_LIMIT}
    return connection, [{"cls": Worker, "options": {**connection, **options}}]


def _processes(cluster: Cluster) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the same for processes: on loopback nobody from outside reaches them, and of this machine nobody else."""
    connection = {"host": "127.0.0.1", "protocol": "tls://", "security": of_this_run()}
    options = {"nthreads": cluster.threads_per_worker, "memory_limit": cluster.memory, "worker_class": Worker}
    return connection, [{"cls": Nanny, "options": {**connection, **options, "silence_logs": "ERROR"}}] * _count(cluster)


def _count(cluster: Cluster) -> int:
    return CPU_COUNT if cluster.workers == "auto" else int(cluster.workers)
