"""What header bombs cost: seconds, memory of the driver and of a worker, and the temporary folder.

    scripts/campaign bombs [--only NAME ...] [--share 1.0]

Makes files whose headers hold, nest or inflate to more than any real one (`tests/support/header_bombs.py`), converts each with a local
worker process, and prints its costs beside those of an ordinary file. Exits with 1 if a run took longer, or
more memory, than the limits below, or a file has no reason.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

import runner
from runner import common, is_wanted
from support import header_bombs

SIZES = {
    **dict.fromkeys(header_bombs.BY_ITEMS, 3_750_000),
    **dict.fromkeys(header_bombs.BY_ELEMENTS, 1_000_000),
    **dict.fromkeys(header_bombs.BY_VALUES, 30_000_000),
    **dict.fromkeys(header_bombs.BY_DEPTH, 100_000),
    **dict.fromkeys(header_bombs.BY_FRAGMENTS, 6_000_000),
    **dict.fromkeys(header_bombs.BY_BYTES, 3 << 30),
    header_bombs.large_values: 96 << 20,
}
SECONDS, DRIVER_MIB, WORKER_MIB, FOLDER_MIB = 30, 60, 1600, 1100
"""Most that a bomb may cost in addition to an ordinary file."""
_LOOK = 0.05


@dataclass
class Cost:
    """Costs of a run."""

    seconds: float = 0
    driver: float = 0
    worker: float = 0
    folder: float = 0
    told: str = ""


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, only=(), timeout=900)
    parser.add_argument("--share", type=float, default=1.0, help="share of the bombs' full size")


def main(given: argparse.Namespace) -> int:
    """Measure, print a table, and return the exit code."""
    table = Table("bomb", "file, MiB", "seconds", "driver, MiB", "worker, MiB", "temporary, MiB", "became")
    wrong = []
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-bombs-") as name:
        root = Path(name)
        usual = measure(root, header_bombs.image(), given.timeout)
        table.add_row("(none)", *cells(header_bombs.image(), usual))
        for bomb, size in SIZES.items():
            if not is_wanted(bomb.__name__, given.only):
                continue
            data = bomb(int(size * given.share))
            cost = measure(root, data, given.timeout)
            print(bomb.__name__, cost, flush=True)
            table.add_row(bomb.__name__, *cells(data, cost))
            if is_too_much(cost, usual):
                wrong.append(bomb.__name__)
    Console(width=160).print(table)
    print(f"{len(wrong)} cost too much: {', '.join(wrong)}" if wrong else "None cost too much.")
    return int(bool(wrong))


def is_too_much(cost: Cost, usual: Cost) -> bool:
    """Return whether a bomb exceeded the limits."""
    return (
        cost.seconds - usual.seconds > SECONDS
        or cost.driver - usual.driver > DRIVER_MIB
        or cost.worker - usual.worker > WORKER_MIB
        or cost.folder > FOLDER_MIB
        or not cost.told
    )


def cells(data: bytes, cost: Cost) -> list[str]:
    """Return a row's cells."""
    numbers = (len(data) / 2**20, cost.seconds, cost.driver, cost.worker, cost.folder)
    return [*(f"{number:.1f}" for number in numbers), cost.told]


def measure(root: Path, data: bytes, timeout: float) -> Cost:
    """Convert one file in processes of their own, and measure them meanwhile."""
    run = Path(tempfile.mkdtemp(dir=root))
    (run / "tmp").mkdir()
    (run / "bomb.dcm").write_bytes(data)
    out = run / "out"
    command = [sys.executable, "-m", "pipeline.cli", "convert", str(run / "bomb.dcm"), str(out), "--workers", "1"]
    environment = {**os.environ, "PYTHONPATH": str(runner.REPOSITORY), "TMPDIR": str(run / "tmp")}
    begin, cost = time.monotonic(), Cost()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            look(driver, run / "tmp", cost)
            if time.monotonic() - begin > timeout:
                for each in [*driver.children(recursive=True), driver]:
                    each.kill()
            time.sleep(_LOOK)
        cost.seconds = time.monotonic() - begin
    if (out / "catalog.parquet").exists():
        row = pq.read_table(out / "catalog.parquet", columns=["status", "reason"]).to_pylist()[0]
        cost.told = f"{row['status']} {row['reason'] or ''}".strip()
    return cost


def look(driver: psutil.Process, folder: Path, cost: Cost) -> None:
    """Take the highest of each figure."""
    mib = 2**20
    try:
        cost.driver = max(cost.driver, driver.memory_info().rss / mib)
        children = driver.children(recursive=True)
    except psutil.Error:
        return
    held = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    for child in children:
        try:
            cost.worker = max(cost.worker, child.memory_info().rss / mib)
            held += deleted(child.pid, folder)
        except (psutil.Error, OSError):
            continue
    cost.folder = max(cost.folder, (held + deleted(driver.pid, folder)) / mib)


def deleted(pid: int, folder: Path) -> int:
    """Return the bytes of files without a name that a process has open in a folder."""
    total = 0
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if str(link.readlink()).startswith(str(folder)):
                total += link.stat().st_size
        except OSError:
            continue
    return total
