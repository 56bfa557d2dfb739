"""What is done and what is left of a run, at any time, also of a dead one; nothing is written and nothing locked."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pipeline import catalog
from pipeline.catalog import RUN_FILE
from pipeline.output import Holder, holder, ledger, no_result, records
from pipeline.runs.partitions import Progressed, progressed, read_partitions
from pipeline.runs.preparation import load
from pipeline.runs.state import Prepared
from pipeline.storage import Place, absolute, place


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of something is done, of so much."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Status:
    """Where a run stands."""

    out: str
    phase: str
    """``scan`` (there is no plan yet), ``convert``, or ``finished``."""
    holder: Holder | None
    """The process that is at work on it; None where nobody is."""
    progressed: datetime | None
    """When something was last recorded."""
    files: Mapping[tuple[str, str], int]
    """``(status, reason)`` → files. Those still to be converted are ``pending``."""
    work: Mapping[str, Amount] = field(default_factory=dict)
    """``tasks``, ``images``, ``shards``, ``frames`` and decoded ``bytes``; nothing as long as there is no plan."""
    stored_bytes: int = 0
    """Bytes of the shards on the disk."""
    partitions: Progressed | None = None
    """How far an array of jobs is; None where the plan isn't cut, or the run has finished."""

    @property
    def alive(self) -> bool:
        """Whether a process is at work on it, or on a partition."""
        return self.holder is not None or bool(self.partitions and self.partitions.under_way)

    @property
    def failed(self) -> int:
        """Files that failed so far."""
        return sum(number for (status, _), number in self.files.items() if status == "failed")


def status(out: str | os.PathLike[str]) -> Status:
    """Look at an output directory.

    Raises
    ------
    OutputError
        Where there is no run in it.
    """
    root = place(absolute(os.fspath(out)))
    if not {"plan", "ledger", RUN_FILE}.intersection(root.children()):
        raise no_result(str(out), "it isn't the output directory of a run: there is neither a plan nor a ledger in it")
    prepared = load(root)
    if prepared is None:
        return Status(str(root), "scan", holder(root), _progressed(root), catalog.count_scanned(str(root)))
    done = _done(root, prepared)
    ended = bool(ledger.files(str(root), prepared.id)) and (root / "catalog.parquet").exists()
    finished = ended and done.work["tasks"].done == done.work["tasks"].total
    parts = None if finished else read_partitions(root, prepared)
    return Status(
        out=str(root),
        phase="finished" if finished else "convert",
        holder=holder(root),
        progressed=_progressed(root),
        files=catalog.count_reasons(str(root)) if ended else done.files,
        work=done.work,
        stored_bytes=done.stored_bytes,
        partitions=None if parts is None else progressed(root, prepared.plan, parts, done.tasks),
    )


@dataclass(frozen=True, slots=True)
class _Done:
    files: Mapping[tuple[str, str], int]
    work: Mapping[str, Amount]
    stored_bytes: int
    tasks: Collection[int]


def _done(root: Place, prepared: Prepared) -> _Done:
    plan = prepared.plan
    tasks: set[int] = set()
    failures: dict[int, str] = {}
    sums: Counter[str] = Counter()
    for result in records.results(root, prepared.id, plan):
        if result.task in tasks:
            continue
        tasks.add(result.task)
        failures |= {one.instance: one.failure.reason for one in result.outcomes if one.failure}
        sums.update(frames=result.frames, bytes=result.decoded_bytes, shards=len(result.regions))
        sums.update(stored=sum(region.stored_bytes for region in result.regions))
    images = records.images(root, prepared.id, plan).keys()
    total = {
        "tasks": len(plan.tasks),
        "images": len(plan.images),
        "shards": sum(image.grid.shards for image in plan.images),
        "frames": sum(image.frames for image in plan.images),
        "bytes": sum(task.stored_bytes for task in plan.tasks),
    }
    sums.update(tasks=len(tasks), images=len(images))
    return _Done(
        _files(prepared, set(images), failures),
        {name: Amount(sums[name], number) for name, number in total.items()},
        sums["stored"],
        tasks,
    )


def _files(prepared: Prepared, images: set[int], failures: Mapping[int, str]) -> Mapping[tuple[str, str], int]:
    plan = prepared.plan
    counts = Counter(prepared.counts)
    counts["skipped", "duplicate"] += len(prepared.copies)
    counts["skipped", "no_frames_selected"] += len(plan.unselected)
    counts.subtract((one.status, one.reason) for one in prepared.unfit)
    counts.update(("failed", one.reason) for one in prepared.unfit)
    replaced = set(prepared.replaced)
    places = ((plan.instances[i].segment, plan.instances[i].row) for i, _ in plan.refused)
    pairs = zip(places, plan.refused, strict=True)
    counts.update(("failed", failure.reason) for place, (_, failure) in pairs if place not in replaced)
    earlier = prepared.replaced_instances()
    for number, image in enumerate(plan.images):
        state = "converted" if number in images else "pending"
        for instance in {placement.instance for placement in image.placements} - earlier:
            counts[("failed", failures[instance]) if instance in failures else (state, "")] += 1
    return +counts


def _progressed(root: Place) -> datetime | None:
    """Return the latest time of change of what a run appends to or adds to."""
    segments = [root / "ledger" / name for name in (root / "ledger").children() if name.endswith(".jsonl")]
    times = []
    for one in (root / "plan" / "segments", root / "plan", root / "report.json", *segments):
        with suppress(FileNotFoundError):  # of objects there are no folders
            times.append(one.modified())
    return datetime.fromtimestamp(max(times), UTC) if times else None
