"""A whole run: scan → plan → convert and finalise → catalog and report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline import catalog, frames, report, scan, store
from pipeline.config import RunConfig, dump, from_dict, unknown_keywords
from pipeline.engine import clusters
from pipeline.engine.convert_task import Job
from pipeline.engine.converting import Conversion
from pipeline.engine.executors import Executor
from pipeline.engine.output import RUN_FILE, check_sources, prepare
from pipeline.engine.progress import NullProgress, Progress
from pipeline.engine.scanning import find_duplicates, scan_sources
from pipeline.engine.seal import sealed_files
from pipeline.engine.state import Clock, Prepared
from pipeline.engine.stores import reaching_stores
from pipeline.engine.summary import outcomes, summarise
from pipeline.engine.versions import provenance, versions
from pipeline.errors import ConfigError
from pipeline.ledger import Ledger
from pipeline.plan import Layout, digest, make_plan
from pipeline.storage import is_remote


@reaching_stores
def run(config: RunConfig, *, overwrite: bool = False, progress: Progress | None = None) -> report.RunSummary:
    """Convert what `config` describes and return what became of it.

    Parameters
    ----------
    config : RunConfig
    overwrite : bool
        Replace an earlier result in the output directory.
    progress : Progress, optional
        Told of every step.

    Raises
    ------
    ConfigError
        For a configuration that can't be carried out: an unknown keyword, codec or plugin, a scheduler that is away.
    OutputError
        Where the output directory holds something already, or can't be written.
    PlanError
        Where the plan needs more memory than ``limits.task_memory``; nothing has been converted then.
    """
    progress = progress or NullProgress()
    clock = Clock()
    out = Path(config.output.path).absolute()
    check(config)
    prepare(out, overwrite=overwrite)
    (out / RUN_FILE).write_text(dump(config, versions=versions()), "utf-8")
    store.create_root(str(out))
    with clusters.start(config.cluster, progress) as executor:
        prepared = _prepare(config, out, executor, progress, clock)
        catalog.write_plan(str(out), prepared.plan)
        with clock.phase("convert"), Ledger.open(str(out), digest(prepared.plan)) as ledger:
            conversion = Conversion(prepared.plan, _job(config, out), provenance(config), progress, ledger)
            progress.phase("convert", sum(image.frames for image in prepared.plan.images))
            conversion.run(executor)
    with clock.phase("finalise"):
        kinds = scan.column_kinds(config)
        catalog.assemble(str(out), prepared.found.segments, outcomes(prepared, conversion), kinds)
        summary = summarise(out, config, clock, prepared, conversion)
        report.write(str(out), summary)
    with Ledger.open(str(out), digest(prepared.plan)) as ledger:
        ledger.append_files(sealed_files(out))
    return summary


@reaching_stores
def plan_only(config: RunConfig, *, progress: Progress | None = None) -> Prepared:
    """Scan and plan what `config` describes, and leave nothing behind."""
    progress = progress or NullProgress()
    check(config)
    with TemporaryDirectory(prefix="dcm2zarr-plan-") as folder, clusters.start(config.cluster, progress) as executor:
        return _prepare(config, Path(folder), executor, progress, Clock())


def check(config: RunConfig) -> None:
    """Find what the configuration's own types can't tell, before anything is read or written.

    Raises
    ------
    ConfigError
    """
    unknown_keywords(config, frames.known_keyword)
    frames.check_plugin(config.decode.plugin)
    store.check_codec(config.output.codec)
    clusters.check(config.cluster)
    if is_remote(config.output.path):
        raise ConfigError(f"output.path: {config.output.path} is a URL; results can only be written to local folders")
    check_sources(config.source.paths, Path(config.output.path).absolute())


def _prepare(config: RunConfig, out: Path, executor: Executor, progress: Progress, clock: Clock) -> Prepared:
    with clock.phase("scan"):
        found = scan_sources(config, out, executor, progress)
        copies = find_duplicates(found.instances, executor)
    with clock.phase("plan"):
        progress.phase("plan", None)
        kept = [instance for i, instance in enumerate(found.instances) if i not in copies]
        plan = make_plan(kept, _layout(config))
    return Prepared(found, copies, plan)


def _layout(config: RunConfig) -> Layout:
    output = config.output
    return Layout(
        grouping=output.grouping,
        frames=config.select.frames,
        chunk_frames=output.chunk.frame,
        chunk_rows=output.chunk.row,
        chunk_columns=output.chunk.column,
        shard_bytes=output.shard,
        frame_limit=config.limits.frame,
        task_memory=config.limits.task_memory,
    )


def _job(config: RunConfig, out: Path) -> Job:
    return Job(str(out), config.output.codec, config.decode.raw, config.decode.plugin, config.decode.options)


def convert(
    paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
    **sections: Mapping[str, Any],
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
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    values = {
        **sections,
        "source": {**sections.get("source", {}), "paths": [os.fspath(path) for path in given]},
        "output": {**sections.get("output", {}), "path": os.fspath(out)},
    }
    return run(from_dict(values), overwrite=overwrite, progress=progress)
