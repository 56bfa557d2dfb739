"""Missing (mostly misspelt) and mistaken sources, reported before anything is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from glob import has_magic
from pathlib import Path

from pipeline.catalog import read_path_list
from pipeline.errors import ConfigError
from pipeline.model import local_path, source_of
from pipeline.scan.earlier_results import result_as_source
from pipeline.scan.files import is_list
from pipeline.scan.patterns import expand, is_pattern, whole_path
from pipeline.storage import DICOMWEB, WEB, active, find, is_remote, place, scheme_of

_SOME = 5
_LOOKED_AT = 1000
"""Entries of a list that are checked."""
_OF_WINDOWS = re.compile(r"[A-Za-z]:|.*\\")


def missing_sources(paths: Sequence[str]) -> dict[str, str]:
    """Return source → message for sources that are missing, or are results of earlier runs.

    Parameters
    ----------
    paths : sequence of str
        As for :func:`pipeline.scan.find_files`. Web servers and DICOMweb services aren't asked here, and of a list only the
        first entries are checked.

    Raises
    ------
    OSError
        If an object store can't be reached.
    """
    return dict(_missing(paths))


def refuse_missing(missing: dict[str, str]) -> None:
    """Refuse to start if sources are missing.

    Raises
    ------
    ConfigError
        If `missing` isn't empty, reason ``no_such_source``; the message names the sources and similar names.
    """
    if missing:
        first, *others = list(missing.values())[:_SOME]
        rest = [f"… and {len(missing) - _SOME} more"] if len(missing) > _SOME else []
        raise ConfigError(first, more=[*others, *rest], reason="no_such_source")


def _missing(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    for given in paths:
        if is_remote(given):
            if scheme_of(given) not in (*WEB, *DICOMWEB) and not has_magic(given) and not _is_stored(given):
                yield given, f"source.paths: {given}: no object has this name, and none lies below it"
            continue
        path = whole_path(local_path(given))
        if is_pattern(path):
            if next(expand(path), None) is None:
                yield source_of(path), f"source.paths: nothing matches {path}"
        elif not os.path.exists(path):  # noqa: PTH110  text in; never raises
            yield source_of(path), f"source.paths: {_describe(path)}"
        elif wrong := _wrong_list(path) if is_list(path) else result_as_source(path):
            yield source_of(path), f"source.paths: {wrong}"


def _wrong_list(path: str) -> str:
    """Return a message for a list without any existing entry: it may be another text, or relative to another folder."""
    entries = read_path_list(path)
    if not entries or any(is_remote(entry) or os.path.lexists(local_path(entry)) for entry in entries[:_LOOKED_AT]):
        return ""
    return (
        f"{path} looks like a list of paths, but none of them exists, such as {entries[0]}; if the file isn't a list, leave "
        "it out"
    )


def _is_stored(url: str) -> bool:
    return next(find(url.rstrip("/"), active()), None) is not None or place(url).exists()


def _describe(path: str) -> str:
    if os.path.islink(path):  # noqa: PTH114  as above
        return f"{path} is a link whose target is missing"
    last = _existing(Path(path))
    wrong = Path(path).relative_to(last).parts[0]
    problem = (
        f"{path}: no such file or folder" if last == Path(path).parent else f"{path}: there is no {wrong!r} in {last}"
    )
    if _OF_WINDOWS.match(wrong) and os.name == "posix":
        return f"{problem}; paths are written with slashes here, as in /mnt/c/data"
    near = _near(wrong, last)
    return f"{problem}; did you mean {' or '.join(map(str, near))}?" if near else problem


def _existing(path: Path) -> Path:
    """Return the deepest existing parent of `path`."""
    return next(above for above in path.parents if above.exists())


def _near(name: str, folder: Path) -> list[Path]:
    try:
        names = {entry.casefold(): entry for entry in os.listdir(folder)}  # noqa: PTH208  text in, text out
    except OSError:  # a file, or a folder that can't be listed
        return []
    return [folder / names[match] for match in get_close_matches(name.casefold(), names, n=2, cutoff=0.7)]
