"""The table of images that a notebook shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any, overload

from pipeline.text_tables import SHOWN, Shown, Table, more
from pipeline.units import shape, short_path

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One row of the table: an image."""

    path: str
    shape: tuple[int, ...]
    """``(frame, y, x)``, or ``(t, c, y, x)`` in colour."""
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


class ImageTable(Shown, Sequence[ImageRow]):
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

    def parts(self) -> Iterable[Table | str]:
        """Yield the first rows, and how many more there are."""
        rows = self._rows[:SHOWN]
        yield Table([name.replace("_", " ") for name in COLUMNS], map(_cells, rows), [row.path for row in rows])
        yield from more(len(self), "to_pandas() has all")


def _cells(row: ImageRow) -> list[str]:
    return [short_path(row.path), *(_cell(value) for value in astuple(row)[1:])]


def _cell(value: Any) -> str:
    return shape(value) if isinstance(value, tuple) else str(value)
