"""DICOMDIR: the files to which the directory of a file-set refers (PS3.3 F, PS3.10 8)."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from pipeline.errors import PipelineError
from pipeline.frames import open_source, read_file_ids
from pipeline.model import SourceFile, source_of
from pipeline.scan.without_warnings import without_warnings

MEDIA_STORAGE_DIRECTORY = b"1.2.840.10008.1.3.10"
_HEAD = 1024
"""Bytes that hold the beginning of the File Meta Information, with Media Storage SOP Class UID in it."""
_PREFIX = slice(128, 132)
_VERSION = re.compile(r";\d+$")
_EXTENSION = re.compile(r"(?<=.)\.([a-z][a-z0-9]{0,4})$")
_OURS = frozenset({"dcm", "dicom", "dic", "ima"})
"""Usual extensions of DICOM files; files on a medium have none (PS3.10 8.2)."""
_FOREIGN = frozenset({"bmp", "gif", "htm", "html", "jpeg", "jpg", "pdf", "png", "tif", "tiff", "txt", "xml", "zip"})
"""Extensions of other files that may have the same stem as a DICOM file."""
_NAME = "dicomdir"


def is_dicomdir(path: str) -> bool:
    """Return whether the file at `path` is a DICOMDIR by its name or by its Media Storage SOP Class UID."""
    if is_named_dicomdir(path):
        return True
    try:
        with open_source(source_of(path)) as file:
            head = file.read(_HEAD)
    except (PipelineError, OSError):
        return False  # the scan will report why the file can't be read
    return head[_PREFIX] == b"DICM" and re.search(re.escape(MEDIA_STORAGE_DIRECTORY) + rb"(?![0-9.])", head) is not None


def is_named_dicomdir(path: str) -> bool:
    """Return whether the name is DICOMDIR, in any case, with or without a version number of ISO 9660."""
    return _plain(os.path.basename(path)) == _NAME  # noqa: PTH119  text in, text out


def read_references(path: str) -> list[list[str]] | None:
    """Return the components of each Referenced File ID in a DICOMDIR; None for an unreadable DICOMDIR."""
    try:
        source = source_of(path)
        with without_warnings(), open_source(source) as file:
            references = [_components(values) for values in read_file_ids(file, source)]
    # a damaged directory may raise anything; the scan reads it again and reports the problem in its row
    except Exception:  # noqa: BLE001
        return None
    return [parts for parts in references if parts]


def _components(values: list[str]) -> list[str]:
    """Return the components of a Referenced File ID; some writers join them with slashes."""
    parts = [part.strip(" \0") for part in values]
    return [name.strip() for part in parts for name in part.split("/")]


def find_referenced(path: str, ids: Iterable[list[str]]) -> Iterator[SourceFile | str]:
    """Yield the path of each file to which a DICOMDIR refers, or a :class:`SourceFile` with the problem.

    Names on a disk may differ from those in the directory: reading a medium may change case, version numbers or trailing dots
    (ISO 9660), and people add extensions. If the exact name is missing, use the only name that differs in this way.
    """
    folder = os.path.dirname(path)  # noqa: PTH120  text in, text out
    listed = cache(_Names.of)
    for parts in ids:
        yield _locate(folder, parts, listed)


def _locate(folder: str, parts: list[str], listed: Callable[[str], _Names]) -> SourceFile | str:
    parts = [part for position, part in enumerate(parts) if part != "." and (part or not position)]
    whole = os.path.join(folder, *parts)  # noqa: PTH118  text in, text out
    if not parts or any(part in {"", ".."} or re.search(r"[\\\0]|^[A-Za-z]:", part) for part in parts):
        # keep the name as written for the row, but never open it: it may lead out of the file-set
        return SourceFile(source_of("/".join([folder, *parts])), -1, problem="invalid_attribute")
    if os.path.lexists(whole):
        return _inside(whole, folder)
    found = folder
    for depth, part in enumerate(parts, 1):
        names = listed(found).like(part, file=depth == len(parts))
        if len(names) != 1:
            return SourceFile(source_of(whole), -1, problem="ambiguous_file_id" if names else "file_not_found")
        found = os.path.join(found, names[0])  # noqa: PTH118  text in, text out
    return _inside(found, folder)


def _inside(path: str, folder: str) -> SourceFile | str:
    """Return the path, or a problem if a link leads out of the file-set; a medium has no links (PS3.10 8.1)."""
    real, root = os.path.realpath(path), os.path.realpath(folder)
    if os.path.commonpath([real, root]) != root:
        return SourceFile(source_of(path), -1, problem="outside_file_set")
    return path


@dataclass(frozen=True, slots=True)
class _Names:
    """The names in a folder, by their possible forms on the medium."""

    plain: Mapping[str, list[str]]
    """Plain form → names."""
    stems: Mapping[str, list[str]]
    """Plain form without extension → names with an extension."""

    @classmethod
    def of(cls, folder: str) -> _Names:
        try:
            names = sorted(os.listdir(folder))  # noqa: PTH208  names are what is wanted
        except OSError:
            names = []
        plain: defaultdict[str, list[str]] = defaultdict(list)
        stems: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            plain[_plain(name)].append(name)
            stem, extension = _split(name)
            if extension and extension not in _FOREIGN:
                stems[stem].append(name)
        return cls(plain, stems)

    def like(self, part: str, *, file: bool) -> list[str]:
        """Return the names that match a component best; for a file, the extension may differ."""
        names = self.plain.get(_plain(part), [])
        if part in names:
            return [part]
        if names or not file:
            return names
        stem, extension = _split(part)
        if extension in _OURS:
            return self.plain.get(stem, [])
        names = self.stems.get(_plain(part), [])
        return [name for name in names if _split(name)[1] in _OURS] or names


def _plain(name: str) -> str:
    """Return a name without the parts that writing to a medium may change: case, version number, trailing dot."""
    return _VERSION.sub("", name).rstrip(".").casefold()


def _split(name: str) -> tuple[str, str]:
    """Return a plain name's stem and extension; numbers after a dot, as in a UID, aren't an extension."""
    plain = _plain(name)
    match = _EXTENSION.search(plain)
    return (plain[: match.start()], match[1]) if match else (plain, "")
