"""Path or URL → :class:`Place`."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.storage.any_place import Place
from pipeline.storage.local_place import LocalPlace
from pipeline.storage.options import active
from pipeline.storage.remote_place import RemotePlace
from pipeline.storage.urls import check_url, is_remote


def place(name: str | os.PathLike[str] | Place) -> Place:
    """Return the place of a path or URL, with the current storage options; return a place unchanged.

    Raises
    ------
    ConfigError
        For a URL that can't be used, see :func:`pipeline.storage.check_url`.
    """
    if isinstance(name, Place):
        return name
    text = os.fspath(name)
    if is_remote(text):
        return RemotePlace(check_url(text).rstrip("/"), active())
    return LocalPlace(Path(text))
