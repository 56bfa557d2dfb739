"""What blosc's settings cost and save on real frames: behind the defaults of ``output.codec``.

Run it on your own files to choose a codec for them: ``scripts/bench compression FILES``; without files, on
those that come with pydicom.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import blosc
from pydicom import Dataset
from pydicom.data import get_testdata_files
from pydicom.tag import Tag
from rich.console import Console
from rich.progress import track
from rich.table import Table

import pipeline

Frames = list[npt.NDArray[Any]]

FRAMES = 6
"""Most frames examined in each file."""
SETTINGS = {
    f"{name} {shuffle} {block >> 10 or 'auto'}": (name.split("-")[0], int(name[-1]), number, block)
    for name, block in (("zstd-1", 0), ("zstd-1", 2**19), ("zstd-3", 2**19), ("lz4-5", 0))
    for number, shuffle in ((blosc.NOSHUFFLE, "none"), (blosc.BITSHUFFLE, "bits"))
}
"""Codec, level, kind of shuffle and bytes per block (0: blosc chooses)."""


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("files", nargs="*", help="DICOM files (default: pydicom's own)")


def main(given: argparse.Namespace) -> None:
    """Print a table: how many times smaller, and milliseconds a MiB to write and to read, for each kind of pixels."""
    groups: dict[str, Frames] = defaultdict(list)
    for path in track(given.files or get_testdata_files(), "Reading"):
        kind, frames = _frames(path)
        groups[kind] += frames
    blosc.use_threads = False
    table = Table("pixels", "frames", "MiB", title="times smaller; milliseconds a MiB to write, to read")
    for title in SETTINGS:
        table.add_column(title, justify="right")
    groups.pop("", None)
    for kind, frames in sorted(groups.items()):
        size = sum(frame.nbytes for frame in frames) / 2**20
        table.add_row(
            kind, str(len(frames)), f"{size:.1f}", *(_measured(frames, size, setting) for setting in SETTINGS.values())
        )
    Console(width=200).print(table)


def _frames(path: str) -> tuple[str, Frames]:
    """Return the kind of a file's pixels and some frames; no frames if none can be decoded."""
    header = Dataset()
    try:
        count = pipeline.build_index(path).number_of_frames
        wanted = np.unique(np.linspace(0, count - 1, min(count, FRAMES)).astype(int)).tolist()
        frames = list(pipeline.iter_frames(path, indices=wanted, ds_out=header, specific_tags=[Tag("Modality")]))
    except pipeline.PipelineError:
        return "", []
    first = frames[0]
    colour = " RGB" if first.ndim > 2 else ""  # noqa: PLR2004  rows and columns
    stored = [frame.transpose(2, 0, 1) if colour else frame for frame in frames]  # colour is stored planar
    return f"{header.get('Modality') or '?'} {first.dtype}{colour}", [np.ascontiguousarray(frame) for frame in stored]


def _measured(frames: Frames, size: float, setting: tuple[str, int, int, int]) -> str:
    name, level, shuffle, block = setting
    writing, reading = [], []
    for _ in range(3):
        start = time.perf_counter()
        stored = [blosc.compress(frame, name.encode(), level, shuffle, block) for frame in frames]
        writing.append(time.perf_counter() - start)
        start = time.perf_counter()
        for chunk in stored:
            blosc.decompress(chunk)
        reading.append(time.perf_counter() - start)
    times = " ".join(f"{min(seconds) / size * 1e3:5.2f}" for seconds in (writing, reading))
    return f"{size * 2**20 / sum(map(len, stored)):.2f}  {times}"
