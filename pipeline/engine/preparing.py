"""The first stage: what there is to convert and how, kept below ``OUT/plan`` so that any process can go on from it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pipeline import catalog
from pipeline.config import RunConfig
from pipeline.engine.executors import Executor
from pipeline.engine.progress import Progress
from pipeline.engine.scanning import find_duplicates, find_files, scan_sources
from pipeline.engine.settings import deciding, differences
from pipeline.engine.state import Clock, Prepared
from pipeline.errors import OutputError
from pipeline.model import Copy, SourceFile
from pipeline.plan import Layout, digest, make_plan


def prepare_and_save(config: RunConfig, out: Path, executor: Executor, progress: Progress, clock: Clock) -> Prepared:
    """Scan, plan, and keep what later stages need."""
    prepared = prepare(config, out, executor, progress, clock)
    save(out, prepared)
    return prepared


def check_unchanged(out: Path, before: Prepared, config: RunConfig, clock: Clock) -> Prepared:
    """Return what an earlier run has prepared, if it still holds.

    Raises
    ------
    OutputError
        Where files have changed since (reason ``source_changed``).
    """
    with clock.phase("scan"):
        check_files(out, before, find_files(config, out))
    return before


def check_settings(out: Path, before: Prepared, config: RunConfig) -> None:
    """Refuse to go on with settings that would store something else than those that `before` was made with.

    Raises
    ------
    OutputError
        Naming what differs, reason ``settings_changed``.
    """
    changed = differences(before.settings, deciding(config))
    if changed:
        raise OutputError(
            f"{out} was begun with other settings: {'; '.join(changed)}. Use the earlier ones ('dcm2zarr resume' "
            "does), choose another output directory, or convert everything anew with --overwrite",
            reason="settings_changed",
        )


def check_files(out: Path, before: Prepared, files: Iterable[SourceFile]) -> None:
    """Refuse to go on where files have changed since they were scanned, or have come since."""
    known = catalog.read_listing(str(out), before.segments)
    changed = [file for file in files if known.get(file.source) != catalog.identity(file)]
    if changed:
        raise OutputError(
            f"{out}: {len(changed)} source file(s) have changed or come since they were scanned, first "
            f"{changed[0].source}; choose another output directory, or convert everything anew with --overwrite",
            reason="source_changed",
        )


def prepare(config: RunConfig, out: Path, executor: Executor, progress: Progress, clock: Clock) -> Prepared:
    """Scan and plan; only the scan's segments are written."""
    with clock.phase("scan"):
        found = scan_sources(config, out, executor, progress)
        copies = find_duplicates(found.instances, executor)
    with clock.phase("plan"):
        progress.phase("plan", None)
        kept = [instance for i, instance in enumerate(found.instances) if i not in copies]
        plan = make_plan(kept, layout(config))
        settings = deciding(config)
        pairs = ((found.instances[copy], found.instances[kept].source) for copy, kept in copies.items())
        return Prepared(
            plan=plan,
            id=digest(plan, json.dumps(settings, sort_keys=True)),
            settings=settings,
            copies=tuple(Copy(copy.segment, copy.row, copy.source, source) for copy, source in pairs),
            counts=dict(found.counts),
            segments=tuple(found.segments),
            files=found.files,
            bytes=found.bytes,
        )


def save(out: Path, prepared: Prepared) -> None:
    """Keep `prepared` below ``OUT/plan``, in place of what is there, in one moment."""
    facts = {
        "id": prepared.id,
        "settings": dict(prepared.settings),
        "counts": [[status, reason, number] for (status, reason), number in prepared.counts.items()],
        "segments": list(prepared.segments),
        "files": prepared.files,
        "bytes": prepared.bytes,
    }
    catalog.write_plan(str(out), prepared.plan, copies=prepared.copies, facts=facts)


def load(out: Path) -> Prepared | None:
    """Return what :func:`save` kept; None where no run got that far.

    Raises
    ------
    OutputError
        Where it can't be read.
    """
    if not catalog.has_plan(str(out)):
        return None
    facts = catalog.read_facts(str(out))
    return Prepared(
        plan=catalog.read_plan(str(out)),
        id=facts["id"],
        settings=facts["settings"],
        copies=catalog.read_copies(str(out)),
        counts={(status, reason): number for status, reason, number in facts["counts"]},
        segments=tuple(facts["segments"]),
        files=facts["files"],
        bytes=facts["bytes"],
    )


def layout(config: RunConfig) -> Layout:
    """Return the planner's settings."""
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
