"""Whether two output directories hold the same result."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq


def assert_same_store(one: Path, other: Path) -> None:
    """Compare the stores file by file, byte by byte."""
    files = [{p.relative_to(out): p for p in (out / "images.zarr").rglob("*") if p.is_file()} for out in (one, other)]
    assert files[0].keys() == files[1].keys()
    assert len(files[0]) > 20
    for name, path in files[0].items():
        assert path.read_bytes() == files[1][name].read_bytes(), name


def assert_identical(one: Path, other: Path) -> None:
    """Compare the stores file by file, byte by byte, and the tables of files and of images row by row."""
    assert_same_store(one, other)
    for table in ("catalog.parquet", "images.parquet"):
        assert pq.read_table(one / table).equals(pq.read_table(other / table)), table
