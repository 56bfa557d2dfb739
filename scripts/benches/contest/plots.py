"""The figures as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benches.contest.goals import GOALS
from benches.contest.results import Results
from benches.contest.throughput import CONTENDERS

_COLOURS = {"serial": "#b8b8b8", "delayed": "#8899aa", "project": "#0a7d5a", "limit": "#f0c05a"}
_LABELS = {
    "serial": "(a) loop over iter_pixels",
    "delayed": "(b) dask.delayed",
    "project": "(c) dcm2zarr",
    "limit": "(d) limit: codecs and disk alone",
}


def throughput(results: Results, path: Path) -> None:
    """Draw each contender's frames a second as a share of the limit's, by input."""
    rows = [results.throughput[name] for name in GOALS if name in results.throughput]
    figure = Figure(figsize=(9, 0.75 * len(rows) + 1.3), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(CONTENDERS)
    for number, name in enumerate(CONTENDERS):
        places = [place + (number - 1.5) * height for place in range(len(rows))]
        shares = [row.rate(name) / row.rate("limit") for row in rows]
        bars = axes.barh(places, shares, height, color=_COLOURS[name], label=_LABELS[name])
        axes.bar_label(bars, [f" {row.rate(name):,.0f}" for row in rows], fontsize=7)
    axes.set_yticks(range(len(rows)), [row.title for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("share of the limit; the numbers are frames a second")
    axes.set_xlim(0, max(1.0, axes.get_xlim()[1]) * 1.08)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize=8, frameon=False)
    # the same figures give the same file
    with mpl.rc_context({"svg.hashsalt": "dcm2zarr", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
