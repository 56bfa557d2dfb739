"""The table of images that a notebook shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any, overload

from pipeline.printable import printable
from pipeline.units import short_path

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 40
"""Most rows that are shown; a table may have a hundred thousand."""


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One row of the table: an image."""

    path: str
    shape: tuple[int, ...]
    """``(frame, row, column[, sample])``."""
    dtype: str
    chunks: tuple[int, ...]
    """The unit of reading."""
    shards: tuple[int, ...]
    """The unit of writing: a whole number of chunks."""
    modality: str
    series_description: str
    status: str
    """``complete``, or how many frames are missing; ``untouched`` for DICOM files."""


COLUMNS = tuple(field.name for field in fields(ImageRow))


class ImageTable(Sequence[ImageRow]):
    """A sequence of :class:`ImageRow`, shown as a table."""

    def __init__(self, rows: Sequence[ImageRow]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, index: int) -> ImageRow: ...
    @overload
    def __getitem__(self, index: slice) -> ImageTable: ...
    def __getitem__(self, index: int | slice) -> ImageRow | ImageTable:
        if isinstance(index, slice):
            return ImageTable(self._rows[index])
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[ImageRow]:
        return iter(self._rows)

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a DataFrame, one row for each image."""
        import pandas as pd  # noqa: PLC0415  the import takes half a second, and most callers don't need it

        return pd.DataFrame([astuple(row) for row in self._rows], columns=list(COLUMNS))

    def __repr__(self) -> str:
        lines = [[_heading(name) for name in COLUMNS], *(_cells(row) for row in self._shown())]
        widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        return "\n".join([*text, *self._rest()])

    def _repr_html_(self) -> str:
        head = "".join(f"<th style='text-align:left'>{escape(_heading(name))}</th>" for name in COLUMNS)
        body = "".join(f"<tr title='{escape(printable(row.path))}'>{_html_cells(row)}</tr>" for row in self._shown())
        rest = "".join(f"<p>{escape(line)}</p>" for line in self._rest())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{rest}"

    def _shown(self) -> tuple[ImageRow, ...]:
        return self._rows[:SHOWN]

    def _rest(self) -> list[str]:
        left = len(self._rows) - SHOWN
        return [f"… and {left:,} more (to_pandas() has all)"] if left > 0 else []


def _heading(name: str) -> str:
    return name.replace("_", " ")


def _cells(row: ImageRow) -> list[str]:
    return [printable(cell) for cell in (short_path(row.path), *(_cell(value) for value in astuple(row)[1:]))]


def _cell(value: Any) -> str:
    return " × ".join(map(str, value)) if isinstance(value, tuple) else str(value)  # noqa: RUF001  as people write it


def _html_cells(row: ImageRow) -> str:
    return "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in _cells(row))
