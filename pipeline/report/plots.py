"""Plots as inline SVG: they scale with the page, their labels are text, and a sentence says what they show."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_HEIGHT = 100


def steps(values: Sequence[float], *, top: str, left: str, right: str, told: str) -> str:
    """Return a filled step line over slices of equal width.

    Parameters
    ----------
    values : sequence of float
        One value for each slice, not negative.
    top : str
        Label of the highest value.
    left, right : str
        Labels of the start of the first slice and the end of the last one.
    told : str
        A sentence that says what the plot shows, for readers who can't see it.
    """
    most = max(values, default=0) or 1
    heights = [_HEIGHT * (1 - value / most) for value in values]
    line = "".join(f"L{place} {height:.2f}H{place + 1}" for place, height in enumerate(heights))
    width = len(values)
    return (
        f'<figure class="plot">\n<div class="y"><span>{escape(top)}</span><span>0</span></div>\n'
        f'<svg viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(told)}">'
        f'<path class="grid" d="M0 0H{width}M0 {_HEIGHT // 2}H{width}M0 {_HEIGHT}H{width}"/>'
        f'<path class="area" d="M0 {_HEIGHT}{line}V{_HEIGHT}Z"/>'
        f'<path class="line" d="M0 {heights[0] if heights else _HEIGHT:.2f}{line}"/></svg>\n'
        f'<div class="x"><span>{escape(left)}</span><span>{escape(right)}</span></div>\n'
        f"<figcaption>{escape(told)}</figcaption>\n</figure>"
    )
