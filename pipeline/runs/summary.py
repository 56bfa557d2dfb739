"""The outcome of every instance, for the catalog, and its summary for the report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pipeline.catalog import (
    count_reasons,
    read_failures,
    read_partly_stored,
    read_rows,
)
from pipeline.config import RunConfig
from pipeline.frames import transfer_syntax_name
from pipeline.model import Plan
from pipeline.outcomes import Outcomes, RowOutcome, row_outcomes, stored_frames
from pipeline.preview import contact_sheet
from pipeline.report import FailureLine, ImageLine, Pace, RunSummary, ThisRun, Totals
from pipeline.runs.closing_remarks import make_notes, make_remarks
from pipeline.runs.conversion import Conversion
from pipeline.runs.frozen_images import find_frozen_files
from pipeline.runs.state import Clock, Prepared
from pipeline.runs.unopened import find_unopened, read_unopened
from pipeline.runs.versions import versions
from pipeline.storage import OutputDir

MOST_FAILURES = 10_000
"""Most failures that the report lists; the catalog has them all."""
FROZEN = "image_frozen"
"""Reason of a converted file that isn't in the image it belongs to, because that image can't be made again."""


def catalog_rows(prepared: Prepared, conversion: Conversion) -> dict[tuple[int, int], RowOutcome]:
    """Return the outcome of each instance for the catalog, by its segment and row."""
    rows = row_outcomes(conversion.outcomes, make_notes(prepared))
    for copy in prepared.copies:
        rows[copy.segment, copy.row] = RowOutcome("skipped", "duplicate", f"Byte-identical copy of {copy.kept}")
    return rows | dict(_outcomes_of_changed(prepared, conversion, rows))


def _outcomes_of_changed(
    prepared: Prepared, conversion: Conversion, known: Mapping[tuple[int, int], RowOutcome]
) -> Iterator[tuple[tuple[int, int], RowOutcome]]:
    """Yield the outcomes of changed files whose earlier content an image keeps."""
    held = find_frozen_files(prepared, conversion.outcomes.failures)
    if not held:
        return
    replaced = prepared.replaced_instances()
    rows = {
        instance.source: (instance.segment, instance.row)
        for i, instance in enumerate(prepared.plan.instances)
        if i not in replaced
    }
    rows |= {copy.source: (copy.segment, copy.row) for copy in prepared.copies}
    for source, path in held.items():
        if (row := rows.get(source)) and row in known:
            yield row, _frozen_outcome(known[row], path, _scan_message(conversion, row))
    for file in prepared.unfit:
        row = file.segment, file.row
        yield (
            row,
            _frozen_outcome(
                RowOutcome("failed", message=_scan_message(conversion, row)), held.get(file.source, ""), ""
            ),
        )


def _scan_message(conversion: Conversion, row: tuple[int, int]) -> str:
    """Return the message that the scan wrote into a row."""
    (told,) = read_rows(conversion.job.out.segment(row[0]), [row[1]], ("message",))
    return told["message"] or ""


def _frozen_outcome(outcome: RowOutcome, path: str, scanned: str) -> RowOutcome:
    """Return the outcome of a file whose earlier content is in an image that can't be made again.

    If the file is converted, the scan's message (`scanned`) follows: it says that not everything in the file is stored.
    """
    keeps = f"{OutputDir.IMAGES}/{path} keeps what this file held before it changed"
    if outcome.status != "converted":
        return replace(outcome, message=f"{outcome.message}; {keeps}")
    why = "and stays as it is, because originals of it are gone or couldn't be stored again"
    return replace(outcome, reason=FROZEN, message="; ".join(filter(None, (f"{keeps}, {why}", scanned))))


def summarise(
    out: OutputDir,
    config: RunConfig,
    clock: Clock,
    prepared: Prepared,
    conversion: Conversion,
    *,
    completed_before: bool = False,
) -> RunSummary:
    """Sum up a run; new files are news only if an earlier run `completed_before` without them."""
    plan, outcomes, counts = prepared.plan, conversion.outcomes, count_reasons(out)
    converted = {i: number for i, number in sorted(stored_frames(plan).items()) if i not in outcomes.failures}
    uids = {plan.instances[i].transfer_syntax_uid for i in converted}
    partly, lines = read_partly_stored(out, MOST_FAILURES)
    return RunSummary(
        out=out.name,
        started=clock.started,
        finished=datetime.now(UTC),
        status_counts=counts,
        files=prepared.files,
        file_bytes=prepared.bytes,
        totals=_totals(plan, converted, sum(outcomes.image_bytes[image] for image in outcomes.complete)),
        phase_seconds=clock.seconds,
        stage_seconds=dict(outcomes.seconds),
        images=tuple(
            ImageLine(
                path=image.path,
                shape=image.shape,
                dtype=image.format.dtype,
                modality=image.modality,
                decoded_bytes=image.frames * image.format.frame_bytes,
                stored_bytes=outcomes.image_bytes.get(position),
                status="complete" if position in outcomes.complete else "failed",
            )
            for position, image in enumerate(plan.images)
        ),
        remarks=make_remarks(prepared),
        failures=_lines(read_failures(out, MOST_FAILURES)),
        partly_stored=_lines(lines),
        partly_stored_files=partly,
        unread=_lines(read_unopened(counts, out)),
        unopened=find_unopened(config, counts, out),
        by_transfer_syntax=_group_totals(plan, converted, "transfer_syntax_uid"),
        by_modality=_add_stored(_group_totals(plan, converted, "modality"), plan, outcomes),
        transfer_syntax_names={uid: transfer_syntax_name(uid) for uid in uids},
        syntax_seconds={uid: dict(seconds) for uid, seconds in outcomes.syntax_seconds.items()},
        this_run=_this_run(prepared, conversion, completed_before=completed_before),
        pace=Pace(conversion.timeline.seconds, tuple(conversion.timeline.frames), tuple(conversion.timeline.bytes)),
        sheet=contact_sheet(out, config.report, plan, sorted(outcomes.complete)),
        versions=versions(),
        cluster=_cluster(config),
        paths=config.report.paths,
    )


def _this_run(prepared: Prepared, conversion: Conversion, *, completed_before: bool) -> ThisRun:
    work = conversion.work
    return ThisRun(
        tasks=work.tasks,
        frames=work.frames,
        encoded_bytes=work.encoded_bytes,
        decoded_bytes=work.decoded_bytes,
        earlier_tasks=max(len(conversion.outcomes.done) - len(conversion.outcomes.lost) - work.tasks, 0),
        added_files=0 if completed_before else prepared.added,
        changed_files=0 if completed_before else prepared.changed,
        grown=() if completed_before else prepared.grown,
    )


def _lines(rows: Iterable[Mapping[str, Any]]) -> tuple[FailureLine, ...]:
    return tuple(FailureLine(row["source"], row.get("reason", ""), row["message"], row=row["row"]) for row in rows)


def _group_totals(plan: Plan, converted: Mapping[int, int], attribute: str) -> Mapping[str, Totals]:
    groups: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for i, number in converted.items():
        groups[getattr(plan.instances[i], attribute) or "unknown"][i] = number
    return {name: _totals(plan, members) for name, members in sorted(groups.items())}


def _add_stored(groups: Mapping[str, Totals], plan: Plan, outcomes: Outcomes) -> Mapping[str, Totals]:
    """Add the bytes that the images of each modality take on the disk."""
    stored: Counter[str] = Counter()
    for position in outcomes.complete:
        stored[plan.images[position].modality or "unknown"] += outcomes.image_bytes[position]
    return {name: replace(totals, stored_bytes=stored.get(name)) for name, totals in groups.items()}


def _totals(plan: Plan, converted: Mapping[int, int], stored_bytes: int | None = None) -> Totals:
    """Sum up instances, given as position → frames stored."""
    instances = [(plan.instances[i], number) for i, number in converted.items()]
    return Totals(
        instances=len(instances),
        frames=sum(converted.values()),
        encoded_bytes=sum(instance.encoded_bytes for instance, _ in instances),
        decoded_bytes=sum(number * instance.format.frame_bytes for instance, number in instances),
        stored_bytes=stored_bytes,
    )


def _cluster(config: RunConfig) -> str:
    cluster: Any = config.cluster
    if cluster.kind == "address":
        return f"scheduler at {cluster.address}"
    if cluster.kind == "synchronous":
        return "synchronous"
    automatic = "one worker a core" if cluster.kind in {"local", "threads"} else "its own number of workers"
    workers = automatic if cluster.workers == "auto" else f"{cluster.workers} worker(s)"
    if cluster.adapt:
        workers = f"{cluster.adapt.minimum} to {cluster.adapt.maximum} workers"
    return f"{cluster.class_name or cluster.kind}, {workers}"
