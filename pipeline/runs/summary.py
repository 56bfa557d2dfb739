"""What became of every instance: for the catalog, and summed up for the report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pipeline.catalog import (
    RowOutcome,
    count_reasons,
    read_failures,
    read_partly_stored,
    read_rows,
    segment_path,
)
from pipeline.config import RunConfig
from pipeline.frames import transfer_syntax_name
from pipeline.model import Failure, Instance, Plan, without_collections
from pipeline.preview import contact_sheet
from pipeline.report import FailureLine, ImageLine, Pace, RunSummary, ThisRun, Totals
from pipeline.runs.closing_remarks import notes, remarks
from pipeline.runs.conversion import Conversion
from pipeline.runs.frozen_images import held_before
from pipeline.runs.state import Clock, Prepared
from pipeline.runs.unopened import read_unopened, unopened
from pipeline.runs.versions import versions
from pipeline.storage import Place

MOST_FAILURES = 10_000
"""Failures that the report lists; the catalog has them all."""
FROZEN = "image_frozen"
"""The reason of a converted file that isn't in the image that it belongs to, because that one could not be made anew."""


@without_collections
def outcomes(prepared: Prepared, conversion: Conversion) -> dict[tuple[int, int], RowOutcome]:
    """Return what the catalog says of each instance, by its segment and row."""
    plan = prepared.plan
    result: dict[tuple[int, int], RowOutcome] = {}
    told = notes(prepared)
    for copy in prepared.copies:
        result[copy.segment, copy.row] = RowOutcome("skipped", "duplicate", f"Byte-identical copy of {copy.kept}")
    for position in plan.unselected:
        instance = plan.instances[position]
        message = f"select.frames takes none of its {instance.number_of_frames} frame(s)"
        result[_key(instance)] = RowOutcome("skipped", "no_frames_selected", message)
    for position, failure in plan.refused:
        result[_key(plan.instances[position])] = _failed(failure)
    frames = stored_frames(plan)
    for number, image in enumerate(plan.images):
        for placement in reversed(image.placements):  # the first placement of an instance says where its frames begin
            position = placement.instance
            failed, missing = conversion.failures.get(position), conversion.salvaged.get(position)
            if failed and missing is None:
                result[_key(plan.instances[position])] = _failed(failed)
            elif number in conversion.complete:
                stored = RowOutcome(
                    "converted",
                    image=image.path,
                    frame_start=image.frame_start(placement.position),
                    num_frames=frames[position],
                    frames_missing=0,
                    decoder=conversion.decoders.get(position),
                    photometric_interpretation=conversion.photometric.get(position),
                    note="; ".join(filter(None, (told.get(position), _selection(plan, position, frames)))),
                )
                result[_key(plan.instances[position])] = _salvaged(stored, failed, missing or 0) if failed else stored
    return result | dict(_of_changed(prepared, conversion, result))


def _of_changed(
    prepared: Prepared, conversion: Conversion, known: Mapping[tuple[int, int], RowOutcome]
) -> Iterator[tuple[tuple[int, int], RowOutcome]]:
    """Yield what the rows of changed files say where an image keeps what they held before."""
    held = held_before(prepared, conversion.failures)
    if not held:
        return
    replaced = prepared.replaced_instances()
    rows = {one.source: _key(one) for i, one in enumerate(prepared.plan.instances) if i not in replaced}
    rows |= {copy.source: (copy.segment, copy.row) for copy in prepared.copies}
    for source, path in held.items():
        if (row := rows.get(source)) and row in known:
            yield row, _holding(known[row], path, _scanned(conversion, row))
    for one in prepared.unfit:
        row = one.segment, one.row
        yield row, _holding(RowOutcome("failed", message=_scanned(conversion, row)), held.get(one.source, ""), "")


def _scanned(conversion: Conversion, row: tuple[int, int]) -> str:
    """Return the message that the scan left in a row."""
    (told,) = read_rows(segment_path(conversion.job.out, row[0]), [row[1]], ("message",))
    return told["message"] or ""


def _holding(outcome: RowOutcome, path: str, scanned: str) -> RowOutcome:
    """Return what is said of a file of whose earlier content an image stands that could not be made anew.

    Where it is converted, behind that what the scan said of it (`scanned`): that not all of it is stored.
    """
    keeps = f"images.zarr/{path} keeps what this file held before it changed"
    if outcome.status != "converted":
        return replace(outcome, message=f"{outcome.message}; {keeps}")
    why = "and stays as it is, because originals of it are gone or could not be stored anew"
    return replace(outcome, reason=FROZEN, message="; ".join(filter(None, (f"{keeps}, {why}", scanned))))


def _selection(plan: Plan, position: int, frames: Mapping[int, int]) -> str:
    """Say so where only some frames of an instance were selected."""
    count = plan.instances[position].number_of_frames
    return "" if frames[position] == count else f"select.frames takes {frames[position]} of its {count} frames"


def _salvaged(stored: RowOutcome, failure: Failure, missing: int) -> RowOutcome:
    """Return the row of a file of which a part is stored: it failed, and says where that part is."""
    failed = _failed(failure)
    message = f"{failed.message}; salvaged: all but {missing} of {stored.num_frames} frame(s) are stored"
    return replace(stored, status=failed.status, reason=failed.reason, message=message, frames_missing=missing)


def stored_frames(plan: Plan) -> Counter[int]:
    """Return how many frames of each instance the plan stores."""
    counts: Counter[int] = Counter()
    for image in plan.images:
        for placement in image.placements:
            counts[placement.instance] += len(placement)
    return counts


def _key(instance: Instance) -> tuple[int, int]:
    return instance.segment, instance.row


def _failed(failure: Failure) -> RowOutcome:
    at = "" if failure.frame is None else f" (frame index {failure.frame})"
    return RowOutcome("failed", failure.reason, f"{failure.message}{at}")


def summarise(
    out: Place,
    config: RunConfig,
    clock: Clock,
    prepared: Prepared,
    conversion: Conversion,
    *,
    completed_before: bool = False,
) -> RunSummary:
    """Sum up a run; files that have come are news only where the plan that they gave wasn't `completed_before`."""
    plan, counts = prepared.plan, count_reasons(str(out))
    converted = {i: number for i, number in sorted(stored_frames(plan).items()) if i not in conversion.failures}
    uids = {plan.instances[i].transfer_syntax_uid for i in converted}
    partly, lines = read_partly_stored(str(out), MOST_FAILURES)
    return RunSummary(
        out=str(out),
        started=clock.started,
        finished=datetime.now(UTC),
        status_counts=counts,
        files=prepared.files,
        file_bytes=prepared.bytes,
        totals=_totals(plan, converted, sum(conversion.image_bytes[image] for image in conversion.complete)),
        phase_seconds=clock.seconds,
        stage_seconds=dict(conversion.seconds),
        images=tuple(
            ImageLine(
                path=image.path,
                shape=image.shape,
                dtype=image.format.dtype,
                modality=image.modality,
                decoded_bytes=image.frames * image.format.frame_bytes,
                stored_bytes=conversion.image_bytes.get(position),
                status="complete" if position in conversion.complete else "failed",
            )
            for position, image in enumerate(plan.images)
        ),
        remarks=remarks(prepared),
        failures=_lines(read_failures(str(out), MOST_FAILURES)),
        partly_stored=_lines(lines),
        partly_stored_files=partly,
        unread=_lines(read_unopened(counts, str(out))),
        unopened=unopened(config, counts, str(out)),
        by_transfer_syntax=_grouped(plan, converted, "transfer_syntax_uid"),
        by_modality=_with_stored(_grouped(plan, converted, "modality"), plan, conversion),
        transfer_syntax_names={uid: transfer_syntax_name(uid) for uid in uids},
        syntax_seconds={uid: dict(seconds) for uid, seconds in conversion.syntax_seconds.items()},
        this_run=_this_run(prepared, conversion, completed_before=completed_before),
        pace=Pace(conversion.timeline.seconds, tuple(conversion.timeline.frames), tuple(conversion.timeline.bytes)),
        sheet=contact_sheet(out, config.report, plan, sorted(conversion.complete)),
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
        earlier_tasks=max(len(conversion.done) - len(conversion.unfinished) - work.tasks, 0),
        added_files=0 if completed_before else prepared.added,
        changed_files=0 if completed_before else prepared.changed,
        grown=() if completed_before else prepared.grown,
    )


def _lines(rows: Iterable[Mapping[str, Any]]) -> tuple[FailureLine, ...]:
    return tuple(FailureLine(row["source"], row.get("reason", ""), row["message"], row=row["row"]) for row in rows)


def _grouped(plan: Plan, converted: Mapping[int, int], attribute: str) -> Mapping[str, Totals]:
    groups: defaultdict[str, dict[int, int]] = defaultdict(dict)
    for i, number in converted.items():
        groups[getattr(plan.instances[i], attribute) or "unknown"][i] = number
    return {name: _totals(plan, members) for name, members in sorted(groups.items())}


def _with_stored(groups: Mapping[str, Totals], plan: Plan, conversion: Conversion) -> Mapping[str, Totals]:
    """Add what the images of each modality take on the disk."""
    stored: Counter[str] = Counter()
    for position in conversion.complete:
        stored[plan.images[position].modality or "unknown"] += conversion.image_bytes[position]
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
