"""Our defaults for Dask's configuration, for clusters that a run starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask

LOST_AT_ONCE = {"distributed.scheduler.allowed-failures": 0}
"""Tasks of a dying worker come back to the driver, which runs them more carefully, instead of killing further workers."""
SCALING = {
    # One worker per waiting task. Dask's default, 5 s of tasks per worker, assumes that the scheduler knows all tasks, but it
    # only knows those in the window.
    "distributed.adaptive.target-duration": "1 ms",
}
WATCHING = {
    # For its dashboard, Dask samples each process up to a hundred times a second: 3 % of a core in a driver with two workers,
    # the same in these, and each worker's thread stops while its stack is read.
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.interval": "500ms",
    # our own watchdog (pipeline.isolation.watchdog) ends a worker that takes too much memory; Dask's only checks rarely
    "distributed.worker.memory.monitor-interval": "200ms",
}
DEFAULTS = {**LOST_AT_ONCE, **SCALING, **WATCHING}


def dask_defaults() -> Mapping[str, Any]:
    """Return our defaults for Dask's configuration, without settings that somebody has changed."""
    known = dask.config.merge(*dask.config.defaults)
    return {
        key: value
        for key, value in DEFAULTS.items()
        if dask.config.get(key, None) == dask.config.get(key, None, config=known)
    }
