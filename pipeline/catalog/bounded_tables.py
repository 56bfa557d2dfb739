"""Read tables that another user could have written: a small file may expand beyond any memory.

Parquet stores a frequent value once, and compresses repeated data ten-thousandfold. So the declared size of a row group
is checked before the group is read, texts are read as dictionaries, and their expanded size is computed before they
are expanded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import OutputError
from pipeline.storage import Place

MOST_BYTES = 2 * 2**30
"""Limit for a row group in memory. Our row groups have some tens of MiB, and more only if a single header has."""
MOST_ROWS = 2**20
"""Limit for a row group."""
_NUMBER = 8
"""Most bytes of one number."""
_LEAST_ROW = 64
"""Least bytes that a row of a plan takes in memory."""


class BoundedTable:
    """An open Parquet file of a result; :func:`open_table` makes it.

    Reading raises OutputError (reason ``not_ours``) if the file holds more than any run can have written.
    """

    def __init__(self, file: pq.ParquetFile, schema: pa.Schema, path: Place) -> None:
        self._file = file
        self._path = path
        self.schema = schema
        self.sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
        """Rows of each row group."""

    @property
    def rows(self) -> int:
        """Rows of all row groups."""
        return sum(self.sizes)

    def groups(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the table, or some of its columns, by row groups; for callers that keep part of every row."""
        if self.rows * _LEAST_ROW > psutil.virtual_memory().total:
            raise self._not_ours(f"{self.rows} rows, more than fit into this machine's memory")
        for group in range(len(self.sizes)):
            yield self.group(group, columns)

    def group(self, group: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a row group, or some columns of it."""
        self._check(group, columns)
        table = self._file.read_row_group(group, columns=None if columns is None else list(columns))
        self._count(table)
        return table.cast(pa.schema([self.schema.field(name) for name in table.column_names], table.schema.metadata))

    def batches(self, group: int, rows: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield columns of a row group, `rows` rows at a time."""
        self._check(group, columns)
        size = 0
        for batch in self._file.iter_batches(rows, row_groups=[group], columns=list(columns)):
            size = self._count(batch, size)
            yield batch

    def bytes_of(self, group: int, columns: Sequence[str] | None = None) -> int:
        """Return how many bytes a row group, or some columns of it, takes in memory according to its metadata."""
        found = self._file.metadata.row_group(group)
        parts = (found.column(position) for position in range(found.num_columns))
        wanted = [part for part in parts if columns is None or _top(part.path_in_schema) in columns]
        return sum(max(part.total_uncompressed_size, part.num_values * _NUMBER) for part in wanted)

    def _check(self, group: int, columns: Sequence[str] | None) -> None:
        """Refuse a row group that is too large according to its metadata."""
        rows, size = self.sizes[group], self.bytes_of(group, columns)
        if size > MOST_BYTES or rows > MOST_ROWS:
            raise self._not_ours(f"a row group of {rows} rows and {size} bytes")

    def _count(self, table: pa.Table | pa.RecordBatch, before: int = 0) -> int:
        """Return `before` plus the expanded size of the columns; `before` are the bytes already read of the same row group."""
        parts = (part for column in table.columns for part in getattr(column, "chunks", [column]))
        size = before + sum(map(_bytes, parts))
        if size > MOST_BYTES:
            raise self._not_ours(f"rows of more than {size} bytes")
        return size

    def _not_ours(self, what: str) -> OutputError:
        return OutputError(
            f"{self._path} holds {what}: no run of this program can have written that", reason="not_ours"
        )


@contextmanager
def open_table(path: Place) -> Iterator[BoundedTable]:
    """Open a Parquet file of a result; raises pyarrow's errors if it isn't one."""
    with path.open() as opened, pq.ParquetFile(opened) as plain:
        schema, metadata = plain.schema_arrow, plain.metadata
        columns = (metadata.schema.column(position) for position in range(metadata.num_columns))
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
        with pq.ParquetFile(opened, metadata=metadata, read_dictionary=texts) as file:
            yield BoundedTable(file, schema, path)


def _top(path: str) -> str:
    return path.partition(".")[0]


def _bytes(values: pa.Array) -> int:
    if pa.types.is_list(values.type):
        return _bytes(values.flatten()) + _NUMBER * len(values)
    if not pa.types.is_dictionary(values.type):
        return int(values.nbytes)
    lengths = pc.cast(pc.binary_length(values.dictionary), pa.int64()).take(values.indices)
    return int(pc.sum(lengths).as_py() or 0) + int(values.indices.nbytes)
