"""Our defaults of Dask's configuration, for the clusters that a run starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask

LOST_AT_ONCE = {"distributed.scheduler.allowed-failures": 0}
"""What a dying worker took with it comes back to the driver, which knows how to do it more carefully, instead of going
on to kill other workers."""
SCALING = {
    # A worker for every task that waits. Dask's own default, tasks of 5 s for each, assumes that the scheduler
    # knows all tasks, but a window of them is all that it ever holds.
    "distributed.adaptive.target-duration": "1 ms",
}
WATCHING = {
    # Dask looks at each process up to a hundred times a second, for pages of its dashboard: 3 % of a core in a driver
    # with two workers, as much in these, and each worker's thread is stopped while its stack is walked.
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.tick.interval": "500ms",
    "distributed.worker.profile.interval": "500ms",
    # what ends a worker that takes too much is ours (pipeline.isolation.watchdog); Dask's looks after it now and then
    "distributed.worker.memory.monitor-interval": "200ms",
}
DEFAULTS = {**LOST_AT_ONCE, **SCALING, **WATCHING}


def dask_defaults() -> Mapping[str, Any]:
    """Return our defaults of Dask's configuration, but for values that somebody has changed."""
    known = dask.config.merge(*dask.config.defaults)
    return {
        key: value
        for key, value in DEFAULTS.items()
        if dask.config.get(key, None) == dask.config.get(key, None, config=known)
    }
