"""Opening of sources for reading by ranges: local files, objects and DICOMweb instances."""

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
from pipeline.storage.exhausted import as_resource_error
from pipeline.storage.local_file import LocalFile
from pipeline.storage.prefetch import Expected, as_found, open_object, take_prefetched
from pipeline.storage.urls import DICOMWEB, check_url, is_remote, scheme_of


def open_source(source: str, expected: Expected | None = None) -> BinaryIO:
    """Open a file or an object for reading by ranges.

    Parameters
    ----------
    source : str
        A path, or a URL (``file``, ``s3``, ``gs``, ``az``, ``http``, ``https``, or of an instance ``dicomweb+https``).
    expected : Expected, optional
        Size, time and identity that the scan recorded. A changed local file is refused now, a changed object on its first
        read.

    Returns
    -------
    BinaryIO
        A context manager. Unbuffered: the header parser has its own buffer, and frames are read in one piece. Opening an
        object sends no request, so its errors come with the first read. Reads are retried after errors that may pass.

    Raises
    ------
    SourceError
        With reason ``file_not_found`` or ``unreadable``.
    PixelDataError
        With reason ``source_changed``.
    ResourceError
        If the process has used up memory or open files.
    ConfigError
        For a URL that can't be used.
    """
    if scheme_of(source) in DICOMWEB:
        return cast(BinaryIO, _dicomweb("instances").open_instance(source, as_found(source, expected)))
    if is_remote(source):
        return cast(BinaryIO, take_prefetched(source) or open_object(check_url(source), expected))
    try:
        file = cast(BinaryIO, LocalFile(local_path(source)))
    except FileNotFoundError as error:
        raise SourceError(f"{source}: no such file", reason="file_not_found", source=source) from error
    except OSError as error:
        if short := as_resource_error(error):
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
    """Import a module for DICOMweb; ConfigError if its client library isn't installed."""
    try:
        return importlib.import_module(f"pipeline.storage.{module}")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"DICOMweb needs the package {error.name}, which isn't installed: pip install 'dcm2zarr[dicomweb]'"
        ) from error


def find_instances(url: str) -> Iterator[str]:
    """Return the URLs of all instances of a DICOMweb URL; see :func:`pipeline.storage.dicomweb.search`."""
    urls: Iterator[str] = _dicomweb("dicomweb").search(check_url(url))
    return urls


def check_unchanged(file: BinaryIO, source: str, expected: Expected) -> None:
    """Raise PixelDataError (``source_changed``) if an open local file has changed.

    If its SHA-256 is known, a file with the same size and another time is read completely and compared by content.
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
    """Return the SHA-256 of a file, or an empty text if the file changed meanwhile; cached for all tasks of a process."""
    with LocalFile(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return digest if _version(os.fstat(file.fileno())) == version else ""
