"""The shipped script converts by an array of SLURM jobs, and goes on after one is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from identical import assert_identical
from varied import add_series

import pipeline

SCRIPT = Path(__file__).resolve().parents[2] / "configs" / "slurm-array.sh"
FILES = 150
"""Each weighs 1 MiB for the planner, and a task 256."""


@pytest.fixture
def submit(tmp_path, slurm):
    """Run the script and wait for its last job; return the numbers of the array and of the last job."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_CONF": str(slurm.folder / "slurm.conf"),
        "MEMORY": "1G",
    }

    def run(*, lose: str = "") -> None:
        command = [SCRIPT, tmp_path / "run.yaml", tmp_path / "out", "--partitions", "2"]
        told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
        array, last = told.stdout.split()
        if lose:
            slurm.cancel(f"{array}_{lose}")
        deadline = time.monotonic() + 300
        while last in slurm.jobs("pending,running,completing"):
            assert time.monotonic() < deadline
            time.sleep(0.2)

    return run


def test_one_task_of_the_array_is_lost_and_run_again(tmp_path, pydicom_folder, submit):
    (tmp_path / "in").mkdir()
    for series in ("1.2.3", "1.2.4"):
        add_series(tmp_path / "in", pydicom_folder / "CT_small.dcm", range(FILES), series)
    text = "source: {paths: [in]}\noutput: {path: elsewhere, shard: 1 MiB}\ncluster: {kind: synchronous}\n"
    (tmp_path / "run.yaml").write_text(text, "utf-8")
    pipeline.convert(
        tmp_path / "in", tmp_path / "synchronous", cluster={"kind": "synchronous"}, output={"shard": "1 MiB"}
    )

    submit(lose="1")
    log = (tmp_path / "out.logs" / "finalize.log").read_text("utf-8")
    assert "out is incomplete. Missing in partition 1 (1 of 1 tasks)" in log
    assert not (tmp_path / "out" / "catalog.parquet").exists()

    submit()
    log = (tmp_path / "out.logs" / "finalize.log").read_text("utf-8")
    assert f"{2 * FILES} converted, 0 failed" in log
    assert_identical(tmp_path / "out", tmp_path / "synchronous")
