"""Executors, which run tasks in this process, its threads, worker processes or on a Dask scheduler, and report progress.

Besides this room, only `isolation` and `access` import Dask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.dask_import import import_dask
from pipeline.lazy_imports import lazily

import_dask()
if TYPE_CHECKING:
    from pipeline.executors import clusters
    from pipeline.executors.clusters import start
    from pipeline.executors.executor import Deferred, Executor, Outcome
    from pipeline.executors.main_guard import end_in_a_worker
    from pipeline.executors.progress import NullProgress, Progress

_HOME = {
    "Deferred": "pipeline.executors.executor",
    "Executor": "pipeline.executors.executor",
    "NullProgress": "pipeline.executors.progress",
    "Outcome": "pipeline.executors.executor",
    "Progress": "pipeline.executors.progress",
    "end_in_a_worker": "pipeline.executors.main_guard",
    "start": "pipeline.executors.clusters",
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
__getattr__ = lazily(__name__, _HOME)
