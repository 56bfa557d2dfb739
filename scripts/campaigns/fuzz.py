"""Mutants of real files through ``convert``: no run ends, no worker is lost, every file has its row, pixels are pydicom's.

    scripts/campaign fuzz [--mutants 20000] [--batch 500] [--first 0] [--seed 0] [--largest 60000] [--json FILE]

Takes the real files of the tests' corpora up to a size, changes each mutant by bit flips, cuts, splices, header edits or
lengths (the same for the same seed), and converts them in batches on two worker processes. Then each mutant must have
exactly one row, all workers must be alive, and the pixels of a converted one must be those of pydicom's iter_pixels
with the plugin that the catalog names; differences documented in pipeline/frames/DIFFERENCES.md are counted. Exits with 1
if any of this fails. `--first` continues an earlier run.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask
import pyarrow.parquet as pq
from distributed import Client, LocalCluster
from rich.console import Console
from rich.table import Table

import pipeline
from campaigns.fuzzing.mutants import mutant
from campaigns.fuzzing.oracle import compare, documented
from runner import common
from support import corpora

LIMITS = {
    "frame": "256 MiB",
    "task_memory": "1 GiB",
    "frame_seconds": 10,
    "header_seconds": 20,
    "decode_memory": "1 GiB",
}
PIXEL_DATA = b"\xe0\x7f\x10\x00"
COLUMNS = (
    *("source", "status", "reason", "message", "image", "frame_start", "num_frames", "frames_missing", "decoder"),
    *("assumptions", "transfer_syntax_uid"),
)


@dataclass
class Findings:
    """The outcomes of the mutants."""

    mutants: Counter[str] = field(default_factory=Counter)
    """Mutants by kind."""
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Rows by status and reason."""
    verdicts: Counter[str] = field(default_factory=Counter)
    """Verdicts on the converted mutants."""
    documented: Counter[str] = field(default_factory=Counter)
    """Documented differences from pydicom."""
    problems: list[str] = field(default_factory=list)
    workers_restarted: int = 0
    seconds: float = 0.0


def corpus(largest: int) -> list[bytes]:
    """Return the real files to mutate: those with pixel data, and one in ten of the others."""
    files = [data for path in corpora.corpus() if 200 < len(data := path.read_bytes()) <= largest]  # noqa: PLR2004
    images = [data for data in files if PIXEL_DATA in data]
    others = [data for data in files if PIXEL_DATA not in data]
    return images + others[:: max(1, 10 * len(others) // max(1, len(images)))]


def write_batch(folder: Path, numbers: range, seed: int, files: list[bytes], found: Findings) -> None:
    """Write the mutants with these numbers."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number in numbers:
        kind, data = mutant(number, seed, files)
        found.mutants[kind] += 1
        (folder / f"{number:06d}-{kind}.dcm").write_bytes(data)


def run_batch(folder: Path, client: Client, found: Findings) -> None:
    """Convert a batch, and judge it."""
    source, out = folder / "mutants", folder / "out"
    workers = _processes(client)
    try:
        pipeline.convert(
            source,
            out,
            overwrite=True,
            cluster={"kind": "address", "address": client.scheduler.address},
            limits=LIMITS,
            metadata={"header": "none"},
        )
    except Exception as error:  # noqa: BLE001  that a run ends so is what is looked for
        found.problems.append(f"{min(source.iterdir()).name}…: the run ended with {type(error).__name__}: {error}")
        return
    rows = pq.read_table(out / "catalog.parquet", columns=list(COLUMNS)).to_pylist()
    counts = Counter(row["source"] for row in rows)
    for path in source.iterdir():
        if counts.pop(str(path), 0) != 1:
            found.problems.append(f"{path.name}: not exactly one row")
    found.problems += [f"{path}: a row too many" for path in counts]
    _judge(out, rows, client, found)
    client.wait_for_workers(len(workers), timeout=300)
    found.workers_restarted += len(_processes(client) - workers)


def _judge(out: Path, rows: list[dict[str, Any]], client: Client, found: Findings) -> None:
    for row in rows:
        found.outcomes[row["status"], row["reason"] or ""] += 1
        if (row["status"] == "converted") == bool(row["reason"]):
            found.problems.append(f"{Path(row['source']).name}: {row['status']} with reason {row['reason']}")
    converted = [row for row in rows if row["status"] == "converted"]
    verdicts = client.gather(client.map(compare, [str(out)] * len(converted), converted, pure=False, batch_size=50))
    for row, (verdict, details) in zip(converted, verdicts, strict=True):
        found.verdicts[verdict] += 1
        if verdict == "equal":
            continue
        known = documented(verdict, details, row["assumptions"] or "")
        name = Path(row["source"]).name
        if known:
            found.documented[f"{verdict}: {known}"] += 1
        else:
            found.problems.append(f"{name}: {verdict}: {details} [{row['decoder']}; {row['assumptions']}]")


def _processes(client: Client) -> set[str]:
    return set(client.scheduler_info(n_workers=-1)["workers"])


def report(found: Findings) -> None:
    """Print the outcomes of the mutants."""
    console = Console()
    table = Table("status", "reason", "mutants")
    for (status, reason), number in sorted(found.outcomes.items()):
        table.add_row(status, reason, str(number))
    table.add_section()
    table.add_row("all", "", str(found.mutants.total()))
    console.print(table)
    console.print(f"mutants by kind: {dict(found.mutants)}")
    console.print(f"converted, against pydicom: {dict(found.verdicts)}")
    for text, number in found.documented.most_common():
        console.print(f"  {number:5d}  {text}", markup=False)
    console.print(f"{found.seconds:.0f} s; workers that were started anew: {found.workers_restarted}")
    for problem in found.problems:
        console.print(problem, style="red", markup=False)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, seed=0, workers=2, keep=None)
    parser.add_argument("--mutants", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--largest", type=int, default=60_000, help="bytes of the largest file to mutate")
    parser.add_argument("--json", type=Path, help="also write the findings to this file")


def run(given: argparse.Namespace) -> Findings:
    """Run the campaign."""
    found = Findings()
    files = corpus(given.largest)
    begin = time.perf_counter()
    quiet = {"distributed.scheduler.allowed-failures": 0, "distributed.admin.system-monitor.gil.enabled": False}
    with (
        tempfile.TemporaryDirectory(prefix="dcm2zarr-fuzz-") as temporary,
        dask.config.set(quiet),
        LocalCluster(
            env={"RUST_BACKTRACE": "0", "PYTHONWARNINGS": "ignore"},
            n_workers=given.workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        ) as local,
        Client(local) as client,
    ):
        folder = Path(temporary)
        last = given.first + given.mutants
        for first in range(given.first, last, given.batch):
            before = len(found.problems)
            write_batch(folder / "mutants", range(first, min(first + given.batch, last)), given.seed, files, found)
            run_batch(folder, client, found)
            found.seconds = time.perf_counter() - begin
            print(
                f"{found.mutants.total()} mutants, {found.seconds:.0f} s, {len(found.problems)} problems",
                file=sys.stderr,
            )
            if given.keep and len(found.problems) > before:
                shutil.copytree(folder / "mutants", given.keep, dirs_exist_ok=True)
    return found


def main(given: argparse.Namespace) -> int:
    """Run the campaign and report."""
    found = run(given)
    report(found)
    if given.json:
        values = {**vars(found), "outcomes": [[*key, number] for key, number in sorted(found.outcomes.items())]}
        given.json.write_text(json.dumps(values, indent=2))
    return int(bool(found.problems))
