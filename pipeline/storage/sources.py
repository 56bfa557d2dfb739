"""Opening what is read by ranges: local files and objects alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, cast

from pipeline.errors import PixelDataError, SourceError
from pipeline.model.sources import local_path
from pipeline.storage.foresight import Expected, open_object, taken
from pipeline.storage.urls import check_url, is_remote


def open_source(source: str, expected: Expected | None = None) -> BinaryIO:
    """Open a file or an object for reading by ranges.

    Parameters
    ----------
    source : str
        A path, or a URL (``file``, ``s3``, ``gs``, ``az``, ``http``, ``https``).
    expected : Expected, optional
        What it was when it was found: one that has changed since is refused, a local file now and an object with the
        first bytes that are read.

    Returns
    -------
    BinaryIO
        Unbuffered, since headers are buffered where they are parsed and frames are read in one piece. A context
        manager. Of an object nothing has been asked for yet, so that errors come with the first read.

    Raises
    ------
    SourceError
        With the reason ``file_not_found`` or ``unreadable``.
    PixelDataError
        With the reason ``source_changed``.
    ConfigError
        For a URL that can't be used.
    """
    if is_remote(source):
        return cast(BinaryIO, taken(source) or open_object(check_url(source), expected))
    try:
        file = cast(BinaryIO, Path(local_path(source)).open("rb", buffering=0))  # noqa: SIM115  the caller closes it
    except FileNotFoundError as error:
        raise SourceError(f"{source}: no such file", reason="file_not_found", source=source) from error
    except OSError as error:
        raise SourceError(f"{source}: can't be opened: {error.strerror or error}", source=source) from error
    try:
        if expected is not None:
            unchanged(file, source, expected)
    except BaseException:
        file.close()
        raise
    return file


def unchanged(file: BinaryIO, source: str, expected: Expected) -> None:
    """Raise PixelDataError (``source_changed``) where an open local file isn't what it was."""
    now = os.fstat(file.fileno())
    if (now.st_size, now.st_mtime_ns) != (expected.size, expected.mtime_ns):
        raise PixelDataError(
            f"{source}: changed since its header was read (size {expected.size} then, {now.st_size} now); run again",
            reason="source_changed",
            source=source,
        )
