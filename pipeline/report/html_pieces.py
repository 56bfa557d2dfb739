"""Small pieces of HTML. They escape all foreign text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True, slots=True)
class Markup:
    """Text that is HTML already."""

    html: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    title: str
    kind: str = ""
    """CSS class: ``number``, ``path``, ``bar``."""


Cell = str | Markup


def html_of(cell: Cell) -> str:
    """Return a cell as HTML."""
    return cell.html if isinstance(cell, Markup) else escape(cell)


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table that scrolls sideways on a narrow screen, without the rest of the page."""
    head = "".join(f"<th{_class(column)}>{escape(column.title)}</th>" for column in columns)
    body = "\n".join(
        f"<tr>{''.join(_cell(column, cell) for column, cell in zip(columns, row, strict=True))}</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'


def _cell(column: Column, cell: Cell) -> str:
    """Return one cell, with its title: on narrow screens each row becomes a small card."""
    title = f' data-title="{escape(column.title)}"' if column.title else ""
    return f"<td{_class(column)}{title}>{html_of(cell)}</td>"


def _class(column: Column) -> str:
    return f' class="{column.kind}"' if column.kind else ""


def bar(share: float, kind: str = "") -> Markup:
    """Return a bar of `share` (0 to 1) of its cell; `kind` colours it."""
    width = max(0.0, min(1.0, share)) * 100
    return Markup(
        f'<svg class="bar {escape(kind)}" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" '
        f'aria-label="{width:.0f} percent"><rect class="all" width="100" height="8"/>'
        f'<rect class="part" width="{width:.2f}" height="8"/></svg>'
    )


def stacked(shares: Sequence[tuple[str, float]]) -> Markup:
    """Return a bar of several parts, given as name and share (0 to 1) of the cell; the name is the CSS class of the part."""
    start, parts = 0.0, []
    for name, share in shares:
        width = max(0.0, min(1.0 - start / 100, share)) * 100
        parts.append(f'<rect class="{escape(name)}" x="{start:.2f}" width="{width:.2f}" height="8"/>')
        start += width
    label = ", ".join(f"{name} {share * 100:.0f} percent" for name, share in shares)
    return Markup(
        f'<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label="{escape(label)}">'
        f'<rect class="all" width="100" height="8"/>{"".join(parts)}</svg>'
    )


def section(title: str, *parts: str) -> str:
    """Return a titled section; an empty text if all `parts` are empty."""
    content = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>" if content else ""


def note(text: str) -> str:
    """Return a remark."""
    return f'<p class="note">{escape(text)}</p>'
