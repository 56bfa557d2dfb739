"""Opening what is read by ranges: local files and objects alike."""

from __future__ import annotations

import hashlib
import importlib
import os
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType
from typing import BinaryIO, cast

from pipeline.errors import ConfigError, PixelDataError, SourceError
from pipeline.model import local_path
from pipeline.storage.exhausted import exhausted
from pipeline.storage.local_file import LocalFile
from pipeline.storage.prefetch import Expected, found_before, open_object, take_prefetched
from pipeline.storage.urls import DICOMWEB, check_url, is_remote, scheme_of


def open_source(source: str, expected: Expected | None = None) -> BinaryIO:
    """Open a file or an object for reading by ranges.

    Parameters
    ----------
    source : str
        A path, or a URL (``file``, ``s3``, ``gs``, ``az``, ``http``, ``https``, or of an instance ``dicomweb+https``).
    expected : Expected, optional
        What it was when it was found: one that has changed since is refused, a local file now and an object with the
        first bytes that are read.

    Returns
    -------
    BinaryIO
        Unbuffered, since headers are buffered where they are parsed and frames are read in one piece. A context
        manager. Of an object nothing has been asked for yet, so that errors come with the first read. After errors that
        may pass it is read again, with pauses.

    Raises
    ------
    SourceError
        With the reason ``file_not_found`` or ``unreadable``.
    PixelDataError
        With the reason ``source_changed``.
    ResourceError
        Where it isn't the file that is to blame.
    ConfigError
        For a URL that can't be used.
    """
    if scheme_of(source) in DICOMWEB:
        return cast(BinaryIO, _dicomweb("instances").open_instance(source, found_before(source, expected)))
    if is_remote(source):
        return cast(BinaryIO, take_prefetched(source) or open_object(check_url(source), expected))
    try:
        file = cast(BinaryIO, LocalFile(local_path(source)))
    except FileNotFoundError as error:
        raise SourceError(f"{source}: no such file", reason="file_not_found", source=source) from error
    except OSError as error:
        if short := exhausted(error):
            raise short from error
        raise SourceError(f"{source}: can't be opened: {error.strerror or error}", source=source) from error
    try:
        if expected is not None:
            check_unchanged(file, source, expected)
    except BaseException:
        file.close()
        raise
    return file


def _dicomweb(module: str) -> ModuleType:
    """Return one of the modules that speak DICOMweb; ConfigError where its client library isn't installed."""
    try:
        return importlib.import_module(f"pipeline.storage.{module}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"DICOMweb needs a package that isn't installed ({error.name}): pip install 'dcm2zarr[dicomweb]'"
        ) from error


def find_instances(url: str) -> Iterator[str]:
    """Return the URLs of all instances that a DICOMweb URL stands for; see :func:`pipeline.storage.dicomweb.search`."""
    found: Iterator[str] = _dicomweb("dicomweb").search(check_url(url))
    return found


def check_unchanged(file: BinaryIO, source: str, expected: Expected) -> None:
    """Raise PixelDataError (``source_changed``) where an open local file isn't what it was.

    Where its SHA-256 is known, a file of the same size and another time of change is read as a whole to tell.
    """
    now = os.fstat(file.fileno())
    touched = expected.sha256 and now.st_size == expected.size and now.st_mtime_ns != expected.mtime_ns
    if touched and _sha256(local_path(source), _version(now)) == expected.sha256:
        return
    if (now.st_size, now.st_mtime_ns) != (expected.size, expected.mtime_ns):
        raise PixelDataError(
            f"{source}: changed since its header was read (size {expected.size} then, {now.st_size} now); run again",
            reason="source_changed",
            source=source,
        )


_Version = tuple[int, int, int, int]


def _version(info: os.stat_result) -> _Version:
    return info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns


@lru_cache(maxsize=1024)
def _sha256(path: str, version: _Version) -> str:
    """Return the SHA-256 of a file, empty where it is another one by now; once for all tasks of a process."""
    with LocalFile(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest if _version(os.fstat(file.fileno())) == version else ""
