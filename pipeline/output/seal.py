"""What a run leaves outside of the Zarr store and the ledger, file by file: for whoever verifies it later."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import xxhash

from pipeline.catalog import OURS
from pipeline.storage import Place, place

_ELSEWHERE = ("images.zarr", "ledger", "verify.parquet", "verify.json")
"""Digests of images and shards are recorded one by one; the last two come later; see :func:`sealed_names` for the ledger."""
_SEGMENT = re.compile(r"[0-9]{6,}\.jsonl")
_PIECE = 1 << 22


def sealed_files(out: str | os.PathLike[str] | Place) -> dict[str, tuple[int, str]]:
    """Return size and xxh3_128 (hexadecimal) of every file of a result but its images and the ledger's last segment.

    Returns
    -------
    dict of str to (int, str)
        By path below `out`, with slashes.
    """
    root = place(out)
    return {name: file_digest(root / name) for name in sorted(sealed_names(root))}


def sealed_names(root: Place) -> Iterator[str]:
    """Yield what :func:`sealed_files` looks at, by path below `root`."""
    for name in OURS:
        if name in _ELSEWHERE:
            continue
        if (root / name).exists():
            yield name
        yield from (f"{name}/{below}" for below in (root / name).walk())
    # all but the last one, which is still being written
    yield from (f"ledger/{name}" for name in ledger_segments(root)[:-1])


def ledger_segments(root: Place) -> list[str]:
    """Return the names of the ledger's segments, in the order in which they were started."""
    names = [name for name in (root / "ledger").children() if _SEGMENT.fullmatch(name)]
    return sorted(names, key=lambda name: int(name.removesuffix(".jsonl")))


def file_digest(file: Place) -> tuple[int, str]:
    """Return a file's size and its xxh3_128 in hexadecimal; reads it piece by piece."""
    digest, size = xxhash.xxh3_128(), 0
    with file.open() as opened:
        while piece := opened.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()
