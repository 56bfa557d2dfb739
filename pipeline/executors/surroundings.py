"""Where a run is started from, and what can't be started there: then another kind of cluster does the work.

- Daemonic processes, which are a Dask worker's and those of a :class:`multiprocessing.Pool`, can have no children.
- A process that was forked from one with threads of Dask has none of these threads, but all that they hold locked.
"""

from __future__ import annotations

import os
import threading
from multiprocessing import current_process

from pipeline.config import Cluster
from pipeline.executors.progress import Progress

_DASK_THREADS = ("IO loop", "Dask-", "Profile")
"""What names of threads begin with, without which Dask waits for ever."""


class _Forked:
    """Whether this process is a fork of one in which Dask had threads."""

    def __init__(self) -> None:
        self.from_dask = False
        self._had_threads = False

    def before(self) -> None:
        """Look at the threads, of which a fork knows nothing."""
        self._had_threads = any(thread.name.startswith(_DASK_THREADS) for thread in threading.enumerate())

    def after_in_child(self) -> None:
        """Be the fork."""
        self.from_dask = self.from_dask or self._had_threads


FORKED = _Forked()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=FORKED.before, after_in_child=FORKED.after_in_child)


def possible(cluster: Cluster, progress: Progress) -> Cluster:
    """Return the cluster that can be started here in place of `cluster`, and say so where it is another one."""
    if cluster.kind in {"local", "threads"} and FORKED.from_dask:
        progress.message("This process was forked from one that uses Dask: it does one task after the other itself")
        return cluster.model_copy(update={"kind": "synchronous"})
    if cluster.kind == "local" and current_process().daemon:
        progress.message(
            "A daemonic process (a Dask worker, a multiprocessing pool) can't start others: its threads do it all"
        )
        return cluster.model_copy(update={"kind": "threads"})
    return cluster
