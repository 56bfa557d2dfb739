"""How many workers there are: a fixed number that is kept up, or as many as there are tasks, within limits.

Dask's :class:`~distributed.deploy.Adaptive` does both. A fixed number is a minimum that equals the maximum: unlike
``cluster.scale(n)``, it replaces workers that were lost.
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
"""Before a job is submitted again that the batch system has refused."""


def limits(cluster: Cluster) -> tuple[int, int] | None:
    """Return the smallest and largest number of workers; None where the cluster's class decides."""
    if cluster.adapt:
        return cluster.adapt.minimum, cluster.adapt.maximum
    return None if cluster.workers == "auto" else (int(cluster.workers), int(cluster.workers))


def scale(started: Any, cluster: Cluster) -> None:
    """Ask for the workers that the configuration wants.

    Parameters
    ----------
    started : distributed.deploy.Cluster
        Or another that has its methods.
    cluster : Cluster
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
    """Return how many workers each job of the cluster starts."""
    return len(cluster.new_spec.get("group", ("",)))


def mark_refused(cluster: SpecCluster) -> None:
    """Say of the jobs that the batch system didn't take that they failed: else the cluster can't be closed."""
    for job in cluster.workers.values():
        if is_refused(job):
            job.status = Status.failed


def is_refused(job: Any) -> bool:
    """Whether it is a job of dask-jobqueue's that has no number."""
    return getattr(job, "job_id", "") is None


class WholeJobs(Adaptive):  # type: ignore[misc] # distributed is untyped
    """Scales by whole jobs, and replaces those that were lost or refused.

    Dask itself replaces a lost job of one worker. Those of several it counts as being there, and when it scales down
    it cancels them while all but one of their workers are at work.
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
        """Do one round, and say what the batch system refuses: Dask logs it where nobody looks."""
        try:
            await super().adapt()
        except RuntimeError as error:
            mark_refused(self.cluster)
            if str(error) not in self._told:
                self._told.add(str(error))
                _LOG.error("a job could not be submitted, and is again in %g s: %s", REFUSED_SECONDS, error)

    async def safe_target(self) -> int:
        """Return the number of workers wanted, as whole jobs."""
        wanted: int = await super().safe_target()
        return math.ceil(wanted / self._size) * self._size

    async def recommendations(self, target: int) -> dict[str, Any]:
        """Forget the jobs that are gone, so that they count as not requested and are submitted again."""
        for name in self._gone():
            job = self.cluster.workers.pop(name)
            await job.close()
        recommended: dict[str, Any] = await super().recommendations(target)
        return recommended

    def _gone(self) -> list[Any]:
        """Return the jobs whose workers have all been away for some time, or that never were accepted."""
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
    """Return the job that a worker belongs to; its name is the job's and a number."""
    return str(worker.name).rpartition("-")[0]
