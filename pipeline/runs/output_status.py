"""Report what is done and what is left of a run, at any time, even of a dead one; writes nothing and locks nothing."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline import catalog
from pipeline.outcomes import Outcomes
from pipeline.output import Holder, find_holder, ledger, no_result_error, recorded_results
from pipeline.runs.partitions import PartitionProgress, read_partitions, read_progress
from pipeline.runs.preparation import load
from pipeline.runs.state import Prepared
from pipeline.storage import OutputDir


@dataclass(frozen=True, slots=True)
class Amount:
    """Done out of total."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a run."""

    out: str
    phase: str
    """``scan`` (there is no plan yet), ``convert``, or ``finished``."""
    holder: Holder | None
    """The process that is working on it; None if no process is."""
    progressed: datetime | None
    """When the last record was written."""
    files: Mapping[tuple[str, str], int]
    """``(status, reason)`` → files. Files still to be converted are ``pending``."""
    work: Mapping[str, Amount] = field(default_factory=dict)
    """``tasks``, ``images``, ``shards``, ``frames`` and decoded ``bytes``; empty until there is a plan."""
    stored_bytes: int = 0
    """Bytes of the shards on the disk."""
    partitions: PartitionProgress | None = None
    """Progress of an array of jobs; None if the plan isn't cut into partitions, or the run has finished."""

    @property
    def alive(self) -> bool:
        """Whether a process is working on the run or on a partition."""
        return self.holder is not None or bool(self.partitions and self.partitions.under_way)

    @property
    def failed(self) -> int:
        """Files that failed so far."""
        return sum(number for (status, _), number in self.files.items() if status == "failed")


def status(out: str | os.PathLike[str]) -> Status:
    """Read the state of a run from its output directory.

    Raises
    ------
    OutputError
        If the directory holds no run.
    """
    root = OutputDir.of(out)
    if not {root.PLAN, root.LEDGER, root.RUN_FILE}.intersection(root.root.children()):
        raise no_result_error(
            OutputDir(os.fspath(out)),
            "it isn't the output directory of a run: it holds neither a plan nor a ledger",
        )
    prepared = load(root)
    if prepared is None:
        return Status(root.name, "scan", find_holder(root), _last_progress(root), catalog.count_scanned(root))
    outcomes = recorded_results.outcomes(root, prepared.id, prepared.plan)
    work = _work(outcomes)
    ended = bool(ledger.files(root, prepared.id)) and root.catalog.exists()
    finished = ended and not outcomes.remaining
    parts = None if finished else read_partitions(root, prepared)
    return Status(
        out=root.name,
        phase="finished" if finished else "convert",
        holder=find_holder(root),
        progressed=_last_progress(root),
        files=catalog.count_reasons(root) if ended else _files(prepared, outcomes),
        work=work,
        stored_bytes=outcomes.work.stored_bytes,
        partitions=None if parts is None else read_progress(root, prepared.plan, parts, outcomes.done),
    )


def _work(outcomes: Outcomes) -> Mapping[str, Amount]:
    plan, work = outcomes.plan, outcomes.work
    return {
        "tasks": Amount(work.tasks, len(plan.tasks)),
        "images": Amount(len(outcomes.complete), len(plan.images)),
        "shards": Amount(work.shards, sum(image.grid.shards for image in plan.images)),
        "frames": Amount(work.frames, sum(image.frames for image in plan.images)),
        "bytes": Amount(work.decoded_bytes, sum(task.stored_bytes for task in plan.tasks)),
    }


def _files(prepared: Prepared, outcomes: Outcomes) -> Mapping[tuple[str, str], int]:
    plan = prepared.plan
    counts = Counter(prepared.counts)
    counts["skipped", "duplicate"] += len(prepared.copies)
    counts["skipped", "no_frames_selected"] += len(plan.unselected)
    counts.subtract((file.status, file.reason) for file in prepared.unfit)
    counts.update(("failed", file.reason) for file in prepared.unfit)
    replaced = set(prepared.replaced)
    places = ((plan.instances[i].segment, plan.instances[i].row) for i, _ in plan.refused)
    pairs = zip(places, plan.refused, strict=True)
    counts.update(("failed", failure.reason) for place, (_, failure) in pairs if place not in replaced)
    earlier = prepared.replaced_instances()
    for number in range(len(plan.images)):
        state = "converted" if number in outcomes.complete else "pending"
        for instance in outcomes.members(number).keys() - earlier:
            failure = outcomes.failures.get(instance)
            counts[("failed", failure.reason) if failure else (state, "")] += 1
    return +counts


def _last_progress(root: OutputDir) -> datetime | None:
    """Return the latest time of change of the files and folders that a run appends to."""
    times = []
    for place in (root.segments, root.plan, root.report_json, *root.ledger_files()):
        with suppress(FileNotFoundError):  # object stores have no folders
            times.append(place.modified())
    return datetime.fromtimestamp(max(times), UTC) if times else None
