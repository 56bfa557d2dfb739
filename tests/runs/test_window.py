"""The window of submitted tasks: every item once, and as many ahead as their duration requires."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from distributed import Client, LocalCluster

from pipeline.executors import window as module
from pipeline.executors.executor import Distributed


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield client


def nothing(item: int) -> int:
    return item


def picky(item: int) -> int:
    if item % 10 == 3:
        raise ValueError(f"not {item}")
    return -item


def slow(_: int) -> None:
    time.sleep(0.1)


def test_every_item_once_and_errors_by_item(client):
    found = list(Distributed(client).map(picky, range(400), name="picky"))
    assert Counter(outcome.item for outcome in found) == Counter(range(400))
    for outcome in found:
        failed = outcome.item % 10 == 3
        assert outcome.result == (None if failed else -outcome.item)
        assert str(outcome.error) == (f"not {outcome.item}" if failed else "None")


class Counted:
    """Counts how many items were taken before each result was given."""

    def __init__(self, client: Client) -> None:
        self.ahead = 0
        self._map = Distributed(client).map

    def run(self, function, count: int) -> int:
        taken = done = 0

        def items():
            nonlocal taken
            while taken < count:
                taken += 1
                yield taken

        for _ in self._map(function, items(), name=function.__name__):
            done += 1
            self.ahead = max(self.ahead, taken - done)
        return done


def test_long_tasks_are_few_ahead(client):
    counted = Counted(client)
    assert counted.run(slow, 40) == 40
    assert counted.ahead <= 20 + 2


def test_short_tasks_are_many_ahead_but_not_all(client, monkeypatch):
    monkeypatch.setattr(module, "MOST_AHEAD", 64)
    counted = Counted(client)
    assert counted.run(nothing, 1000) == 1000
    assert 16 < counted.ahead <= 64


def test_an_item_may_have_to_wait_for_a_result(client):
    waiting = [1, None, 2, None, 3]
    assert sorted(outcome.result for outcome in Distributed(client).map(nothing, waiting, name="waits")) == [1, 2, 3]
