"""Listing of the source files, before any of them is read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.catalog import LIST_SUFFIXES, read_path_list
from pipeline.errors import ConfigError, PipelineError, SourceError
from pipeline.model import SourceFile, local_path, source_of
from pipeline.scan.dicomdir import find_referenced, is_dicomdir, is_named_dicomdir, read_references
from pipeline.scan.earlier_results import LeftOut, result_as_source, silently
from pipeline.scan.object_listing import find_objects, listed_object
from pipeline.scan.patterns import expand, is_pattern, list_folder, whole_path
from pipeline.storage import (
    DICOMWEB,
    MAY_PASS,
    check_url,
    find_instances,
    hidden,
    is_remote,
    origin_of,
    persistently,
    place,
    scheme_of,
)

_NOT_THERE = ("file_not_found", "ambiguous_file_id", "invalid_attribute", "outside_file_set")
"""Problems of files that a DICOMDIR lists but that can't be located."""


def find_files(
    paths: Sequence[str],
    *,
    exclude: str = "",
    list_origins: Sequence[str] = (),
    tell: Callable[[str], object] = silently,
) -> Iterator[SourceFile]:
    """Yield every file of `paths`, each once, ordered by whole path within a folder.

    Parameters
    ----------
    paths : sequence of str
        - A folder: all files below it. Links to files are followed; a link to a folder is yielded with the problem
          ``symbolic_link``.
        - A file, also as a ``file://`` URL.
        - A glob pattern: all files that match, and all files below folders that match.
        - A DICOMDIR (recognised by name or Media Storage SOP Class): the files to which it refers, and itself.
        - A ``.txt``, ``.csv`` or ``.parquet`` list, see :func:`pipeline.catalog.read_path_list`: the files, folders
          and DICOMDIRs (recognised by name) in it.
        - A DICOMweb URL, ``dicomweb+https://host/root?StudyDate=20200101-``: the instances that the query finds.
        - A URL of an object store: a prefix, a pattern, an object or a list, see
          :func:`pipeline.scan.object_listing.find_objects`; or of a file on a web server.
    exclude : str
        A folder or prefix to leave out: the output directory. Results of earlier runs are left out too.
    list_origins : sequence of str
        Further origins that lists on servers may name, see ``source.list_origins``.
    tell : callable
        Called with a line of text for each folder that is left out.

    Raises
    ------
    ConfigError
        For a pattern that matches nothing, a list without a column of paths, an unusable URL, or a path within an earlier
        result; raised before the first file. Any other problem, also of list entries, is yielded with a
        :class:`SourceFile`.
    SourceError
        If a list can't be read.
    """
    left_out = LeftOut(exclude, tell)
    allowed = frozenset(map(origin_of, list_origins))
    sources = [_source(path, left_out, allowed) for path in paths]
    return _each_once(chain.from_iterable(sources))


def _each_once(files: Iterable[SourceFile]) -> Iterator[SourceFile]:
    seen: set[str] = set()
    for file in files:
        if file.source not in seen:
            seen.add(file.source)
            yield file


def _source(path: str, left_out: LeftOut, list_origins: frozenset[str]) -> Iterator[SourceFile]:
    """Resolve one of the given paths; check the path itself now, and list its files lazily."""
    if is_remote(path):
        return _remote(path, left_out, list_origins)
    path = whole_path(local_path(path))
    if is_pattern(path):
        return _matches(path, left_out)
    if is_list(path):
        return chain.from_iterable(_entry_of_list(entry, left_out) for entry in read_path_list(path))
    if wrong := result_as_source(path):
        raise ConfigError(f"source.paths: {wrong}", reason="no_such_source")
    return _given(path, left_out, directory=os.path.isfile(path) and is_dicomdir(path))  # noqa: PTH113


def _matches(pattern: str, left_out: LeftOut) -> Iterator[SourceFile]:
    found = expand(pattern)
    first = next(found, None)
    if first is None:
        raise ConfigError(f"source.paths: nothing matches {pattern}")
    return _walk_matches(chain([first], found), left_out)


def _walk_matches(paths: Iterable[str], left_out: LeftOut) -> Iterator[SourceFile]:
    """Walk the folders that matched, each once, because ``**/*`` matches a folder and everything in it."""
    walked: set[str] = set()
    for path in paths:
        if left_out.holds(path):
            continue
        if not os.path.isdir(path):  # noqa: PTH112  text in, text out
            yield look_at(path)
        elif os.path.islink(path):  # noqa: PTH114
            yield SourceFile(source_of(path), -1, problem="symbolic_link")
        elif not walked.intersection([path, *map(str, Path(path).parents)]):
            walked.add(path)
            yield from walk(path, left_out)


def _remote(url: str, left_out: LeftOut, list_origins: frozenset[str]) -> Iterator[SourceFile]:
    """Resolve a URL: a list of paths, or objects."""
    check_url(url)
    if scheme_of(url) in DICOMWEB:
        return (SourceFile(instance, -1) for instance in find_instances(url))
    name = url.rpartition("/")[2]
    suffix = Path(name).suffix.lower()
    if suffix not in LIST_SUFFIXES or is_pattern(name):
        return find_objects(url, left_out)
    with TemporaryDirectory(prefix="dcm2zarr-list-") as folder:
        copy = Path(folder) / f"list{suffix}"
        try:
            copy.write_bytes(place(url).read_bytes())
        except OSError as error:
            raise SourceError(f"{url}: the list of paths can't be read: {error}", source=url) from error
        if _is_dicom(str(copy)):
            return find_objects(url, left_out)
        entries = read_path_list(copy, url.rpartition("/")[0])
    allowed = {origin_of(url), *list_origins}
    return chain.from_iterable(
        _entry_of_list(entry, left_out) if origin_of(entry) in allowed else [_unusable(entry, "list_entry_refused")]
        for entry in entries
    )


def _entry_of_list(entry: str, left_out: LeftOut) -> Iterator[SourceFile]:
    """Yield the files of a list entry; yield an unusable entry itself with a problem, so that other entries count."""
    try:
        if is_remote(entry):
            yield from listed_object(entry, left_out)
        else:
            yield from _listed(whole_path(local_path(entry)), left_out)
    except (PipelineError, OSError, ValueError):
        yield _unusable(entry, "list_entry_unusable")


def _unusable(entry: str, problem: str) -> SourceFile:
    """Return a list entry with a problem, without passwords and signatures in its name."""
    return SourceFile(source_of(hidden(entry)), -1, problem=problem)


def _listed(path: str, left_out: LeftOut) -> Iterator[SourceFile]:
    return _given(path, left_out, directory=is_named_dicomdir(path) and os.path.isfile(path))  # noqa: PTH113


def _given(path: str, left_out: LeftOut, *, directory: bool) -> Iterator[SourceFile]:
    """Yield the files of one path, existing or missing."""
    if os.path.isdir(path):  # noqa: PTH112  text in, text out
        yield from walk(path, left_out)
        return
    yield from (_of_directory(path) if directory else [look_at(path)])


def _of_directory(path: str) -> Iterator[SourceFile]:
    """Yield the files to which a DICOMDIR refers, then the DICOMDIR itself, with a problem if all its files are missing."""
    ids = read_references(path)
    any_found = ids is None
    for found in find_referenced(path, ids or ()):
        file = found if isinstance(found, SourceFile) else look_at(found)
        any_found |= file.problem not in _NOT_THERE
        yield file
    yield look_at(path) if any_found else SourceFile(source_of(path), -1, problem="dicomdir_without_files")


def walk(folder: str, left_out: LeftOut) -> Iterator[SourceFile]:
    """Yield the files below `folder`, sorted by path; a folder that can't be listed is yielded as unreadable."""
    if left_out.is_output(folder):
        return
    try:
        stack = [iter(left_out.entries(folder, list_folder(folder)))]
    except OSError:
        yield SourceFile(source_of(folder), -1, problem="unreadable")
        return
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
        elif not entry.is_dir(follow_symlinks=False):
            yield _entry(entry)
        else:
            try:
                stack.append(iter(left_out.entries(entry.path, list_folder(entry.path))))
            except OSError:
                yield SourceFile(source_of(entry.path), -1, problem="unreadable")


def _entry(entry: os.DirEntry[str]) -> SourceFile:
    try:
        info = persistently(entry.stat, MAY_PASS)
    except OSError as error:
        return _missing(entry.path, error)
    if stat.S_ISDIR(info.st_mode):
        return SourceFile(source_of(entry.path), -1, problem="symbolic_link")
    return _regular(entry.path, info)


def look_at(path: str) -> SourceFile:
    """Return size and time of one file, or its problem, without opening it."""
    try:
        info = persistently(lambda: os.stat(path), MAY_PASS)  # noqa: PTH116  text in, text out
    except (OSError, ValueError) as error:  # ValueError: a zero byte, from a list or a DICOMDIR
        return _missing(path, error)
    return _regular(path, info)


def is_readable(source: str) -> bool:
    """Return whether a local file's first byte can be read; True for remote files."""
    if is_remote(source):
        return True
    try:
        with open(local_path(source), "rb", buffering=0) as file:  # noqa: PTH123  text in
            return file.read(1) is not None
    except (OSError, ValueError):
        return False


def _regular(path: str, info: os.stat_result) -> SourceFile:
    if not stat.S_ISREG(info.st_mode):  # opening a pipe would wait for a writer, and a device may do anything
        return SourceFile(source_of(path), -1, problem="not_a_regular_file")
    return SourceFile(source_of(path), info.st_size, info.st_mtime_ns)


def _missing(path: str, error: Exception) -> SourceFile:
    gone = isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
    return SourceFile(source_of(path), -1, problem="file_not_found" if gone else "unreadable")


def is_list(path: str) -> bool:
    """Return whether a file is a list of paths: it is named like one and isn't DICOM."""
    return Path(path).suffix.lower() in LIST_SUFFIXES and os.path.isfile(path) and not _is_dicom(path)  # noqa: PTH113


def _is_dicom(path: str) -> bool:
    """Return whether a file named like a list is a DICOM file."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  text in
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
