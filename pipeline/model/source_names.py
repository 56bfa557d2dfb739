"""Names of files in tables, messages and reports: paths, as text that every tool can hold."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote_to_bytes

_SCHEME = "file://"


def source_of(path: str) -> str:
    """Return the name of a file: its absolute path, or a ``file://`` URL if the path isn't valid Unicode.

    File systems may hold names that aren't UTF-8. As a URL (``file:///data/%FF.dcm``) such a name stays readable and unique,
    since an absolute path doesn't begin with ``file:``.
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return Path(path).as_uri()
    return path


def local_path(source: str) -> str:
    """Return the path to open: the inverse of :func:`source_of`."""
    if not source.startswith(_SCHEME):
        return source
    return os.fsdecode(unquote_to_bytes(source.removeprefix(_SCHEME).removeprefix("localhost")))
