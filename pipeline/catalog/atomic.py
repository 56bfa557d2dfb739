"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside `path`; what was written there becomes `path` on success and vanishes on failure.

    The name is unique, so that two tasks writing the same file (a repeated task, say) don't mix their bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex}.part")
    try:
        yield part
        _flush(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a small file whole or not at all."""
    with replacing(path) as part:
        part.write_bytes(data)


def _flush(path: Path) -> None:
    """Bring the bytes to disk: a rename alone may outlive them when the machine loses power."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
