"""The first stage: what there is to convert and how, kept below ``OUT/plan`` so that any process can go on from it."""

from __future__ import annotations

import json
from dataclasses import astuple

from pipeline import catalog, scan
from pipeline.config import RunConfig
from pipeline.engine.scanning import find_duplicates, scan_sources
from pipeline.engine.settings import deciding, differences
from pipeline.engine.state import Prepared, Run, Unfit
from pipeline.errors import OutputError
from pipeline.model import Copy
from pipeline.plan import Layout, digest, make_plan
from pipeline.storage import Place


def prepare_and_save(run: Run) -> Prepared:
    """Scan, plan, and keep what later stages need."""
    prepared = prepare(run)
    save(run.out, prepared)
    return prepared


def check_settings(out: Place, before: Prepared, config: RunConfig) -> None:
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


def prepare(run: Run) -> Prepared:
    """Scan and plan; only the scan's segments are written."""
    with run.clock.phase("scan"):
        salt = catalog.scan_salt(str(run.out), scan.make_salt)
        found = scan_sources(run.config, run.out, run.executor, run.progress, salt)
        copies = find_duplicates(found.instances, run.executor)
    with run.clock.phase("plan"):
        run.progress.phase("plan", None)
        kept = [instance for i, instance in enumerate(found.instances) if i not in copies]
        plan = make_plan(kept, layout(run.config))
        settings = deciding(run.config)
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


def save(out: Place, prepared: Prepared) -> None:
    """Keep `prepared` below ``OUT/plan``, in place of what is there, in one moment."""
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
    catalog.write_plan(str(out), prepared.plan, standing=prepared.standing, copies=prepared.copies, facts=facts)
    catalog.forget_scanned(str(out))


def load(out: Place) -> Prepared | None:
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
        replaced=tuple((segment, row) for segment, row in facts["replaced"]),
        stale=tuple(facts["stale"]),
        grown=tuple(facts["grown"]),
        # plans of earlier versions don't say these
        added=facts.get("added", 0),
        salt=facts.get("salt", ""),
        changed=facts.get("changed", 0),
        standing=catalog.read_standing(str(out)),
        kept=tuple(facts.get("kept", ())),
        unfit=tuple(Unfit(*values) for values in facts.get("unfit", ())),
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
