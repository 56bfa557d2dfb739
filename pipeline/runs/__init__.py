"""A run, from the scan to the report, and the other things that are done with an output directory.

The room is called `runs` because ``pipeline.run`` is the function that users call.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.runs.array_jobs import convert_partition, finalize, init
    from pipeline.runs.closing_remarks import remarks
    from pipeline.runs.output_status import Status, status
    from pipeline.runs.partitions import writer
    from pipeline.runs.preparation import check_settings, load
    from pipeline.runs.scan_phase import Scan, scan_sources
    from pipeline.runs.stages import convert, plan_only, run
    from pipeline.runs.state import Prepared
    from pipeline.runs.storage_settings import options_of
    from pipeline.runs.summary import FROZEN, stored_frames
    from pipeline.runs.trust import check_sources_known, cluster_line, doubts, kept_configuration, sources_of

_HOME = {
    "FROZEN": "summary",
    "Prepared": "state",
    "Scan": "scan_phase",
    "Status": "output_status",
    "check_settings": "preparation",
    "check_sources_known": "trust",
    "cluster_line": "trust",
    "convert": "stages",
    "convert_partition": "array_jobs",
    "doubts": "trust",
    "finalize": "array_jobs",
    "init": "array_jobs",
    "kept_configuration": "trust",
    "load": "preparation",
    "options_of": "storage_settings",
    "plan_only": "stages",
    "remarks": "closing_remarks",
    "run": "stages",
    "scan_sources": "scan_phase",
    "sources_of": "trust",
    "status": "output_status",
    "stored_frames": "summary",
    "writer": "partitions",
}
__all__ = [
    "FROZEN",
    "Prepared",
    "Scan",
    "Status",
    "check_settings",
    "check_sources_known",
    "cluster_line",
    "convert",
    "convert_partition",
    "doubts",
    "finalize",
    "init",
    "kept_configuration",
    "load",
    "options_of",
    "plan_only",
    "remarks",
    "run",
    "scan_sources",
    "sources_of",
    "status",
    "stored_frames",
    "writer",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a worker starts with no more than it needs to wait for tasks."""
    if name in _HOME:
        return getattr(import_module(f"pipeline.runs.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
