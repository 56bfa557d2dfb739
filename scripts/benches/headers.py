"""What reading a header costs: `read_header` beside pydicom's ``dcmread(stop_before_pixels=True)``, and the scan's steps.

    scripts/bench headers [--files 300] [--rounds 5] [--folder FOLDER]

Makes CT slices of 512 x 512 pixels with the header of pydicom's own CT sample, or takes the files of a folder. The
contenders read the same files in turns, round by round, from the page cache; the figures are medians over all files, of processor time,
which doesn't depend on other load of the machine.
Exits with 1 if `read_header` takes more than 1.3 times pydicom's time.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import pydicom
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid
from rich.console import Console
from rich.table import Table

from pipeline import config, frames
from pipeline.deid import IDENTITY
from pipeline.model import SourceFile
from pipeline.scan import make_salt, scan_batch
from pipeline.scan.file_records import Record, RowPlace, Wanted
from pipeline.storage import OutputDir
from runner import common

LIMIT = 1.3
BATCH = 64
SIDE = 512


def make_slices(folder: Path, count: int) -> list[Path]:
    """Write a CT series; return its files."""
    ds = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    ds.Rows = ds.Columns = SIDE
    ds.PixelData = bytes(2 * SIDE * SIDE)
    prefix = generate_uid(entropy_srcs=["bench_headers"])[:50]
    paths = []
    for number in range(count):
        ds.InstanceNumber = number + 1
        ds.ImagePositionPatient[2] = float(number)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{prefix}.{number}"
        paths.append(folder / f"{number:06}.dcm")
        ds.save_as(paths[-1], enforce_file_format=True)
    return paths


def with_pydicom(path: str) -> Any:
    """Read a header as pydicom's users do."""
    return pydicom.dcmread(path, stop_before_pixels=True)


def with_read_header(path: str) -> frames.Header:
    """Read a header as the scan does."""
    with frames.open_source(path) as file:
        return frames.read_header(file, source=path)


def timed(function: Callable[[str], Any], paths: Sequence[str]) -> list[float]:
    """Return the seconds of each call."""
    seconds = []
    for path in paths:
        begin = process_time()
        function(path)
        seconds.append(process_time() - begin)
    return seconds


def compare(paths: Sequence[str], rounds: int) -> dict[str, float]:
    """Return the median microseconds of both contenders, in turns."""
    contenders = {"dcmread(stop_before_pixels=True)": with_pydicom, "read_header": with_read_header}
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        order = list(contenders)[:: 1 if number % 2 else -1]
        for name in order:
            found[name] += timed(contenders[name], paths)
    return {name: median(seconds) * 1e6 for name, seconds in found.items()}


def scan_steps(paths: Sequence[str], rounds: int) -> dict[str, float]:
    """Return the median microseconds of each step of the scan on a file, in its order."""
    run = config.from_dict({"source": {"paths": [str(Path(paths[0]).parent)]}, "output": {"path": "unused"}})
    wanted = Wanted.by(run, make_salt())
    found: dict[str, list[float]] = {}

    def step(name: str, function: Callable[[], Any]) -> Any:
        begin = process_time()
        result = function()
        found.setdefault(name, []).append(process_time() - begin)
        return result

    for path in list(paths) * rounds:
        record = Record(SourceFile(path, 0), IDENTITY)
        with frames.open_source(path) as file:
            header = step("read_header", lambda: frames.read_header(file, source=path))  # noqa: B023
            step("describe: columns and DICOM JSON", lambda: record.describe(header, wanted))  # noqa: B023
            pixels = step("pixel_format", lambda: frames.pixel_format(header))  # noqa: B023
            index = step("index_frames", lambda: frames.index_frames(file, header))  # noqa: B023
        step("instance: attributes and geometry", lambda: record.instance(header, pixels, index, RowPlace(0, 0)))  # noqa: B023
    return {name: median(seconds) * 1e6 for name, seconds in found.items()}


def whole_scan(paths: Sequence[str], rounds: int) -> float:
    """Return the median microseconds per file of whole scan tasks, including writing the segments."""
    files = [SourceFile(path, info.st_size, info.st_mtime_ns) for path in paths if (info := Path(path).stat())]
    seconds = []
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-headers-") as out:
        run = config.from_dict({"source": {"paths": [str(Path(paths[0]).parent)]}, "output": {"path": out}})
        for number in range(rounds):
            begin = process_time()
            for segment, start in enumerate(range(0, len(files), BATCH)):
                scan_batch(files[start : start + BATCH], run, OutputDir.of(out), number * len(files) + segment)
            seconds.append((process_time() - begin) / len(files))
    return median(seconds) * 1e6


def show(compared: Mapping[str, float], steps: Mapping[str, float], whole: float) -> None:
    """Print the figures."""
    base = compared["dcmread(stop_before_pixels=True)"]
    table = Table("per file", "median, µs", "of dcmread")
    for name, value in (*compared.items(), *((f"  scan: {name}", v) for name, v in steps.items())):
        table.add_row(name, f"{value:.0f}", f"{value / base:.2f}")
    table.add_row("whole scan task, segment written", f"{whole:.0f}", f"{whole / base:.2f}")
    Console().print(table)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, rounds=5)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--folder", type=Path, help="read these files instead of generated ones")
    parser.add_argument("--json", action="store_true")


def main(given: argparse.Namespace) -> int:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-headers-") as folder:
        found = sorted(given.folder.rglob("*.dcm")) if given.folder else make_slices(Path(folder), given.files)
        paths = [str(path) for path in found]
        compared = compare(paths, given.rounds)
        steps, whole = scan_steps(paths, given.rounds), whole_scan(paths, given.rounds)
    if given.json:
        print(json.dumps({"contenders": compared, "steps": steps, "scan": whole}))
    else:
        show(compared, steps, whole)
    reference, ours = compared.values()
    return int(ours > LIMIT * reference)
