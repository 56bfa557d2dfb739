"""Peak memory of the workers against the size of one multi-frame file.

    scripts/campaign memory [--gib 0.25 1 4] [--workers 2] [--input native]

Makes files of that size (of one of the benchmark's inputs: native 16-bit frames, RLE, JPEG tiles, …), converts each on
fresh worker processes, and prints each worker's peak resident memory (VmHWM) beside the limit of 400 MiB plus two shards.
Exits with 1 if one exceeds it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.contest import memory
from benches.contest.inputs import INPUTS
from runner import common

LIMIT = 400 + 2 * 64
"""Limit in MiB."""


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, workers=2)
    parser.add_argument("--gib", type=float, nargs="+", default=memory.SIZES)
    parser.add_argument("--input", choices=[kind.name for kind in INPUTS if not kind.files], default="native")
    parser.add_argument("--json", action="store_true")


def main(given: argparse.Namespace) -> int:
    """Measure every size and print a table."""
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-memory-") as folder:
        rows = memory.measure(given.input, Path(folder), given.workers, given.gib, lambda _: None)
    if given.json:
        print(json.dumps(rows))
    else:
        table = Table("file, GiB", "frames", "worker peak, MiB", "limit, MiB", "driver peak, MiB", "MB/s decoded")
        for row in rows:
            numbers = (row["frames"], row["worker_mib"], LIMIT, row["driver_mib"], row["mb_per_second"])
            table.add_row(f"{row['gib']:.2f}", *(f"{number:.0f}" for number in numbers))
        Console().print(table)
    return int(any(row["worker_mib"] > LIMIT for row in rows))
