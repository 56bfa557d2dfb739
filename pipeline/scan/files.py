"""Which files there are, before any of them is read."""

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
from pipeline.scan.dicomdir import file_ids, find_referenced, is_dicomdir, named_dicomdir
from pipeline.scan.leaving import LeftOut, result_as_source, silently
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
"""Problems of files that a DICOMDIR lists and that can't be found."""


def find_files(
    paths: Sequence[str],
    *,
    exclude: str = "",
    list_origins: Sequence[str] = (),
    tell: Callable[[str], object] = silently,
) -> Iterator[SourceFile]:
    """Yield every file that `paths` stand for, each path once, in the order of their whole paths within a folder.

    Parameters
    ----------
    paths : sequence of str
        - A folder: all files below it. Links to folders are not followed but yielded with the problem
          ``symbolic_link``; links to files are.
        - A file, also by a ``file://`` URL.
        - A glob pattern; folders that match are walked.
        - A DICOMDIR (by name, or by its Media Storage SOP Class): the files it refers to, and itself.
        - A ``.txt``, ``.csv`` or ``.parquet`` list, see :func:`pipeline.catalog.read_path_list`: the files, folders
          and DICOMDIRs (by name) that it names.
        - A DICOMweb URL, ``dicomweb+https://host/root?StudyDate=20200101-``: the instances that the query finds.
        - A URL of an object store: a prefix, a pattern, an object or a list, see
          :func:`pipeline.scan.object_listing.find_objects`; or of a file on a web server.
    exclude : str
        A folder that isn't entered, or a prefix that is left out: the output directory. What earlier runs have written
        to theirs is left out too.
    list_origins : sequence of str
        What lists on servers may name beside what lies on the same one, as ``source.list_origins`` has it.
    tell : callable
        Told, in a line, of each folder that is left out.

    Raises
    ------
    ConfigError
        A pattern that matches nothing, a list without a column of paths, an unusable URL, a path within an earlier
        result. Raised at once; everything else, entries of lists too, becomes a :class:`SourceFile` with a problem.
    SourceError
        A list that can't be read.
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
    """Resolve one of the paths given; what can be wrong with the path itself is found now, the rest lazily."""
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
    """Walk the folders that matched, none twice: ``**/*`` matches a folder and all that is in it."""
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
    """Yield what an entry stands for; of one that stands for nothing, itself with a problem: the others count all the same."""
    try:
        if is_remote(entry):
            yield from listed_object(entry, left_out)
        else:
            yield from _listed(whole_path(local_path(entry)), left_out)
    except (PipelineError, OSError, ValueError):
        yield _unusable(entry, "list_entry_unusable")


def _unusable(entry: str, problem: str) -> SourceFile:
    """Return an entry as a row names it: without passwords and signatures."""
    return SourceFile(source_of(hidden(entry)), -1, problem=problem)


def _listed(path: str, left_out: LeftOut) -> Iterator[SourceFile]:
    return _given(path, left_out, directory=named_dicomdir(path) and os.path.isfile(path))  # noqa: PTH113


def _given(path: str, left_out: LeftOut, *, directory: bool) -> Iterator[SourceFile]:
    """Yield what one existing or missing path stands for."""
    if os.path.isdir(path):  # noqa: PTH112  text in, text out
        yield from walk(path, left_out)
        return
    yield from (_of_directory(path) if directory else [look_at(path)])


def _of_directory(path: str) -> Iterator[SourceFile]:
    """Yield the files that a DICOMDIR refers to, then itself: with a problem, where none of them is there."""
    ids = file_ids(path)
    there = ids is None
    for found in find_referenced(path, ids or ()):
        file = found if isinstance(found, SourceFile) else look_at(found)
        there |= file.problem not in _NOT_THERE
        yield file
    yield look_at(path) if there else SourceFile(source_of(path), -1, problem="dicomdir_without_files")


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
    """Return size and time of one file, or what is wrong with it; never opens it."""
    try:
        info = persistently(lambda: os.stat(path), MAY_PASS)  # noqa: PTH116  text in, text out
    except (OSError, ValueError) as error:  # ValueError: a zero byte, from a list or a DICOMDIR
        return _missing(path, error)
    return _regular(path, info)


def is_readable(source: str) -> bool:
    """Whether a local file's first byte can be read; of what lies elsewhere that is taken for granted."""
    if is_remote(source):
        return True
    try:
        with open(local_path(source), "rb", buffering=0) as file:  # noqa: PTH123  text in
            return file.read(1) is not None
    except (OSError, ValueError):
        return False


def _regular(path: str, info: os.stat_result) -> SourceFile:
    if not stat.S_ISREG(info.st_mode):  # opening a pipe would wait for its writer, a device may do anything
        return SourceFile(source_of(path), -1, problem="not_a_regular_file")
    return SourceFile(source_of(path), info.st_size, info.st_mtime_ns)


def _missing(path: str, error: Exception) -> SourceFile:
    gone = isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
    return SourceFile(source_of(path), -1, problem="file_not_found" if gone else "unreadable")


def is_list(path: str) -> bool:
    """Whether a file is a list of paths: by its name, if it isn't DICOM after all."""
    return Path(path).suffix.lower() in LIST_SUFFIXES and os.path.isfile(path) and not _is_dicom(path)  # noqa: PTH113


def _is_dicom(path: str) -> bool:
    """Whether a file named like a list is a DICOM file after all."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  text in
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
