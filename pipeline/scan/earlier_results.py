"""Folders among the sources that are left out: the output itself, and results of earlier runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from os import DirEntry
from pathlib import Path

from pipeline.catalog import is_remote_result, is_result
from pipeline.storage import OutputDir

_NAMES = frozenset(OutputDir.OURS)


def silently(_text: str) -> None:
    """Ignore the text."""


@dataclass(slots=True)
class LeftOut:
    """Decides which folders to leave out, and reports each once.

    In a folder with a result, only the result's own entries are left out; other files are found.
    """

    output: str = ""
    """Folder or prefix of the output."""
    tell: Callable[[str], object] = silently
    _reported: set[str] = field(default_factory=set)
    _results: dict[str, bool] = field(default_factory=dict)

    def entries(self, folder: str, entries: list[DirEntry[str]]) -> list[DirEntry[str]]:
        """Return a folder's entries without the output and without the entries of a result."""
        kept = [entry for entry in entries if not self._is_output(entry)]
        names = {entry.name for entry in kept}
        if not names.isdisjoint(_NAMES) and is_result(folder, names):
            self._report(folder, "an earlier result of dcm2zarr")
            return [entry for entry in kept if entry.name not in _NAMES]
        return kept

    def is_output(self, folder: str) -> bool:
        """Return whether a folder is the output, under the same or another name."""
        same = bool(self.output) and (folder == self.output or _same(folder, self.output))
        if same:
            self._report(folder, "the output itself")
        return same

    def _is_output(self, entry: DirEntry[str]) -> bool:
        return bool(self.output) and entry.is_dir(follow_symlinks=False) and self._is_it(entry)

    def _is_it(self, entry: DirEntry[str]) -> bool:
        # compare path and inode number first, so that few folders need a second system call
        if entry.path != self.output and entry.inode() != _number(self.output):
            return False
        return self.is_output(entry.path)

    def holds(self, path: str) -> bool:
        """Return whether a file or folder belongs to the output or to a result."""
        for above in _above(path):
            if self.is_output(above):
                return True
            if above not in self._results:
                self._results[above] = is_result(above, _listed(above))
            if self._results[above]:
                self._report(above, "an earlier result of dcm2zarr")
                return True
        return False

    def holds_object(self, url: str) -> bool:
        """Return whether an object belongs to the output or to a result."""
        if self.output and f"{url}/".startswith(f"{self.output}/"):
            self._report(self.output, "the output itself")
            return True
        for above in _prefixes(url):
            if above not in self._results:
                self._results[above] = is_remote_result(above)
            if self._results[above]:
                self._report(above, "an earlier result of dcm2zarr")
                return True
        return False

    def _report(self, folder: str, what: str) -> None:
        if folder not in self._reported:
            self._reported.add(folder)
            self.tell(f"left out: {folder}, {what}")


def result_as_source(path: str) -> str:
    """Return a message for a source that is an earlier result or a part of one; empty for other sources."""
    enclosing = next((above for above in _above(path) if is_result(above, _listed(above))), "")
    if enclosing:
        return f"{path} is a part of {enclosing}, an earlier result of dcm2zarr: name the folder of the originals"
    names = _listed(path)
    if names and _NAMES.issuperset(names) and is_result(path, names):
        return f"{path} is an earlier result of dcm2zarr: name the folder of the originals"
    return ""


def _above(path: str) -> Iterator[str]:
    """Yield the folders of which `path` would be a part if they were results."""
    whole = Path(path)
    yield from (str(entry.parent) for entry in (whole, *whole.parents) if entry.name in _NAMES)


def _prefixes(url: str) -> Iterator[str]:
    parts = url.split("/")
    yield from ("/".join(parts[:at]) for at in range(3, len(parts)) if parts[at] in _NAMES)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  text in, text out
    except OSError:
        return []


def _number(path: str) -> int:
    try:
        return os.stat(path).st_ino  # noqa: PTH116  text in
    except OSError:
        return -1


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121  text in
    except OSError:
        return False
