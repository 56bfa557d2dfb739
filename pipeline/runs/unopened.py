"""Sources that couldn't be examined: they hold nothing but archives and empty files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pipeline import catalog
from pipeline.config import RunConfig
from pipeline.model import local_path
from pipeline.scan import pattern_matcher
from pipeline.storage import OutputDir, is_remote

REASONS = ("archive", "empty_file")
"""Reasons of files that aren't examined although they may hold images, or should have held some."""
_SOME = 100
_MOST_PATTERNS = 20
"""Most patterns that are told apart, since each is compared with each file."""


def read_unopened(counts: Mapping[tuple[str, str], int], out: OutputDir) -> list[dict[str, Any]]:
    """Return source, reason and message of the first files that weren't examined."""
    return catalog.read_reasons(out, REASONS, _SOME) if _any(counts) else []


def find_unopened(config: RunConfig, counts: Mapping[tuple[str, str], int], out: OutputDir) -> tuple[str, ...]:
    """Return a run's sources that hold nothing else, from its catalog, which is read only if there is such a file."""
    if not _any(counts):
        return ()
    rows = catalog.iter_rows(out, ("source", "reason"))
    return find_sources_without_others(config.source.paths, ((row["source"], row["reason"]) for row in rows))


def find_unopened_by_scan(
    config: RunConfig, counts: Mapping[tuple[str, str], int], out: OutputDir, segments: Sequence[int]
) -> tuple[str, ...]:
    """Return the same before there is a catalog, from the scan's segments."""
    if not _any(counts):
        return ()
    known = catalog.read_listing(out, segments)
    return find_sources_without_others(config.source.paths, ((source, file.reason) for source, file in known.items()))


def _any(counts: Mapping[tuple[str, str], int]) -> bool:
    return any(number and reason in REASONS for (_, reason), number in counts.items())


def find_sources_without_others(paths: Sequence[str], rows: Iterable[tuple[str, str | None]]) -> tuple[str, ...]:
    """Return those of the given paths below which there are files, all of them with one of :data:`REASONS`.

    Parameters
    ----------
    paths : sequence of str
        Files, folders, URLs and patterns. The entries of a list, or a service's answers, aren't told apart.
    rows : iterable of (source, reason)
    """
    given = _GivenPaths(paths)
    only: dict[str, bool] = {}
    for source, reason in rows:
        for path in given.above(source):
            only[path] = only.get(path, True) and reason in REASONS
    return tuple(path for path in paths if only.get(path))


class _GivenPaths:
    """Finds the given paths that led to a file."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._plain = {_plain(path): path for path in paths}
        matchers = ((path, pattern_matcher(path)) for path in paths)
        self._patterns: list[tuple[str, Callable[[str], bool]]] = [
            (path, is_one) for path, is_one in matchers if is_one
        ]
        del self._patterns[_MOST_PATTERNS:]

    def above(self, source: str) -> Iterator[str]:
        name = local_path(source)
        whole = name
        while name:
            if name in self._plain:
                yield self._plain[name]
            name = name.rpartition("/")[0]
        yield from (path for path, matches in self._patterns if matches(whole))


def _plain(path: str) -> str:
    return path.rstrip("/") if is_remote(path) else os.path.normpath(local_path(path))
