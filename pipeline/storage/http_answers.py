"""Checks of successful answers (200): the requested file, a page in its place, or the file in another encoding."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from pipeline.storage.urls import WEB, split

BEGINNING = 512
"""Bytes of an answer that suffice to recognise a page."""
_PAGES = {
    "text/html": (b"<", {".html", ".htm", ".xhtml", ".shtml"}),
    "application/xhtml+xml": (b"<", {".html", ".htm", ".xhtml"}),
    "text/xml": (b"<", {".xml"}),
    "application/xml": (b"<", {".xml"}),
    "application/json": (b"{[", {".json"}),
    "application/problem+json": (b"{[", set[str]()),
}
"""Content types of pages that servers send in place of a file, such as logins, or errors with status 200. For each type: the
first characters of such a page, and the endings of files that really have this type."""
_BLANK = re.compile(rb"(?:\xef\xbb\xbf)?\s*")
_AS_IT_IS = frozenset({"", "identity", "aws-chunked"})
_COMPRESSED = frozenset({".gz", ".tgz", ".z", ".bz2", ".xz", ".zst", ".br"})


class UnusableAnswerError(OSError):
    """The server answered with something other than the file."""


class EncodedError(OSError):
    """The server sends the file encoded, so that sizes and ranges don't match the file."""


def check_answer(name: str, attributes: Mapping[str, str], beginning: Callable[[], bytes]) -> None:
    """Refuse an answer that can't be the requested file.

    Parameters
    ----------
    name : str
        The file's URL.
    attributes : mapping
        The answer's headers; ``Content-Encoding`` and ``Content-Type`` may be missing.
    beginning : callable
        Returns the first bytes of the answer's body.

    Raises
    ------
    EncodedError
        If the body has a Content-Encoding.
    UnusableAnswerError
        If the body is a page.
    """
    root, key = split(name)
    ending = PurePosixPath(key).suffix.lower()
    encoding = attributes.get("Content-Encoding", "")
    if ending not in _COMPRESSED and not _AS_IT_IS.issuperset(encodings(encoding)):
        raise EncodedError(
            f"{name}: the server sends the file with Content-Encoding: {encoding}, which dcm2zarr doesn't decode; store the "
            "file without it, or switch it off in the server"
        )
    kind = attributes.get("Content-Type", "").partition(";")[0].strip().lower()
    if (
        root.partition(":")[0] in WEB
        and kind in _PAGES
        and ending not in _PAGES[kind][1]
        and is_page(kind, beginning())
    ):
        raise UnusableAnswerError(
            f"{name}: the server answers with a page ({kind}), such as a login or an error, in place of the file"
        )


def encodings(header: str) -> list[str]:
    """Return the encodings that a header ``Content-Encoding`` names."""
    return [encoding.strip().lower() for encoding in header.split(",")]


def is_page(kind: str, beginning: bytes) -> bool:
    """Return whether a body begins like a page of its Content-Type; some servers send that type with any file."""
    first = _BLANK.sub(b"", beginning, count=1)[:1]
    return kind in _PAGES and first != b"" and first in _PAGES[kind][0]
