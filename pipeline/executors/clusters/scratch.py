"""A private scratch folder for Dask's servers.

Dask uses ``/tmp/dask-scratch-space``, even if another user made it, puts it first into the search path for modules, and unpickles data that
workers have spilled there. On a machine with other users, this would let them run code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from stat import S_IMODE, S_ISDIR
from tempfile import TemporaryDirectory, TemporaryFile, gettempdir

import dask

from pipeline.executors.clusters.dask_settings import describe_place
from pipeline.executors.progress import NullProgress, Progress

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

_KEY = "temporary-directory"
_LOCKING = "distributed.worker.use-file-locking"
_MODE = 0o700
_PREFIX = "dcm2zarr-"


@contextmanager
def private_scratch(progress: Progress | None = None) -> Iterator[str]:
    """Make Dask's servers that start in the block write to a private folder.

    The folder lies in ``temporary-directory`` of Dask's settings; by default, or if that can't be used, which is reported, in the
    system's folder for temporary files.
    """
    with ExitStack() as stack:
        folder = _folder(stack, progress or NullProgress())
        stack.enter_context(dask.config.set({_KEY: folder}))
        if not _takes_locks(folder):  # Dask would log long warnings for each of its servers
            stack.enter_context(dask.config.set({_LOCKING: False}))
        yield folder


def _folder(stack: ExitStack, progress: Progress) -> str:
    given = dask.config.get(_KEY, None)
    if given:
        try:
            return _private(str(given), stack)
        except OSError as error:
            progress.message(
                f"Warning: temporary-directory of Dask's settings{describe_place(_KEY)} can't be used: {given}: {error.strerror}; "
                f"{gettempdir()} is used instead"
            )
    return _private(gettempdir(), stack)


def _private(within: str, stack: ExitStack) -> str:
    folder = own_folder(within) or stack.enter_context(TemporaryDirectory(prefix=_PREFIX, dir=within))
    with TemporaryFile(dir=folder):  # fails without space, or on a read-only disk
        return folder


def _takes_locks(folder: str) -> bool:
    if fcntl is None:
        return True  # on Windows, Dask uses another kind of lock
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def own_folder(within: str) -> str | None:
    """Return this user's private folder below `within`; None if somebody else has made a folder of its name.

    The folder is always the same, so that the next run's workers remove the leftovers of killed runs.
    """
    if sys.platform == "win32":  # each user has a private folder for temporary files
        return within
    folder = Path(within) / f"{_PREFIX}{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(_MODE, parents=True)
    found = folder.lstat()
    ours = S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and S_IMODE(found.st_mode) == _MODE
    return str(folder) if ours else None
