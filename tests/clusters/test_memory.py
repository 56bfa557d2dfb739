"""A memory that can't hold a worker, or a worker and a task, is answered before anything is done."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import dask
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

import pipeline
from pipeline.config import Cluster
from pipeline.errors import ConfigError, PlanError
from pipeline.executors import clusters
from pipeline.executors.clusters import this_machine
from pipeline.executors.clusters.worker_memory import WORKER_BYTES, Thresholds, configured_thresholds
from pipeline.model import Task

MiB = 2**20


def local(**given) -> Cluster:
    return Cluster.model_validate({"kind": "local", **given})


def task(memory: int) -> Task:
    return Task(0, (), memory, 0, 0)


@pytest.mark.parametrize("memory", ["100 MiB", "200MiB", "260 MiB", 299 * MiB])
def test_a_memory_that_holds_no_worker_is_refused(memory):
    with pytest.raises(ConfigError, match=r"cluster\.memory is too small for a worker.* 300 MiB are needed") as error:
        clusters.check(local(memory=memory))
    assert error.value.exit_code == 2
    jobs = {"kind": "slurm", "workers": 1, "memory": memory}
    with pytest.raises(ConfigError, match=r"cluster\.memory is too small for a worker"):
        clusters.check(Cluster.model_validate(jobs))


def test_a_run_with_it_ends_at_once_and_leaves_nothing(tmp_path):
    with pytest.raises(ConfigError, match=r"cluster\.memory"):
        pipeline.convert(
            get_testdata_file("CT_small.dcm"), tmp_path / "out", cluster={"workers": 1, "memory": "260 MiB"}
        )
    assert not (tmp_path / "out").exists()


def test_the_memory_that_is_named_is_taken():
    clusters.check(local(memory="300 MiB"))
    with pytest.raises(PlanError, match=r"2 task\(s\) of up to 100 MiB; set it to ([0-9]+) MiB") as error:
        clusters.check_memory(local(memory="400 MiB", threads_per_worker=2), [task(7), task(100 * MiB)])
    needed = str(error.value).rpartition("set it to ")[2].split()[0]
    clusters.check_memory(local(memory=f"{needed} MiB", threads_per_worker=2), [task(100 * MiB)])
    clusters.check_memory(local(memory="300 MiB"), [])
    clusters.check_memory(Cluster(kind="threads"), [task(2**50)])


@pytest.fixture
def limited():
    """Starts a command in a control group of its own, with so many bytes of memory; skips where there can be none."""
    controller = Path("/sys/fs/cgroup/memory")
    group = controller / f"dcm2zarr-{uuid.uuid4().hex}"
    if not (controller / "memory.limit_in_bytes").exists():
        pytest.skip("there is no memory controller of control groups, version 1, at /sys/fs/cgroup/memory")
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error}")
    enter = "import os, sys; open(sys.argv[1], 'w').write(str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"

    def run(memory, *command):
        (group / "memory.limit_in_bytes").write_text(str(memory))
        whole = [sys.executable, "-c", enter, str(group / "cgroup.procs"), *command]
        return subprocess.run(whole, capture_output=True, text=True, check=False)

    yield run
    deadline = time.monotonic() + 30
    while group.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
        with suppress(OSError):  # what multiprocessing starts for itself outlives its owner for a moment
            group.rmdir()
    assert not group.exists()


def test_the_limit_of_a_control_group_counts(tmp_path, limited):
    command = (
        sys.executable,
        "-m",
        "pipeline.cli",
        "convert",
        get_testdata_file("CT_small.dcm"),
        str(tmp_path / "out"),
    )
    refused = limited(280 * MiB, *command)
    assert refused.returncode == 2, refused.stderr
    assert "this machine's memory is too small for 1 worker(s)" in refused.stderr
    done = limited(600 * MiB, *command)
    assert done.returncode == 0, done.stderr


def test_a_plan_that_does_not_fit_is_refused_and_nothing_is_converted(tmp_path):
    instance = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    instance.Rows = instance.Columns = 4096
    instance.PixelData = np.zeros((4096, 4096), "<u2").tobytes()
    instance.save_as(tmp_path / "large.dcm")
    out = tmp_path / "out"
    with pytest.raises(PlanError, match=r"cluster\.memory: 300 MiB don't hold a worker") as error:
        pipeline.convert(tmp_path / "large.dcm", out, cluster={"workers": 1, "memory": "300 MiB"})
    assert (error.value.reason, error.value.exit_code) == ("plan_refused", 2)
    assert not (out / "catalog.parquet").exists()
    assert not list((out / "images.zarr").rglob("c"))


def test_a_small_machine_has_fewer_workers_unless_their_number_is_given(monkeypatch):
    monkeypatch.setattr(this_machine, "CPU_COUNT", 8)
    monkeypatch.setattr(this_machine, "MEMORY_LIMIT", 1024 * MiB)
    assert this_machine.check_local_memory(local()) == (3, 1024 * MiB // 3)
    assert this_machine.check_local_memory(local(workers=2)) == (2, 512 * MiB)
    with pytest.raises(ConfigError, match=r"cluster\.workers: this machine's memory is too small for 4 worker\(s\)"):
        this_machine.check_local_memory(local(workers=4))
    monkeypatch.setattr(this_machine, "MEMORY_LIMIT", 8 * 1024 * MiB)
    assert this_machine.check_local_memory(local()) == (8, 1024 * MiB)


def test_what_dask_s_settings_say_of_pausing_counts_in_jobs():
    with dask.config.set({"distributed.worker.memory.pause": False, "distributed.worker.memory.terminate": False}):
        assert configured_thresholds().needed() == WORKER_BYTES
    assert configured_thresholds() == Thresholds()
