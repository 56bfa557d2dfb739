"""Runs killed with SIGKILL at random moments, then run to the end, must leave what an undisturbed run leaves.

    scripts/campaign kill [--kills 200] [--seed 1] [--keep FOLDER]

Converts a small but varied input (multi-frame and single-frame series, a damaged file, a copy, a file that isn't an image) in
many small tasks, once undisturbed. Then, in rounds: a fresh output directory, one to four runs in each of which one
process is killed at a random moment, and one run to the end. Some rounds run on worker processes of their own (victims: the
driver, which is also the scheduler, and workers), the others on a scheduler and nannies in processes of their own (victims:
the driver, the scheduler, nannies, workers). Half of the kills go where there were fewest; a resumed run may be hit again.
A run whose driver survives must end by itself: like an undisturbed one or, without its scheduler, with an error that says so; if
all workers of a running scheduler are gone, the run must say that it waits for others. In
the end every file of images.zarr and every row of the catalog must equal those of the undisturbed run, the ledger must be
readable without damage, and ``dcm2zarr verify`` must find nothing. Prints the distribution of kills over victims and phases,
and the outcomes of the runs. Exits with 1 on any difference.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pydicom
from pydicom.data import get_testdata_file

from campaigns.killing.processes import Cluster, dask_cluster, kill_tree
from campaigns.killing.tally import PHASES, VICTIMS, Tally
from pipeline import catalog
from pipeline.output import ledger
from pipeline.storage import OutputDir
from runner import common

SMALL = ("--set", "cluster.task_work=2 MiB", "--set", "output.shard=3000")
"""Settings that give many small tasks."""
MULTI_FRAME = ("rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm", "rtdose.dcm", "SC_rgb_rle_16bit_2frame.dcm")
SINGLE = ("JPEG2000.dcm", "MR_small.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jpeg_ls_lossless.dcm")
END_SECONDS = 180
SURVIVED, AGAIN = ("worker", "nanny"), 0.6
"""Runs that go on after a kill, and the probability that another of their processes is killed."""
DAMAGED_FILE, LOST = 1, 3
"""Exit codes of a run to the end, in which one file is damaged, and of a run without a scheduler."""
NO_WORKER = "Waiting: no worker is running"
SCHEDULER_LOST = (b"was lost: it has ended", b"no Dask scheduler answers")


def make_input(folder: Path, copies: int) -> None:
    """Write the input files."""
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
class Campaign:
    """The campaign's settings and observations."""

    source: Path
    place: Path
    random: random.Random
    seconds: float = 0.0
    """Duration of an undisturbed run."""
    seen: Tally = field(default_factory=Tally)
    cluster: Cluster | None = None

    @property
    def log(self) -> Path:
        """Output of all runs."""
        return self.place / "log.txt"

    def start(self, out: Path, cluster: Cluster | None = None) -> subprocess.Popen[bytes]:
        """Start a run."""
        kind = ["--cluster", cluster.address] if cluster else ["--cluster", "local", "--workers", "2"]
        command = [sys.executable, "-m", "pipeline.cli", "convert", str(self.source), str(out), *kind, "-q", *SMALL]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def finish(self, out: Path, cluster: Cluster | None = None) -> str:
        """Run to the end; return what is wrong with that, if anything."""
        run = self.start(out, cluster)
        try:
            code = run.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            kill_tree(run.pid)
            return f"a run did not end within {END_SECONDS} s"
        wanted = f"instead of {DAMAGED_FILE} (one file is damaged)"
        return "" if code == DAMAGED_FILE else f"the last run ended with exit code {code} {wanted}"

    def kill_one(self, out: Path, *, own: bool) -> bool:
        """Start a run and kill one of its processes at a random moment; return whether the run was still going on then."""
        cluster = self.a_cluster() if own else None
        victim, wanted = self.next_kill(own=own)
        said = self.log.stat().st_size
        run = self.start(out, cluster)
        if wanted:
            wait_for(wanted, run, out)
            time.sleep(self.random.uniform(0, 0.3))
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.wait(self.random.uniform(0.2, 1.1) * self.seconds)
        hit = self.hit(victim, run, out, cluster)
        if hit is None:
            self.seen.too_late += 1
            kill_tree(run.pid)
            return False
        while victim in SURVIVED and self.random.random() < AGAIN:
            time.sleep(self.random.uniform(0.1, 1.0))
            another = self.random.choice(VICTIMS[own])
            if (state := self.hit(another, run, out, cluster)) is None:
                break
            victim, hit = another, state
        self.seen.became[victim, self.end(run, victim, hit, said)] += 1
        return True

    def hit(self, victim: str, run: subprocess.Popen[bytes], out: Path, cluster: Cluster | None) -> str | None:
        """Kill a process of a run; return the phase, None if the run has ended or has no such process."""
        pid = self.victim(victim, run, cluster)
        state = phase(out)
        if run.poll() is not None or pid is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.seen.kills[victim, state] += 1
        return state

    def next_kill(self, *, own: bool) -> tuple[str, str]:
        """Return the victim, and the phase to wait for; no phase means any moment."""
        if self.random.random() < 0.5:  # noqa: PLR2004
            return self.random.choice(VICTIMS[own]), ""
        pairs = [(victim, name) for victim in VICTIMS[own] for name in PHASES[:-1]]
        return min(pairs, key=lambda pair: (self.seen.kills[pair], self.random.random()))

    def end(self, run: subprocess.Popen[bytes], victim: str, state: str, said: int) -> str:
        """Wait for the rest of a run; return its outcome."""
        if victim == "driver":
            run.wait()
            return "died with it"
        try:
            code = run.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            kill_tree(run.pid)
            told = self.log.read_bytes()[said:].decode()[-300:]
            if victim == "nanny" and NO_WORKER in told:  # both were killed; on this scheduler others may come
                return "waited for workers"
            self.seen.wrong.append(
                f"round {self.seen.rounds}: the run hung after its {victim} was killed ({state}): {told}"
            )
            return "hung"
        told = self.log.read_bytes()[said:]
        if code == DAMAGED_FILE and b"unexpected" not in told:
            return "went on to the end"
        if code == LOST and victim == "scheduler" and any(text in told for text in SCHEDULER_LOST):
            return "said that it was lost"
        text = f"exit code {code}: {told.decode()[-500:]}"
        self.seen.wrong.append(f"round {self.seen.rounds}: after its {victim} was killed ({state}): {text}")
        return "wrong"

    def victim(self, victim: str, run: subprocess.Popen[bytes], cluster: Cluster | None) -> int | None:
        """Return the process to kill, None if it doesn't exist yet."""
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

    def a_cluster(self) -> Cluster:
        """Return a scheduler with two workers: the existing one, unless one of its processes has been killed."""
        if self.cluster is None or not self.cluster.is_whole:
            self.stop()
            self.cluster = dask_cluster(self.place)
        return self.cluster

    def stop(self) -> None:
        """End the scheduler and its workers."""
        if self.cluster is not None:
            self.cluster.stop()
            self.cluster = None


def phase(out: Path) -> str:
    """Return how far the run that writes `out` is."""
    if not list(out.glob("plan/segments/*.parquet")):
        return "start"
    if not (out / "plan" / "plan.json").is_file():
        return "scan"
    if (out / "catalog.parquet").is_file():
        return "ended" if (out / "report.html").is_file() else "catalog"
    try:
        identity, plan = catalog.read_facts(OutputDir.of(out))["id"], catalog.read_plan(OutputDir.of(out))
    except OSError:
        return "scan"
    done = {result.task for result in ledger.results(OutputDir.of(out), identity)}
    return "convert" if len(done) < len(plan.tasks) else "finalise"


def wait_for(wanted: str, run: subprocess.Popen[Any], out: Path) -> None:
    """Wait until a run has got as far as `wanted`, or has ended."""
    while run.poll() is None and PHASES.index(phase(out)) < PHASES.index(wanted):
        time.sleep(0.01)


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
    found = ledger.read(OutputDir.of(out), catalog.read_facts(OutputDir.of(out))["id"])
    wrong += [f"ledger: {damage}" for damage in found.damage]
    command = [sys.executable, "-m", "pipeline.cli", "verify", str(out), "-q"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    if checked.returncode:
        wrong.append(f"dcm2zarr verify: {checked.stdout.strip()[-500:]} {checked.stderr.strip()[-500:]}")
    return wrong


def a_round(campaign: Campaign, expected: tuple[dict[str, str], list[dict[str, Any]]], clusters: float) -> None:
    """Kill some runs of one conversion, then finish it and compare."""
    out = campaign.place / f"round-{campaign.seen.rounds}"
    own = campaign.random.random() < clusters
    killed_before = campaign.seen.killed
    for _ in range(campaign.random.choice((1, 1, 2, 3, 4))):
        if not campaign.kill_one(out, own=own) or phase(out) == "ended":
            break
    wrong = campaign.finish(out)
    found = [wrong] if wrong else differences(out, expected)
    campaign.seen.wrong += [f"round {campaign.seen.rounds}: {text}" for text in found]
    campaign.seen.in_a_row[campaign.seen.killed - killed_before] += 1
    if not found:
        shutil.rmtree(out)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, seed=1, copies=12, keep=None)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--clusters", type=float, default=0.5, help="share of rounds on a scheduler of its own")
    parser.add_argument("--json", type=Path, help="add the findings to those in this file, up to --kills altogether")


def main(given: argparse.Namespace) -> int:
    """Kill, compare, and print a table."""
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-kill-") as temporary:
        place = given.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        # seeded for repeatability: nothing here is a secret
        campaign = Campaign(place / "in", place, random.Random(given.seed))  # noqa: S311
        make_input(campaign.source, given.copies)
        if given.json and given.json.is_file():
            campaign.seen.load(given.json)
        begin = time.monotonic()
        wrong = campaign.finish(place / "whole")
        if wrong:
            sys.exit(f"the undisturbed run: {wrong}")
        campaign.seconds = time.monotonic() - begin
        expected = result(place / "whole")
        try:
            while campaign.seen.killed < given.kills:
                a_round(campaign, expected, given.clusters)
                if given.json:
                    campaign.seen.save(given.json)
        finally:
            campaign.stop()
            campaign.seen.show()
    return int(bool(campaign.seen.wrong))
