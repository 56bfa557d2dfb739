"""Plan → Dask graph → results, windowed; on this process, its threads, worker processes, or a running scheduler."""

from pipeline.engine.progress import NullProgress, Progress
from pipeline.engine.runs import convert, plan_only, run
from pipeline.engine.status import Status, status

__all__ = ["NullProgress", "Progress", "Status", "convert", "plan_only", "run", "status"]
