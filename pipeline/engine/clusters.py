"""Where tasks run: this process, its threads, worker processes of this machine, or a running Dask scheduler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster

from pipeline.config import Cluster
from pipeline.engine.executors import Distributed, Executor, Synchronous
from pipeline.errors import ConfigError

CONNECT_SECONDS = 15


def start(cluster: Cluster) -> AbstractContextManager[Executor]:
    """Return the executor that the configuration asks for, as a context manager that stops what it started.

    Raises
    ------
    ConfigError
        Where the scheduler of kind ``address`` doesn't answer.
    """
    return {
        "synchronous": _synchronous,
        "threads": _local_threads,
        "local": _local_processes,
        "address": _address,
    }[cluster.kind](cluster)


@contextmanager
def _synchronous(cluster: Cluster) -> Iterator[Executor]:
    del cluster
    yield Synchronous()


@contextmanager
def _local_threads(cluster: Cluster) -> Iterator[Executor]:
    threads = _count(cluster) * cluster.threads_per_worker
    # workers of this process need no address, and none that others could reach
    with _local_cluster(n_workers=1, threads_per_worker=threads, processes=False) as executor:
        yield executor


@contextmanager
def _local_processes(cluster: Cluster) -> Iterator[Executor]:
    # on loopback only: nobody outside this machine is to reach a worker that runs any code
    options = {"host": "127.0.0.1", "threads_per_worker": cluster.threads_per_worker}
    with _local_cluster(n_workers=_count(cluster), **options) as executor:
        yield executor


@contextmanager
def _local_cluster(**options: Any) -> Iterator[Executor]:
    with (
        dask.config.set({"distributed.admin.system-monitor.gil.enabled": False}),
        LocalCluster(dashboard_address=None, silence_logs="ERROR", **options) as local,
        Client(local) as client,
    ):
        yield Distributed(client)


@contextmanager
def _address(cluster: Cluster) -> Iterator[Executor]:
    try:
        client = Client(cluster.address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cluster.address: no Dask scheduler answers at {cluster.address!r} ({error}); start one with "
            "'dask scheduler' and 'dask worker', or use cluster.kind: local"
        ) from error
    with client:
        yield Distributed(client)


def _count(cluster: Cluster) -> int:
    return CPU_COUNT if cluster.workers == "auto" else int(cluster.workers)
