"""Executors on this machine: this process, its threads, or worker processes."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from multiprocessing import resource_tracker
from threading import Lock
from typing import Any

import dask
from dask.system import CPU_COUNT
from distributed import Client, Nanny, SpecCluster
from distributed.system import MEMORY_LIMIT
from distributed.utils import LoopRunner, silence_logging_cmgr

from pipeline.config import Cluster
from pipeline.dask_import import children_without_settings
from pipeline.errors import ClusterError, ResourceError
from pipeline.executors.clusters.dask_settings import own_settings, tell_left_out
from pipeline.executors.clusters.lingering import lingering
from pipeline.executors.clusters.scratch import private_scratch
from pipeline.executors.clusters.security import of_this_run
from pipeline.executors.clusters.worker_memory import Thresholds, check_worker
from pipeline.executors.clusters.workers import tell_dashboard
from pipeline.executors.executor import Distributed, Executor, Synchronous
from pipeline.executors.main_guard import GUARD, refuse_without_guard
from pipeline.executors.progress import Progress
from pipeline.executors.servers import Scheduler, Worker, link_below, secret_path
from pipeline.executors.standstill import Surroundings
from pipeline.storage import control_group_memory

if sys.platform != "win32":
    import resource

_FILES, _FILES_OF_A_WORKER = 40, 14
"""Open files of a process that starts a cluster, plus those for each worker process; measured: 30 with one, 52 with three."""


@contextmanager
def synchronous(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """Yield an executor that runs one task after the other in this process."""
    del cluster, progress
    yield Synchronous()


@contextmanager
def in_dask(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """Yield an executor on threads of this process, or on worker processes of this machine."""
    if cluster.kind == "local":
        refuse_without_guard()
    tell_left_out(progress)
    with lingering() as keep, dask_cluster(cluster, progress) as started, Client(started) as client:
        keep(client.loop)
        tell_dashboard(client, progress)
        known = Surroundings(
            progress,
            memory="Give them more (cluster.memory, or fewer cluster.workers)",
            look="-v -v shows Dask's logs",
            processes=partial(worker_processes, started) if cluster.kind == "local" else None,
        )
        try:
            yield Distributed(client, known=known)
        except KeyboardInterrupt:
            _kill_workers(started)
            raise


@contextmanager
def dask_cluster(cluster: Cluster, progress: Progress | None = None) -> Iterator[SpecCluster]:
    """Yield a Dask cluster of kind ``threads`` or ``local`` that nobody else can reach, and stop it at the end."""
    connection, workers = _threads(cluster) if cluster.kind == "threads" else _processes(cluster)
    path = secret_path()
    options = {"dashboard": bool(cluster.dashboard), "dashboard_address": cluster.dashboard or None}
    _check_open_files(cluster)
    with (
        QUIET,
        own_settings(),
        children_without_settings(),
        dask.config.set(link_below(path)),
        private_scratch(progress),
        _deaf_to_interrupts() as loop,
        _started(
            scheduler={"cls": Scheduler, "options": {**connection, **options, "http_prefix": path}},
            workers=dict(enumerate(workers)),
            security=connection.get("security"),
            loop=loop,
        ) as started,
    ):
        yield started


def _threads(cluster: Cluster) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return connection options and workers for threads: one worker in this process, without an address."""
    connection = {"protocol": "inproc://"}
    options = {"nthreads": _count(cluster) * cluster.threads_per_worker, "memory_limit": MEMORY_LIMIT}
    return connection, [{"cls": Worker, "options": {**connection, **options}}]


def _processes(cluster: Cluster) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return connection options and workers for processes: loopback and TLS keep out other machines and other users."""
    connection = {"host": "127.0.0.1", "protocol": "tls://", "security": of_this_run()}
    count, memory = check_local_memory(cluster)
    options = {"nthreads": cluster.threads_per_worker, "memory_limit": memory, "worker_class": Worker}
    nanny = {"cls": Nanny, "options": {**connection, **options, "silence_logs": _silenced()}}
    return connection, [nanny] * count


def check_local_memory(cluster: Cluster) -> tuple[int, int]:
    """Return the number of worker processes and the memory of each, in bytes.

    If neither is configured, the number is limited by the machine's memory.

    Raises
    ------
    ConfigError
        If the memory doesn't hold a worker.
    """
    count, available = _count(cluster), min(MEMORY_LIMIT, control_group_memory() or MEMORY_LIMIT)
    if cluster.memory != "auto":
        check_worker(
            min(cluster.memory, available),
            Thresholds(),
            "cluster.memory is too small for a worker; set a larger one",
        )
        return count, cluster.memory
    if cluster.workers == "auto":
        count = max(1, min(count, available // Thresholds().needed()))
    share = int(available * min(1, cluster.threads_per_worker / CPU_COUNT))  # as Dask's own "auto"
    memory = share if share >= Thresholds().needed() else available // count
    check_worker(
        memory,
        Thresholds(),
        f"cluster.workers: this machine's memory is too small for {count} worker(s); use fewer, or cluster.kind: threads",
    )
    return count, memory


def worker_processes(started: SpecCluster) -> set[int]:
    """Return the process ids of running and starting workers."""
    return {nanny.pid for nanny in started.workers.values() if nanny.pid}


def _started(**options: Any) -> SpecCluster:
    """Start the cluster; ClusterError if a worker ends at once."""
    try:
        return SpecCluster(**options)
    except RuntimeError as error:
        problem = ClusterError(
            f"cluster: worker processes could not be started: {error} {GUARD}", reason="workers_failed"
        )
    raise problem


@contextmanager
def _deaf_to_interrupts() -> Iterator[Any]:
    """Yield an event loop whose processes and threads ignore Ctrl-C, which a terminal sends to every process.

    Worker processes and threads, and everything that they start, inherit the signal mask of the loop's thread. Only the main
    thread receives the signal, and ends them.
    """
    resource_tracker.ensure_running()  # starting it later would reset the starting thread's mask
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


def _check_open_files(cluster: Cluster) -> None:
    """Refuse to start if the limit of open files is too low, which Dask would report as failed connections.

    Raises
    ------
    ResourceError
        If the limit is too low.
    """
    if sys.platform == "win32":
        return
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    workers = _count(cluster) if cluster.kind == "local" else 0
    needed = _FILES + workers * _FILES_OF_A_WORKER
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        subject = f"{workers} worker processes take" if workers else "threads take"
        raise ResourceError(
            f"cluster: {subject} up to {needed} open files, and this process may have {allowed} (ulimit -n): raise that limit, "
            'use fewer workers, or cluster.kind "synchronous"',
            reason="too_many_open_files",
        )


class _Quiet:
    """A context manager that hides Dask's logs; blocks may overlap, in any threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._blocks = 0
        self._exit = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._blocks += 1
            if self._blocks == 1:
                for root in ("distributed", "bokeh"):
                    self._exit.enter_context(silence_logging_cmgr(_silenced(), root))

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._blocks -= 1
            if not self._blocks:
                self._exit.close()


def _kill_workers(local: SpecCluster) -> None:
    """Kill worker processes during their tasks, because an interrupted run doesn't record further results."""
    for nanny in local.workers.values():
        pid = getattr(nanny, "pid", None)
        if pid:
            nanny.auto_restart = False
            os.kill(pid, signal.SIGKILL)


def _silenced() -> int:
    """Return the level below which Dask's logs are hidden, here and in the workers.

    Dask's logged errors concern only itself, such as a heartbeat after the scheduler has closed. Errors of tasks come back as
    outcomes, and a cluster that can't start raises an error. At level DEBUG, Dask's errors are shown too.
    """
    return logging.ERROR if logging.getLogger().isEnabledFor(logging.DEBUG) else logging.CRITICAL


def _count(cluster: Cluster) -> int:
    return CPU_COUNT if cluster.workers == "auto" else int(cluster.workers)


QUIET = _Quiet()
