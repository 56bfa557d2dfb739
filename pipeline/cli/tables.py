"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.table import Table
from rich.text import Text

from pipeline.report import reasons
from pipeline.report.units import number

_COLOURS = {"converted": "green", "failed": "red", "rejected": "yellow", "skipped": "magenta"}


def grid(words: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """Return an empty table with columns of words, then columns of numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in words:
        table.add_column(title, overflow="fold")
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def add(table: Table, *cells: str) -> None:
    """Add a row of plain text: names of files may hold what rich takes for markup."""
    table.add_row(*(Text(cell) for cell in cells))


def reasons_table(counts: Mapping[tuple[str, str], int]) -> Table:
    """Return how many files have which status and reason, and what to do about it."""
    table = grid(("Status", "Reason"), ("Files",))
    table.add_column("What to do", overflow="fold")
    for line in reasons(counts):
        status = Text(line["status"], style=_COLOURS.get(line["status"], ""))
        table.add_row(status, line["reason"], number(line["count"]), Text(line["advice"]))
    return table
