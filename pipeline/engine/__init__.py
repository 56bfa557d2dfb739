"""Plan → Dask graph → results, windowed; on this process, its threads, worker processes, or a running scheduler."""

from pipeline.engine.arrays import convert_partition, finalize, init
from pipeline.engine.progress import NullProgress, Progress
from pipeline.engine.runs import convert, plan_only, run
from pipeline.engine.status import Status, status

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
