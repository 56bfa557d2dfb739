"""Tasks in this process, its threads, or worker processes of this machine."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, LocalCluster
from distributed.utils import LoopRunner

from pipeline.config import Cluster
from pipeline.engine.clusters.defaults import dask_defaults
from pipeline.engine.clusters.lingering import lingering
from pipeline.engine.clusters.workers import tell_dashboard
from pipeline.engine.executors import Distributed, Executor, Synchronous
from pipeline.engine.mainguard import GUARD, refuse_without_guard
from pipeline.engine.progress import Progress
from pipeline.errors import ClusterError


@contextmanager
def synchronous(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """One task after the other in this process."""
    del cluster, progress
    yield Synchronous()


@contextmanager
def local_threads(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """Threads of this process."""
    threads = _count(cluster) * cluster.threads_per_worker
    # workers of this process need no address, and none that others could reach
    options = {"n_workers": 1, "threads_per_worker": threads, "processes": False}
    with _local_cluster(cluster, progress, **options) as executor:
        yield executor


@contextmanager
def local_processes(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """Worker processes of this machine."""
    refuse_without_guard()
    # on loopback only: nobody outside this machine is to reach a worker that runs any code
    options = {"host": "127.0.0.1", "threads_per_worker": cluster.threads_per_worker, "memory_limit": cluster.memory}
    with _local_cluster(cluster, progress, n_workers=_count(cluster), **options) as executor:
        yield executor


@contextmanager
def _local_cluster(cluster: Cluster, progress: Progress, **options: Any) -> Iterator[Executor]:
    # without a dashboard the scheduler's server for its metrics takes any port: Dask's own is often taken, and it would say so
    quiet = {} if cluster.dashboard else {"scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}}
    options |= {"dashboard_address": cluster.dashboard or None, "silence_logs": _silenced(), **quiet}
    with (
        dask.config.set(dask_defaults()),
        lingering() as keep,
        _deaf_to_interrupts() as loop,
        _started(loop=loop, **options) as local,
        Client(local) as client,
    ):
        keep(client.loop)
        tell_dashboard(client, progress)
        try:
            yield Distributed(client)
        except KeyboardInterrupt:
            _kill_workers(local)
            raise


def _started(**options: Any) -> LocalCluster:
    """Start the cluster; ClusterError where a worker ends at once."""
    try:
        return LocalCluster(**options)
    except RuntimeError as error:
        problem = ClusterError(
            f"cluster: worker processes could not be started: {error} {GUARD}", reason="workers_failed"
        )
    raise problem


@contextmanager
def _deaf_to_interrupts() -> Iterator[Any]:
    """Give an event loop from which nothing is started that hears Ctrl-C, which a terminal sends to every process.

    Worker processes and threads, and all that they start, inherit the mask of signals of the loop's thread. The main
    thread alone hears it, and ends them.
    """
    resource_tracker.ensure_running()  # who starts it later has a mask without these signals afterwards
    runner = LoopRunner()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if os.name == "posix" else set()
    try:
        runner.start()
    finally:
        if os.name == "posix":
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    try:
        yield runner.loop
    finally:
        runner.stop()


def _kill_workers(local: LocalCluster) -> None:
    """End worker processes amid their tasks: whoever interrupts a run doesn't wait for what nobody will record."""
    for nanny in local.workers.values():
        pid = getattr(nanny, "pid", None)
        if pid:
            nanny.auto_restart = False
            os.kill(pid, signal.SIGKILL)


def _silenced() -> int:
    """Return the level below which Dask's logs aren't shown, here and in the workers.

    Its errors are its own: a heartbeat that finds the scheduler closed, at the end of a run. What becomes of a task comes
    back as its outcome, and a cluster that doesn't start raises. Whoever lets all be logged is shown them too.
    """
    return logging.ERROR if logging.getLogger().isEnabledFor(logging.DEBUG) else logging.CRITICAL


def _count(cluster: Cluster) -> int:
    return CPU_COUNT if cluster.workers == "auto" else int(cluster.workers)
