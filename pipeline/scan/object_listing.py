"""Listing of objects below a URL, without a request for each object."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from glob import has_magic

from pipeline.errors import ConfigError, SourceError
from pipeline.model import SourceFile
from pipeline.scan.earlier_results import LeftOut
from pipeline.scan.patterns import is_pattern
from pipeline.storage import WEB, Found, active, check_url, find, is_remote, scheme_of


def find_objects(url: str, left_out: LeftOut) -> Iterator[SourceFile]:
    """Yield the objects of a source's URL.

    Parameters
    ----------
    url : str
        A prefix (like a folder: everything below it), a glob pattern (``*`` and ``?`` don't cross slashes, ``**`` does;
        everything below a matching prefix counts too), or a single object. On web servers, only a single object.
    left_out : LeftOut
        Decides what to leave out: the output, and results of earlier runs.

    Raises
    ------
    ConfigError
        For an unusable URL, a pattern that matches nothing, or a folder of a web server; raised before the first object.
    SourceError
        If the store can't be listed.
    """
    check_url(url)
    if scheme_of(url) in WEB:
        return iter([_web_object(url)])
    if has_magic(url):
        matches = _matching(url, left_out)
        first = next(matches, None)
        if first is None:
            raise ConfigError(f"source.paths: nothing matches {url}")
        return _chained(first, matches)
    return _below_or_single(url, left_out)


def listed_object(url: str, left_out: LeftOut) -> Iterator[SourceFile]:
    """Yield the objects of a list entry: everything below it if it ends with a slash, else one object, unchecked."""
    check_url(url)
    if url.endswith("/") and scheme_of(url) not in WEB:
        yield from _below_or_single(url, left_out)
    else:
        yield SourceFile(url, -1)


def _web_object(url: str) -> SourceFile:
    if url.endswith("/") or has_magic(url.partition("?")[0]):
        raise ConfigError(
            f"source.paths: {url}: a web server can't be listed; name its files one by one, or in a .txt list"
        )
    return SourceFile(url, -1)


def _below_or_single(url: str, left_out: LeftOut) -> Iterator[SourceFile]:
    """Yield the objects below a prefix; if there are none, the single object of this name, even if it is missing."""
    url = url.rstrip("/")
    empty = True
    for found in _listing(url):
        empty = False
        if not left_out.holds_object(found.name):
            yield _file(found)
    if empty:
        yield SourceFile(url, -1)


def _matching(pattern: str, left_out: LeftOut) -> Iterator[SourceFile]:
    """Yield the objects that match, or lie below a matching prefix."""
    folder, matches = _split(pattern)
    for found in _listing(folder):
        if matches(found.name) and not left_out.holds_object(found.name):
            yield _file(found)


def pattern_matcher(path: str) -> Callable[[str], bool] | None:
    """Return a predicate that recognises the files or objects of a pattern; None for a path without pattern."""
    pattern = is_pattern(path) if not is_remote(path) else has_magic(path)
    return _split(path)[1] if pattern else None


def _split(pattern: str) -> tuple[str, Callable[[str], bool]]:
    """Return the folder or prefix of a pattern's matches, and a predicate that recognises them."""
    parts = pattern.split("/")
    literal = next(i for i, part in enumerate(parts) if has_magic(part))
    folder = "/".join(parts[:literal])
    whole = re.compile(re.escape(f"{folder}/") + _expression(parts[literal:]))
    return folder, lambda name: whole.fullmatch(name) is not None


def _expression(parts: list[str]) -> str:
    """Return the regular expression of a pattern's parts; it also matches everything below a matching folder."""
    pieces = []
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if part == "**":
            pieces.append("(?:.*)" if last else "(?:[^/]+/)*")
        else:
            pieces.append(_part(part) + ("" if last else "/"))
    return "".join(pieces) + "(?:/.*)?"


def _part(part: str) -> str:
    """Return the regular expression of one pattern part between slashes."""
    out = []
    for piece in re.findall(r"\[!?\]?[^\]]*\]|\*+|\?|[^*?[]+|\[", part):
        if piece.startswith("*"):
            out.append("[^/]*")
        elif piece == "?":
            out.append("[^/]")
        elif piece.startswith("[") and piece.endswith("]"):
            inner = piece[1:-1]
            members = re.escape(inner.removeprefix("!")).replace("\\-", "-")
            out.append(f"(?!/)[{'^' if inner.startswith('!') else ''}{members}]")
        else:
            out.append(re.escape(piece))
    return "".join(out)


def _listing(url: str) -> Iterator[Found]:
    try:
        yield from find(url, active())
    except OSError as error:
        raise SourceError(f"{url}: can't be listed: {error}", source=url) from error


def _file(found: Found) -> SourceFile:
    return SourceFile(found.name, found.size, found.mtime_ns, etag=found.etag)


def _chained(first: SourceFile, rest: Iterator[SourceFile]) -> Iterator[SourceFile]:
    yield first
    yield from rest
