"""Which objects there are below a URL: from listings alone, without a request for each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from glob import has_magic

from pipeline.errors import ConfigError, SourceError
from pipeline.model import SourceFile
from pipeline.storage import WEB, Found, active, check_url, find, scheme_of


def find_objects(url: str, exclude: str = "") -> Iterator[SourceFile]:
    """Yield the objects that a URL given as a source stands for.

    Parameters
    ----------
    url : str
        A prefix (as a folder: all below it), a glob pattern (``*`` and ``?`` don't cross slashes, ``**`` does; what
        lies below a prefix that matches counts too), or a single object. Of web servers only single objects.
    exclude : str
        A prefix that is left out: the output.

    Raises
    ------
    ConfigError
        A URL that can't be used, a pattern that matches nothing, a folder of a web server. Raised at once.
    SourceError
        Where the store can't be listed.
    """
    check_url(url)
    if scheme_of(url) in WEB:
        return iter([_web_object(url)])
    if has_magic(url):
        found = _matching(url, exclude)
        first = next(found, None)
        if first is None:
            raise ConfigError(f"source.paths: nothing matches {url}")
        return _chained(first, found)
    return _below_or_single(url, exclude)


def listed_object(url: str, exclude: str = "") -> Iterator[SourceFile]:
    """Yield what an entry of a list stands for: an object, not looked at yet, or with a slash at its end a prefix."""
    check_url(url)
    if url.endswith("/") and scheme_of(url) not in WEB:
        yield from _below_or_single(url, exclude)
    else:
        yield SourceFile(url, -1)


def _web_object(url: str) -> SourceFile:
    if url.endswith("/") or has_magic(url.partition("?")[0]):
        raise ConfigError(
            f"source.paths: {url}: a web server can't be listed; name its files one by one, or in a .txt list"
        )
    return SourceFile(url, -1)


def _below_or_single(url: str, exclude: str) -> Iterator[SourceFile]:
    """Yield what lies below a prefix; where nothing does, the one object of this name (or the missing one)."""
    url = url.rstrip("/")
    empty = True
    for found in _listing(url):
        empty = False
        if _outside(found.name, exclude):
            yield _file(found)
    if empty:
        yield SourceFile(url, -1)


def _matching(pattern: str, exclude: str) -> Iterator[SourceFile]:
    """Yield the objects that match, or lie below a prefix that does."""
    parts = pattern.split("/")
    literal = next(i for i, part in enumerate(parts) if has_magic(part))
    folder = "/".join(parts[:literal])
    matches = re.compile(_expression(parts[literal:])).fullmatch
    for found in _listing(folder):
        below = found.name.removeprefix(f"{folder}/")
        if matches(below) and _outside(found.name, exclude):
            yield _file(found)


def _expression(parts: list[str]) -> str:
    """Return the regular expression of a pattern's parts; with anything below, as folders that match are walked."""
    pieces = []
    for position, part in enumerate(parts):
        last = position == len(parts) - 1
        if part == "**":
            pieces.append("(?:.*)" if last else "(?:[^/]+/)*")
        else:
            pieces.append(_part(part) + ("" if last else "/"))
    return "".join(pieces) + "(?:/.*)?"


def _part(part: str) -> str:
    """Return the regular expression of what stands between two slashes."""
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


def _outside(name: str, exclude: str) -> bool:
    return not exclude or not (name == exclude or name.startswith(f"{exclude}/"))


def _file(found: Found) -> SourceFile:
    return SourceFile(found.name, found.size, found.mtime_ns, etag=found.etag)


def _chained(first: SourceFile, rest: Iterator[SourceFile]) -> Iterator[SourceFile]:
    yield first
    yield from rest
