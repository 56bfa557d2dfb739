"""Write ``catalog.parquet`` from scan segments and outcomes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.catalog.bounded_tables import open_table
from pipeline.catalog.table_columns import PENDING, catalog_schema
from pipeline.outcomes import RowOutcome
from pipeline.storage import OutputDir

GROUP_BYTES = 32 * 2**20
GROUP_ROWS = 16_384
_OVERRIDDEN = (
    *("status", "reason", "message", "image", "frame_start", "num_frames", "frames_missing", "decoder"),
    "photometric_interpretation",
)


class LargeRowsError(Exception):
    """A segment holds a header that is too large to read here."""


_NOT_CONVERTED = RowOutcome(
    "failed", "not_converted", "The run ended before this file was converted; run the same command again to finish it."
)
_UNCHANGED: Any = RowOutcome(None)  # type: ignore[arg-type]  # overrides no column
_values = attrgetter(*_OVERRIDDEN, "note")


def assemble(
    out: OutputDir,
    segments: Iterable[int],
    outcomes: Mapping[tuple[int, int], RowOutcome],
    keywords: Mapping[str, str],
    *,
    without: Collection[tuple[int, int]] = (),
    largest: int | None = None,
) -> None:
    """Write ``catalog.parquet``: the rows of the segments, in their order, each with its outcome.

    Holds one row group at a time (about 32 MiB of headers). The catalog appears whole or not at all. A row that was
    to be converted and has no outcome becomes ``failed``, reason ``not_converted``, so no file is lost silently.

    Parameters
    ----------
    out : OutputDir
        Output directory.
    segments : iterable of int
        The segments' numbers, in the order in which their files were found.
    outcomes : mapping of (int, int) to RowOutcome
        By segment and row in it.
    keywords : mapping of str to str
        DICOM keyword to kind, as used to write the segments.
    without : collection of (int, int)
        Rows to leave out, by segment and row in it, because other rows replace them.
    largest : int, optional
        Largest row group to read, in bytes.

    Raises
    ------
    LargeRowsError
        If a row group is larger than `largest`. Nothing has been written then.
    """
    schema = catalog_schema(keywords)
    with out.catalog.replacing() as part, pq.ParquetWriter(part, schema, compression="zstd") as writer:
        for table in _regroup(_finish(out, segments, outcomes, schema, without, largest=largest)):
            writer.write_table(table)


def _finish(
    out: OutputDir,
    segments: Iterable[int],
    outcomes: Mapping[tuple[int, int], RowOutcome],
    schema: pa.Schema,
    without: Collection[tuple[int, int]],
    *,
    largest: int | None,
) -> Iterator[pa.Table]:
    for segment in segments:
        with open_table(out.segment(segment)) as file:
            row = 0
            for group in range(len(file.sizes)):
                if largest is not None and file.bytes_of(group, schema.names) > largest:
                    raise LargeRowsError(segment)
                table = _with_columns(file.group(group, schema.names), schema)
                places = [(segment, row + i) for i in range(len(table))]
                if places:
                    table = _apply(table, [outcomes.get(place) for place in places])
                yield table.filter(pa.array([place not in without for place in places])) if without else table
                row += len(places)


def _with_columns(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the schema's columns; those that a segment lacks are null, such as keywords of files never read."""
    present = set(table.column_names)
    columns = [table[f.name] if f.name in present else pa.nulls(len(table), f.type) for f in schema]
    return pa.table(columns, schema=schema)


def _apply(table: pa.Table, outcomes: Sequence[RowOutcome | None]) -> pa.Table:
    """Put the outcomes of a table's rows into its columns; columns that no outcome sets stay as they are."""
    if None in outcomes:
        statuses = table["status"].to_pylist()
        outcomes = [
            outcome or (_NOT_CONVERTED if status == PENDING else _UNCHANGED)
            for outcome, status in zip(outcomes, statuses, strict=True)
        ]
    *columns, notes = zip(*map(_values, outcomes), strict=True)
    for name, values in zip(_OVERRIDDEN, columns, strict=True):
        if any(value is not None for value in values):
            field = table.schema.field(name)
            column = pc.coalesce(pa.array(values, field.type), table[name])
            table = table.set_column(table.schema.get_field_index(name), field, column)
    return _with_notes(table, notes) if any(notes) else table


def _with_notes(table: pa.Table, notes: Sequence[str]) -> pa.Table:
    """Append notes to the rows' assumptions."""
    position = table.schema.get_field_index("assumptions")
    pairs = zip(table["assumptions"].to_pylist(), notes, strict=True)
    texts = ["; ".join(filter(None, pair)) or None for pair in pairs]
    return table.set_column(position, table.schema.field(position), pa.array(texts, pa.string()))


def _regroup(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Join small tables, so that the catalog doesn't get one row group per segment."""
    held: list[pa.Table] = []
    size = rows = 0
    for table in tables:
        held.append(table)
        size, rows = size + table.nbytes, rows + len(table)
        if size >= GROUP_BYTES or rows >= GROUP_ROWS:
            yield pa.concat_tables(held)
            held, size, rows = [], 0, 0
    if held:
        yield pa.concat_tables(held)
