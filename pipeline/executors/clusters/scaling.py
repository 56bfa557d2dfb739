"""Number of workers: a fixed number, or as many as there are tasks, within limits.

Dask's :class:`~distributed.deploy.Adaptive` does both. For a fixed number, minimum and maximum are equal: unlike
``cluster.scale(n)``, this replaces lost workers.
"""

from __future__ import annotations

import logging
import math
from time import monotonic
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed.core import Status
from distributed.deploy import Adaptive, SpecCluster

from pipeline.config import Cluster

_LOG = logging.getLogger(__name__)
REFUSED_SECONDS = 60.0
"""Seconds before a refused job is submitted again."""


def limits(cluster: Cluster) -> tuple[int, int] | None:
    """Return the smallest and largest number of workers; None if the cluster class decides."""
    if cluster.adapt:
        return cluster.adapt.minimum, cluster.adapt.maximum
    return None if cluster.workers == "auto" else (int(cluster.workers), int(cluster.workers))


def scale(started: Any, cluster: Cluster) -> None:
    """Request the configured number of workers.

    Parameters
    ----------
    started : distributed.deploy.Cluster
        The running cluster, or another object with the same methods.
    cluster : Cluster
        The configuration.
    """
    wanted = limits(cluster)
    if wanted is None:
        return
    minimum, maximum = wanted
    if isinstance(started, SpecCluster):
        started.adapt(Adaptive=WholeJobs, minimum=minimum, maximum=maximum)
    elif minimum == maximum:
        started.scale(minimum)
    else:
        started.adapt(minimum=minimum, maximum=maximum)


def group_size(cluster: SpecCluster) -> int:
    """Return the number of workers in each job of the cluster."""
    return len(cluster.new_spec.get("group", ("",)))


def mark_refused(cluster: SpecCluster) -> None:
    """Mark refused jobs as failed, because otherwise the cluster can't be closed."""
    for job in cluster.workers.values():
        if is_refused(job):
            job.status = Status.failed


def is_refused(job: Any) -> bool:
    """Return whether a job of dask-jobqueue has no number, because the batch system refused it."""
    return getattr(job, "job_id", "") is None


class WholeJobs(Adaptive):  # type: ignore[misc] # distributed is untyped
    """Scales by whole jobs, and replaces lost or refused jobs.

    Dask itself replaces only lost jobs with one worker. It counts lost jobs with several workers as running, and when it scales
    down, it cancels jobs while all but one of their workers are busy.
    """

    def __init__(self, cluster: SpecCluster, **options: Any) -> None:
        self._size = group_size(cluster)
        self._missing: dict[Any, float] = {}
        self._seen: set[Any] = set()
        self._told: set[str] = set()
        if self._size > 1:
            options["worker_key"] = _job_of
        super().__init__(cluster, **options)

    async def adapt(self) -> None:
        """Do one round and log refusals by the batch system, which Dask would hide."""
        try:
            await super().adapt()
        except RuntimeError as error:
            mark_refused(self.cluster)
            if str(error) not in self._told:
                self._told.add(str(error))
                _LOG.error("a job could not be submitted; the next try is in %g s: %s", REFUSED_SECONDS, error)

    async def safe_target(self) -> int:
        """Return the wanted number of workers, rounded up to whole jobs."""
        wanted: int = await super().safe_target()
        return math.ceil(wanted / self._size) * self._size

    async def recommendations(self, target: int) -> dict[str, Any]:
        """Forget jobs that are gone, so that they count as not requested and are submitted again."""
        for name in self._gone():
            job = self.cluster.workers.pop(name)
            await job.close()
        recommended: dict[str, Any] = await super().recommendations(target)
        return recommended

    def _gone(self) -> list[Any]:
        """Return the jobs whose workers have all been missing for some time, or that were refused."""
        present = self.cluster.observed
        now = monotonic()
        for name, job in self.cluster.workers.items():
            if not present.isdisjoint(self._workers(name)):
                self._seen.add(name)
                self._missing.pop(name, None)
            elif name in self._seen or is_refused(job):
                self._missing.setdefault(name, now)
        lost = parse_timedelta(dask.config.get("distributed.deploy.lost-worker-timeout"))
        gone = [name for name, since in self._missing.items() if now - since > self._patience(name, lost)]
        for name in gone:
            del self._missing[name]
            self._seen.discard(name)
        return [name for name in gone if name in self.cluster.workers]

    def _patience(self, name: Any, lost: float) -> float:
        return lost if name in self._seen else REFUSED_SECONDS

    def _workers(self, job: Any) -> set[Any]:
        group = self.cluster.new_spec.get("group")
        return {f"{job}{suffix}" for suffix in group} if group else {job}


def _job_of(worker: Any) -> str:
    """Return a worker's job; the worker's name is the job's name and a number."""
    return str(worker.name).rpartition("-")[0]
