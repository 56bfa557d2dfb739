"""Conversions on a real SLURM that loses jobs: the result must be the one of a single process.

    scripts/campaign slurm [FOLDER …]      # files to convert; all that the tests have, by default

Starts a SLURM of this machine (as root; by apt), and converts with fixed and adaptive scaling, with jobs of several
workers, with workers that retire every few seconds, and as an array of 8 jobs of which two are killed and one is
forgotten; and from and to a SeaweedFS of this machine, where a share of the requests is spoilt, a job is cancelled, and then
the driver is killed and the run resumed by its URL. Each result is compared with the synchronous one on disk: the store byte
by byte, the catalog row by row. Prints a table. Exits with 1 if anything differs or a job is left behind.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask

import pipeline
from pipeline.executors import NullProgress
from pipeline.verify import verify
from runner import REPOSITORY, common, is_wanted
from support.corpora import identified, pydicom_data_folder, pydicom_folder, shared_data
from support.disturbed_slurm_run import Disturbed, download, rows
from support.fault_proxy import FaultProxy
from support.identical_results import assert_identical, assert_same_store
from support.object_stores import Server, seaweedfs
from support.varied_files import add_series

INCOMPLETE = 3
"""Exit code of `finalize` while partitions are missing."""
SERVICE = REPOSITORY / "scripts" / "services" / "slurm"
OUTPUT = {"shard": "1 MiB"}
SERIES = ("1.2.3.1", "1.2.3.2", "1.2.3.3", "1.2.3.4")
FILES = 600
"""Files of each series: enough for eight tasks, and for a run that outlives its jobs."""
LARGEST = 1 << 20
"""Bytes of the files that go to the object store."""
SPOILT = 0.05
"""Share of spoilt requests to the object store."""


@dataclass
class Watcher(NullProgress):
    """Cancels a running job after a number of tasks of the convert phase, and counts the jobs."""

    after: int
    options: tuple[str, ...] = ()
    phases: list[str] = field(default_factory=list)
    tasks: int = 0
    cancelled: str = ""

    def phase(self, name: str, total: int | None) -> None:
        """See Progress."""
        del total
        self.phases.append(name)

    def advance(self, **counts: int) -> None:
        """See Progress."""
        del counts
        if self.phases[-1] == "convert":
            self.tasks += 1
            if self.tasks == self.after:
                self.cancelled = jobs("running")[0]
                tell("scancel", *self.options, self.cancelled)


@dataclass
class Campaign:
    """The folder of all scenarios, the input, and the lines of the table."""

    folder: Path
    only: tuple[str, ...]
    """Parts of the names of the scenarios to run."""
    sources: list[str]
    failed: bool = False

    def compare(self, name: str, run: Callable[[Path], str], check: Callable[[Path], None] | None = None) -> None:
        """Run one scenario and print its line."""
        if not is_wanted(name, self.only):
            return
        out = self.folder / name.replace(" ", "-").replace(",", "")
        begin = time.monotonic()
        before = last_job()
        try:
            note = run(out)
            (check or self.check)(out)
            left = jobs("pending,running")
            verdict = f"jobs left behind: {left}" if left else "identical"
        except Exception as error:  # noqa: BLE001  whatever it is, the other scenarios are run too
            note, verdict = "", f"{type(error).__name__}: {str(error)[:200]}"
        self.failed |= verdict != "identical"
        print(
            f"{name:34} {time.monotonic() - begin:7.1f} s {last_job() - before:5} jobs  {verdict:10} {note}", flush=True
        )

    def check(self, out: Path) -> None:
        """Compare with the synchronous result."""
        assert_identical(out, self.folder / "synchronous")

    def check_archive(self, out: Path) -> None:
        """Compare a result from a store with a synchronous one from the same files on disk."""
        assert_same_store(out, self.folder / "archive-synchronous")

    def on_slurm(self, out: Path, *, after: int = 0, signal: tuple[str, ...] = (), **cluster: Any) -> str:
        """Convert on jobs, one of which is cancelled after some tasks."""
        watcher = Watcher(after=after, options=signal)
        given = {
            "queue": "main", "walltime": "00:30:00", "interface": "lo", "shared_temp_directory": str(self.folder),
            "log_directory": str(self.folder / "logs"), **cluster.pop("options", {}),
        }  # fmt: skip
        pipeline.convert(
            self.sources,
            out,
            output=OUTPUT,
            progress=watcher,
            cluster={"kind": "slurm", "memory": "1 GiB", **cluster, "options": given},
        )
        if after and not watcher.cancelled:
            raise RuntimeError(f"the run had only {watcher.tasks} tasks: no job was cancelled")
        return f"job {watcher.cancelled} cancelled after {after} tasks" if after else f"{watcher.tasks} tasks"

    def fill_archive(self) -> None:
        """Make the folder that the object store gets, and its synchronous result."""
        archive = self.folder / "archive"
        archive.mkdir()
        for number, path in enumerate(identified(LARGEST)):
            shutil.copyfile(path, archive / f"{number:04}-{path.name}")
        add_series(archive, pydicom_folder() / "CT_small.dcm", range(FILES // 2), "1.2.3.1")
        out = self.folder / "archive-synchronous"
        pipeline.convert(archive, out, output=OUTPUT, cluster={"kind": "synchronous"})

    def store_to_store(self, out: Path, server: Server, *, seed: int) -> str:
        """Convert on jobs from and to an object store; lose a job, then the driver; resume; copy the result here."""
        source = server.url()
        server.upload(self.folder / "archive", source)
        with FaultProxy(server.port, delay=0.2, delayed="/pixels/c/", rate=SPOILT, seed=seed, slow=0.5) as proxy:
            disturbed = Disturbed(server, proxy, self.folder, source, cancel_after=10, kill_after=30)
            disturbed.shard, disturbed.task_work = "1 MiB", 1 << 21
            url = disturbed.run()
            disturbed.notes.append(f"{proxy.faults.total()} of {len(proxy.requests)} requests spoilt")
            download(server, url, out)
            with pipeline.storage_options(**server.options()):  # the originals by those of the run
                problems = verify(url, source=True, trusting=True, cluster={"kind": "threads", "workers": 2}).counts
        local = self.folder / "archive-synchronous"
        if rows(out, source) != rows(local, str(self.folder / "archive")):
            raise RuntimeError("the catalogs' rows differ")
        if problems:
            raise RuntimeError(f"verify found {dict(problems)}")
        return "; ".join(disturbed.notes)

    def as_array(self, out: Path) -> str:
        """Convert as an array of eight: one forgotten, two killed while they work, then all that finalize names."""
        config = self.folder / "run.yaml"
        paths = "\n".join(f"    - {path}" for path in self.sources)
        config.write_text(f"source:\n  paths:\n{paths}\noutput: {{path: out, shard: 1 MiB}}\n", "utf-8")
        count = int(dcm2zarr("init", config, "--set", f"output.path={out}", "--partitions", "8", "-q").stdout)
        if count != 8:  # noqa: PLR2004  what the campaign is about
            raise RuntimeError(f"there are {count} partitions: give it more files")
        first = array(out, "0-4,6,7")
        while not {f"{first}_2", f"{first}_6"} <= set(jobs("running")):
            time.sleep(0.1)
        time.sleep(1)
        for number in (2, 6):
            tell("scancel", "--signal=KILL", "--full", f"{first}_{number}")
        wait(first)
        early = dcm2zarr("finalize", out, check=False)
        named = early.stderr.rpartition("--array=")[2].partition(", and")[0]
        if early.returncode != INCOMPLETE or "5" not in named.split(",") or (out / "catalog.parquet").exists():
            raise RuntimeError(f"finalize should have refused, with 5 among the missing: {early.stderr}")
        wait(array(out, named))
        dcm2zarr("finalize", out, check=False)
        return f"killed 2 and 6, forgot 5; finalize named {named}"


def dcm2zarr(*arguments: Any, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    command = [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]
    return subprocess.run(command, check=check, capture_output=True, text=True)


def array(out: Path, numbers: str) -> str:
    """Submit an array of partitions, and return its job's number."""
    command = f"{sys.executable} -m pipeline.cli convert-partition {out} $SLURM_ARRAY_TASK_ID"
    log = f"--output={out}.%a.log"
    return tell("sbatch", "--parsable", f"--array={numbers}", "--mem=1G", log, "--wrap", command).strip()


def wait(job: str) -> None:
    """Wait until a job's tasks have all ended."""
    while any(running.partition("_")[0] == job for running in jobs("pending,running,completing")):
        time.sleep(0.2)


def tell(*command: str) -> str:
    """Run a command of SLURM's and return its output."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def jobs(states: str) -> list[str]:
    """Return the jobs in these states; tasks of arrays one by one."""
    return tell("squeue", "-h", "-r", "-o", "%i", "-t", states).split()


def last_job() -> int:
    """Return the highest number of a job so far."""
    words = tell("scontrol", "show", "jobs", "-o").split()
    return max((int(word.partition("=")[2]) for word in words if word.startswith("JobId=")), default=0)


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    common(parser, rounds=2, only=())
    parser.add_argument("folders", nargs="*", type=Path)


def main(given: argparse.Namespace) -> int:
    """Run all scenarios."""
    folders = given.folders or [f for f in (pydicom_folder(), pydicom_data_folder(), shared_data()) if f]
    with tempfile.TemporaryDirectory(prefix="dcm2zarr-slurm-") as name:
        folder = Path(name)
        service = folder / "slurm"
        subprocess.run([SERVICE, "start", service], check=True, stdout=subprocess.DEVNULL)
        os.environ["SLURM_CONF"] = str(service / "slurm.conf")
        try:
            return scenarios(folder, folders, tuple(given.only), given.rounds)
        finally:
            subprocess.run([SERVICE, "stop", service], check=True)


def scenarios(folder: Path, folders: list[Path], only: tuple[str, ...], rounds: int) -> int:
    """Convert in one process, then in all ways, and return the exit code."""
    (folder / "series").mkdir()
    for uid in SERIES:
        add_series(folder / "series", pydicom_folder() / "CT_small.dcm", range(FILES), uid)
    campaign = Campaign(folder, only, [str(path.absolute()) for path in (*folders, folder / "series")])
    begin = time.monotonic()
    summary = pipeline.convert(campaign.sources, folder / "synchronous", output=OUTPUT, cluster={"kind": "synchronous"})
    print(
        f"{summary.files} files, {summary.totals.frames} frames; synchronous {time.monotonic() - begin:.1f} s",
        flush=True,
    )
    slurm = campaign.on_slurm
    short = ["--lifetime", "20s", "--lifetime-stagger", "5s"]
    kill = ("--signal=KILL", "--full")
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}):
        campaign.compare("2 jobs of 1 worker", lambda out: slurm(out, workers=2))
        campaign.compare("2 jobs, 1 cancelled", lambda out: slurm(out, after=4, workers=2))
        campaign.compare("2 jobs, 1 killed", lambda out: slurm(out, after=4, signal=kill, workers=2))
        campaign.compare(
            "adaptive 1-3, 1 cancelled", lambda out: slurm(out, after=4, adapt={"minimum": 1, "maximum": 3})
        )
        campaign.compare(
            "2 jobs of 2 workers, 1 killed",
            lambda out: slurm(out, after=4, signal=kill, workers=4, options={"processes": 2, "cores": 2}),
        )
        campaign.compare(
            "workers retire after 15-25 s",
            lambda out: slurm(out, workers=2, options={"worker_extra_args": short}),
        )
    campaign.compare("array of 8, 2 killed, 1 forgotten", campaign.as_array)
    with seaweedfs(folder / "server") as server:
        campaign.fill_archive()
        for seed in range(rounds):
            campaign.compare(
                f"S3 to S3, job and driver lost, {seed}",
                lambda out, seed=seed: campaign.store_to_store(out, server, seed=seed),
                campaign.check_archive,
            )
    print("Differences or jobs left behind." if campaign.failed else "All are identical.")
    return int(campaign.failed)
