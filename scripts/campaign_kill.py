"""Runs killed with SIGKILL at random moments, then run to the end, must leave what an undisturbed run leaves.

    scripts/campaign_kill.py [--kills 200] [--seed 1] [--keep FOLDER]

Converts a small but varied input (multi-frame and single-frame series, a damaged file, a copy, a file that is no image) in
many small tasks, once undisturbed. Then, in rounds: a fresh output directory, one to four runs of which each is killed at
a random moment - the driver, a worker process, a nanny or the scheduler - and one run to the end. Every file of images.zarr
and every row of the catalog must be those of the undisturbed run, the ledger readable without damage, and ``dcm2zarr
verify`` must find nothing. Prints how the kills were spread over victims and phases. Exits with 1 on any difference.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pydicom
from pydicom.data import get_testdata_file
from rich.console import Console
from rich.table import Table

from pipeline import catalog, ledger

TASK_BYTES = 2**21
"""Work of a task here: many small ones."""
DRIVER = f"""
import sys
from dataclasses import replace
from pipeline.engine import preparing
whole = preparing.layout
preparing.layout = lambda config: replace(whole(config), task_bytes={TASK_BYTES})
from pipeline.cli import main
if __name__ == "__main__":
    main()
"""
MULTI_FRAME = ("rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm", "rtdose.dcm", "SC_rgb_rle_16bit_2frame.dcm")
SINGLE = ("JPEG2000.dcm", "MR_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jpeg_ls_lossless.dcm")
END_SECONDS = 180
PHASES = ("start", "scan", "convert", "finalise", "catalog", "ended")


def make_input(folder: Path, copies: int) -> None:
    """Write the files that are converted."""
    folder.mkdir(parents=True)
    for name in (*MULTI_FRAME, *SINGLE):
        ds = pydicom.dcmread(get_testdata_file(name, download=False))
        for copy in range(copies):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = (
                f"1.2.3.{copy}.{len(name)}.{sum(name.encode())}"
            )
            ds.save_as(folder / f"{copy:03}-{name}")
    ds = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    for number in range(4 * copies):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.4.{number}"
        ds.InstanceNumber, ds.ImagePositionPatient = number, [0, 0, number]
        ds.save_as(folder / f"slice-{number:03}.dcm")
    whole = (folder / "000-rtdose_rle.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(whole[:-3000])
    (folder / "copy.dcm").write_bytes(whole)
    (folder / "notes.txt").write_text("not DICOM", "utf-8")


@dataclass(slots=True)
class Cluster:
    """A scheduler with two workers behind nannies, in processes of their own."""

    address: str
    processes: dict[str, list[subprocess.Popen[bytes]]]


@dataclass(slots=True)
class Campaign:
    """What the campaign does, and what it saw."""

    source: Path
    place: Path
    random: random.Random
    seconds: float = 0.0
    """How long an undisturbed run takes."""
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    """``(victim, phase)`` → kills."""
    rounds: int = 0
    wrong: list[str] = field(default_factory=list)

    def start(self, out: Path, cluster: Cluster | None = None) -> subprocess.Popen[bytes]:
        """Start a run."""
        kind = ["--cluster", cluster.address] if cluster else ["--cluster", "local", "--workers", "2"]
        command = [sys.executable, "-c", DRIVER, "convert", str(self.source), str(out), *kind, "-q"]
        log = (self.place / "log.txt").open("ab")
        return subprocess.Popen(
            [*command, "--set", "output.shard=3000"], stdout=log, stderr=log, start_new_session=True
        )

    def finish(self, out: Path, cluster: Cluster | None = None) -> str:
        """Run to the end; returns what is wrong with that, if anything."""
        run = self.start(out, cluster)
        try:
            code = run.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            kill_tree(run.pid)
            return f"a run did not end within {END_SECONDS} s"
        return "" if code == 1 else f"the last run ended with exit code {code} instead of 1 (one file is damaged)"

    def kill_one(self, out: Path, cluster: Cluster | None) -> None:
        """Start a run and kill one of its processes at a random moment; wait for the rest of it."""
        run = self.start(out, cluster)
        if self.random.random() < 0.4:  # noqa: PLR2004  the rest goes for phases that are short
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(self.random.uniform(0.2, 1.1) * self.seconds)
        else:
            wait_for(self.random.choice(PHASES[1:-1]), run, out)
            time.sleep(self.random.uniform(0, 0.4))
        victims = ["driver", "driver", "worker"] if cluster is None else ["driver", "scheduler", "nanny", "worker"]
        victim = self.random.choice(victims)
        pid = self.victim(victim, run, cluster)
        state = phase(out)
        if run.poll() is not None or pid is None:
            self.kills["none", "ended" if run.poll() is not None else state] += 1
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.kills[victim, state] += 1
        try:
            run.wait(1 if victim == "driver" else END_SECONDS)
        except subprocess.TimeoutExpired:
            if victim != "driver":
                self.wrong.append(f"round {self.rounds}: the run hung after its {victim} was killed ({state})")
            kill_tree(run.pid)

    def victim(self, victim: str, run: subprocess.Popen[bytes], cluster: Cluster | None) -> int | None:
        """Return the process to kill, None where there is none yet."""
        if victim == "driver":
            return run.pid
        if cluster is not None and victim != "worker":
            return self.random.choice(cluster.processes[victim]).pid
        roots = [run] if cluster is None else cluster.processes["nanny"]
        workers: list[int] = []
        for root in roots:
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(root.pid).children(recursive=True)
                workers += [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]
        return self.random.choice(workers) if workers else None


def phase(out: Path) -> str:
    """Return how far the run that writes `out` is."""
    if not list(out.glob("plan/segments/*.parquet")):
        return "start"
    if not (out / "plan" / "plan.json").is_file():
        return "scan"
    if (out / "catalog.parquet").is_file():
        return "ended" if (out / "report.html").is_file() else "catalog"
    try:
        identity, plan = catalog.read_facts(str(out))["id"], catalog.read_plan(str(out))
    except OSError:
        return "scan"
    done = {result.task for result in ledger.results(out, identity)}
    return "convert" if len(done) < len(plan.tasks) else "finalise"


def wait_for(wanted: str, run: subprocess.Popen[Any], out: Path) -> None:
    """Wait until a run has got as far as `wanted`, or has ended."""
    while run.poll() is None and PHASES.index(phase(out)) < PHASES.index(wanted):
        time.sleep(0.01)


def kill_tree(pid: int) -> None:
    """Kill a process and all its children."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for child in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


@contextmanager
def dask_cluster(place: Path) -> Iterator[Cluster]:
    """Start a scheduler and two workers behind nannies."""
    file = place / "scheduler.json"
    file.unlink(missing_ok=True)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    dask = [sys.executable, "-m", "dask"]
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    scheduler = subprocess.Popen([*dask, "scheduler", *options], **quiet)
    worker = ["worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--death-timeout", "10"]
    nannies = [subprocess.Popen([*dask, *worker, "--local-directory", str(place / "dask")], **quiet) for _ in range(2)]
    try:
        while not file.is_file():
            time.sleep(0.1)
        yield Cluster(json.loads(file.read_text())["address"], {"scheduler": [scheduler], "nanny": nannies})
    finally:
        for process in (*nannies, scheduler):
            kill_tree(process.pid)
            process.wait()


def result(out: Path) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """Return every file of images.zarr with its digest, and the rows of the catalog."""
    root = out / "images.zarr"
    files = {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
    return files, pq.read_table(out / "catalog.parquet").to_pylist()


def differences(out: Path, expected: tuple[dict[str, str], list[dict[str, Any]]]) -> list[str]:
    """Return what is wrong with a result."""
    files, rows = result(out)
    wrong = [
        f"{name}: {'extra' if name not in expected[0] else 'missing' if name not in files else 'other bytes'}"
        for name in sorted(expected[0].keys() | files.keys())
        if expected[0].get(name) != files.get(name)
    ]
    wrong += [f"row {one['source']} differs" for one, other in zip(rows, expected[1], strict=False) if one != other]
    if len(rows) != len(expected[1]):
        wrong.append(f"{len(rows)} rows instead of {len(expected[1])}")
    found = ledger.read(out, catalog.read_facts(str(out))["id"])
    wrong += [f"ledger: {damage}" for damage in found.damage]
    command = [sys.executable, "-m", "pipeline.cli", "verify", str(out), "-q"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    if checked.returncode:
        wrong.append(f"dcm2zarr verify: {checked.stdout.strip()[-500:]} {checked.stderr.strip()[-500:]}")
    return wrong


def a_round(campaign: Campaign, expected: tuple[dict[str, str], list[dict[str, Any]]], clusters: float) -> None:
    """Kill some runs of one conversion, then finish it and compare."""
    out = campaign.place / f"round-{campaign.rounds}"
    own = campaign.random.random() < clusters
    for _ in range(campaign.random.choice((1, 1, 2, 3, 4))):
        with dask_cluster(campaign.place) if own else contextlib.nullcontext() as cluster:
            campaign.kill_one(out, cluster)
    wrong = campaign.finish(out)
    found = [wrong] if wrong else differences(out, expected)
    campaign.wrong += [f"round {campaign.rounds}: {text}" for text in found]
    campaign.rounds += 1
    if not found:
        shutil.rmtree(out)


def show(campaign: Campaign) -> None:
    """Print where the kills fell, and what is wrong."""
    victims = sorted({victim for victim, _ in campaign.kills})
    table = Table("killed while", *(*victims, "together"))
    for name in PHASES:
        counts = [campaign.kills[victim, name] for victim in victims]
        table.add_row(name, *map(str, counts), str(sum(counts)))
    counts = [sum(n for (v, _), n in campaign.kills.items() if v == victim) for victim in victims]
    table.add_row("together", *map(str, counts), str(sum(counts)))
    console = Console()
    console.print(table)
    console.print(f"{killed(campaign)} runs killed in {campaign.rounds} rounds; {len(campaign.wrong)} differences")
    for text in campaign.wrong[:50]:
        console.print(f"  {text}", markup=False)


def killed(campaign: Campaign) -> int:
    """Return how many kills hit a run that was going on."""
    return sum(number for (victim, _), number in campaign.kills.items() if victim != "none")


def main() -> None:
    """Kill, compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--copies", type=int, default=12, help="size of the input")
    parser.add_argument("--clusters", type=float, default=0.25, help="share of rounds on a scheduler of its own")
    parser.add_argument("--keep", type=Path, help="a folder for inputs, logs, and results that differ")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-kill-") as temporary:
        place = options.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        # seeded for repeatability: nothing here is a secret
        campaign = Campaign(place / "in", place, random.Random(options.seed))  # noqa: S311
        make_input(campaign.source, options.copies)
        begin = time.monotonic()
        wrong = campaign.finish(place / "whole")
        if wrong:
            sys.exit(f"the undisturbed run: {wrong}")
        campaign.seconds = time.monotonic() - begin
        expected = result(place / "whole")
        while killed(campaign) < options.kills:
            a_round(campaign, expected, options.clusters)
        show(campaign)
    sys.exit(bool(campaign.wrong))


if __name__ == "__main__":
    main()
