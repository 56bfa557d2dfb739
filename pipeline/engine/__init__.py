"""Plan → Dask graph → results, windowed; on this process, its threads, worker processes, or a running scheduler."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.dask_import import import_dask

import_dask()
if TYPE_CHECKING:
    from pipeline.engine.arrays import convert_partition, finalize, init
    from pipeline.engine.output_status import Status, status
    from pipeline.engine.progress import NullProgress, Progress
    from pipeline.engine.runs import convert, plan_only, run

_HOME = {
    "NullProgress": "progress",
    "Progress": "progress",
    "Status": "output_status",
    "convert": "runs",
    "convert_partition": "arrays",
    "finalize": "arrays",
    "init": "arrays",
    "plan_only": "runs",
    "run": "runs",
    "status": "output_status",
}
__all__ = [
    "NullProgress",
    "Progress",
    "Status",
    "convert",
    "convert_partition",
    "finalize",
    "init",
    "plan_only",
    "run",
    "status",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a worker starts with no more than it needs to wait for tasks."""
    if name in _HOME:
        return getattr(import_module(f"pipeline.engine.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
