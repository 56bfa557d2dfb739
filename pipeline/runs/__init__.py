"""A run, from the scan to the report, and the other operations on an output directory.

The room is called `runs` because ``pipeline.run`` is the function that users call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.lazy_imports import lazily

if TYPE_CHECKING:
    from pipeline.runs.array_jobs import convert_partition, finalize, init
    from pipeline.runs.closing_remarks import make_remarks
    from pipeline.runs.output_status import Status, status
    from pipeline.runs.partitions import find_writer
    from pipeline.runs.preparation import check_settings, load
    from pipeline.runs.scan_phase import Scan, scan_sources
    from pipeline.runs.stages import convert, plan_only, run
    from pipeline.runs.state import Prepared
    from pipeline.runs.storage_settings import storage_options
    from pipeline.runs.summary import FROZEN
    from pipeline.runs.trust import check_sources_known, cluster_line, find_doubt, read_kept_configuration, sources_of

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
    "find_doubt": "pipeline.runs.trust",
    "finalize": "pipeline.runs.array_jobs",
    "init": "pipeline.runs.array_jobs",
    "read_kept_configuration": "pipeline.runs.trust",
    "load": "pipeline.runs.preparation",
    "storage_options": "pipeline.runs.storage_settings",
    "plan_only": "pipeline.runs.stages",
    "make_remarks": "pipeline.runs.closing_remarks",
    "run": "pipeline.runs.stages",
    "scan_sources": "pipeline.runs.scan_phase",
    "sources_of": "pipeline.runs.trust",
    "status": "pipeline.runs.output_status",
    "find_writer": "pipeline.runs.partitions",
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
    "finalize",
    "find_doubt",
    "find_writer",
    "init",
    "load",
    "make_remarks",
    "plan_only",
    "read_kept_configuration",
    "run",
    "scan_sources",
    "sources_of",
    "status",
    "storage_options",
]
__getattr__ = lazily(__name__, _HOME)
