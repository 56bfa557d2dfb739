"""DICOMDIR: the files that the directory of a file-set refers to (PS3.3 F, PS3.10 8)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from functools import cache

from pipeline.errors import PipelineError
from pipeline.frames import open_source, read_header
from pipeline.model import SourceFile
from pipeline.model.sources import source_of
from pipeline.scan.quiet import without_warnings

MEDIA_STORAGE_DIRECTORY = b"1.2.840.10008.1.3.10"
_HEAD = 1024
"""Bytes that hold the beginning of the File Meta Information, with Media Storage SOP Class UID in it."""
_PREFIX = slice(128, 132)
_VERSION = re.compile(r";\d+$")
_NAME = "dicomdir"


def is_dicomdir(path: str) -> bool:
    """Whether the file at `path` is a DICOMDIR by its name or by its Media Storage SOP Class UID."""
    if named_dicomdir(path):
        return True
    try:
        with open_source(source_of(path)) as file:
            head = file.read(_HEAD)
    except (PipelineError, OSError):
        return False  # the scan will say why it can't be read
    return head[_PREFIX] == b"DICM" and re.search(re.escape(MEDIA_STORAGE_DIRECTORY) + rb"(?![0-9.])", head) is not None


def named_dicomdir(path: str) -> bool:
    """Whether the name is DICOMDIR, in any case and with a version number as ISO 9660 appends it."""
    return _plain(os.path.basename(path)) == _NAME  # noqa: PTH119  text in, text out


def referenced_files(path: str) -> Iterator[SourceFile | str]:
    """Yield the path of each file that a DICOMDIR refers to, or a :class:`SourceFile` with the problem.

    A DICOMDIR that can't be read refers to none: its own row says why.
    """
    try:
        source = source_of(path)
        with without_warnings(), open_source(source) as file:
            header = read_header(file, source=source)
            records = list(header.dataset.get("DirectoryRecordSequence") or ())
            file_ids = [_file_id(record) for record in records]
    # a damaged directory may raise anything while pydicom reads it; the scan reads it again and says so in its row
    except Exception:  # noqa: BLE001
        return
    folder = os.path.dirname(path)  # noqa: PTH120  text in, text out
    names = cache(_names)
    for parts in file_ids:
        if parts:
            yield _locate(folder, parts, names)


def _file_id(record: object) -> list[str]:
    """Return the components of Referenced File ID; a record of a patient or a study has none."""
    try:
        value = getattr(record, "ReferencedFileID", None) or ()
    except Exception:  # noqa: BLE001  pydicom converts only now, and a damaged value may raise anything
        return ["(unreadable Referenced File ID)"]
    return [str(part).strip() for part in ([value] if isinstance(value, str) else value)]


def _locate(folder: str, parts: list[str], names: Callable[[str], dict[str, str]]) -> SourceFile | str:
    whole = os.path.join(folder, *parts)  # noqa: PTH118  text in, text out
    if any(part in {"", ".", ".."} or re.search(r"[/\\\0]", part) for part in parts):
        # as written, so that it is recognised, but never opened: it may lead out of the file-set
        return SourceFile(source_of("/".join([folder, *parts])), -1, problem="invalid_attribute")
    if os.path.lexists(whole):
        return whole
    found = folder
    for part in parts:
        name = names(found).get(_plain(part))
        if name is None:
            return SourceFile(source_of(whole), -1, problem="file_not_found")
        found = os.path.join(found, name)  # noqa: PTH118  text in, text out
    return found


def _names(folder: str) -> dict[str, str]:
    """Return the folder's names by their plain form; the first in order where two have the same."""
    try:
        names = sorted(os.listdir(folder), reverse=True)  # noqa: PTH208  names are what is wanted
    except OSError:
        return {}
    return {_plain(name): name for name in names}


def _plain(name: str) -> str:
    """Return a name as written to media and read back: case, version number and a trailing dot may have changed."""
    return _VERSION.sub("", name).rstrip(".").casefold()
