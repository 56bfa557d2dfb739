"""Delayed end of a cluster's event loop, so that asyncio doesn't print errors of the closed cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distributed.utils import LoopRunner, sync

MOMENT_SECONDS = 0.05
"""Seconds; longer than Dask's streams collect messages, which is up to 10 ms."""


@contextmanager
def lingering() -> Iterator[Callable[[Any], None]]:
    """Keep a loop running for a moment after the cluster inside the block has been closed.

    ::

        with lingering() as keep, LocalCluster() as cluster, Client(cluster) as client:
            keep(client.loop)

    A scheduler in this process never closes its message streams, which wait for messages with a timeout of milliseconds. If the
    timeout passes in the loop's very last iteration, nobody handles it, and asyncio prints "Future exception was never
    retrieved" on the terminal: rarely, but more often on busy machines.
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
