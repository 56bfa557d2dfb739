"""``verify.parquet``: the verdict of a verification on each file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from os import PathLike
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalog.bounded_tables import open_table
from pipeline.storage import Place, place

GROUP_ROWS = 16_384
VERDICT_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("deletable", pa.bool_(), nullable=False),
        pa.field("problem", pa.string()),
        pa.field("message", pa.string()),
        pa.field("compared_by", pa.string()),
        pa.field("note", pa.string()),
        pa.field("verified", pa.string()),
        pa.field("fingerprint", pa.string()),
    ]
)


def write_verdicts(path: str | PathLike[str] | Place, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table of verdicts, whole or not at all, holding few rows at a time.

    Parameters
    ----------
    path : path-like, URL or Place
    rows : iterable of mapping
        One per file, with the columns of :data:`VERDICT_SCHEMA`.
    """
    with place(path).replacing() as part, pq.ParquetWriter(part, VERDICT_SCHEMA, compression="zstd") as file:
        for batch in _batches(rows):
            file.write_table(pa.Table.from_pylist(batch, schema=VERDICT_SCHEMA))


def read_verified(path: Place) -> Iterator[dict[str, Any]]:
    """Yield source, time and fingerprint of the files that a verification found equal, from a table by :func:`write_verdicts`.

    Yields nothing for a table of an earlier version, which lacks these columns.
    """
    with open_table(path) as file:
        columns = ["source", "verified", "fingerprint"]
        if not set(columns).issubset(file.schema.names):
            return
        for group in range(len(file.sizes)):
            for batch in file.batches(group, GROUP_ROWS, columns):
                yield from (row for row in batch.to_pylist() if row["verified"])


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    left = iter(rows)
    while batch := [dict(row) for row in islice(left, GROUP_ROWS)]:
        yield batch
