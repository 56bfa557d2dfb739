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
from pipeline.model import LAYOUT
from pipeline.output import (
    Ledger,
    begin,
    check_places,
    explain_disk_errors,
    hold_lock,
    still_held,
    too_small,
    wait_for_tasks,
)
from pipeline.runs.changes import compare
from pipeline.runs.completion import complete, summary_if_nothing_to_do
from pipeline.runs.conversion import Conversion
from pipeline.runs.frozen_images import kept_back_message
from pipeline.runs.grow import extend_plan, give_back, has_failed_again
from pipeline.runs.partitions import recut, refuse_running
from pipeline.runs.preparation import check_settings, load, prepare, prepare_and_save
from pipeline.runs.replacement import find_losing, finish_replacing, settle, working_plan
from pipeline.runs.resume import restore
from pipeline.runs.scan_phase import find_files, scan_more
from pipeline.runs.state import Prepared, Run
from pipeline.runs.storage_settings import with_storage_settings
from pipeline.runs.trust import check_sources_known, sources_of
from pipeline.runs.unopened import find_unopened_by_scan
from pipeline.runs.versions import provenance, versions
from pipeline.storage import OutputDir, take_notes
from pipeline.tasks import make_job


@with_storage_settings
def run(
    config: RunConfig, *, overwrite: bool = False, trusting: bool = False, progress: Progress | None = None
) -> report.RunSummary:
    """Convert what `config` describes and return a summary.

    Parameters
    ----------
    config : RunConfig
    overwrite : bool
        Replace an earlier result in the output directory.
    trusting : bool
        Go on from a saved plan even if it names files that `config` doesn't, and others could have written it.
    progress : Progress, optional
        Receives every step.

    Raises
    ------
    ConfigError
        If the configuration can't be carried out: unknown keyword, codec or plugin, or unreachable scheduler.
    OutputError
        If the output directory holds something else already, or can't be written.
    PlanError
        If the plan needs more memory than ``limits.task_memory``, or a task more than ``cluster.memory`` leaves it;
        nothing has been converted then.
    """
    with open_run(config, progress) as state:
        prepared = load_or_make_plan(state, overwrite=overwrite, trusting=trusting)
        with state.clock.phase("convert"):
            conversion = resume_conversion(prepared, config, state.out, state.progress)
            clusters.check_memory(config.cluster, conversion.remaining)
        if summary := summary_if_nothing_to_do(config, prepared, conversion, state.clock):
            return summary
        write_run_file(config, state.out)
        return finish(state, prepared, conversion)


def convert_remaining(conversion: Conversion, executor: Executor, book: Ledger) -> None:
    """Do the rest of a conversion, after checking that the disk has room for it."""
    out = conversion.job.out
    if warning := too_small(out, conversion.missing_bytes):
        conversion.progress.message(warning)
    with explain_disk_errors(out, lambda: conversion.missing_bytes):
        conversion.run(executor, conversion.remaining, book)


@contextmanager
def open_run(config: RunConfig, progress: Progress | None) -> Iterator[Run]:
    """Check `config` and keep others away from its output; the cluster starts when the first task needs it."""
    progress = progress or NullProgress()
    out = OutputDir.of(config.output.path)
    check(config)
    if not catalog.has_plan(out):  # a resumed run may do without its sources
        scan.refuse_missing(scan.missing_sources(config.source.paths))
    starting = partial(clusters.start, config.cluster, progress)
    with (
        report_notes(progress),
        explain_disk_errors(out),
        hold_lock(out, tell=progress.message),
        Deferred(starting) as executor,
    ):
        yield Run(config, out, executor, progress)


@contextmanager
def report_notes(progress: Progress) -> Iterator[None]:
    """Report at the end of the block, once each, what the output's file system can't do."""
    take_notes()  # drops those of an earlier run
    try:
        yield
    finally:
        for line in take_notes():
            progress.message(line)


def update_plan_for_new_files(run: Run, before: Prepared) -> Prepared:
    """Return `before` after a look at the source files: unchanged, or extended by new and changed files."""
    with run.clock.phase("scan"):
        if run.config.source.hash:
            run.progress.message("Reading the files to compare their content with the scan (source.hash)")
        changes = compare(
            run.out, before, find_files(run.config, run.out, run.progress), run.executor, run.config.source
        )
    # The scan knows nothing of them, so they aren't files that have gone, but wrong names.
    unknown = {file.source for file in changes.new if file.problem == "file_not_found"}
    if unknown:
        missing = scan.missing_sources(run.config.source.paths)
        scan.refuse_missing({path: told for path, told in missing.items() if path in unknown})
    if changes.gone:
        run.progress.message(
            f"{len(changes.gone)} file(s) scanned earlier are gone or can't be read; their stored content is kept"
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
    if has_failed_again(run.out, found, changes):
        return before
    write_run_file(run.config, run.out)
    return extend_plan(run, before, changes, found)


def load_or_make_plan(state: Run, *, overwrite: bool, trusting: bool = False) -> Prepared:
    """Return the plan saved in the output directory if it is still valid, or else a new one."""
    config, out = state.config, state.out
    refuse_running(out, state.progress.message)
    wait_for_tasks(out)
    begin(out, overwrite=overwrite)
    before = load(out)
    if before is not None:
        check_settings(out, before, config)
        if not trusting:
            check_sources_known(config, out, sources_of(before))
        finish_replacing(out, before)
        return update_plan_for_new_files(state, before)
    write_run_file(config, out)
    return prepare_and_save(state)


def write_run_file(config: RunConfig, out: OutputDir) -> None:
    """Save the configuration for ``dcm2zarr resume`` and for the user."""
    written = config.model_copy(update={"layout": LAYOUT})
    out.run_file.write_bytes(dump(written, versions=versions()).encode("utf-8", "surrogateescape"))


def resume_conversion(
    prepared: Prepared, config: RunConfig, out: OutputDir, progress: Progress, *, retrying: bool = True
) -> Conversion:
    """Return the conversion of `prepared`, with the work of earlier runs restored."""
    store.create_root(out)
    for path in prepared.stale:
        store.remove_stale(out, path)
    if not prepared.standing.images:
        store.remove_replaced(out)
    conversion = start_conversion(prepared, config, out, progress)
    done = restore(conversion, prepared, retrying=retrying)
    remaining = conversion.remaining
    progress.phase("convert", sum(len(r.positions) for task in remaining for r in task.regions))
    if done and remaining:
        progress.message(f"Going on: {done} of {len(prepared.plan.tasks)} tasks were finished earlier")
    return conversion


def start_conversion(prepared: Prepared, config: RunConfig, out: OutputDir, progress: Progress) -> Conversion:
    """Return the conversion of `prepared`, with nothing done."""
    plan = working_plan(out, prepared)
    return Conversion(plan, make_job(config, out), provenance(config), progress)


def finish(state: Run, prepared: Prepared, conversion: Conversion) -> report.RunSummary:
    """Do the remaining work, let new images replace earlier ones, and complete the result.

    If a new image lacks something that the earlier one has, the earlier one stays, and the other files of the new image
    are planned and converted again. Each time that happens, fewer earlier images are left to be replaced.
    """
    config, out = state.config, state.out
    while True:
        with Ledger.open(out, prepared.id) as book:
            with state.clock.phase("convert"):
                convert_remaining(conversion, state.executor, book)
            still_held()
            lost = find_losing(prepared, out, conversion)
            if not lost:
                with state.clock.phase("finalise"):
                    prepared = settle(out, prepared, conversion)
                return complete(config, prepared, conversion, state.clock, book)
        before, earlier = prepared, conversion
        failures = [earlier.outcomes.failures.get(i) for i in set().union(*lost.values())]
        for_good = any(failure is None or failure.reason not in RETRIED for failure in failures)
        with state.clock.phase("plan"):
            prepared = give_back(out, before, lost, config, for_good=for_good)
            recut(out, before, prepared)
        for image in before.standing.images:
            if image not in prepared.standing.images:
                state.progress.message(kept_back_message(image.path))
        with state.clock.phase("convert"):
            conversion = resume_conversion(prepared, config, out, state.progress)
        conversion.work, conversion.timeline = earlier.work, earlier.timeline


@with_storage_settings
def plan_only(config: RunConfig, *, progress: Progress | None = None) -> Prepared:
    """Scan and plan what `config` describes, and leave nothing behind."""
    progress = progress or NullProgress()
    check(config)
    scan.refuse_missing(scan.missing_sources(config.source.paths))
    with (
        explain_disk_errors(OutputDir.of(config.output.path)),
        TemporaryDirectory(prefix="dcm2zarr-plan-") as folder,
        clusters.start(config.cluster, progress) as executor,
    ):
        prepared = prepare(Run(config, OutputDir(folder), executor, progress))
        clusters.check_memory(config.cluster, prepared.plan.tasks)
        return replace(
            prepared, unopened=find_unopened_by_scan(config, prepared.counts, OutputDir(folder), prepared.segments)
        )


def check(config: RunConfig) -> None:
    """Find mistakes that the configuration's own types can't find, before anything is read or written.

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
        Receives every step.
    **sections : mapping
        The configuration's other sections, such as ``cluster={"kind": "threads"}`` or
        ``output={"grouping": "instance"}``.

    Raises
    ------
    ConfigError, OutputError, PlanError
        See :func:`run`.

    Examples
    --------
    >>> dcm2zarr.convert(["data/"], "out", select={"where": {"Modality": "CT"}})
    """
    return run(for_paths(paths, out, **sections), overwrite=overwrite, trusting=trusting, progress=progress)
