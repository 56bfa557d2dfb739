"""A conversion from store to store on a real SLURM: midway a job is cancelled, then the driver killed, and the run resumed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import obstore
import pyarrow.parquet as pq
import yaml

import pipeline
from pipeline import runs

_PATIENCE = 300.0


@dataclass
class Disturbed:
    """One conversion, with two accidents.

    Parameters
    ----------
    server : object_stores.Server
    proxy : fault_proxy.FaultProxy
        The way of driver and workers to the server; its delay sets the pace until the driver is killed.
    folder : Path
        The disk space that driver and jobs share: logs, certificates, the configuration.
    source : str
        The archive's URL.
    cancel_after, kill_after : int
        Shards in the store when a job is cancelled, and when the driver is killed.
    """

    server: object
    proxy: object
    folder: Path
    source: str
    cancel_after: int
    kill_after: int
    task_work: int = 2**16
    """So little work per task that some tasks are left whenever an accident happens."""
    shard: str = "64 KiB"
    resuming: tuple[str, ...] = ()
    """Options of the command that resumes."""
    patient: bool = True
    """Whether to wait until the killed driver's jobs end by themselves, which takes half a minute."""
    cancelled: str = ""
    notes: list[str] = field(default_factory=list)

    def run(self) -> str:
        """Convert, with both accidents, and return the result's URL."""
        out = self.server.url()
        config = self._configuration(out)
        command = [sys.executable, "-m", "pipeline.cli", "run", str(config)]
        with subprocess.Popen(command, env=self._environment(), stdout=subprocess.DEVNULL) as driver:
            self._wait_for_shards(out, self.cancel_after, driver)
            self.cancelled = self._jobs("running")[0]
            self._tell("scancel", self.cancelled)
            self._wait_for_shards(out, self.kill_after, driver)
            driver.send_signal(signal.SIGKILL)
        self.proxy.delay = 0.0
        self._resume(out, config)
        self._wait_for_the_end_of_jobs()
        return out

    def _resume(self, out: str, config: Path) -> None:
        begin = time.monotonic()
        with pipeline.storage_options(**self.server.options()):
            standing = runs.status(out)
            assert (standing.phase, standing.alive) == ("convert", False), standing
        command = [sys.executable, "-m", "pipeline.cli", "run", str(config), *self.resuming]
        resumed = subprocess.run(
            command, env=self._environment(), capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
        earlier = re.search(r"Going on: (\d+) of (\d+) tasks", resumed.stdout + resumed.stderr)
        assert earlier, resumed.stdout + resumed.stderr
        assert "converted" in resumed.stdout, resumed.stdout + resumed.stderr
        done, tasks = map(int, earlier.groups())
        assert 0 < done < tasks, earlier[0]
        self.notes.append(f"{done} of {tasks} tasks were done when it was resumed, {time.monotonic() - begin:.1f} s")

    def _wait_for_shards(self, out: str, count: int, driver: subprocess.Popen) -> None:
        deadline = time.monotonic() + _PATIENCE
        while self._shards(out) < count:
            assert driver.poll() is None, f"the driver ended with {self._shards(out)} shards, exit code {driver.poll()}"
            assert time.monotonic() < deadline, f"{self._shards(out)} shards"
            time.sleep(0.1)

    def _shards(self, out: str) -> int:
        key = out.removeprefix(f"s3://{self.server.bucket}/")
        pages = obstore.list(self.server.store, f"{key}/images.zarr")
        return sum("/pixels/c/" in found["path"] for page in pages for found in page)

    def _wait_for_the_end_of_jobs(self) -> None:
        """Wait for workers whose scheduler was killed; the resumed run cancels its jobs."""
        if not self.patient and (left := self._jobs("pending,running")):
            self._tell("scancel", *left)
        begin = time.monotonic()
        while left := self._jobs("pending,running,completing"):
            assert time.monotonic() - begin < _PATIENCE, f"jobs left behind: {left}"
            time.sleep(0.2)
        self.notes.append(f"last job gone after {time.monotonic() - begin:.1f} s")

    def _configuration(self, out: str) -> Path:
        options = {
            "queue": "main", "walltime": "00:30:00", "interface": "lo", "log_directory": str(self.folder / "logs"),
            "shared_temp_directory": str(self.folder),
        }  # fmt: skip
        values = {
            "source": {"paths": [self.source]},
            "output": {"path": out, "shard": self.shard},
            "cluster": {
                "kind": "slurm",
                "workers": 2,
                "memory": "1 GiB",
                "task_work": self.task_work,
                "options": options,
            },
            "storage": self.server.options(self.proxy.port),
        }
        file = self.folder / "end-to-end.yaml"
        file.write_text(yaml.safe_dump(values), "utf-8")
        return file

    def _environment(self) -> dict[str, str]:
        return os.environ | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.proxy.port}",
            "AWS_ALLOW_HTTP": "true",
            "COLUMNS": "200",
            "DASK_DISTRIBUTED__DEPLOY__LOST_WORKER_TIMEOUT": "1s",
        }

    def _jobs(self, states: str) -> list[str]:
        return self._tell("squeue", "-h", "-o", "%i", "-t", states).split()

    def _tell(self, *command: str) -> str:
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def download(server: object, url: str, folder: Path) -> None:
    """Put every object below a URL into a folder."""
    for name, data in server.read(url).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def rows(out: Path, root: str) -> list[dict[str, object]]:
    """The catalog's rows, sorted, wherever the sources lie: with paths from `root` on, without times of change."""
    table = pq.read_table(out / "catalog.parquet").drop_columns(["mtime_ns"]).to_pylist()
    told = [{k: v.replace(f"{root}/", "") if isinstance(v, str) else v for k, v in row.items()} for row in table]
    return sorted(told, key=lambda row: row["source"])
