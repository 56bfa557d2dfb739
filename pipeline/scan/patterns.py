"""Lazy, ordered expansion of glob patterns.

:mod:`glob` itself follows symbolic links under ``**`` (and so may run in circles) and doesn't sort.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import translate
from glob import has_magic
from pathlib import Path

from pipeline.storage import MAY_PASS, as_resource_error, persistently

_ANY_FOLDERS = "**"


def is_pattern(path: str) -> bool:
    """Return whether `path` is a pattern: it holds ``*``, ``?`` or ``[``, and no file has exactly this name."""
    return has_magic(path) and not os.path.lexists(path)


def expand(pattern: str) -> Iterator[str]:
    """Yield the files and folders that match, sorted within each folder; a path may come more than once.

    ``**`` matches any number of folders, without following links to folders. Names that begin with a dot match only patterns
    that begin with a dot. Folders that can't be listed are yielded themselves, so that they are reported.
    """
    whole = Path(pattern).absolute()
    return _expand(whole.anchor, list(whole.parts[1:]))


def _expand(folder: str, parts: list[str]) -> Iterator[str]:
    if not parts:
        yield folder
        return
    head, rest = parts[0], parts[1:]
    if head != _ANY_FOLDERS and not has_magic(head):
        path = os.path.join(folder, head)  # noqa: PTH118  text in, text out
        if os.path.lexists(path):
            yield from _expand(path, rest)
        return
    try:
        entries = list_folder(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        yield folder
        return
    if head == _ANY_FOLDERS:
        yield from _expand(folder, rest)
    for path, left in _matching(entries, head, parts):
        yield from _expand(path, left)


def _matching(entries: list[os.DirEntry[str]], head: str, parts: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield the entries that match the first part of a pattern, each with the remaining parts for its content."""
    if head == _ANY_FOLDERS:
        folders = (entry for entry in entries if entry.is_dir(follow_symlinks=False))
        yield from ((folder.path, parts) for folder in folders if not folder.name.startswith("."))
        return
    matches = re.compile(translate(head)).match
    for entry in entries:
        visible = head.startswith(".") or not entry.name.startswith(".")
        fits = len(parts) == 1 or os.path.isdir(entry.path)  # noqa: PTH112  never raises, also for links in a circle
        if visible and fits and matches(entry.name):
            yield entry.path, parts[1:]


def list_folder(folder: str) -> list[os.DirEntry[str]]:
    """Return a folder's entries, sorted so that a walk yields whole paths in order: ``a.dcm`` before ``a/b.dcm``.

    Raises
    ------
    OSError
        If the folder can't be listed.
    ResourceError
        If the process has used up memory or open files.
    """

    def listing() -> list[os.DirEntry[str]]:
        with os.scandir(folder) as entries:
            return sorted(entries, key=_sort_key)

    try:
        return persistently(listing, MAY_PASS)
    except OSError as error:
        if short := as_resource_error(error):
            raise short from error
        raise


def _sort_key(entry: os.DirEntry[str]) -> str:
    return f"{entry.name}{os.sep}" if entry.is_dir(follow_symlinks=False) else entry.name


def whole_path(path: str) -> str:
    """Return the absolute path without ``.`` and ``..``; the part before ``..`` is resolved, because it may be a link."""
    whole = Path.cwd() / path
    if ".." in whole.parts and "\0" not in path:
        last = len(whole.parts) - whole.parts[::-1].index("..")
        whole = Path(os.path.realpath(Path(*whole.parts[:last])), *whole.parts[last:])
    return str(whole)
