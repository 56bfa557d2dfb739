"""What TLS costs a run on local workers: start-up and throughput with it beside without.

    scripts/bench tls [--pairs 9] [--slices 2000] [--workers 2]

Converts one small file, and single-frame CT files of 512 x 512 x 12 bit, each in a process of its own like the
command's, once with a run's certificate and once over plain TCP, alternately. Prints medians of the pairs: wall
time, processor time of all processes, and for the slices the frames per second of scan and conversion.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from pydicom.data import get_testdata_file

from benches.contest.inputs import INPUTS, make
from runner import common

RUN = "from pipeline.cli import main; main()"
PLAIN = """
from pipeline.executors.clusters import this_machine

secured = this_machine._processes

def plain(cluster):
    connection, workers = secured(cluster)
    for options in (connection, workers[0]["options"]):
        options["protocol"] = "tcp://"
        del options["security"]
    return connection, workers

this_machine._processes = plain
this_machine.of_this_run = lambda: None
"""
PROGRAMS = {"tls": RUN, "plain": PLAIN + RUN}


@dataclass(frozen=True, slots=True)
class Took:
    """Costs of one run."""

    seconds: float
    processor: float
    rate: float
    """Frames per second of scan and conversion."""


def convert(program: str, source: str, out: Path, workers: int) -> Took:
    """Run the command in a process of its own."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-c", program, "convert", source, str(out), "--workers", str(workers), "-q"]
    begin = time.perf_counter()
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, used = os.wait4(process, 0)
    seconds = time.perf_counter() - begin
    if status:
        sys.exit(f"dcm2zarr ended with status {status}")
    report = json.loads((out / "report.json").read_text("utf-8"))
    busy = sum(report["seconds_by_phase"][phase] for phase in ("scan", "convert"))
    return Took(seconds, used.ru_utime + used.ru_stime, report["totals"]["frames"] / busy)


def compare(name: str, source: str, folder: Path, pairs: int, workers: int) -> None:
    """Print the medians of `pairs` of runs."""
    took: dict[str, list[Took]] = {program: [] for program in PROGRAMS}
    for number in range(pairs):
        for program in sorted(PROGRAMS, reverse=bool(number % 2)):
            took[program].append(convert(PROGRAMS[program], source, folder / "out", workers))
            print(f"{name} {number + 1}: {program} {took[program][-1]}", flush=True)
    show = "{:>24} {:8.2f} {:8.2f} {:+8.3f} {:+7.1%}"
    print(f"{name:>24} {'TLS':>8} {'plain':>8} {'differ':>8}")
    row(show, "seconds", took, lambda one: one.seconds)
    row(show, "processor seconds", took, lambda one: one.processor)
    row(show, "frames a second", took, lambda one: one.rate)


def row(show: str, title: str, took: dict[str, list[Took]], value: Callable[[Took], float]) -> None:
    """Print the medians of one value, and the median of the pairs' differences."""
    tls, plain = ([value(one) for one in took[program]] for program in ("tls", "plain"))
    differences = [one - other for one, other in zip(tls, plain, strict=True)]
    ratios = [one / other - 1 for one, other in zip(tls, plain, strict=True)]
    print(show.format(title, median(tls), median(plain), median(differences), median(ratios)))


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, workers=os.cpu_count())
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--slices", type=int, default=2000)


def main(given: argparse.Namespace) -> None:
    """Measure both ways."""
    (kind,) = (kind for kind in INPUTS if kind.name == "ct-files")
    with TemporaryDirectory(prefix="dcm2zarr-tls-") as name:
        folder = Path(name)
        compare("start-up", get_testdata_file("CT_small.dcm"), folder, given.pairs, given.workers)
        if given.slices:
            make(kind, given.slices, folder / "in")
            compare("slices", str(folder / "in"), folder, given.pairs, given.workers)
