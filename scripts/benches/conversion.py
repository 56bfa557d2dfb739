"""Measure conversion beside what a user writes today and beside the limit; write tables, JSON and a plot.

The inputs are made again each time, the same and with realistic noise, in a temporary folder, which needs 12 GiB for the
full run. A part that is measured again with --only replaces that part of the earlier results.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benches.contest import latency, machine, memory, planning, plots, scaling, tables
from benches.contest.inputs import INPUTS
from benches.contest.results import Results
from benches.contest.throughput import Contest, measure
from runner import REPOSITORY, common

OTHERS = ("memory", "latency", "planning", "scaling")
RESULTS, REPORT, PLOT = "results.json", "README.md", "throughput.svg"
SCALED = ("native", "jpeg-ls", "jpeg-tiles")
IN_MEMORY = ("native", "jpeg-tiles-no-table")


def main(options: argparse.Namespace) -> None:
    """Run the command."""
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.share = options.share or (1 / 16 if options.quick else 1.0)
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    results = Results.load(out / RESULTS) if options.only else Results()
    results.machine = machine.describe()
    results.settings |= {"quick": options.quick, "workers": options.workers, "rounds": options.rounds}
    wanted = options.only or [kind.name for kind in INPUTS] + list(OTHERS)
    folder = Path(tempfile.mkdtemp(prefix="dcm2zarr-bench-", dir=options.folder))
    try:
        _throughput(results, wanted, options, folder)
        _others(results, wanted, options, folder)
    finally:
        shutil.rmtree(folder)
    results.save(out / RESULTS)
    (out / REPORT).write_text(tables.markdown(results), "utf-8")
    plots.throughput(results, out / PLOT)
    print(tables.throughput_table(results))
    print(f"written: {out / REPORT}, {out / RESULTS}, {out / PLOT}")


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, workers=os.cpu_count(), rounds=None)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="little inputs, and one round instead of three: does it run, roughly how fast",
    )
    parser.add_argument(
        "--only", nargs="+", choices=[*(kind.name for kind in INPUTS), *OTHERS], help="only these parts"
    )
    parser.add_argument(
        "--share", type=float, default=None, help="part of each input's frames; 1, or 1/16 with --quick"
    )
    parser.add_argument("--folder", type=Path, default=None, help="temporary place of inputs and outputs")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "benchmarks")


def _throughput(results: Results, wanted: list[str], options: argparse.Namespace, folder: Path) -> None:
    kinds = [kind for kind in INPUTS if kind.name in wanted]
    if not kinds:
        return
    with Contest(options.workers, folder) as contest:
        results.startup_seconds = contest.startup_seconds
        for kind in kinds:
            frames = max(8, round(kind.frames * options.share))
            results.throughput[kind.name] = measure(contest, kind, frames, options.rounds, _speaker(kind.name))
            results.save(options.out / RESULTS)  # a run that is stopped leaves what it has measured


def _others(results: Results, wanted: list[str], options: argparse.Namespace, folder: Path) -> None:
    share = options.share
    if "memory" in wanted:
        sizes = tuple(gib * min(1.0, 4 * share) for gib in memory.SIZES)
        for name in IN_MEMORY if not options.quick else IN_MEMORY[:1]:
            results.memory[name] = memory.measure(name, folder, options.workers, sizes, _speaker(f"memory, {name}"))
    if "latency" in wanted:
        results.latency = latency.measure(folder / "latency", max(8, round(16_000 * share)))
    if "planning" in wanted:
        results.planning = planning.measure(tuple(max(10, round(count * share)) for count in planning.COUNTS))
    if "scaling" in wanted:
        for kind in (kind for kind in INPUTS if kind.name in SCALED):
            frames = max(8, round(kind.frames * share))
            say = _speaker(f"scaling, {kind.name}")
            results.scaling[kind.name] = scaling.measure(kind.name, frames, options.workers, folder, say)


def _speaker(name: str) -> Any:
    def say(text: str) -> None:
        print(f"{name}: {text}", file=sys.stderr, flush=True)

    return say
