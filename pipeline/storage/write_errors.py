"""Errors for places that can't be written, by reason: full disk, lost permission, read-only file system and others."""

from __future__ import annotations

import errno
import os
from copy import copy

from pipeline.errors import OutputError, PipelineError
from pipeline.storage.exhausted import as_resource_error

DISK_FULL, NO_PERMISSION, READ_ONLY = "disk_full", "no_permission", "read_only"
_REASONS = {
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: DISK_FULL,
    errno.EFBIG: DISK_FULL,
    errno.EACCES: NO_PERMISSION,
    errno.EPERM: NO_PERMISSION,
    errno.EROFS: READ_ONLY,
    errno.ENOTDIR: "not_a_folder",
    errno.EISDIR: "not_a_folder",
    errno.EEXIST: "not_a_folder",
    errno.ENAMETOOLONG: "name_refused",
    errno.EILSEQ: "name_refused",
}


def as_place_error(what: str | os.PathLike[str], error: OSError, problem: str = "can't be written") -> PipelineError:
    """Return an OutputError that names a place and the system's reason, or a ResourceError for an exhausted resource.

    Parameters
    ----------
    what : str or path-like
        The file or folder; also the error's ``source``.
    error : OSError
        The cause. For an error of this package, return a copy, which can be raised from the error itself.
    problem : str
        What can't be done with the place.
    """
    if isinstance(error, PipelineError):
        return copy(error)  # an error that is its own cause can't travel between processes
    if short := as_resource_error(error):
        return short
    reason = _REASONS.get(error.errno or 0)
    if isinstance(error, PermissionError):  # an object store's error has no number
        reason = NO_PERMISSION
    why = os.strerror(error.errno) if reason and error.errno else error.strerror or error  # pyarrow's text is longer
    inner = _inner_file(os.fspath(what), error)
    return OutputError(f"{what} {problem}: {why}{inner}", reason=reason, source=str(what))


def _inner_file(what: str, error: OSError) -> str:
    """Return the failing file for a message, if it lies below `what`."""
    name = error.filename
    return f" ({name})" if isinstance(name, str) and name.startswith(f"{what}/") else ""
