"""Scan segments: what the scan learned about a batch of files, one row per file."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, chain
from os import PathLike
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.catalog.bounded_tables import open_table
from pipeline.catalog.table_columns import PENDING, segment_schema
from pipeline.model import SourceFile
from pipeline.storage import OutputDir, Place, place

GROUP_BYTES = 16 * 2**20
GROUP_ROWS = 1024
Anywhere = str | PathLike[str] | Place
_LARGE = ("header", "frame_attributes", "attributes")


class SegmentWriter:
    """Writes the rows of one segment, holding at most about 16 MiB of headers or 1,024 rows; see `open_segment`."""

    def __init__(self, file: pq.ParquetWriter) -> None:
        self._file = file
        self._rows: list[Mapping[str, Any]] = []
        self._bytes = 0

    def write(self, row: Mapping[str, Any]) -> None:
        """Append a row; columns that the row lacks are null."""
        self._rows.append(row)
        self._bytes += sum(len(row.get(name) or "") for name in _LARGE)
        if self._bytes >= GROUP_BYTES or len(self._rows) >= GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows held as one row group."""
        if self._rows:
            schema = self._file.schema
            columns = [_column(field, [row.get(field.name) for row in self._rows]) for field in schema]
            self._file.write_table(pa.table(columns, schema=schema))
        self._rows, self._bytes = [], 0


@contextmanager
def open_segment(path: Anywhere, keywords: Mapping[str, str]) -> Iterator[SegmentWriter]:
    """Open a writer of a segment's rows; the file appears under its name if the block ends without an error.

    Parameters
    ----------
    path : path-like, URL or Place
    keywords : mapping of str to str
        DICOM keyword to kind of column, as :func:`pipeline.catalog.segment_schema` takes them.
    """
    schema = segment_schema(keywords)
    with place(path).replacing() as part, pq.ParquetWriter(part, schema, compression="zstd") as file:
        writer = SegmentWriter(file)
        yield writer
        writer.flush()


def _column(field: pa.Field, values: list[Any]) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except UnicodeEncodeError:  # text of damaged headers can hold lone surrogates, which UTF-8 can't encode
        return pa.array([_encodable(value) for value in values], field.type)


def _encodable(value: Any) -> Any:
    r"""Write characters that UTF-8 can't encode as ``\udc80``."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return [_encodable(item) for item in value] if isinstance(value, list | tuple) else value


def write_segment(path: Anywhere, rows: Iterable[Mapping[str, Any]], keywords: Mapping[str, str]) -> None:
    """Write a whole segment; see :func:`open_segment`."""
    with open_segment(path, keywords) as writer:
        for row in rows:
            writer.write(row)


def read_rows(path: Anywhere, rows: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the given columns of the given rows of a segment, in the given order.

    Only the row groups that hold one of the rows are read.

    Raises
    ------
    IndexError
        If the segment has no such row.
    """
    with open_table(place(path)) as file:
        starts = list(accumulate(file.sizes, initial=0))
        wanted: dict[int, list[int]] = defaultdict(list)
        for row in rows:
            if not 0 <= row < starts[-1]:
                raise IndexError(f"{path} has {starts[-1]} rows and no row {row}")
            wanted[bisect_right(starts, row) - 1].append(row)
        found: dict[int, dict[str, Any]] = {}
        for group, members in wanted.items():
            table = file.group(group, columns).take([row - starts[group] for row in members])
            found |= dict(zip(members, table.to_pylist(), strict=True))
    return [found[row] for row in rows]


Identity = tuple[int, int]
"""Size and time of change of a file, which tell it from a changed one; -1 and 0 if they couldn't be read."""


def identity(file: SourceFile) -> Identity:
    """Return a file's size and time of change."""
    return max(file.size, -1), file.mtime_ns


class KnownFile(NamedTuple):
    """What a segment records about a file."""

    identity: Identity
    status: str
    reason: str
    segment: int
    row: int
    sha256: str = ""
    """Empty if the file was scanned without ``source.hash``."""


_LISTED = ("source", "file_size", "mtime_ns", "sha256", "status", "reason")


def read_listing(
    out: OutputDir, segments: Iterable[int], without: Collection[tuple[int, int]] = ()
) -> dict[str, KnownFile]:
    """Return what the segments record about every file, by source; rows in `without`, ``(segment, row)``, are left out."""
    known: dict[str, KnownFile] = {}
    texts: dict[str, str] = {}
    for segment in segments:
        with open_table(out.segment(segment)) as file:
            tables = list(file.groups(_LISTED))
        for row, (source, size, mtime, sha256, *ended) in enumerate(chain.from_iterable(map(_listing_rows, tables))):
            if (segment, row) not in without:
                identity = (-1 if size is None else size, mtime or 0)
                status, reason = (texts.setdefault(text or "", text or "") for text in ended)
                known[source] = KnownFile(identity, status, reason, segment, row, sha256 or "")
    return known


def read_unstored(out: OutputDir, segments: Iterable[int]) -> Iterator[tuple[str, str]]:
    """Yield source and message of each file that is to be converted and holds data that won't be stored."""
    for segment in segments:
        with open_table(out.segment(segment)) as file:
            tables = list(file.groups(("source", "status", "message")))
        for table in tables:
            for source, status, message in zip(*(column.to_pylist() for column in table.columns), strict=True):
                if status == PENDING and message:
                    yield source, message


def _listing_rows(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    if "sha256" not in table.column_names:  # written by a version that had no such column
        table = table.append_column("sha256", pa.nulls(len(table), pa.string()))
    return zip(*(table[name].to_pylist() for name in _LISTED), strict=True)


def count_scanned(out: OutputDir) -> dict[tuple[str, str], int]:
    """Return how many rows of all existing segments have each ``(status, reason)``, while a scan is under way."""
    counts: Counter[tuple[str, str]] = Counter()
    folder = out.segments
    for name in (name for name in folder.children() if name[0].isdecimal()):
        with open_table(folder / name) as file:
            for table in file.groups(("status", "reason")):
                pairs = zip(table["status"].to_pylist(), table["reason"].to_pylist(), strict=True)
                counts.update((status, reason or "") for status, reason in pairs)
    return dict(counts)


class RowAttributes(NamedTuple):
    """Attributes that the pixels of one instance need to be interpreted, under DICOM keywords."""

    constant: dict[str, Any]
    """Values that hold for all frames of the instance."""
    by_frame: dict[str, list[Any]]
    """Values that differ between frames: one per frame."""


def read_attributes(out: OutputDir, rows: Sequence[tuple[int, int]]) -> list[RowAttributes]:
    """Return the attributes of instances, given as ``(segment, row)``, in the given order.

    Each segment is opened once, whatever the order.
    """
    by_segment: dict[int, list[int]] = defaultdict(list)
    for segment, row in rows:
        by_segment[segment].append(row)
    found: dict[tuple[int, int], RowAttributes] = {}
    for segment, members in by_segment.items():
        texts = read_rows(out.segment(segment), members, ("attributes", "frame_attributes"))
        for row, text in zip(members, texts, strict=True):
            found[segment, row] = RowAttributes(
                json.loads(text["attributes"] or "{}"), json.loads(text["frame_attributes"] or "{}")
            )
    return [found[key] for key in rows]
