"""What a run leaves outside of the Zarr store and the ledger, file by file: for whoever verifies it later."""

from __future__ import annotations

import os
from pathlib import Path

import xxhash

from pipeline.engine.output import OURS

_ELSEWHERE = ("images.zarr", "ledger")
"""Their own records tell what belongs there: digests of images, of shards, and of the ledger's lines."""
_PIECE = 1 << 22


def sealed_files(out: str | os.PathLike[str]) -> dict[str, tuple[int, str]]:
    """Return size and xxh3_128 (hexadecimal) of every file of a result but its images and its ledger.

    Returns
    -------
    dict of str to (int, str)
        By path below `out`, with slashes.
    """
    root = Path(out)
    files = [path for name in OURS if name not in _ELSEWHERE for path in (root / name, *(root / name).rglob("*"))]
    return {path.relative_to(root).as_posix(): file_digest(path) for path in sorted(files) if path.is_file()}


def file_digest(path: Path) -> tuple[int, str]:
    """Return a file's size and its xxh3_128 in hexadecimal; reads it piece by piece."""
    digest, size = xxhash.xxh3_128(), 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()
