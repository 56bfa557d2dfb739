"""The shipped script converts by an array of SLURM jobs, and goes on after one is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest

import pipeline
from support.identical_results import assert_identical

SCRIPT = Path(__file__).resolve().parents[2] / "configs" / "slurm-array.sh"
FILES = 16
"""A frame of 512 x 512 x 16 bit in JPEG 2000 weighs 9 MiB for the planner, a task 256 at most: two such series make two partitions."""


@pytest.fixture
def submit(tmp_path, slurm):
    """Run the script and wait for its last job; return the numbers of the array and of the last job."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_CONF": str(slurm.folder / "slurm.conf"),
        "MEMORY": "1G",
    }

    def run(*, lose: str = "", out: str = str(tmp_path / "out"), **variables: str) -> None:
        command = [SCRIPT, tmp_path / "run.yaml", out, "--partitions", "2"]
        told = subprocess.run(
            command, env=environment | variables, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=300
        )
        array, last = told.stdout.split()
        if lose:
            slurm.cancel(f"{array}_{lose}")
        deadline = time.monotonic() + 300
        while last in slurm.jobs("pending,running,completing"):
            assert time.monotonic() < deadline
            time.sleep(0.2)

    return run


def add_copies(folder: Path, template: Path, series: str) -> None:
    """Files of one series with the template's compressed frame, each an instance of its own."""
    ds = pydicom.dcmread(template)
    ds.SeriesInstanceUID = series
    for number in range(FILES):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
        ds.InstanceNumber = number
        ds.ImagePositionPatient = [0, 0, number]
        ds.save_as(folder / f"series-{series}-{number:03}.dcm")


def test_one_task_of_the_array_is_lost_and_run_again(tmp_path, pydicom_folder, submit):
    (tmp_path / "in").mkdir()
    for series in ("1.2.3", "1.2.4"):
        add_copies(tmp_path / "in", pydicom_folder / "J2K_pixelrep_mismatch.dcm", series)
    text = "source: {paths: [in]}\noutput: {path: elsewhere, shard: 1 MiB}\ncluster: {kind: synchronous}\n"
    (tmp_path / "run.yaml").write_text(text, "utf-8")
    pipeline.convert(
        tmp_path / "in", tmp_path / "synchronous", cluster={"kind": "synchronous"}, output={"shard": "1 MiB"}
    )

    submit(lose="1")
    log = (tmp_path / "out.logs" / "finalize.log").read_text("utf-8")
    assert re.search(r"out is incomplete\. Missing in partition 1 \((\d+) of \1 tasks\)", log), log
    assert not (tmp_path / "out" / "catalog.parquet").exists()

    submit()
    log = (tmp_path / "out.logs" / "finalize.log").read_text("utf-8")
    assert f"{2 * FILES} converted, 0 failed" in log
    assert_identical(tmp_path / "out", tmp_path / "synchronous")


def test_from_store_to_store(tmp_path, s3, pydicom_folder, submit):
    source, out = s3.url(), s3.url()
    s3.put_file(f"{source}/a.dcm", pydicom_folder / "CT_small.dcm")
    storage = f"{{endpoint: 'http://127.0.0.1:{s3.port}', allow_http: true}}"
    text = f"source: {{paths: ['{source}']}}\noutput: {{path: elsewhere}}\ncluster: {{kind: synchronous}}\n"
    (tmp_path / "run.yaml").write_text(f"{text}storage: {storage}\n", "utf-8")
    submit(out=out, AWS_ENDPOINT_URL=f"http://127.0.0.1:{s3.port}", AWS_ALLOW_HTTP="true")
    log = (tmp_path / f"{out.rpartition('/')[2]}.logs" / "finalize.log").read_text("utf-8")
    assert "1 converted, 0 failed" in log
    assert "catalog.parquet" in s3.read(out)
