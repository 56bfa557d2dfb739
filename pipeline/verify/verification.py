"""A whole verification: files, catalog, images and, on request, the originals."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from time import perf_counter
from typing import Any

from pipeline.config import Cluster, RunConfig, cluster_of, config_of
from pipeline.errors import ConfigError, OutputError, foreign_text
from pipeline.executors import Executor, NullProgress, Outcome, Progress, end_in_a_worker, start
from pipeline.output import no_result_error, refuse_links
from pipeline.runs import (
    check_settings,
    check_sources_known,
    find_writer,
    read_kept_configuration,
    sources_of,
    storage_options,
)
from pipeline.storage import Options, OutputDir, active, as_resource_error, using
from pipeline.verify.catalog_checks import check_image_table, check_rows
from pipeline.verify.earlier_verifications import find_verified_before
from pipeline.verify.expected import ExpectedResult, read_expected
from pipeline.verify.guarded import check_sources, check_sources_carefully
from pipeline.verify.original_checks import SourceFindings, source_checks
from pipeline.verify.outcome import GONE, Verification
from pipeline.verify.problems import Findings, Problem
from pipeline.verify.result_files import check_groups, check_ledger_end, check_sealed, check_top
from pipeline.verify.verdicts import file_verdicts
from pipeline.verify.work import frames_to_check, run_checks, store_checks


def verify(
    out: str | os.PathLike[str],
    *,
    source: bool = False,
    sample: int | None = None,
    seed: int = 0,
    config: RunConfig | Mapping[str, Any] | str | os.PathLike[str] | None = None,
    trusting: bool = False,
    cluster: Cluster | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Check a result: every file, every chunk, every frame, every row and, on request, the originals.

    Parameters
    ----------
    out : path-like or URL
        The output directory. Nothing in it is changed.
    source : bool
        Decode the originals again, with another decoder if there is one, and compare pixels and headers.
    sample : int, optional
        Number of frames of the store to decode, and of originals to compare, chosen by `seed`; all by default.
        Files, metadata and the catalog are always checked as a whole.
    seed : int
        Another seed makes another choice.
    config : RunConfig, mapping or path-like, optional
        The caller's own, also as plain values or a YAML file, in place of the one in `out`: where originals are, how stores are reached.
    trusting : bool
        Read the originals that the plan in `out` names even if others could have written it.
    cluster : Cluster or mapping, optional
        Runs the checks; as the section ``cluster`` of a configuration; local worker processes by default.
    progress : Progress, optional
        Receives every step.

    Raises
    ------
    OutputError
        If `out` isn't the result of a conversion, an entry of it is a link, or others could have written which originals
        are read.
    ConfigError
        If configuration or cluster hold mistakes, or the cluster can't be used.
    """
    end_in_a_worker()
    progress = progress or NullProgress()
    own, cluster = None if config is None else config_of(config), cluster_of(cluster)
    begin = perf_counter()
    root = OutputDir.of(out)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    result = Verification(root, source=source, sample=sample, when=when)
    with using(storage_options(own) if own else active()):
        _check_result(root)
        expected, problems = read_expected(root)
        result.expected = expected
        result.add(Findings((*problems, *check_top(root))))
        if expected:
            original = _originals(expected, result, own, trusting=trusting) if source else None
            _check_contents(result, expected, original, cluster, progress, seed=seed)
        if "catalog_unreadable" not in result.counts:
            _count_verdicts(result)
    result.seconds = perf_counter() - begin
    return result


def _check_contents(
    result: Verification,
    expected: ExpectedResult,
    original: _Originals | None,
    cluster: Cluster,
    progress: Progress,
    *,
    seed: int,
) -> None:
    """Check files and images, and the originals if `original` says how these are read."""
    progress.phase("verify", frames_to_check(expected, result.sample))
    result.add(Findings(tuple(_check_files(expected))))
    result.options = original.options if original else active()
    with using(result.options), start(cluster, progress) as executor:
        _check_images(executor, result, expected, progress, seed)
        if original:
            progress.phase("compare", None)
            result.before = find_verified_before(expected)
            _check_originals(executor, result, original, progress, seed)
            result.settle_absent()


def _count_verdicts(result: Verification) -> None:
    for row in file_verdicts(result):
        result.verdicts[row["verdict"]] += 1
        result.missed += row["verdict"] == "gone" and not row["verified"]


def _check_result(root: OutputDir) -> None:
    if not {root.IMAGES, root.LEDGER, root.PLAN}.intersection(root.root.children()):
        raise no_result_error(root, "it isn't the result of a conversion: give the output directory itself")
    refuse_links(root)
    at_work = find_writer(root)
    if at_work:
        raise OutputError(
            f"{root}: a run is going on there ({at_work}): wait for its end, then verify its result",
            reason="in_use",
        )


@dataclass(frozen=True, slots=True)
class _Originals:
    """Settings for comparing originals: how they were decoded, and how they are reached."""

    expected: ExpectedResult
    config: RunConfig
    options: Options


def _originals(
    expected: ExpectedResult, result: Verification, given: RunConfig | None, *, trusting: bool
) -> _Originals | None:
    """Return how to compare the originals: from the caller's configuration, or from the run's own if that can be trusted.

    Raises
    ------
    OutputError
        If others could have written which files are read, or how stores are reached.
    """
    out = expected.out
    if given:
        check_settings(out, expected.prepared, given)
        if not trusting:
            check_sources_known(given, out, sources_of(expected.prepared))
        return _Originals(expected, given, active())
    try:
        return _Originals(expected, *read_kept_configuration(out, trusting=trusting))
    except ConfigError as error:
        message = f"the settings of the conversion can't be read: {error}"
        result.add(Findings((Problem("check_failed", out.RUN_FILE, message),)))
        return None


def _check_files(expected: ExpectedResult) -> Iterator[Problem]:
    """Yield the problems outside the complete images."""
    sealed = expected.finished.files
    yield from check_sealed(expected.out, sealed) if sealed else ()
    yield from check_ledger_end(expected.out, sealed)
    if not expected.finished.ended:
        message = "the last record doesn't say that the run has ended: run the same command again"
        yield Problem("unfinished_run", expected.out.LEDGER, message)
    there = []
    for image, spec in enumerate(expected.plan.images):
        if not expected.outcomes.is_empty(image):
            there.append(spec.path)
        if not expected.is_complete(image) and not expected.outcomes.is_empty(image):
            message = "it is being made again" if spec.path in expected.standing else "it was never finished"
            yield Problem("incomplete_image", f"{expected.out.IMAGES}/{spec.path}", message, image)
    yield from check_groups(expected.out, {*there, *expected.standing})
    if not expected.out.catalog.exists():
        yield Problem("catalog_unreadable", OutputDir.CATALOG, "is missing")
        return
    try:
        wrong = list(check_rows(expected))
        yield from wrong or check_image_table(expected)  # the table of images is made of the catalog
    # Parquet readers raise anything on damaged files, and such damage is a finding.
    except Exception as error:  # noqa: BLE001
        yield Problem("catalog_unreadable", OutputDir.CATALOG, foreign_text(error))


def _check_images(
    executor: Executor, result: Verification, expected: ExpectedResult, progress: Progress, seed: int
) -> None:
    tasks = store_checks(expected, result.sample, seed)
    for outcome in executor.map(partial(run_checks, out=result.out), tasks, name="verify"):
        found: Findings = outcome.result if outcome.error is None else _report_lost_task(outcome)
        result.add(found)
        progress.advance(images=found.images, frames=found.frames, bytes=found.bytes, failures=len(found.problems))


def _check_originals(
    executor: Executor, result: Verification, original: _Originals, progress: Progress, seed: int
) -> None:
    config = original.config
    tasks = _read_until_unreadable(source_checks(original.expected, config, result.sample, seed), result)
    once = partial(check_sources, out=result.out, limits=config.limits)
    again = partial(check_sources_carefully, out=result.out, limits=config.limits)
    for outcome in executor.map(once, tasks, name="compare", carefully=again):
        found: SourceFindings = outcome.result if outcome.error is None else SourceFindings(_report_lost_task(outcome))
        result.add_sources(found)
        failures = sum(problem.code != GONE for problem in found.findings.problems)
        progress.advance(frames=found.findings.frames, bytes=found.findings.bytes, failures=failures)


def _read_until_unreadable(tasks: Iterable[Any], result: Verification) -> Iterator[Any]:
    """Pass tasks on until the catalog that they come from becomes unreadable."""
    try:
        yield from tasks
    except OutputError as error:
        result.add(Findings((Problem("catalog_unreadable", OutputDir.CATALOG, str(error)),)))


def _report_lost_task(outcome: Outcome) -> Findings:
    """Return the findings for a task that ended with an error: one problem for each of its checks.

    Raises
    ------
    ResourceError
        If memory, open files or processes ran out: nothing is wrong with the result then.
    """
    if short := as_resource_error(outcome.error) if outcome.error else None:
        raise short
    message = f"the check ended with {type(outcome.error).__name__}: {outcome.error}"
    return Findings(tuple(Problem("check_failed", check.where, message, check.image) for check in outcome.item))
