"""Limits of the process that starts a run: if it can't start the configured kind of cluster, another kind is used.

- Daemonic processes (Dask workers, processes of a :class:`multiprocessing.Pool`) can't have children.
- A process that was forked from one with Dask's threads lacks these threads, but keeps the locks that they held.
"""

from __future__ import annotations

import os
import threading
from multiprocessing import current_process

from pipeline.config import Cluster
from pipeline.executors.progress import Progress

_DASK_THREADS = ("IO loop", "Dask-", "Profile")
"""Beginnings of the names of Dask's threads; without them, Dask waits forever."""


class _Forked:
    """Knows whether this process is a fork of one with Dask's threads."""

    def __init__(self) -> None:
        self.from_dask = False
        self._had_threads = False

    def before(self) -> None:
        """Check for Dask's threads before a fork, because the fork can't see them."""
        self._had_threads = any(thread.name.startswith(_DASK_THREADS) for thread in threading.enumerate())

    def after_in_child(self) -> None:
        """Record the check's result in the fork."""
        self.from_dask = self.from_dask or self._had_threads


FORKED = _Forked()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=FORKED.before, after_in_child=FORKED.after_in_child)


def possible(cluster: Cluster, progress: Progress) -> Cluster:
    """Return `cluster`, or the one to start here in its place; report a replacement."""
    if cluster.kind in {"local", "threads"} and FORKED.from_dask:
        progress.message("This process was forked from one that uses Dask: it runs one task after the other itself")
        return cluster.model_copy(update={"kind": "synchronous"})
    if cluster.kind == "local" and current_process().daemon:
        progress.message(
            "A daemonic process (a Dask worker, a multiprocessing pool) can't start others: its threads run all tasks"
        )
        return cluster.model_copy(update={"kind": "threads"})
    return cluster
