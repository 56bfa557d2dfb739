"""A run, from the scan to the report, and the other things that are done with an output directory.

The room is called `runs` because ``pipeline.run`` is the function that users call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lazy import lazily

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
    from pipeline.runs.summary import FROZEN
    from pipeline.runs.trust import check_sources_known, cluster_line, doubts, kept_configuration, sources_of

_HOME = {
    "FROZEN": "pipeline.runs.summary",
    "Prepared": "pipeline.runs.state",
    "Scan": "pipeline.runs.scan_phase",
    "Status": "pipeline.runs.output_status",
    "check_settings": "pipeline.runs.preparation",
    "check_sources_known": "pipeline.runs.trust",
    "cluster_line": "pipeline.runs.trust",
    "convert": "pipeline.runs.stages",
    "convert_partition": "pipeline.runs.array_jobs",
    "doubts": "pipeline.runs.trust",
    "finalize": "pipeline.runs.array_jobs",
    "init": "pipeline.runs.array_jobs",
    "kept_configuration": "pipeline.runs.trust",
    "load": "pipeline.runs.preparation",
    "options_of": "pipeline.runs.storage_settings",
    "plan_only": "pipeline.runs.stages",
    "remarks": "pipeline.runs.closing_remarks",
    "run": "pipeline.runs.stages",
    "scan_sources": "pipeline.runs.scan_phase",
    "sources_of": "pipeline.runs.trust",
    "status": "pipeline.runs.output_status",
    "writer": "pipeline.runs.partitions",
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
    "writer",
]
__getattr__ = lazily(__name__, _HOME)
