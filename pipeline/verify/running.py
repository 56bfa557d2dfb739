"""A whole verification: files, catalog, images, and where asked for the originals."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from pipeline.catalog import catalog_path
from pipeline.config import Cluster
from pipeline.engine import NullProgress, Progress
from pipeline.engine.clusters import start
from pipeline.engine.executors import Executor, Outcome
from pipeline.errors import OutputError
from pipeline.verify.expected import Expected
from pipeline.verify.folders import check_groups, check_sealed, check_top
from pipeline.verify.outcome import Verification
from pipeline.verify.problems import Findings, Problem
from pipeline.verify.rows import check_rows
from pipeline.verify.state import read_expected
from pipeline.verify.work import frames_to_check, run_checks, store_checks


def verify(
    out: str | os.PathLike[str],
    *,
    sample: int | None = None,
    seed: int = 0,
    cluster: Cluster | Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Check a result: every file, every chunk, every frame, every row.

    Parameters
    ----------
    out : path-like
        The output directory. Nothing in it is changed.
    sample : int, optional
        How many frames to decode (files to compare), chosen by `seed`; all by default. Files, metadata and the
        catalog are always checked as a whole.
    seed : int
        Another one chooses other frames.
    cluster : Cluster or mapping, optional
        What runs the checks, as the section ``cluster`` of a configuration; local worker processes by default.
    progress : Progress, optional
        Told of every step.

    Raises
    ------
    OutputError
        Where `out` is no result of a conversion.
    ConfigError
        Where the cluster can't be used.
    """
    progress = progress or NullProgress()
    begin = perf_counter()
    root = os.path.abspath(os.fspath(out))  # noqa: PTH100  a path that may not be there
    _check_result(root)
    result = Verification(root, sample=sample)
    expected, problems = read_expected(root)
    result.add(Findings((*problems, *check_top(root))))
    if expected:
        progress.phase("verify", frames_to_check(expected, sample))
        result.know(expected)
        result.add(Findings(tuple(_check_files(expected))))
        with start(_cluster(cluster)) as executor:
            for findings in _run(executor, root, store_checks(expected, sample, seed)):
                result.add(findings)
                progress.advance(
                    images=findings.images,
                    frames=findings.frames,
                    bytes=findings.bytes,
                    failures=len(findings.problems),
                )
    result.seconds = perf_counter() - begin
    return result


def _check_result(root: str) -> None:
    if not any((Path(root) / name).exists() for name in ("images.zarr", "ledger", "plan")):
        raise OutputError(f"{root} is no result of a conversion: give the output directory itself")


def _cluster(given: Cluster | Mapping[str, Any] | None) -> Cluster:
    return given if isinstance(given, Cluster) else Cluster(**(given or {}))


def _check_files(expected: Expected) -> Iterator[Problem]:
    """Yield what is wrong outside of the complete images."""
    sealed = expected.finished.files
    if sealed:
        yield from check_sealed(expected.out, sealed)
    else:
        yield Problem(
            "unfinished_run", "ledger", "there is no record that the run has ended: run the same command again"
        )
    there = []
    for image, spec in enumerate(expected.plan.images):
        if not expected.is_empty(image):
            there.append(spec.path)
        if not expected.is_complete(image) and not expected.is_empty(image):
            yield Problem("incomplete_image", f"images.zarr/{spec.path}", "it was never finished", image)
    yield from check_groups(expected.out, there)
    if not catalog_path(expected.out).exists():
        yield Problem("catalog_unreadable", "catalog.parquet", "isn't there")
        return
    try:
        yield from list(check_rows(expected))
    # Parquet readers raise anything on damaged files; that they do is what is looked for
    except Exception as error:  # noqa: BLE001
        yield Problem("catalog_unreadable", "catalog.parquet", f"{type(error).__name__}: {error}")


def _run(executor: Executor, out: str, tasks: Iterable[Any]) -> Iterator[Findings]:
    for outcome in executor.map(partial(run_checks, out=out), tasks, name="verify"):
        yield outcome.result if outcome.error is None else _lost(outcome)


def _lost(outcome: Outcome) -> Findings:
    """Return what stands for the findings of a task that ended with an error: everything it should have checked."""
    told = f"{type(outcome.error).__name__}: {outcome.error}"
    images = {check.image if hasattr(check, "image") else check.finalising.image for check in outcome.item}
    return Findings(tuple(Problem("check_failed", "images.zarr", told, image) for image in sorted(images)))
