"""Read a catalog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.catalog.bounded_tables import BoundedTable, open_table
from pipeline.errors import OutputError
from pipeline.storage import OutputDir, Place

BATCH_ROWS = 1024
"""Rows held at a time while a catalog is read from beginning to end."""


def open_catalog(out: OutputDir, columns: Sequence[str] | None = None, *, without: Sequence[str] = ()) -> pa.Table:
    """Return the catalog of an output directory, or the given columns of it, or all but those in `without`.

    Raises
    ------
    OutputError
        If `out` holds no readable catalog, or a column is missing.
    """
    with _open(out, columns or ()) as file:
        wanted = file.schema.names if columns is None else columns
        names = [name for name in wanted if name not in without]
        fields = [file.schema.field(name) for name in names]
        empty = pa.schema(fields, file.schema.metadata).empty_table()
        return pa.concat_tables([empty, *file.groups(names)]).select(names)


def iter_rows(out: OutputDir, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the given columns of every row, holding few rows at a time.

    Raises
    ------
    OutputError
        If `out` holds no readable catalog, or a column is missing.
    """
    with _open(out, columns) as file:
        # Group by group: a batch that spans several row groups would hold the headers of all of them.
        for group in range(len(file.sizes)):
            for batch in file.batches(group, BATCH_ROWS, columns):
                yield from batch.to_pylist()


@contextmanager
def _open(out: OutputDir, columns: Sequence[str]) -> Iterator[BoundedTable]:
    """Open the catalog, which must have `columns`; any fault of the file becomes an OutputError."""
    path = out.catalog
    try:
        with open_table(path) as file:
            _require_columns(file.schema.names, columns, path)
            yield file
    except OutputError:
        raise
    except FileNotFoundError as error:
        raise OutputError(
            f"{out} holds no {out.CATALOG}: it isn't the output directory of a finished run", reason="no_result"
        ) from error
    except (pa.ArrowException, OSError, ValueError) as error:
        raise OutputError(f"{path} can't be read as Parquet: {error}", reason="damaged_result") from error


def _require_columns(names: Sequence[str], columns: Sequence[str], path: Place) -> None:
    for name in columns:
        if name not in names:
            raise OutputError(f"{path} has no column {name!r}; it has {', '.join(names)}", reason="other_version")


def read_row(out: OutputDir, number: int, columns: Sequence[str]) -> dict[str, Any]:
    """Return the given columns of one row, counted from 0; only its row group is read."""
    with open_table(out.catalog) as file:
        for group, rows in enumerate(file.sizes):
            if number < rows:
                table = file.group(group, columns)
                row: dict[str, Any] = table.slice(number, 1).to_pylist()[0]
                return row
            number -= rows
    raise IndexError(f"{out.catalog} has no row {number}")


def count_reasons(out: OutputDir) -> dict[tuple[str, str], int]:
    """Return how many rows of the catalog have each ``(status, reason)``; a missing reason is an empty text."""
    counts = Counter((row["status"], row["reason"] or "") for row in iter_rows(out, ("status", "reason")))
    return dict(sorted(counts.items()))


def read_partly_stored(out: OutputDir, limit: int | None = None) -> tuple[int, list[dict[str, Any]]]:
    """Return how many converted files hold data that isn't stored; and row, source and message of `limit` of them."""
    table = open_catalog(out, ("source", "status", "reason", "message"))
    # A row with a reason has a message about something else.
    converted = pc.and_(pc.equal(table["status"], "converted"), pc.is_null(table["reason"]))
    partly = pc.indices_nonzero(pc.and_(converted, pc.is_valid(table["message"])))
    return len(partly), _number_rows(table, partly.slice(0, limit))


def read_failures(out: OutputDir, limit: int | None = None) -> list[dict[str, Any]]:
    """Return number, source, reason and message of the failed rows, in the catalog's order; at most `limit` of them.

    The number, ``row``, counts from 0.
    """
    return _rows_with(out, "status", ("failed",), limit)


def read_reasons(out: OutputDir, reasons: Sequence[str], limit: int | None = None) -> list[dict[str, Any]]:
    """Return number, source, reason and message of the rows that have one of `reasons`, as :func:`read_failures` does."""
    return _rows_with(out, "reason", reasons, limit)


def _rows_with(out: OutputDir, column: str, values: Sequence[str], limit: int | None) -> list[dict[str, Any]]:
    table = open_catalog(out, ("source", "status", "reason", "message"))
    found = pc.indices_nonzero(pc.is_in(table[column], pa.array(values, pa.string())))
    return _number_rows(table, found.slice(0, limit))


def _number_rows(table: pa.Table, places: pa.Array) -> list[dict[str, Any]]:
    """Return the rows at `places` with their numbers, ``row``, and without their status."""
    rows: list[dict[str, Any]] = table.take(places).drop_columns(["status"]).append_column("row", places).to_pylist()
    return rows
