"""A whole run: scan → plan → convert and finalise → catalog and report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import Unpack

from pipeline import catalog, frames, report, scan, store
from pipeline.config import RunConfig, Sections, dump, for_paths, unknown_keywords
from pipeline.errors import RETRIED
from pipeline.executors import Deferred, Executor, NullProgress, Progress, clusters, end_in_a_worker
from pipeline.output import Ledger, begin, check_places, explaining, locked, still_held, too_small, wait_for_tasks
from pipeline.runs.changes import compare
from pipeline.runs.completion import complete, summary_if_nothing_to_do
from pipeline.runs.conversion import Conversion
from pipeline.runs.frozen_images import kept_back
from pipeline.runs.grow import extend_plan, failed_again, given_back
from pipeline.runs.partitions import recut, refuse_running
from pipeline.runs.preparation import check_settings, load, prepare, prepare_and_save
from pipeline.runs.recovery import restore
from pipeline.runs.replacement import finish_replacing, losing, settle, working_plan
from pipeline.runs.scan_phase import find_files, scan_more
from pipeline.runs.state import Prepared, Run
from pipeline.runs.storage_settings import reaching_stores
from pipeline.runs.trust import check_sources_known, sources_of
from pipeline.runs.unopened import unopened_when_planned
from pipeline.runs.versions import provenance, versions
from pipeline.storage import OutputDir, take_notes
from pipeline.tasks import job_of


@reaching_stores
def run(
    config: RunConfig, *, overwrite: bool = False, trusting: bool = False, progress: Progress | None = None
) -> report.RunSummary:
    """Convert what `config` describes and return what became of it.

    Parameters
    ----------
    config : RunConfig
    overwrite : bool
        Replace an earlier result in the output directory.
    trusting : bool
        Go on from a plan there that names files which `config` doesn't, though others could have written it.
    progress : Progress, optional
        Told of every step.

    Raises
    ------
    ConfigError
        For a configuration that can't be carried out: an unknown keyword, codec or plugin, a scheduler that is away.
    OutputError
        Where the output directory holds something already, or can't be written.
    PlanError
        Where the plan needs more memory than ``limits.task_memory``, or a task more than ``cluster.memory`` leaves it;
        nothing has been converted then.
    """
    with writing(config, progress) as this:
        prepared = load_or_make_plan(this, overwrite=overwrite, trusting=trusting)
        with this.clock.phase("convert"):
            conversion = resume_conversion(prepared, config, this.out, this.progress)
            clusters.check_memory(config.cluster, conversion.remaining)
        if summary := summary_if_nothing_to_do(config, prepared, conversion, this.clock):
            return summary
        write_run_file(config, this.out)
        return finished(this, prepared, conversion)


def convert_remaining(conversion: Conversion, executor: Executor, book: Ledger) -> None:
    """Do what is left of a conversion, after a look at whether the disk has room for it."""
    out = conversion.job.out
    if warning := too_small(out, conversion.missing_bytes):
        conversion.progress.message(warning)
    with explaining(out, lambda: conversion.missing_bytes):
        conversion.run(executor, conversion.remaining, book)


@contextmanager
def writing(config: RunConfig, progress: Progress | None) -> Iterator[Run]:
    """Check `config` and keep others away from its output; a cluster is started when the first task needs it."""
    progress = progress or NullProgress()
    out = OutputDir.of(config.output.path)
    check(config)
    if not catalog.has_plan(out):  # a run that goes on may do without its sources
        scan.refuse_missing(scan.missing_sources(config.source.paths))
    starting = partial(clusters.start, config.cluster, progress)
    with (
        telling_notes(progress),
        explaining(out),
        locked(out, tell=progress.message),
        Deferred(starting) as executor,
    ):
        yield Run(config, out, executor, progress)


@contextmanager
def telling_notes(progress: Progress) -> Iterator[None]:
    """Say at the end of the block, once each, what the file system of an output can't do."""
    take_notes()  # of an earlier run
    try:
        yield
    finally:
        for line in take_notes():
            progress.message(line)


def update_plan_for_new_files(run: Run, before: Prepared) -> Prepared:
    """Return what `before` is after a look at the source files: the same, or what follows it where files have come."""
    with run.clock.phase("scan"):
        if run.config.source.hash:
            run.progress.message("Reading the files, to compare their content with what was scanned (source.hash)")
        changes = compare(
            run.out, before, find_files(run.config, run.out, run.progress), run.executor, run.config.source
        )
    # nothing is known of them, so they aren't files that have gone, but names that are wrong
    unknown = {file.source for file in changes.new if file.problem == "file_not_found"}
    if unknown:
        missing = scan.missing_sources(run.config.source.paths)
        scan.refuse_missing({path: told for path, told in missing.items() if path in unknown})
    if changes.gone:
        run.progress.message(
            f"{len(changes.gone)} file(s) scanned earlier are gone or can't be read; what is stored of them is kept"
        )
    if changes.unhashed:
        run.progress.message(
            f"{changes.unhashed} file(s) were scanned without source.hash: their size and time of change were compared, "
            "not their content"
        )
    if not changes:
        return before
    if come := len(changes.new) - len(changes.changed) - len(changes.retried):
        run.progress.message(f"{come} file(s) have come since the earlier run")
    if changes.retried:
        run.progress.message(f"{len(changes.retried)} file(s) that could not be read are tried again")
    with run.clock.phase("scan"):
        found = scan_more(run, before, iter(changes.new), max(before.segments, default=-1) + 1)
    if failed_again(run.out, found, changes):
        return before
    write_run_file(run.config, run.out)
    return extend_plan(run, before, changes, found)


def load_or_make_plan(this: Run, *, overwrite: bool, trusting: bool = False) -> Prepared:
    """Return the plan that lies in the output directory, where it still holds, or else a new one."""
    config, out = this.config, this.out
    refuse_running(out, this.progress.message)
    wait_for_tasks(out)
    begin(out, overwrite=overwrite)
    before = load(out)
    if before is not None:
        check_settings(out, before, config)
        if not trusting:
            check_sources_known(config, out, sources_of(before))
        finish_replacing(out, before)
        return update_plan_for_new_files(this, before)
    write_run_file(config, out)
    return prepare_and_save(this)


def write_run_file(config: RunConfig, out: OutputDir) -> None:
    """Keep the configuration for ``dcm2zarr resume`` and for whoever wants to know."""
    out.run_file.write_bytes(dump(config, versions=versions()).encode("utf-8", "surrogateescape"))


def resume_conversion(
    prepared: Prepared, config: RunConfig, out: OutputDir, progress: Progress, *, retrying: bool = True
) -> Conversion:
    """Return the conversion of `prepared` as far as earlier runs got."""
    store.create_root(out)
    for path in prepared.stale:
        store.remove_stale(out, path)
    if not prepared.standing.images:
        store.remove_replaced(out)
    conversion = conversion_of(prepared, config, out, progress)
    done = restore(conversion, prepared, retrying=retrying)
    remaining = conversion.remaining
    progress.phase("convert", sum(len(r.positions) for task in remaining for r in task.regions))
    if done and remaining:
        progress.message(f"Going on: {done} of {len(prepared.plan.tasks)} tasks were finished earlier")
    return conversion


def conversion_of(prepared: Prepared, config: RunConfig, out: OutputDir, progress: Progress) -> Conversion:
    """Return the conversion of `prepared` of which nothing is done."""
    plan = working_plan(out, prepared)
    return Conversion(plan, job_of(config, out), provenance(config), progress)


def finished(this: Run, prepared: Prepared, conversion: Conversion) -> report.RunSummary:
    """Do what is left, let new images take the places of earlier ones, and complete the result.

    Where a new image lacks something that the earlier one has, the earlier one stays, and what else was to be in the new
    one is planned and converted again. Each time that happens, fewer earlier images are left to be replaced.
    """
    config, out = this.config, this.out
    while True:
        with Ledger.open(out, prepared.id) as book:
            with this.clock.phase("convert"):
                convert_remaining(conversion, this.executor, book)
            still_held()
            lost = losing(prepared, out, conversion)
            if not lost:
                with this.clock.phase("finalise"):
                    prepared = settle(out, prepared, conversion)
                return complete(config, prepared, conversion, this.clock, book)
        before, earlier = prepared, conversion
        failures = [earlier.outcomes.failures.get(i) for i in set().union(*lost.values())]
        for_good = any(failure is None or failure.reason not in RETRIED for failure in failures)
        with this.clock.phase("plan"):
            prepared = given_back(out, before, lost, config, for_good=for_good)
            recut(out, before, prepared)
        for image in before.standing.images:
            if image not in prepared.standing.images:
                this.progress.message(kept_back(image.path))
        with this.clock.phase("convert"):
            conversion = resume_conversion(prepared, config, out, this.progress)
        conversion.work, conversion.timeline = earlier.work, earlier.timeline


@reaching_stores
def plan_only(config: RunConfig, *, progress: Progress | None = None) -> Prepared:
    """Scan and plan what `config` describes, and leave nothing behind."""
    progress = progress or NullProgress()
    check(config)
    scan.refuse_missing(scan.missing_sources(config.source.paths))
    with (
        explaining(OutputDir.of(config.output.path)),
        TemporaryDirectory(prefix="dcm2zarr-plan-") as folder,
        clusters.start(config.cluster, progress) as executor,
    ):
        prepared = prepare(Run(config, OutputDir(folder), executor, progress))
        clusters.check_memory(config.cluster, prepared.plan.tasks)
        return replace(
            prepared, unopened=unopened_when_planned(config, prepared.counts, OutputDir(folder), prepared.segments)
        )


def check(config: RunConfig) -> None:
    """Find what the configuration's own types can't tell, before anything is read or written.

    Raises
    ------
    ConfigError
    """
    end_in_a_worker()
    unknown_keywords(config, frames.all_keywords())
    frames.check_plugin(config.decode.plugin)
    store.check_codec(config.output.codec)
    clusters.check(config.cluster)
    check_places(config.source.paths, OutputDir.of(config.output.path))


def convert(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    trusting: bool = False,
    progress: Progress | None = None,
    **sections: Unpack[Sections],
) -> report.RunSummary:
    """Convert DICOM files into an output directory, without a configuration file.

    In a script, call it under ``if __name__ == "__main__":``, because worker processes import the script.

    Parameters
    ----------
    paths : path-like or sequence of path-like
        Files, folders, glob patterns, a DICOMDIR, or a .txt, .csv or .parquet list of paths.
    out : path-like
        The output directory.
    overwrite : bool
        Replace an earlier result there.
    trusting : bool
        See :func:`run`.
    progress : Progress, optional
        Told of every step.
    **sections : mapping
        The configuration's other sections, such as ``cluster={"kind": "threads"}`` or
        ``output={"grouping": "instance"}``.

    Raises
    ------
    ConfigError, OutputError, PlanError
        See :func:`run`.

    Examples
    --------
    >>> pipeline.convert(["data/"], "out", select={"where": {"Modality": "CT"}})
    """
    return run(for_paths(paths, out, **sections), overwrite=overwrite, trusting=trusting, progress=progress)
