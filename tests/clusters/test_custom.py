"""Any class of Dask clusters, by its name."""

from __future__ import annotations

import os
import shutil
import time

import pytest

import pipeline
from pipeline.config import Cluster
from pipeline.errors import ConfigError
from pipeline.executors import clusters
from support.identical_results import assert_identical

LOCAL = {"host": "127.0.0.1", "threads_per_worker": 1, "dashboard_address": None}
NAMES = ("CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "rtdose.dcm", "SC_rgb_rle_2frame.dcm", "liver_1frame.dcm")


def custom(**given) -> Cluster:
    return Cluster.model_validate({"kind": "custom", **given})


def test_a_cluster_of_any_class_gives_the_same_bytes(tmp_path, pydicom_folder):
    source = tmp_path / "in"
    source.mkdir()
    for name in NAMES:
        shutil.copy2(pydicom_folder / name, source)
    outs = [tmp_path / "synchronous", tmp_path / "custom"]
    cluster = {
        "kind": "custom",
        "class_name": "distributed.LocalCluster",
        "adapt": {"maximum": 2},
        "options": {**LOCAL, "n_workers": 0},
    }
    for out, chosen in zip(outs, ({"kind": "synchronous"}, cluster), strict=True):
        pipeline.convert(source, out, cluster=chosen, output={"shard": "64 KiB"})
    assert_identical(*outs)


def test_it_starts_with_the_first_worker_and_uses_those_that_come_later():
    cluster = custom(class_name="distributed.LocalCluster", workers=3, options={**LOCAL, "n_workers": 0})

    def work(item: int) -> int:  # a closure, because workers can't import this module
        time.sleep(0.2)
        return os.getpid() + 0 * item

    with clusters.start(cluster) as executor:
        at_first = executor.workers
        pids = set()
        for outcome in executor.map(work, range(10_000), name="pid"):
            pids.add(outcome.result)
            if len(pids) == 3:  # however long it takes them to start
                break
    assert 1 <= at_first <= 3
    assert len(pids) == 3


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"class_name": "nowhere.KubeCluster"}, r"cluster\.class_name: there is no class 'nowhere\.KubeCluster'"),
        ({"class_name": "dask_kubernetes.operator.KubeCluster"}, "such as dask-kubernetes, installed"),
        ({"class_name": "LocalCluster"}, "there is no class 'LocalCluster'"),
        ({"class_name": "pathlib.Path"}, "'pathlib.Path' is no class of Dask clusters"),
        (
            {"class_name": "dask_jobqueue.SLURMCluster", "options": {"asynchronous": True}},
            r"cluster\.options\.asynchronous: dcm2zarr always uses false",
        ),
    ],
)
def test_wrong_classes_are_answered(given, expected):
    with pytest.raises(ConfigError, match=expected):
        clusters.check(custom(**given))


def test_what_a_class_has_against_its_arguments_is_told():
    cluster = custom(class_name="distributed.LocalCluster", options={"interface": "ib99"})
    with (
        pytest.raises(ConfigError, match=r"distributed\.LocalCluster could not be started: .*ib99"),
        clusters.start(cluster),
    ):
        pass
