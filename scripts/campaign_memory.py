"""Peak memory of the workers against the size of one multi-frame file.

    scripts/campaign_memory.py [--gib 0.25 1 4] [--workers 2] [--input native]

Makes files of that size (of one of the benchmark's inputs: native 16-bit frames, RLE, JPEG tiles, …), converts each on
fresh worker processes, and prints each worker's peak resident memory (VmHWM) beside the limit of 400 MiB plus two shards.
Exits with 1 where one is above it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarking import memory
from benchmarking.inputs import INPUTS

LIMIT = 400 + 2 * 64
"""MiB."""


def main() -> None:
    """Measure every size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, nargs="+", default=memory.SIZES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--input", choices=[kind.name for kind in INPUTS if not kind.files], default="native")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-memory-") as folder:
        rows = memory.measure(options.input, Path(folder), options.workers, options.gib, lambda _: None)
    if options.json:
        print(json.dumps(rows))
    else:
        table = Table("file, GiB", "frames", "worker peak, MiB", "limit, MiB", "driver peak, MiB", "MB/s decoded")
        for row in rows:
            numbers = (row["frames"], row["worker_mib"], LIMIT, row["driver_mib"], row["mb_per_second"])
            table.add_row(f"{row['gib']:.2f}", *(f"{number:.0f}" for number in numbers))
        Console().print(table)
    sys.exit(any(row["worker_mib"] > LIMIT for row in rows))


if __name__ == "__main__":
    main()
