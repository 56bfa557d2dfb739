"""Compare two results of the same files, made by different versions, settings or layouts; exit code 1 if they differ.

    python scripts/compare_results.py OUT1 OUT2

Each valid frame of OUT1 must be a valid frame of OUT2 with the same dtype and checksum, and the other way round, whatever image,
position and axes it has. Each file's row must say the same in the columns of :data:`COLUMNS`. A frame that isn't valid counts as
missing: results that stack files have such frames, results that don't stack them have none. Only ``catalog.parquet`` and the
metadata and per-frame arrays of ``images.zarr`` are read: `dcm2zarr verify` says whether a result's pixels have these checksums.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import zarr
from zarr.storage import LocalStore

COLUMNS = (
    *("status", "reason", "decoder", "photometric_interpretation", "dtype"),
    *("rows", "columns", "samples_per_pixel", "num_frames", "frames_missing"),
)
"""Columns of the catalog that must be equal; not the messages, which may name images and positions."""

Pairs = Iterable[tuple[Hashable, Hashable]]
Differences = dict[Hashable, tuple[list[Any], list[Any]]]
"""Key → values that only the first and only the second result has."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print the counts and the differences, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outs", nargs=2, type=Path, metavar="OUT", help="output directories of conversions")
    parser.add_argument("--most", type=int, default=20, metavar="N", help="differences to print (%(default)s)")
    given = parser.parse_args(arguments)
    compared, wrong = 0, 0
    for name, read in {"files": read_rows, "frames": read_frames}.items():
        counts, differences = compare(*map(read, given.outs))
        print(f"{name}: {counts[0]} and {counts[1]}, {len(differences)} of them different")
        for key, (first, second) in sorted(differences.items(), key=str)[: given.most]:
            print(f"  {key}: {first or 'missing'} and {second or 'missing'}")
        compared, wrong = counts[0], wrong + len(differences)
    if not compared:
        print(f"{given.outs[0]} has no frames: nothing is shown")
    return int(bool(wrong) or not compared)


def compare(first: Pairs, second: Pairs) -> tuple[tuple[int, int], Differences]:
    """Compare pairs of a key and a value, in any order, which may occur several times.

    Returns
    -------
    tuple of int
        The number of pairs on each side.
    dict
        What differs.
    """
    counts = Counter(first)
    total = counts.total()
    counts.subtract(second)
    found: Differences = {}
    for (key, value), count in counts.items():
        if count:
            found.setdefault(key, ([], []))[count < 0].append(value)
    return (total, total - counts.total()), found


def read_rows(out: Path) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Yield each file of the catalog, with the values that must be equal."""
    for row in _catalog(out, "source", *COLUMNS):
        yield row["source"], tuple(row[name] for name in COLUMNS)


def read_frames(out: Path) -> Iterator[tuple[tuple[str | None, str, int], tuple[str, int]]]:
    """Yield each valid frame: its file, SOP Instance UID and frame number, with its dtype and checksum.

    Several files may have one SOP Instance UID; they have images of their own.
    """
    sources = {
        (row["image"], row["sop_instance_uid"]): row["source"]
        for row in _catalog(out, "source", "image", "sop_instance_uid")
        if row["image"] is not None
    }
    for image in dict.fromkeys(image for image, _ in sources):
        group = zarr.open_group(LocalStore(out / "images.zarr", read_only=True), path=image, mode="r")
        dtype = group["pixels"].dtype.name
        grids = [group[name][...].ravel() for name in ("valid", "sop_instance_uid", "frame_number", "checksum")]
        for valid, uid, number, checksum in zip(*(grid.tolist() for grid in grids), strict=True):
            if valid:
                yield (sources.get((image, uid)), uid, number), (dtype, checksum)


def _catalog(out: Path, *columns: str) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(out / "catalog.parquet") as table:
        for batch in table.iter_batches(columns=list(columns)):
            yield from batch.to_pylist()


if __name__ == "__main__":
    sys.exit(main())
