"""A cluster's event loop that outlives the cluster by a moment, so that nothing is left to complain of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed.utils import LoopRunner, sync

MOMENT_SECONDS = 0.05
"""Longer than the messages of Dask's streams are let gather, which is up to 10 ms."""


@contextmanager
def lingering() -> Iterator[Callable[[Any], None]]:
    """Let a loop run on for a moment when the cluster inside of this block has been closed.

    ::

        with lingering() as keep, LocalCluster() as cluster, Client(cluster) as client:
            keep(client.loop)

    A scheduler in this process has streams of messages that nobody closes; they wait for more with a timeout of
    milliseconds. If it passes in the loop's very last turn, nobody is left to hear of it, and asyncio prints "Future
    exception was never retrieved" on the terminal: now and then, on busy machines more often.
    """
    kept = []

    def keep(loop: Any) -> None:
        runner = LoopRunner(loop=loop)
        runner.start()
        kept.append(runner)

    try:
        yield keep
    finally:
        for runner in kept:
            sync(runner.loop, asyncio.sleep, MOMENT_SECONDS)
            runner.stop()
