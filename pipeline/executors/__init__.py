"""Where tasks run: in this process, in its threads, in worker processes, or on a Dask scheduler; how far they are.

Besides `access`, the only room that knows Dask.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.dask_import import import_dask

import_dask()
if TYPE_CHECKING:
    from pipeline.executors import clusters
    from pipeline.executors.clusters import start
    from pipeline.executors.executor import Deferred, Executor, Outcome
    from pipeline.executors.main_guard import end_in_a_worker
    from pipeline.executors.progress import NullProgress, Progress

_HOME = {
    "Deferred": "executor",
    "Executor": "executor",
    "NullProgress": "progress",
    "Outcome": "executor",
    "Progress": "progress",
    "end_in_a_worker": "main_guard",
    "start": "clusters",
}
__all__ = [
    "Deferred",
    "Executor",
    "NullProgress",
    "Outcome",
    "Progress",
    "clusters",
    "end_in_a_worker",
    "start",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a worker starts with no more than it needs to wait for tasks."""
    if name in _HOME:
        return getattr(import_module(f"pipeline.executors.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
