"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from pipeline.cli.screen import plain
from pipeline.report import reasons
from pipeline.units import number, short_path

WIDE = 140
"""Columns of a terminal that is wide enough for all columns of the table of images."""
SHORTEST_NAME = 7
_LUXURIES = ("Series description", "Chunk")
_RIGHT = ("Files", "Shape", "Type", "Chunk", "Shard", "Decoded")
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
    """Add a row of plain text: file names may hold text that rich takes for markup."""
    table.add_row(*map(plain, cells))


def images_table(rows: Iterable[Mapping[str, str]], width: int | None) -> Table:
    """Return a table of images, a mapping of title to cell for each, the image's path under ``Image``.

    Parameters
    ----------
    width : int, optional
        Columns of the terminal: cells that don't fit are left out or shortened. None shows everything.
    """
    table = Table(box=None, pad_edge=False, header_style="bold")
    left_out = _LUXURIES if width is not None and width < WIDE else ()
    for row in rows:
        cells = {title: cell for title, cell in row.items() if title not in left_out}
        if not table.columns:
            for title in cells:
                right = title in _RIGHT
                table.add_column(
                    title, justify="right" if right else "left", no_wrap=right or title == "Image", overflow="fold"
                )
        add(table, *(image_name(cell, width) if title == "Image" else cell for title, cell in cells.items()))
    return table


def image_name(path: str, width: int | None) -> str:
    """Return an image's path, shortened for a terminal of `width` columns; whole for None."""
    if width is None:
        return path
    return short_path(path) if width >= WIDE else short_path(path, SHORTEST_NAME)


def reasons_table(counts: Mapping[tuple[str, str], int]) -> Table:
    """Return a table of status, reason, number of files and advice."""
    table = grid(("Status", "Reason"), ("Files",))
    table.add_column("What to do", overflow="fold")
    for line in reasons(counts):
        status = plain(line["status"], _COLOURS.get(line["status"], ""))
        table.add_row(status, plain(line["reason"]), number(line["count"]), plain(line["advice"]))
    return table
