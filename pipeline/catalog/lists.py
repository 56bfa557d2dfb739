"""Read lists of paths from text, CSV and Parquet files."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ConfigError, SourceError
from pipeline.storage import scheme_of

LIST_SUFFIXES = frozenset({".txt", ".csv", ".parquet"})
PATH_COLUMNS = ("path", "source", "file")
"""Names of the column that holds the paths, in any case; the first that exists is used."""
_LONGEST_CELL = 2**31 - 1
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read_path_list(path: str | Path, folder: str = "") -> list[str]:
    """Return the paths that a list names, absolute, in its order.

    - ``.txt``: one path a line; blank lines and lines that start with ``#`` are left out.
    - ``.csv``: comma-separated. The column named ``path``, ``source`` or ``file``; without such a header the first
      column of a table without header, or the only column.
    - ``.parquet``: the column of such a name, or the only text column. So a run's catalog is a list too.

    Relative paths count from the list's folder, or from `folder` if it is given. URLs stay as they are.

    Raises
    ------
    ConfigError
        If no column can hold the paths; names the file and the columns.
    SourceError
        If the list can't be read.
    """
    path = Path(path)
    reader = {".txt": _read_text, ".csv": _read_csv, ".parquet": _read_parquet}[path.suffix.lower()]
    try:
        entries = reader(path)
    except (OSError, pa.ArrowException, csv.Error) as error:
        if isinstance(error, ConfigError | SourceError):
            raise
        raise SourceError(f"{path}: the list of paths can't be read: {error}", source=str(path)) from error
    if folder:
        return [entry if scheme_of(entry) else f"{folder}/{entry}" for entry in entries]
    return [entry if scheme_of(entry) else str(path.absolute().parent / entry) for entry in entries]


def _read_text(path: Path) -> list[str]:
    # As bytes: str.splitlines would also split at characters that a path may hold, such as U+2028.
    lines = (line.strip() for line in path.read_bytes().removeprefix(_BYTE_ORDER_MARK).splitlines())
    return [os.fsdecode(line) for line in lines if line and not line.startswith(b"#")]


def _read_csv(path: Path) -> list[str]:
    # utf-8-sig: spreadsheets put a byte order mark before the text. surrogateescape: a path is bytes, not text.
    csv.field_size_limit(_LONGEST_CELL)  # a cell too long for a path is a bad entry, and doesn't end the list
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        rows = [row for row in csv.reader(file) if any(cell.strip() for cell in row)]
    if not rows:
        return []
    column = _named_column([cell.strip() for cell in rows[0]])
    first = 1
    if column is None:
        first = int(not _looks_like_path(rows[0][0].strip(), path))
        if first and max(map(len, rows)) > 1:
            raise _no_column(path, rows[0])
    cells = (row[column or 0].strip() if len(row) > (column or 0) else "" for row in rows[first:])
    return [cell for cell in cells if cell]


def _looks_like_path(text: str, listed_in: Path) -> bool:
    """Return whether the first cell of a table is an entry rather than a column's name."""
    return bool({"/", os.sep, "."} & set(text)) or os.path.lexists(listed_in.absolute().parent / text)


def _read_parquet(path: Path) -> list[str]:
    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        texts = [field.name for field in schema if _is_text(field.type)]
        column = _named_column(schema.names)
        name = schema.names[column] if column is not None else texts[0] if len(texts) == 1 else None
        if name is None:
            raise _no_column(path, schema.names)
        if name not in texts:
            raise ConfigError(
                f"{path}: column {name!r} holds {schema.field(name).type}, not text, so it can't hold paths"
            )
        values = file.read(columns=[name])[name].to_pylist()
    return [value for value in values if value]


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _named_column(names: Sequence[str]) -> int | None:
    folded = [name.casefold() for name in names]
    return next((folded.index(name) for name in PATH_COLUMNS if name in folded), None)


def _no_column(path: Path, seen: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{path}: no column is named {', '.join(PATH_COLUMNS[:-1])} or {PATH_COLUMNS[-1]}; it has "
        f"{', '.join(repr(name) for name in seen) or 'none'}. Rename the one that holds the paths."
    )
