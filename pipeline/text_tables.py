"""Tables of text, for values that show themselves in a terminal and in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from html import escape

from pipeline.printable import printable

SHOWN = 40
"""Most rows that are shown; a table may have a hundred thousand."""


class Table:
    """Headings and rows of cells, which are shown without what a terminal would obey.

    Parameters
    ----------
    headings : sequence of str
    rows : iterable of sequence of str
        As many cells each as there are headings.
    titles : sequence of str, optional
        What a browser shows beside each row.
    """

    def __init__(self, headings: Sequence[str], rows: Iterable[Sequence[str]], titles: Sequence[str] = ()) -> None:
        self.headings = headings
        self.rows = [[printable(cell) for cell in row] for row in rows]
        self.titles = titles

    def text(self) -> str:
        """Return lines of aligned columns; headings that are all empty are left out."""
        lines = [*([self.headings] if any(self.headings) else []), *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))] if lines else []
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def html(self) -> str:
        """Return the same as HTML."""
        titles = [f" title='{escape(printable(title))}'" for title in self.titles] or [""] * len(self.rows)
        head = "".join(f"<th style='text-align:left'>{escape(text)}</th>" for text in self.headings)
        body = "".join(f"<tr{title}>{_cells(row)}</tr>" for title, row in zip(titles, self.rows, strict=True))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(row: Sequence[str]) -> str:
    return "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in row)


class Shown(ABC):
    """Base of values that show themselves as lines and tables."""

    __slots__ = ()

    @abstractmethod
    def parts(self) -> Iterable[Table | str]:
        """Yield tables, and lines of text."""

    def __repr__(self) -> str:
        return "\n".join(part.text() if isinstance(part, Table) else printable(part) for part in self.parts())

    def _repr_html_(self) -> str:
        return "".join(
            part.html() if isinstance(part, Table) else f"<p>{escape(printable(part))}</p>" for part in self.parts()
        )


def more(count: int, how: str) -> Iterable[str]:
    """Yield a line for the rows that aren't among the first :data:`SHOWN`; `how` tells where all of them are."""
    if count > SHOWN:
        yield f"… and {count - SHOWN:,} more ({how})"
