"""The first stage: scan and plan, saved below ``OUT/plan`` so that any process can go on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, replace
from typing import Any

from pipeline import catalog, scan
from pipeline.config import RunConfig, from_dict
from pipeline.errors import OutputError, PipelineError
from pipeline.model import Copy, Plan
from pipeline.plan import Layout, check_path, check_plan, digest, make_plan
from pipeline.runs.deciding_settings import deciding_settings, describe_differences
from pipeline.runs.scan_phase import find_duplicates, scan_sources
from pipeline.runs.state import Prepared, Run, Unfit
from pipeline.storage import OutputDir

_LAYOUT = (
    *("select.frames", "output.grouping", "output.chunk.frame", "output.chunk.row", "output.chunk.column"),
    *("output.shard", "limits.frame", "limits.task_memory"),
)
_MOST = 2**63


def prepare_and_save(run: Run) -> Prepared:
    """Scan, plan, and save what later stages need."""
    prepared = prepare(run)
    save(run.out, prepared)
    return prepared


def check_settings(out: OutputDir, before: Prepared, config: RunConfig) -> None:
    """Refuse to go on with settings that would store other data than those that `before` was made with.

    Raises
    ------
    OutputError
        Names the differing settings, reason ``settings_changed``.
    """
    changed = describe_differences(before.settings, deciding_settings(config))
    if changed:
        raise OutputError(
            f"{out} was begun with other settings: {'; '.join(changed)}. Use the earlier ones ('dcm2zarr resume' "
            "does), choose another output directory, or convert everything again with --overwrite",
            reason="settings_changed",
        )


def prepare(run: Run) -> Prepared:
    """Scan and plan; only the scan's segments are written."""
    with run.clock.phase("scan"):
        salt = catalog.load_or_make_salt(run.out, scan.make_salt)
        found = scan_sources(run.config, run.out, run.executor, run.progress, salt)
        copies = find_duplicates(found.instances, run.executor)
    with run.clock.phase("plan"):
        run.progress.phase("plan", None)
        kept = [instance for i, instance in enumerate(found.instances) if i not in copies]
        plan = make_plan(kept, layout(run.config))
        settings = deciding_settings(run.config)
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
            salt=salt.hex(),
        )


def save(out: OutputDir, prepared: Prepared) -> None:
    """Save `prepared` below ``OUT/plan``; it replaces the earlier one in one moment."""
    facts = {
        "id": prepared.id,
        "settings": dict(prepared.settings),
        "counts": [[status, reason, number] for (status, reason), number in prepared.counts.items()],
        "segments": list(prepared.segments),
        "files": prepared.files,
        "bytes": prepared.bytes,
        "replaced": [list(place) for place in prepared.replaced],
        "stale": list(prepared.stale),
        "grown": list(prepared.grown),
        "added": prepared.added,
        "salt": prepared.salt,
        "changed": prepared.changed,
        "kept": list(prepared.kept),
        "unfit": [list(astuple(one)) for one in prepared.unfit],
    }
    catalog.write_plan(out, prepared.plan, standing=prepared.standing, copies=prepared.copies, facts=facts)
    catalog.forget_scanned(out)


def load(out: OutputDir) -> Prepared | None:
    """Return the value that :func:`save` saved; None if no run got that far.

    Raises
    ------
    OutputError
        If it can't be read, or no run of this program can have left it (reason ``plan_unusable``).
    """
    if not catalog.has_plan(out):
        return None
    try:
        facts = catalog.read_facts(out)
        prepared = _make_prepared(catalog.read_plan(out), catalog.read_standing(out), facts)
        prepared = replace(prepared, copies=catalog.read_copies(out))
        check_plan(prepared.plan, _planned_layout(prepared.settings), prepared.standing)
        for path in (*prepared.stale, *prepared.grown, *prepared.kept):
            check_path(path)
    except OutputError:
        raise
    # Whoever could write the plan could write anything into it.
    except (
        PipelineError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        RecursionError,
    ) as error:
        told = str(error) if isinstance(error, PipelineError) else f"it is damaged ({type(error).__name__}: {error})"
        raise OutputError(f"{out.plan} can't be used: {told}", reason="plan_unusable") from error
    return prepared


def _make_prepared(plan: Plan, standing: Plan, facts: Mapping[str, Any]) -> Prepared:
    return Prepared(
        plan=plan,
        id=_text(facts["id"]),
        settings=dict(facts["settings"]),
        counts={(_text(status), _text(reason)): _number(number) for status, reason, number in facts["counts"]},
        segments=tuple(map(_number, facts["segments"])),
        files=_number(facts["files"]),
        bytes=_number(facts["bytes"]),
        replaced=tuple((_number(segment), _number(row)) for segment, row in facts["replaced"]),
        stale=tuple(map(_text, facts["stale"])),
        grown=tuple(map(_text, facts["grown"])),
        # Plans of earlier versions lack these.
        added=_number(facts.get("added", 0)),
        salt=_text(facts.get("salt", "")),
        changed=_number(facts.get("changed", 0)),
        standing=standing,
        kept=tuple(map(_text, facts.get("kept", ()))),
        unfit=tuple(_unfit(*values) for values in facts.get("unfit", ())),
    )


def _unfit(segment: Any, row: Any, *texts: Any) -> Unfit:
    return Unfit(_number(segment), _number(row), *map(_text, texts))


def _number(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value < _MOST:
        raise ValueError(f"{str(value)[:40]} isn't a whole number from 0 on")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {type(value).__name__}")
    return value


def _planned_layout(settings: Mapping[str, Any]) -> Layout:
    """Return the planner's settings from those that a plan was made with."""
    values: dict[str, Any] = {"source": {"paths": ["."]}, "output": {"path": "."}}
    for name in _LAYOUT:
        section, *keys, last = name.split(".")
        holder = values.setdefault(section, {})
        for key in keys:
            holder = holder.setdefault(key, {})
        if name in settings:
            holder[last] = settings[name]
    return layout(from_dict(values, name="the plan's settings"))


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
        task_bytes=config.cluster.task_work,
    )
