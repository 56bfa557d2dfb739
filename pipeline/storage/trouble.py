"""What is wrong with a place that can't be written, told by reason: a disk that is full, a permission that is lost."""

from __future__ import annotations

import errno
import os
from copy import copy

from pipeline.errors import OutputError, PipelineError
from pipeline.storage.exhausted import exhausted

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


def unwritable(what: str | os.PathLike[str], error: OSError, told: str = "can't be written") -> PipelineError:
    """Return the error that names a place which can't be written, with the reason that the system gives.

    An OutputError; a ResourceError where it isn't the place that is to blame.

    Parameters
    ----------
    what : str or path-like
        The file or folder; also the error's ``source``.
    error : OSError
        Of one of this package a copy is returned, so that it can be raised from the error itself.
    told : str
        What can't be done with it.
    """
    if isinstance(error, PipelineError):
        return copy(error)  # an error that is its own cause can't travel between processes
    if short := exhausted(error):
        return short
    reason = _REASONS.get(error.errno or 0)
    if isinstance(error, PermissionError):  # a store's has no number
        reason = NO_PERMISSION
    why = os.strerror(error.errno) if reason and error.errno else error.strerror or error  # pyarrow tells more
    at = _within(os.fspath(what), error)
    return OutputError(f"{what} {told}: {why}{at}", reason=reason, source=str(what))


def _within(what: str, error: OSError) -> str:
    """Return which file it is about, where that lies below what can't be written as a whole."""
    name = error.filename
    return f" ({name})" if isinstance(name, str) and name.startswith(f"{what}/") else ""
