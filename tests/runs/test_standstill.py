"""Workers that are paused, gone, or die again and again: a run says so and ends; a slow run goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import dask
import pytest
from distributed import Client, LocalCluster, get_worker

from pipeline.errors import ClusterError
from pipeline.executors import NullProgress, standstill
from pipeline.executors.clusters.this_machine import worker_processes
from pipeline.executors.executor import Distributed
from pipeline.executors.standstill import Surroundings, check_losses

QUIET = {"dashboard_address": None, "threads_per_worker": 1, "silence_logs": "CRITICAL"}
HERE = {**QUIET, "processes": False}
TINY = 1e-6
"""A fraction of the memory that every worker exceeds."""
APART = {**QUIET, "host": "127.0.0.1", "n_workers": 1}


class Messages(NullProgress):
    """Keeps the messages, and calls a function at the first."""

    def __init__(self, then=lambda: None) -> None:
        self.texts: list[str] = []
        self._then = then

    def message(self, text: str) -> None:
        self.texts.append(text)
        self._then()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    for name, seconds in (("LOOK", 0.2), ("SAY", 1.0), ("END", 2.5), ("GONE", 1.0)):
        monkeypatch.setattr(standstill, f"{name}_SECONDS", seconds)


@contextmanager
def one_thread(pause: float) -> Iterator[tuple[Client, LocalCluster]]:
    """A worker in this process that is paused above a fraction of 1 GiB."""
    with (
        dask.config.set({"distributed.worker.memory.pause": pause, "distributed.worker.memory.spill": False}),
        LocalCluster(n_workers=1, memory_limit="1 GiB", **HERE) as cluster,
        Client(cluster) as client,
    ):
        while pause < TINY * 2 and cluster.workers[0].status.name != "paused":
            time.sleep(0.01)
        yield client, cluster


def let_go(cluster: LocalCluster) -> None:
    cluster.workers[0].memory_manager.memory_pause_fraction = 0.99


def test_workers_that_are_all_paused_are_told_and_end_the_run():
    progress = Messages()
    known = Surroundings(progress, memory="Give them more")
    with one_thread(TINY) as (client, _), pytest.raises(ClusterError) as error:
        list(Distributed(client, known=known).map(abs, [-1, -2], name="abs"))
    assert (error.value.reason, error.value.exit_code) == ("workers_paused", 3)
    assert "the only worker is paused: it uses" in str(error.value)
    assert "Give them more" in str(error.value)
    (told,) = progress.texts
    assert told.startswith("Warning: the only worker is paused: it uses")
    assert "The run ends in" in told


def test_a_worker_that_resumes_goes_on():
    with one_thread(TINY) as (client, cluster):
        progress = Messages(then=lambda: let_go(cluster))
        outcomes = Distributed(client, known=Surroundings(progress)).map(abs, [-1, -2], name="abs")
        assert sorted(outcome.result for outcome in outcomes) == [1, 2]
    assert len(progress.texts) == 1


def test_a_task_that_is_slow_on_a_paused_worker_ends_nothing(monkeypatch):
    monkeypatch.setattr(standstill, "END_SECONDS", 1.5)
    progress = Messages()

    def slow(item: int) -> int:
        get_worker().memory_manager.memory_pause_fraction = TINY
        time.sleep(3)
        return item

    with one_thread(0.99) as (client, _):
        (outcome,) = Distributed(client, known=Surroundings(progress)).map(slow, [7], name="slow")
    assert outcome.result == 7
    assert progress.texts == []


def test_waiting_for_workers_is_told_and_goes_on_when_one_comes():
    with (
        LocalCluster(n_workers=0, **HERE) as cluster,
        Client(cluster) as client,
    ):
        progress = Messages(then=lambda: cluster.scale(1))
        outcomes = Distributed(client, known=Surroundings(progress, look="look there")).map(abs, [-1], name="abs")
        assert [outcome.result for outcome in outcomes] == [1]
    assert progress.texts == ["Waiting: no worker is running; look there"]


def test_worker_processes_that_are_gone_for_good_end_the_run():
    def last(item: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return item

    with LocalCluster(**APART) as cluster, Client(cluster) as client:
        cluster.workers[0].close_gracefully()  # it starts no other one
        executor = Distributed(client, known=Surroundings(processes=partial(worker_processes, cluster)))
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 0}),
            pytest.raises(
                ClusterError, match="all worker processes have ended and could not be started again"
            ) as error,
        ):
            list(executor.map(last, [1], name="last"))
    assert error.value.reason == "workers_failed"


def test_workers_that_die_again_and_again_end_the_run():
    """The workers have less memory than an idle process needs: some die before they get a task, or for good."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(memory_limit="60 MiB", **APART) as cluster,
        Client(cluster) as client,
    ):
        executor = Distributed(client, known=Surroundings(processes=partial(worker_processes, cluster)))
        with pytest.raises(ClusterError, match=r"die again and again|could not be started again") as error:
            list(executor.map(time.sleep, [9, 9], name="sleep"))
    assert (error.value.reason, error.value.exit_code) == ("workers_failed", 3)
    assert "Most often their memory is too small" in str(error.value)


def test_tasks_that_kill_all_that_they_are_given_to_end_the_run():
    """Fail like a machine without memory, whatever is tried."""

    def deadly(item: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return item

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(**APART) as cluster,
        Client(cluster) as client,
        pytest.raises(ClusterError, match=r"each of the 3 tasks under way was lost 3 times") as error,
    ):
        list(Distributed(client).map(deadly, [1, 2, 3], name="deadly"))
    assert (error.value.reason, error.value.exit_code) == ("workers_failed", 3)


@pytest.mark.parametrize(
    ("losses", "busy", "ended"),
    [
        ([3, 3, 2], 2, False),  # one has been lost less often
        ([9, 9], 2, True),  # the last ones of a run, which may be to blame
        ([5, 5, 5], 2, True),
        ([], 1, False),
    ],
)
def test_losses_that_end_no_run(losses, busy, ended):
    check_losses(losses, busy, ended=ended)


@pytest.mark.parametrize(("losses", "busy", "ended"), [([3, 4], 4, False), ([6, 6, 9], 2, True)])
def test_losses_that_end_a_run(losses, busy, ended):
    with pytest.raises(ClusterError, match="workers die again and again"):
        check_losses(losses, busy, ended=ended)
