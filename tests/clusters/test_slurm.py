"""A real SLURM runs the tasks, and loses jobs meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path

import dask
import pytest

import pipeline
from pipeline.config import Cluster
from pipeline.errors import ConfigError
from pipeline.executors import NullProgress, clusters
from support.corpora import copies
from support.identical_results import assert_identical

NAMES = (
    *("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "693_J2KI.dcm", "rtdose.dcm", "rtdose_rle.dcm"),
    *("SC_rgb_rle_2frame.dcm", "examples_palette.dcm", "examples_ybr_color.dcm", "MR_truncated.dcm", "README.txt"),
)


class Saboteur(NullProgress):
    """Cancels the first job as soon as the first task is done."""

    def __init__(self, slurm, *options: str) -> None:
        self.slurm, self.options = slurm, options
        self.messages: list[str] = []
        self.phases: list[str] = []
        self.cancelled = ""

    def phase(self, name: str, total: int | None) -> None:
        del total
        self.phases.append(name)

    def advance(self, **counts: int) -> None:
        del counts
        if self.phases[-1] == "convert" and not self.cancelled:
            self.cancelled = self.slurm.jobs("running")[0]
            self.slurm.cancel(self.cancelled, *self.options)

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return copies(NAMES, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def synchronous(tmp_path_factory, source) -> Path:
    out = tmp_path_factory.mktemp("synchronous") / "out"
    pipeline.convert(source, out, cluster={"kind": "synchronous"}, output={"shard": "64 KiB"})
    return out


@pytest.fixture(autouse=True)
def _quick():
    # Dask waits 15 s for a lost worker to come back
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1s", "distributed.adaptive.interval": "200ms"}):
        yield


def described(tmp_path: Path, **given) -> dict:
    options = {"queue": "main", "walltime": "00:10:00", "interface": "lo", "log_directory": str(tmp_path / "logs")}
    shared = str(tmp_path)
    return {
        "kind": "slurm",
        "memory": "1 GiB",
        **given,
        "options": {**options, "shared_temp_directory": shared, **given.get("options", {})},
    }


@pytest.mark.parametrize(
    "case",
    [({"workers": 2}, ()), ({"adapt": {"minimum": 1, "maximum": 2}}, ("--signal=KILL", "--full"))],
    ids=["fixed", "adaptive"],
)
def test_a_job_that_is_cancelled_midway_leaves_no_trace(slurm, source, synchronous, tmp_path, case):
    scaling, signal = case
    saboteur = Saboteur(slurm, *signal)
    cluster = described(tmp_path, **scaling)
    pipeline.convert(source, tmp_path / "out", cluster=cluster, output={"shard": "64 KiB"}, progress=saboteur)
    assert saboteur.cancelled
    assert_identical(tmp_path / "out", synchronous)
    assert any("http://127.0.0.1:" in message for message in saboteur.messages)
    assert not (set(slurm.jobs("pending,running"))), "jobs are left behind"
    assert not list(tmp_path.glob(".dask-jobqueue*")), "certificates are left behind"


def test_a_lost_job_of_several_workers_is_replaced(slurm, tmp_path):
    cluster = Cluster.model_validate(described(tmp_path, workers=2, options={"processes": 2, "cores": 2}))

    def work(item: int) -> str:  # a closure, because workers can't import this module
        time.sleep(0.05)
        return os.environ["SLURM_JOB_ID"] + item * ""

    with clusters.start(cluster) as executor:
        first = slurm.jobs("running")
        jobs, results = set(), []
        for outcome in executor.map(work, range(10_000), name="job"):
            assert outcome.error is None
            results.append(outcome.item)
            jobs.add(outcome.result)
            if len(results) == 5:
                slurm.cancel(first[0], "--signal=KILL", "--full")
            if len(jobs) > 1:
                break
    assert len(results) == len(set(results))
    assert jobs > {first[0]}


def test_what_slurm_refuses_is_told(slurm, tmp_path):
    del slurm
    cluster = Cluster.model_validate(described(tmp_path, workers=1, options={"queue": "nowhere"}))
    with (
        pytest.raises(ConfigError, match=r"cluster: slurm doesn't take the job: (.*\n)+sbatch: error: .*nowhere"),
        clusters.start(cluster),
    ):
        pass
