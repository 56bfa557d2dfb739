"""All executors make the same store."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import dask
import pytest
from distributed import Client, LocalCluster
from distributed.comm import CommClosedError

import pipeline
from campaigns.killing.processes import dask_cluster
from pipeline.config import Cluster
from pipeline.errors import ClusterError
from pipeline.executors import NullProgress, clusters
from pipeline.executors.executor import Distributed
from pipeline.executors.scheduler import reaching
from support.corpora import copies
from support.identical_results import assert_identical

NAMES = (
    *("CT_small.dcm", "MR_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "693_J2KI.dcm", "rtdose.dcm"),
    *("rtdose_rle.dcm", "SC_rgb_rle_2frame.dcm", "SC_ybr_full_422_uncompressed.dcm", "liver_1frame.dcm"),
    *("examples_palette.dcm", "examples_ybr_color.dcm", "image_dfl.dcm", "MR_truncated.dcm", "reportsi.dcm"),
    "README.txt",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    return copies(NAMES, tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def synchronous(tmp_path_factory, source) -> Path:
    return convert(source, tmp_path_factory.mktemp("synchronous") / "out", {"kind": "synchronous"})


@pytest.fixture
def own_cluster(tmp_path):
    """A scheduler, and two workers behind nannies, in processes of their own."""
    cluster = dask_cluster(tmp_path)
    yield cluster
    cluster.stop()


def convert(source: Path, out: Path, cluster: dict) -> Path:
    # small shards, so that images have several tasks to run side by side
    pipeline.convert(source, out, cluster=cluster, output={"shard": "64 KiB"})
    return out


@pytest.mark.parametrize(
    "cluster", [{"kind": "threads", "workers": 3}, {"kind": "local", "workers": 2}], ids=lambda cluster: cluster["kind"]
)
def test_same_bytes_as_synchronous(source, synchronous, tmp_path, cluster):
    assert_identical(convert(source, tmp_path / "out", cluster), synchronous)


def test_same_bytes_on_a_running_scheduler(source, synchronous, tmp_path):
    with LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster:
        address = {"kind": "address", "address": cluster.scheduler_address}
        assert_identical(convert(source, tmp_path / "out", address), synchronous)


def test_a_scheduler_that_is_not_there_is_said_so(source, tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.executors.clusters.address.CONNECT_SECONDS", 1)
    with pytest.raises(ClusterError, match=r"cluster\.address: no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        convert(source, tmp_path / "out", {"kind": "address", "address": "tcp://127.0.0.1:9"})


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "said nothing for 2 s"),
        (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 9, "isn.t a Dask scheduler|said nothing"),
    ],
    ids=["silence", "another kind of server"],
)
def test_what_answers_but_is_no_scheduler_is_told_in_time(monkeypatch, answer, told):
    monkeypatch.setattr("pipeline.executors.clusters.address.CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:
        thread.submit(serve, server, answer)
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        begin = time.monotonic()
        cluster = Cluster(kind="address", address=address)
        with (
            pytest.raises(ClusterError, match=f"no Dask scheduler answers at '{address}'") as error,
            clusters.start(cluster),
        ):
            pass
        server.shutdown(socket.SHUT_RDWR)
    assert time.monotonic() - begin < 30
    assert re.search(told, str(error.value))
    assert error.value.reason == "scheduler_unreachable"


def serve(server, answer):
    """Accept connections and send each the same bytes, until the server is shut down."""
    held = []
    with suppress(OSError):
        while True:
            held.append(server.accept()[0])
            held[-1].sendall(answer)
    for connection in held:
        connection.close()


def test_a_host_that_does_not_exist_is_told_at_once():
    begin = time.monotonic()
    cluster = Cluster(kind="address", address="tcp://no-such-host.invalid:8786")
    with (
        pytest.raises(ClusterError, match=r"no Dask scheduler answers at 'tcp://no-such-host\.invalid:8786'"),
        clusters.start(cluster),
    ):
        pass
    assert time.monotonic() - begin < 30


def test_results_that_a_worker_takes_with_it_are_made_again():
    def work(item: int) -> int:
        time.sleep(0.2)
        return os.getpid() + 0 * item

    with clusters.start(Cluster(kind="local", workers=2)) as executor:
        outcomes = executor.map(work, range(8), name="pid")
        done = [next(outcomes)]
        time.sleep(2)  # all have ended, and their results wait in the workers
        os.kill(done[0].result, signal.SIGKILL)
        time.sleep(0.1)
        done += outcomes
    assert sorted(outcome.item for outcome in done) == list(range(8))
    assert [outcome.error for outcome in done] == [None] * 8


def evil(item: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return item


def careful(item: int) -> int:
    return -item


def test_what_kills_several_workers_takes_no_other_task_with_it() -> None:
    """As on a scheduler with Dask's own settings, which allow three failures; one is enough to affect innocent tasks."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        outcomes = list(Distributed(client).map(evil, range(40), name="evil", carefully=careful))
    assert [outcome.error for outcome in outcomes] == [None] * 40
    results = {outcome.item: outcome.result for outcome in outcomes}
    assert results.keys() == set(range(40))
    assert results[3] == -3  # tried on two workers, then carefully
    assert all(abs(result) == item for item, result in results.items())


@pytest.mark.parametrize(
    ("status", "error", "lost"),
    [
        ("running", CommClosedError("reset"), True),  # the client hasn't noticed yet
        ("closed", CommClosedError("reset"), True),
        ("closed", RuntimeError("no scheduler"), True),
        ("running", OSError("the disk"), False),
        ("closed", ClusterError("workers have ended"), False),
    ],
)
def test_which_errors_say_that_the_scheduler_is_lost(status: str, error: Exception, *, lost: bool) -> None:
    client = SimpleNamespace(status=status, scheduler=SimpleNamespace(address="tcp://127.0.0.1:9"))
    with pytest.raises(ClusterError if lost else type(error)) as raised, reaching(client):
        raise error
    assert ("was lost" in str(raised.value)) is lost
    assert (raised.value is error) is not lost


def test_a_scheduler_that_dies_ends_the_run_and_the_next_one_goes_on(source, synchronous, tmp_path, own_cluster):
    out, ended = tmp_path / "out", []

    class Killing(NullProgress):
        def advance(self, **counts: int) -> None:
            if counts.get("frames") and not ended:
                ended.append(counts)
                own_cluster.processes["scheduler"][0].kill()

    with pytest.raises(ClusterError, match=r"scheduler at tcp://127\S+ was lost") as error:
        pipeline.convert(
            source,
            out,
            cluster={"kind": "address", "address": own_cluster.address},
            output={"shard": "64 KiB"},
            progress=Killing(),
        )
    assert error.value.reason == "scheduler_lost"
    assert not (out / "catalog.parquet").exists()  # which would call failed what was only lost
    own_cluster.stop()  # its workers go on with what they are at, the same shards, under names that are compared below
    assert_identical(convert(source, out, {"kind": "synchronous"}), synchronous)
