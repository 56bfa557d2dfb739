"""A Dask scheduler that is running already."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from distributed import Client

from pipeline.config import Cluster
from pipeline.engine.clusters.security import given, warn_if_open
from pipeline.engine.clusters.workers import await_first, tell_dashboard
from pipeline.engine.executors import Distributed, Executor
from pipeline.engine.progress import Progress
from pipeline.errors import ConfigError

CONNECT_SECONDS = 15


@contextmanager
def connected(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """Use the scheduler at ``cluster.address``, with the workers that it has now and later."""
    with _client(cluster) as client:
        warn_if_open(cluster, client, progress)
        tell_dashboard(client, progress)
        await_first(client, progress, f"start one with: dask worker {cluster.address}")
        yield Distributed(client)


def _client(cluster: Cluster) -> Client:
    try:
        return Client(cluster.address, timeout=CONNECT_SECONDS, security=given(cluster))
    # a ValueError or TypeError is an address, or certificates, that can't be
    except (OSError, ValueError, TypeError) as error:
        problem = str(error)
    # What is left of the client stops a thread when it is collected; amid the start of the next one that locks.
    gc.collect()
    raise ConfigError(
        f"cluster.address: no Dask scheduler answers at {cluster.address!r} ({problem}); start one with "
        "'dask scheduler' and 'dask worker', or use cluster.kind: local"
    )
