"""Compute the digests of a run's files outside of the Zarr store and the ledger, for a later verification."""

from __future__ import annotations

from collections.abc import Iterator

import xxhash

from pipeline.storage import OutputDir, Place

_ELSEWHERE = (OutputDir.IMAGES, OutputDir.LEDGER, OutputDir.VERDICTS, OutputDir.VERIFY_SUM)
"""Images and shards have records of their own; the last two are written later; :func:`sealed_names` handles the ledger."""
_PIECE = 1 << 22


def sealed_files(out: OutputDir) -> dict[str, tuple[int, str]]:
    """Return size and xxh3_128 (hexadecimal) of every file of a result, except its images and the ledger's last segment.

    Returns
    -------
    dict of str to (int, str)
        By path below `out`, with slashes.
    """
    return {name: file_digest(out.at(name)) for name in sorted(sealed_names(out))}


def sealed_names(out: OutputDir) -> Iterator[str]:
    """Yield the paths, below `out`, of the files that :func:`sealed_files` reads."""
    for name in out.OURS:
        if name in _ELSEWHERE:
            continue
        if out.at(name).exists():
            yield name
        yield from (f"{name}/{below}" for below in out.at(name).walk())
    # without the last segment, which is still being written
    yield from (f"{out.LEDGER}/{name}" for name in out.ledger_segments()[:-1])


def file_digest(file: Place) -> tuple[int, str]:
    """Return a file's size and its xxh3_128 in hexadecimal; read the file piece by piece."""
    digest, size = xxhash.xxh3_128(), 0
    with file.open() as opened:
        while piece := opened.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return size, digest.hexdigest()
