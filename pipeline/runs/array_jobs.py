"""A conversion in independent jobs, for sites that allow arrays of jobs and nothing else.

``init`` scans and plans, and cuts the plan's tasks into partitions; ``convert_partition`` does the tasks of one partition, and
records them in a ledger segment of its own; ``finalize`` does the rest when all partitions are done. The jobs share nothing
but the output directory. Each can be run again at any time, even after it was killed: it goes on.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from pipeline import report, store
from pipeline.config import Cluster, RunConfig
from pipeline.errors import SURROUNDINGS, OutputError
from pipeline.executors import Deferred, NullProgress, Progress, clusters, end_in_a_worker
from pipeline.output import Ledger, explain_disk_errors, hold_lock, refuse_links, wait_for_tasks
from pipeline.plan import partition, partition_count
from pipeline.runs.completion import summary_if_nothing_to_do
from pipeline.runs.partitions import (
    Partitions,
    lock_partition,
    read_partitions,
    refuse_incomplete,
    refuse_running,
    write_partitions,
)
from pipeline.runs.preparation import check_settings
from pipeline.runs.preparation import load as load_prepared
from pipeline.runs.replacement import finish_replacing
from pipeline.runs.resume import restore
from pipeline.runs.stages import (
    finish,
    load_or_make_plan,
    open_run,
    resume_conversion,
    start_conversion,
    write_run_file,
)
from pipeline.runs.state import Prepared, Run
from pipeline.runs.storage_settings import storage_options, with_storage_settings
from pipeline.runs.trust import check_sources_known, read_kept_configuration, redirect_output, sources_of
from pipeline.storage import Options, OutputDir, active, using


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """The outcome of one partition."""

    tasks: int
    earlier: int
    """Tasks of the partition that earlier jobs finished."""
    frames: int
    """Frames stored by this job."""
    failures: int
    """Instances of the partition that failed."""
    missing: int
    """Tasks that couldn't be done and have to be done again."""

    @property
    def exit_code(self) -> int:
        """0 if all its tasks are done, even if files failed, because ``finalize`` reports those; else 3."""
        return SURROUNDINGS if self.missing else 0


@with_storage_settings
def init(
    config: RunConfig,
    *,
    partitions: int | None = None,
    partition_bytes: int | None = None,
    overwrite: bool = False,
    trusting: bool = False,
    progress: Progress | None = None,
) -> Partitions:
    """Scan and plan what `config` describes, and cut the plan into partitions.

    If the output directory has a plan already, only the partitions are cut again.

    Parameters
    ----------
    config : RunConfig
        Its cluster runs the scan; it doesn't affect the partitions.
    partitions : int, optional
        Number of partitions; fewer if there are fewer tasks.
    partition_bytes : int, optional
        Otherwise, about how many bytes each partition reads and writes.
    overwrite : bool
        Replace an earlier result in the output directory.
    trusting : bool
        See :func:`pipeline.runs.run`.
    progress : Progress, optional
        Receives every step.

    Raises
    ------
    ConfigError, OutputError, PlanError
        See :func:`pipeline.runs.run`.
    """
    with open_run(config, progress) as state:
        prepared = load_or_make_plan(state, overwrite=overwrite, trusting=trusting)
        write_run_file(config, state.out)
        store.create_root(state.out)
        given = {} if partition_bytes is None else {"partition_bytes": partition_bytes}
        ranges = partition(prepared.plan.tasks, partitions or partition_count(prepared.plan.tasks, **given))
        parts = Partitions(state.out, ranges)
        write_partitions(state.out, prepared, parts)
    return parts


def convert_partition(
    out: str | os.PathLike[str],
    number: int,
    *,
    config: RunConfig | None = None,
    trusting: bool = False,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> PartitionSummary:
    """Do the remaining tasks of one partition.

    Parameters
    ----------
    out : path-like or URL
        An output directory after :func:`init`.
    number : int
        The partition, from 0.
    config : RunConfig, optional
        The caller's own, in place of the one in the output directory.
    trusting : bool
        Trust the output directory even if others could have written it; its storage settings don't count then.
    cluster : Cluster, optional
        Runs the tasks; this process by default.
    progress : Progress, optional
        Receives every step.

    Raises
    ------
    OutputError
        If there is no such partition (reason ``no_such_partition``) or none at all (``no_partitions``), if
        another process is working on it or on the whole (``in_use``), or if others could have written the directory
        (``output_not_yours``).
    """
    progress = progress or NullProgress()
    at, config, options, prepared, parts = _open(out, config, trusting=trusting)
    tasks = parts.tasks(prepared.plan, number)
    with (
        using(options),
        explain_disk_errors(at),
        lock_partition(at, number, progress.message),
        Deferred(partial(clusters.start, cluster or Cluster(kind="synchronous"), progress)) as executor,
        Ledger.open(at, prepared.id) as book,
    ):
        conversion = start_conversion(prepared, config, at, progress)
        earlier = restore(conversion, prepared, {task.id for task in tasks})
        todo = [task for task in tasks if task.id not in conversion.outcomes.done]
        progress.phase("convert", sum(len(r.positions) for task in todo for r in task.regions))
        conversion.run(executor, todo, book, finalising=False)
    return PartitionSummary(
        tasks=len(tasks),
        earlier=earlier,
        frames=conversion.work.frames,
        failures=len(conversion.outcomes.failures),
        missing=len(conversion.outcomes.lost),
    )


def finalize(
    out: str | os.PathLike[str],
    *,
    config: RunConfig | None = None,
    trusting: bool = False,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> report.RunSummary:
    """Complete a conversion whose partitions are all done: images, catalog, report.

    Parameters
    ----------
    out : path-like or URL
        An output directory after :func:`init`.
    config, trusting
        See :func:`convert_partition`.
    cluster : Cluster, optional
        Finalises the images; worker processes of this machine by default.
    progress : Progress, optional
        Receives every step.

    Raises
    ------
    IncompleteError
        If tasks are missing; nothing is completed then.
    OutputError
        If there are no partitions, if some are under way, or if others could have written them.
    """
    progress = progress or NullProgress()
    at, config, options, prepared, parts = _open(out, config, trusting=trusting)
    with (
        using(options),
        explain_disk_errors(at),
        hold_lock(at, tell=progress.message),
        Deferred(partial(clusters.start, cluster or Cluster(), progress)) as executor,
    ):
        refuse_running(at, progress.message)
        wait_for_tasks(at)
        state = Run(config, at, executor, progress)
        finish_replacing(at, prepared)
        with state.clock.phase("convert"):
            conversion = resume_conversion(prepared, config, at, progress, retrying=False)
            refuse_incomplete(parts, conversion)
        if summary := summary_if_nothing_to_do(config, prepared, conversion, state.clock):
            return summary
        return finish(state, prepared, conversion)


class _Opened(NamedTuple):
    """The contents of an output directory after :func:`init`."""

    at: OutputDir
    config: RunConfig
    options: Options
    prepared: Prepared
    parts: Partitions


def _open(named: str | os.PathLike[str], given: RunConfig | None, *, trusting: bool) -> _Opened:
    """Open an output directory, with its own configuration or the caller's."""
    end_in_a_worker()
    with using(storage_options(given) if given else active()):
        return _read(OutputDir.of(named), given, trusting=trusting)


def _read(out: OutputDir, given: RunConfig | None, *, trusting: bool) -> _Opened:
    refuse_links(out)
    prepared = load_prepared(out)
    parts = read_partitions(out, prepared) if prepared else None
    if prepared is None or parts is None:
        raise OutputError(
            f"{out} has no partitions; 'dcm2zarr init CONFIG', with this directory as output.path, makes them",
            reason="no_partitions",
        )
    config, options = (
        (redirect_output(given, out), active()) if given else read_kept_configuration(out, trusting=trusting)
    )
    check_settings(out, prepared, config)
    if given and not trusting:
        check_sources_known(config, out, sources_of(prepared))
    return _Opened(out, config, options, prepared, parts)
