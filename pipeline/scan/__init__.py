"""Find files, read headers in parallel, accept or reject: every file found becomes one row of a catalog segment."""

from pipeline.scan.columns import column_kinds
from pipeline.scan.duplicates import candidates, digest, mark, shared_uids
from pipeline.scan.files import find_files, is_readable, look_at
from pipeline.scan.missing import missing_sources, refuse_missing
from pipeline.scan.object_listing import pattern_matcher
from pipeline.scan.patient_hashing import make_salt
from pipeline.scan.scan_task import ScanResult, header_limits, lost_batch, scan_batch

__all__ = [
    "ScanResult",
    "candidates",
    "column_kinds",
    "digest",
    "find_files",
    "header_limits",
    "is_readable",
    "look_at",
    "lost_batch",
    "make_salt",
    "mark",
    "missing_sources",
    "pattern_matcher",
    "refuse_missing",
    "scan_batch",
    "shared_uids",
]
