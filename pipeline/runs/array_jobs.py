"""A conversion in jobs that know nothing of each other: for sites that allow arrays of jobs, and nothing else.

``init`` scans and plans, and cuts the plan's tasks into partitions; ``convert_partition`` does those of one, and
records them in a ledger segment of its own; ``finalize`` does what is left when all are done. What lies in the output
directory is all that they share. Each can be run again at any time, also after it was killed: it goes on.
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
    partition_locked,
    read_partitions,
    refuse_incomplete,
    refuse_running,
    write_partitions,
)
from pipeline.runs.preparation import check_settings
from pipeline.runs.preparation import load as load_prepared
from pipeline.runs.recovery import restore
from pipeline.runs.replacement import finish_replacing
from pipeline.runs.stages import conversion_of, finished, load_or_make_plan, resume_conversion, write_run_file, writing
from pipeline.runs.state import Prepared, Run
from pipeline.runs.storage_settings import options_of, reaching_stores
from pipeline.runs.trust import check_sources_known, directed, kept_configuration, sources_of
from pipeline.storage import Options, OutputDir, active, using


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """What became of one partition."""

    tasks: int
    earlier: int
    """Of these, finished by earlier jobs."""
    frames: int
    """Frames stored by this one."""
    failures: int
    """Instances that failed in it."""
    missing: int
    """Tasks that could not be done, and are to be done again."""

    @property
    def exit_code(self) -> int:
        """0 where all its tasks are done, files that failed included: those are ``finalize``'s to tell; else 3."""
        return SURROUNDINGS if self.missing else 0


@reaching_stores
def init(
    config: RunConfig,
    *,
    partitions: int | None = None,
    partition_bytes: int | None = None,
    overwrite: bool = False,
    trusting: bool = False,
    progress: Progress | None = None,
) -> Partitions:
    """Scan and plan what `config` describes, and cut it into partitions.

    On an output directory that has a plan already, only the cut is made anew.

    Parameters
    ----------
    config : RunConfig
        Its cluster is the scan's; partitions have nothing to do with it.
    partitions : int, optional
        How many; fewer where there are fewer tasks.
    partition_bytes : int, optional
        Or else, about how many bytes each reads and stores.
    overwrite : bool
        Replace an earlier result in the output directory.
    trusting : bool
        See :func:`pipeline.runs.run`.
    progress : Progress, optional
        Told of every step.

    Raises
    ------
    ConfigError, OutputError, PlanError
        See :func:`pipeline.runs.run`.
    """
    with writing(config, progress) as this:
        prepared = load_or_make_plan(this, overwrite=overwrite, trusting=trusting)
        write_run_file(config, this.out)
        store.create_root(this.out)
        given = {} if partition_bytes is None else {"partition_bytes": partition_bytes}
        ranges = partition(prepared.plan.tasks, partitions or partition_count(prepared.plan.tasks, **given))
        parts = Partitions(this.out, ranges)
        write_partitions(this.out, prepared, parts)
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
    """Do the tasks of one partition that aren't done yet.

    Parameters
    ----------
    out : path-like or URL
        An output directory after :func:`init`.
    number : int
        The partition, from 0.
    config : RunConfig, optional
        The caller's own, in place of the one that lies there.
    trusting : bool
        Take what lies there though others could have written it; its storage settings don't count then.
    cluster : Cluster, optional
        What does them; this process by default.
    progress : Progress, optional
        Told of every step.

    Raises
    ------
    OutputError
        Where there is no such partition (reason ``no_such_partition``) or none at all (``no_partitions``), where
        another process is at it, or at the whole (``in_use``), or where others could have written it
        (``output_not_yours``).
    """
    progress = progress or NullProgress()
    at, config, options, prepared, parts = _opened(out, config, trusting=trusting)
    tasks = parts.tasks(prepared.plan, number)
    with (
        using(options),
        explain_disk_errors(at),
        partition_locked(at, number, progress.message),
        Deferred(partial(clusters.start, cluster or Cluster(kind="synchronous"), progress)) as executor,
        Ledger.open(at, prepared.id) as book,
    ):
        conversion = conversion_of(prepared, config, at, progress)
        earlier = restore(conversion, prepared, {task.id for task in tasks})
        todo = [task for task in tasks if task.id not in conversion.outcomes.done]
        progress.phase("convert", sum(r.frame_stop - r.frame_start for task in todo for r in task.regions))
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
    """Complete a conversion of which every partition is done: images, catalog, report.

    Parameters
    ----------
    out : path-like or URL
        An output directory after :func:`init`.
    config, trusting
        See :func:`convert_partition`.
    cluster : Cluster, optional
        What finalises the images; worker processes of this machine by default.
    progress : Progress, optional
        Told of every step.

    Raises
    ------
    IncompleteError
        Where tasks are missing; nothing is completed then.
    OutputError
        Where there are no partitions, some are under way, or others could have written them.
    """
    progress = progress or NullProgress()
    at, config, options, prepared, parts = _opened(out, config, trusting=trusting)
    with (
        using(options),
        explain_disk_errors(at),
        hold_lock(at, tell=progress.message),
        Deferred(partial(clusters.start, cluster or Cluster(), progress)) as executor,
    ):
        refuse_running(at, progress.message)
        wait_for_tasks(at)
        this = Run(config, at, executor, progress)
        finish_replacing(at, prepared)
        with this.clock.phase("convert"):
            conversion = resume_conversion(prepared, config, at, progress, retrying=False)
            refuse_incomplete(parts, conversion)
        if summary := summary_if_nothing_to_do(config, prepared, conversion, this.clock):
            return summary
        return finished(this, prepared, conversion)


class _Opened(NamedTuple):
    """What lies in an output directory after :func:`init`."""

    at: OutputDir
    config: RunConfig
    options: Options
    prepared: Prepared
    parts: Partitions


def _opened(named: str | os.PathLike[str], given: RunConfig | None, *, trusting: bool) -> _Opened:
    """Open an output directory, with its own configuration or the caller's."""
    end_in_a_worker()
    with using(options_of(given) if given else active()):
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
    config, options = (directed(given, out), active()) if given else kept_configuration(out, trusting=trusting)
    check_settings(out, prepared, config)
    if given and not trusting:
        check_sources_known(config, out, sources_of(prepared))
    return _Opened(out, config, options, prepared, parts)
