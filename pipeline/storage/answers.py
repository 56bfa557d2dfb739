"""Whether what a server answered with 200 is the file that was asked for, or a page, or the file in another form."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from pipeline.storage.urls import WEB, split

BEGINNING = 512
"""Bytes of a file that tell a page."""
_PAGES = {
    "text/html": (b"<", {".html", ".htm", ".xhtml", ".shtml"}),
    "application/xhtml+xml": (b"<", {".html", ".htm", ".xhtml"}),
    "text/xml": (b"<", {".xml"}),
    "application/xml": (b"<", {".xml"}),
    "application/json": (b"{[", {".json"}),
    "application/problem+json": (b"{[", set[str]()),
}
"""What servers send in place of a file: login pages, errors with the status of a success. By Content-Type, with what such a
page begins with, and the endings of files that are meant to be one."""
_BLANK = re.compile(rb"(?:\xef\xbb\xbf)?\s*")
_AS_IT_IS = frozenset({"", "identity", "aws-chunked"})
_COMPRESSED = frozenset({".gz", ".tgz", ".z", ".bz2", ".xz", ".zst", ".br"})


class UnusableAnswerError(OSError):
    """The server answered with something else than the file."""


class EncodedError(OSError):
    """The server sends the file in another form, whose sizes and ranges are others."""


def check_answer(name: str, attributes: Mapping[str, str], beginning: Callable[[], bytes]) -> None:
    """Refuse an answer that can't be the file.

    Parameters
    ----------
    name : str
        The file's URL.
    attributes : mapping
        The answer's headers ``Content-Encoding`` and ``Content-Type``, where it has them.
    beginning : callable
        Returns the file's first bytes, as they were sent.

    Raises
    ------
    EncodedError, UnusableAnswerError
        OSErrors that say what came.
    """
    root, key = split(name)
    ending = PurePosixPath(key).suffix.lower()
    encoding = attributes.get("Content-Encoding", "")
    if ending not in _COMPRESSED and not _AS_IT_IS.issuperset(encodings(encoding)):
        raise EncodedError(
            f"{name}: it comes with Content-Encoding: {encoding}, which isn't undone; store it without, or switch that off "
            "in the server"
        )
    kind = attributes.get("Content-Type", "").partition(";")[0].strip().lower()
    if (
        root.partition(":")[0] in WEB
        and kind in _PAGES
        and ending not in _PAGES[kind][1]
        and is_page(kind, beginning())
    ):
        raise UnusableAnswerError(
            f"{name}: the server answers with a page ({kind}) in place of the file, such as a login or an error"
        )


def encodings(header: str) -> list[str]:
    """Return the encodings that a header ``Content-Encoding`` names."""
    return [one.strip().lower() for one in header.split(",")]


def is_page(kind: str, beginning: bytes) -> bool:
    """Whether what was sent with this Content-Type begins as a page of it does; some servers call any file one."""
    first = _BLANK.sub(b"", beginning, count=1)[:1]
    return kind in _PAGES and first != b"" and first in _PAGES[kind][0]
