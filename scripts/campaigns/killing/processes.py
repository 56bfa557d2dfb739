"""The processes that are killed: a Dask scheduler and its workers, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass(slots=True)
class Cluster:
    """A scheduler with two workers behind nannies, in processes of their own."""

    address: str
    processes: dict[str, list[subprocess.Popen[bytes]]]

    @property
    def is_whole(self) -> bool:
        """Return whether all processes are alive."""
        return all(process.poll() is None for group in self.processes.values() for process in group)

    def stop(self) -> None:
        """End all processes."""
        for process in (one for group in self.processes.values() for one in group):
            kill_tree(process.pid)
            process.wait()


def dask_cluster(place: Path, environment: Mapping[str, str] | None = None) -> Cluster:
    """Start a scheduler, with Dask's own defaults, and two workers behind nannies, optionally with another environment."""
    file = place / "scheduler.json"
    file.unlink(missing_ok=True)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    quiet["env"] = environment
    dask = [sys.executable, "-m", "dask"]
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    scheduler = subprocess.Popen([*dask, "scheduler", *options], **quiet)
    worker = ["worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-dashboard", "--death-timeout", "10"]
    nannies = [subprocess.Popen([*dask, *worker, "--local-directory", str(place / "dask")], **quiet) for _ in range(2)]
    cluster = Cluster("", {"scheduler": [scheduler], "nanny": nannies})
    while not file.is_file():
        if scheduler.poll() is not None:
            cluster.stop()
            sys.exit("a Dask scheduler can't be started here")
        time.sleep(0.1)
    cluster.address = json.loads(file.read_text())["address"]
    return cluster


def kill_tree(pid: int) -> None:
    """Kill a process and all its children."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for child in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
