"""Find files, read headers in parallel, accept or reject: every file found ends as one row of a catalog segment."""

from pipeline.scan.duplicates import candidates, digest, mark, shared_uids
from pipeline.scan.files import find_files

__all__ = ["candidates", "digest", "find_files", "mark", "shared_uids"]
