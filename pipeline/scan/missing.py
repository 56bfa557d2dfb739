"""Sources that aren't there, most of them misspelt, or can't be meant: told before anything is made."""

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
from pipeline.scan.files import is_list
from pipeline.scan.leaving import result_as_source
from pipeline.scan.patterns import expand, is_pattern, whole_path
from pipeline.storage import DICOMWEB, WEB, active, find, is_remote, place, scheme_of

_SOME = 5
_LOOKED_AT = 1000
"""Entries of a list."""
_OF_WINDOWS = re.compile(r"[A-Za-z]:|.*\\")


def missing_sources(paths: Sequence[str]) -> dict[str, str]:
    """Return the sources that aren't there, or are results of earlier runs, each with what is told of it.

    Parameters
    ----------
    paths : sequence of str
        As given to :func:`pipeline.scan.find_files`. Services that are asked when the files are found (web servers,
        DICOMweb) aren't looked at here, nor is what a list names.

    Raises
    ------
    OSError
        Where an object store can't be asked.
    """
    return dict(_missing(paths))


def refuse_missing(missing: dict[str, str]) -> None:
    """Refuse to begin without the sources that were asked for.

    Raises
    ------
    ConfigError
        Naming them, and what is near; reason ``no_such_source``. Nothing where there are none.
    """
    if missing:
        first, *told = list(missing.values())[:_SOME]
        left = [f"… and {len(missing) - _SOME} more"] if len(missing) > _SOME else []
        raise ConfigError(first, more=[*told, *left], reason="no_such_source")


def _missing(paths: Sequence[str]) -> Iterator[tuple[str, str]]:
    for given in paths:
        if is_remote(given):
            if scheme_of(given) not in (*WEB, *DICOMWEB) and not has_magic(given) and not _is_stored(given):
                yield given, f"source.paths: {given}: there is no object of this name, and none below it"
            continue
        path = whole_path(local_path(given))
        if is_pattern(path):
            if next(expand(path), None) is None:
                yield source_of(path), f"source.paths: nothing matches {path}"
        elif not os.path.exists(path):  # noqa: PTH110  text in; never raises
            yield source_of(path), f"source.paths: {_told(path)}"
        elif wrong := _wrong_list(path) if is_list(path) else result_as_source(path):
            yield source_of(path), f"source.paths: {wrong}"


def _wrong_list(path: str) -> str:
    """Return what is wrong with a list of which nothing is there: it may be any text, or count from another folder."""
    entries = read_path_list(path)
    if not entries or any(is_remote(one) or os.path.lexists(local_path(one)) for one in entries[:_LOOKED_AT]):
        return ""
    return (
        f"{path} is taken for a list of paths, and none of them is there, such as {entries[0]}; if it is something else, "
        "leave it out"
    )


def _is_stored(url: str) -> bool:
    return next(find(url.rstrip("/"), active()), None) is not None or place(url).exists()


def _told(path: str) -> str:
    if os.path.islink(path):  # noqa: PTH114  as above
        return f"{path} is a link to something that isn't there"
    last = _existing(Path(path))
    wrong = Path(path).relative_to(last).parts[0]
    told = (
        f"{path}: no such file or folder" if last == Path(path).parent else f"{path}: there is no {wrong!r} in {last}"
    )
    if _OF_WINDOWS.match(wrong) and os.name == "posix":
        return f"{told}; paths are written with slashes here, as in /mnt/c/data"
    near = _near(wrong, last)
    return f"{told}; did you mean {' or '.join(map(str, near))}?" if near else told


def _existing(path: Path) -> Path:
    """Return the last folder on the way to `path` that is there."""
    return next(above for above in path.parents if above.exists())


def _near(name: str, folder: Path) -> list[Path]:
    try:
        names = {entry.casefold(): entry for entry in os.listdir(folder)}  # noqa: PTH208  text in, text out
    except OSError:  # a file, or a folder that can't be listed
        return []
    return [folder / names[one] for one in get_close_matches(name.casefold(), names, n=2, cutoff=0.7)]
