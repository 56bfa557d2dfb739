"""Jobs that know nothing of each other, with nothing in common but an object store: the same bytes as one run on disk."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

import pipeline
from pipeline import catalog, runs
from pipeline.cli import main
from pipeline.config import Cluster, from_dict
from pipeline.errors import OutputError
from pipeline.output import ledger
from pipeline.runs.partitions import IncompleteError
from pipeline.storage import OutputDir
from support.dicom_bytes import native_file
from support.fault_proxy import FaultProxy

FRAMES = 64
"""Of each of two instances; four are a shard, and a shard is a task."""
HERE = Cluster(kind="synchronous")


def values(source, out, storage=None):
    return {
        "source": {"paths": [str(source)]},
        "output": {"path": str(out), "shard": "16 KiB"},
        "cluster": {"kind": "synchronous", "task_work": "32 KiB"},
        "storage": storage or {},
    }


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    for number in (1, 2):
        pixels = np.random.default_rng(number).integers(0, 255, (FRAMES, 64, 64), np.uint8)
        data = native_file(
            pixels.tobytes(), rows=64, columns=64, frames=FRAMES, vr="OB", SOPInstanceUID=f"1.2.{number}"
        )
        (folder / f"{number}.dcm").write_bytes(data)
    return folder


@pytest.fixture
def on_disk(archive, tmp_path):
    out = tmp_path / "out"
    pipeline.run(from_dict(values(archive, out)))
    return images_of({p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*") if p.is_file()})


def images_of(files):
    return {name: data for name, data in files.items() if name.startswith("images.zarr/")}


def told(*arguments):
    return CliRunner().invoke(main, arguments, env={"COLUMNS": "180"})


@pytest.fixture
def proxy(s3, monkeypatch):
    with FaultProxy(s3.port) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        yield proxy


def test_two_are_killed_and_one_is_forgotten(s3, proxy, archive, on_disk):
    source, out = s3.url(), s3.url()
    s3.upload(archive, source)
    parts = runs.init(from_dict(values(source, out, s3.options(proxy.port))), partitions=8)
    assert min(map(len, parts.ranges)) >= 3, "a partition can be killed midway"
    kill_midway(proxy, out, parts, {2, 6})
    for number in (7, 0, 4, 1, 3):
        done = told("convert-partition", out, str(number), "--trust-output")
        assert done.exit_code == 0, done.output

    standing = runs.status(out)
    assert standing.partitions.done == (0, 1, 3, 4, 7)
    assert (standing.partitions.begun, standing.partitions.missing) == ((2, 6), (5,))
    shown = told("status", out)
    assert shown.exit_code == 1
    assert f"run 'dcm2zarr convert-partition {out} K' for each K of 2,5-6" in shown.stdout

    early = told("finalize", out, "--trust-output")
    assert early.exit_code == 3
    assert "--array=2,5,6" in early.stderr
    assert "catalog.parquet" not in s3.read(out)
    for number in (2, 6):
        again = runs.convert_partition(out, number, trusting=True)
        assert (again.exit_code, again.earlier > 0, again.earlier < again.tasks) == (0, True, True)
    with pytest.raises(IncompleteError) as forgotten:
        runs.finalize(out, trusting=True, cluster=HERE)
    assert list(forgotten.value.partitions) == [5]
    runs.convert_partition(out, 5, trusting=True)
    assert "all partitions are done" in told("status", out).stdout
    last = told("finalize", out, "--workers", "1", "--trust-output")
    assert last.exit_code == 0, last.output
    assert f"dcm2zarr.open('{out}')" in last.stdout
    left = s3.read(out)
    assert images_of(left) == on_disk
    assert not [name for name in left if name.endswith(".lock")]


def kill_midway(proxy, out, parts, numbers):
    """Kill jobs when some of their tasks are recorded, and the last isn't done."""
    # slow enough for the ledger, which is put once a second, to hold some of the work; the last shard never ends
    proxy.delay, proxy.delayed = 0.6, "/pixels/c/"
    proxy.withheld = tuple(last_shard(out, parts, number) for number in numbers)
    command = [sys.executable, "-m", "pipeline.cli", "convert-partition", out, "--trust-output"]
    jobs = [subprocess.Popen([*command, str(number)], stdout=subprocess.DEVNULL) for number in numbers]
    deadline = time.monotonic() + 300
    while recorded(out, parts) != numbers:
        assert time.monotonic() < deadline
        assert not any(job.poll() for job in jobs)
        time.sleep(0.1)
    assert set(runs.status(out).partitions.under_way) == numbers
    with pytest.raises(OutputError, match="partition-2") as refused:
        runs.convert_partition(out, 2, trusting=True)
    assert refused.value.reason == "in_use"
    for job in jobs:
        job.send_signal(signal.SIGKILL)
        job.wait()
    proxy.delay, proxy.withheld = 0.0, ()


def last_shard(out, parts, number):
    """The end of the URL of what a partition writes last."""
    plan = catalog.read_plan(OutputDir.of(out))
    (region,) = parts.tasks(plan, number)[-1].regions
    image = plan.images[region.image]
    return f"{image.path}/pixels/c/{region.start // image.shards[0]}/0/0"


def recorded(out, parts):
    """The partitions of which the ledger holds something."""
    done = {result.task for result in ledger.results(OutputDir.of(out), catalog.read_facts(OutputDir.of(out))["id"])}
    return {number for number, tasks in enumerate(parts.ranges) if done.intersection(tasks)}
