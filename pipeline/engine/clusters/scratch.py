"""Where Dask's servers keep what they write: a folder that is this user's alone.

Dask takes ``/tmp/dask-scratch-space``, whoever has made it, puts it first into the search path for modules, and unpickles
what workers have spilled into it. On a machine with other users that would be an invitation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE, S_ISDIR
from tempfile import gettempdir, mkdtemp

import dask

MODE = 0o700
_KEY = "temporary-directory"


@contextmanager
def private_scratch() -> Iterator[None]:
    """Let Dask's servers that are started meanwhile write to a private folder."""
    with dask.config.set({_KEY: private_folder(dask.config.get(_KEY, None) or gettempdir())}):
        yield


def private_folder(within: str) -> str:
    """Return a folder of this user's that no other one can look into, below `within`.

    It is always the same one, so that what killed runs leave in it is removed by the next one's workers. Where somebody
    else has made one of that name, it is one of a random name.
    """
    if sys.platform == "win32":  # there each user has a folder of their own for temporary files
        return within
    folder = Path(within) / f"dcm2zarr-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(MODE, parents=True)
    found = folder.lstat()
    ours = S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and S_IMODE(found.st_mode) == MODE
    return str(folder) if ours else mkdtemp(prefix="dcm2zarr-", dir=within)
