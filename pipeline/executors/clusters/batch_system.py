"""Workers as jobs of a batch system, through dask-jobqueue. The scheduler runs in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask

from pipeline.config import Cluster
from pipeline.errors import ConfigError
from pipeline.executors.clusters.class_arguments import check_names, parameters
from pipeline.executors.clusters.dask_settings import client_of, settings_behind, tell_left_out
from pipeline.executors.clusters.defaults import dask_defaults
from pipeline.executors.clusters.lingering import lingering
from pipeline.executors.clusters.nodes import private_to_user, without_web_server
from pipeline.executors.clusters.scaling import limits, mark_refused, scale
from pipeline.executors.clusters.scratch import private_scratch
from pipeline.executors.clusters.security import for_jobs
from pipeline.executors.clusters.walltime import lifetime, parse_walltime
from pipeline.executors.clusters.worker_memory import check_worker, configured_thresholds
from pipeline.executors.clusters.workers import await_first, tell_dashboard
from pipeline.executors.executor import Distributed, Executor
from pipeline.executors.progress import Progress
from pipeline.executors.servers import Scheduler, link_below, secret_path
from pipeline.executors.standstill import Surroundings

CLASSES = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "lsf": "LSFCluster",
    "sge": "SGECluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
}
DASHBOARD = "127.0.0.1:8787"
"""Only this machine can reach it, others through ssh; Dask's default listens on every interface."""
LOOK = {
    "slurm": "squeue --me",
    "pbs": "qstat -u $USER",
    "lsf": "bjobs",
    "sge": "qstat",
    "htcondor": "condor_q",
    "oar": "oarstat -u",
}
"""Batch system → command that shows the user's jobs."""
_REFUSED = {
    "n_workers": "set cluster.workers, or cluster.adapt, instead",
    "security": "set cluster.security instead",
    "dashboard_address": "set cluster.dashboard instead",
    "host": "set it within cluster.options.scheduler_options",
    "asynchronous": "dcm2zarr always uses false",
    **dict.fromkeys(("job_cls", "scheduler_cls", "loop", "scheduler", "protocol", "name"), "dcm2zarr sets it itself"),
}


@contextmanager
def started(cluster: Cluster, progress: Progress) -> Iterator[Executor]:
    """Submit jobs, and yield the executor with the first worker; lost or ended jobs are replaced."""
    tell_left_out(progress)
    options = arguments(cluster)
    most = (limits(cluster) or (0, 0))[1]
    link = link_below(options["scheduler_options"]["http_prefix"])
    with (
        dask.config.set({**dask_defaults(), **link}),
        private_scratch(progress),
        lingering() as keep,
        made(cluster, options) as jobs,
        client_of(jobs) as client,
    ):
        keep(client.loop)
        _submit_first(jobs, cluster)
        scale(jobs, cluster)
        tell_dashboard(client, progress)
        progress.message(f"{cluster.kind}: up to {most} worker(s) requested; the run starts with the first one")
        logs = options.get("log_directory") or "the jobs' own output"
        look = f"look at the queue ({LOOK[cluster.kind]}), or for errors in {logs}"
        await_first(client, progress, look)
        known = Surroundings(progress, memory="Give them more (cluster.memory)", look=look)
        yield Distributed(client, workers=most * cluster.threads_per_worker, known=known)


def arguments(cluster: Cluster) -> dict[str, Any]:
    """Return the keyword arguments for dask-jobqueue's class, without the certificates.

    Raises
    ------
    ConfigError
        If dask-jobqueue isn't installed, an argument is unknown, or a necessary one is missing.
    """
    made_by = _class(cluster.kind)
    known = (parameters(made_by.job_cls) or set()) | (parameters(made_by) or set())
    check_names(cluster.options, known, _REFUSED, f"dask-jobqueue's {made_by.__name__}")
    given = _Given(cluster)
    processes, cores = _shape(cluster, given)
    options = {
        **cluster.options,
        **private_to_user(given),
        "processes": processes,
        "cores": cores,
        "memory": _memory(cluster, given, processes),
        "worker_extra_args": _worker_arguments(cluster, given),
        "scheduler_options": _scheduler_options(cluster, given),
    }
    if given("name", "job_name") == "dask-worker":
        options["job_name"] = "dcm2zarr"
    return options


class _Given:
    """Look-up of a value in the options, or else in Dask's configuration of the batch system."""

    def __init__(self, cluster: Cluster) -> None:
        self._options = cluster.options
        self._section = cluster.options.get("config_name") or cluster.kind

    def __call__(self, configured: str, option: str = "") -> Any:
        value = self._options.get(option or configured.replace("-", "_"))
        return dask.config.get(f"jobqueue.{self._section}.{configured}", None) if value is None else value


def _class(kind: str) -> Any:
    try:
        import dask_jobqueue  # noqa: PLC0415  an optional package
    except ImportError as error:
        raise ConfigError(f"cluster.kind: {kind} needs dask-jobqueue: pip install 'dcm2zarr[jobqueue]'") from error
    return getattr(dask_jobqueue, CLASSES[kind])


def _shape(cluster: Cluster, given: _Given) -> tuple[int, int]:
    """Return the worker processes and cores of a job; by default, as many workers as fit the cores."""
    threads = cluster.threads_per_worker
    cores = given("cores")
    processes = given("processes") or (max(1, int(cores) // threads) if cores else 1)
    return processes, cores or processes * threads


def _memory(cluster: Cluster, given: _Given, processes: int) -> Any:
    if cluster.memory == "auto":
        whole = given("memory")
        if whole is None:
            raise ConfigError(
                "cluster.memory: a job needs to know its memory; set the memory of one worker, as in 2 GiB, or of a whole "
                "job in cluster.options.memory"
            )
        return whole
    check_worker(cluster.memory, configured_thresholds(), "cluster.memory is too small for a worker; set a larger one")
    if "memory" in cluster.options:
        raise ConfigError("cluster.options.memory: cluster.memory is set already, for one worker; remove one of them")
    return cluster.memory * processes


def _worker_arguments(cluster: Cluster, given: _Given) -> list[str]:
    """Return the arguments of ``dask worker``, with a lifetime before the walltime unless they set one."""
    arguments: Sequence[Any] = given("worker-extra-args") or ()
    texts = without_web_server([str(argument) for argument in arguments])
    walltime = given("walltime")
    if walltime is None or any(text.partition("=")[0].strip().startswith("--lifetime") for text in texts):
        return texts
    retire = lifetime(parse_walltime(cluster.kind, walltime))
    return [*texts, "--lifetime", f"{retire.seconds}s", "--lifetime-stagger", f"{retire.stagger}s"]


def _scheduler_options(cluster: Cluster, given: _Given) -> dict[str, Any]:
    options = {"dashboard_address": DASHBOARD, "http_prefix": secret_path(), **(given("scheduler-options") or {})}
    if cluster.dashboard:
        options["dashboard_address"] = cluster.dashboard
    listens = given("interface") or options.get("host") or options.get("interface")
    if cluster.security == "none" and not listens:
        raise ConfigError(
            "cluster.security: an unencrypted scheduler runs code of anybody who reaches this machine; name a network that "
            "only the cluster reaches, as in cluster.options.interface: ib0, or remove security"
        )
    return options


@contextmanager
def made(cluster: Cluster, options: dict[str, Any]) -> Iterator[Any]:
    """Start dask-jobqueue's cluster without jobs, and cancel all its jobs at the end.

    Raises
    ------
    ConfigError
        If dask-jobqueue refuses the arguments.
    """
    shared = options.get("shared_temp_directory") or _Given(cluster)("shared-temp-directory") or _private_folder()
    made_by = _class(cluster.kind)
    try:
        ours = {"shared_temp_directory": shared, "security": for_jobs(cluster), "scheduler_cls": Scheduler}
        jobs = made_by(**{**options, **ours})
    # a missing interface, a value of a wrong type, a folder that can't be written
    except (TypeError, ValueError, OSError, RuntimeError, ImportError, LookupError, AttributeError) as error:
        raise ConfigError(
            f"cluster: dask-jobqueue's {made_by.__name__} could not be started: {error}{settings_behind(error)}"
        ) from error
    try:
        with jobs:
            yield jobs
    finally:
        for name in (
            "_job_ca_file",
            "_job_cert",
            "_job_key",
        ):  # certificate files, which otherwise stay until garbage collection
            if hasattr(jobs, name):
                getattr(jobs, name).close()


def _private_folder() -> str:
    """Return a folder that only this user's jobs can read, in the home folder, which nodes share."""
    folder = Path.home() / ".cache" / "dcm2zarr"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return str(folder)


def _submit_first(made: Any, cluster: Cluster) -> None:
    """Submit one job in the foreground, to see whether the batch system accepts it; Dask submits later ones in the background.

    Raises
    ------
    ConfigError
        If the batch system refuses the job; the message has its answer.
    """
    made.worker_spec.update(made.new_worker_spec())
    try:
        made.sync(made._correct_state)  # noqa: SLF001  `scale` does the same, but hides the result
    except (RuntimeError, OSError, ValueError) as error:
        mark_refused(made)
        first, *others = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        script = made.job_script().splitlines()
        raise ConfigError(
            f"cluster: {cluster.kind} doesn't take the job: {first}", more=[*others, "", *script]
        ) from error
