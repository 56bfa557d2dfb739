"""Find files, read headers in parallel, accept or reject: every file found ends as one row of a catalog segment."""

from pipeline.scan.batch import ScanResult, header_limits, lost_batch, scan_batch
from pipeline.scan.columns import column_kinds
from pipeline.scan.duplicates import candidates, digest, mark, shared_uids
from pipeline.scan.files import find_files, is_readable, look_at
from pipeline.scan.missing import missing_sources, refuse_missing
from pipeline.scan.objects import pattern_matcher
from pipeline.scan.patients import make_salt

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
