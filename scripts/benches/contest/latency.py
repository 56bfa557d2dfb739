"""Time to the first frame of an untouched file: opened lazily, and by pydicom."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from pydicom.pixels import iter_pixels

import pipeline
from benches.contest.inputs import INPUTS, make

NAMES = ("native", "jpeg-tiles", "jpeg-tiles-no-table")
REPEATS = 5


def measure(folder: Path, frames: int) -> list[dict[str, object]]:
    """Time the last frame of a file of `frames` frames, from its path; milliseconds, medians."""
    rows: list[dict[str, object]] = []
    for kind in (kind for kind in INPUTS if kind.name in NAMES):
        made = make(kind, frames if kind.coding != "native" else min(frames, 2000), folder / kind.name)
        (path,), last = made.sources, len(made.places) - 1
        rows.append(
            {
                "title": kind.title,
                "frames": last + 1,
                "open_dicom": _median(lambda path=path, last=last: pipeline.open_dicom(path).pixels[last].compute()),
                "iter_pixels": _median(lambda path=path, last=last: next(iter_pixels(path, indices=[last]))),
            }
        )
    return rows


def _median(function: Callable[[], object]) -> float:
    function()
    times = []
    for _ in range(REPEATS):
        begin = perf_counter()
        function()
        times.append(perf_counter() - begin)
    return 1e3 * statistics.median(times)
