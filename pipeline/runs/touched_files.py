"""Files that look changed and aren't: the same header and the same frames, under another time of change.

Of a file that was scanned without ``source.hash`` no digest is known, but all that a conversion would store is: its row,
and the checksum of each frame. Where a file of the same size gives them again, its image is right as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import xxhash

from pipeline import catalog, scan
from pipeline.config import RunConfig
from pipeline.errors import PipelineError
from pipeline.isolation import Bounds, Watch, guarded
from pipeline.model import Compact, Instance, Placement, RegionResult
from pipeline.output import recorded_results
from pipeline.runs.changes import Changes
from pipeline.runs.scan_phase import Scan
from pipeline.runs.state import Prepared, Run
from pipeline.storage import OutputDir
from pipeline.tasks import Frame, Job, decode_frames, frame_results, job_of

BATCH = 64
BATCH_BYTES = 64 * 2**20
"""Files that a task compares, or decoded bytes, whichever comes first."""
_OWN = frozenset({"mtime_ns", "sha256"})
"""Columns that may differ."""


@dataclass(frozen=True, slots=True)
class Candidate(Compact):
    """A file that may be what it was."""

    position: int
    """Of its instance in the plan."""
    earlier: Instance
    now: Instance
    placements: tuple[Placement, ...]
    checksums: bytes
    """Of its frames as they are stored, in the order of the placements: little-endian uint64."""


def adopt(run: Run, before: Prepared, found: Scan, changes: Changes) -> tuple[Prepared, Scan, Changes]:
    """Take what was scanned anew of files that haven't changed after all into the plan, in place of what it has.

    Returns
    -------
    tuple
        What was given, without these files among the instances found and the changes.
    """
    proven = _prove(run, list(_candidates(run, before, found, changes)))
    if not proven:
        return before, found, changes
    run.progress.message(f"{len(proven)} file(s) were only touched: their header and pixels are what is stored")
    instances = tuple(proven.get(i, one) for i, one in enumerate(before.plan.instances))
    same = {one.source for one in proven.values()}
    return (
        replace(before, plan=replace(before.plan, instances=instances)),
        replace(found, instances=[one for one in found.instances if one.source not in same]),
        replace(changes, changed=[one for one in changes.changed if one.file.source not in same]),
    )


def _candidates(run: Run, before: Prepared, found: Scan, changes: Changes) -> Iterator[Candidate]:
    """Yield the files of the same size that are whole in a complete image."""
    now = {one.source: one for one in found.instances}
    rows = {(one.earlier.segment, one.earlier.row) for one in changes.changed}
    touched = {
        i: now[one.source]
        for i, one in enumerate(before.plan.instances)
        if (one.segment, one.row) in rows and one.source in now and _alike(one, now[one.source])
    }
    complete = recorded_results.images(run.out, before.id, before.plan)
    images = {
        number: own
        for number, image in enumerate(before.plan.images)
        if number in complete and (own := {placement.instance for placement in image.placements} & touched.keys())
    }
    regions = _regions(run, before, images)
    for number, own in images.items():
        spec = before.plan.images[number]
        checksums, valid = frame_results(spec, regions[number])
        for i in sorted(own):
            placements = tuple(placement for placement in spec.placements if placement.instance == i)
            at = np.concatenate([np.arange(s.positions.start, s.positions.stop) for s in placements])
            if valid[at].all():
                yield Candidate(
                    i, before.plan.instances[i], touched[i], placements, checksums[at].astype("<u8").tobytes()
                )


def _alike(one: Instance, other: Instance) -> bool:
    """Whether two instances are the same but for what tells one version of a file from another."""

    def plain(instance: Instance) -> Instance:
        own: dict[str, Any] = {"frame_index": b"", "frame_index_file": "", "etag": "", "sha256": ""}
        return replace(instance, mtime_ns=0, segment=0, row=0, **own)

    return plain(one) == plain(other)


def _regions(run: Run, before: Prepared, images: Mapping[int, Any]) -> Mapping[int, list[RegionResult]]:
    regions: defaultdict[int, list[RegionResult]] = defaultdict(list)
    for result in recorded_results.results(run.out, before.id, before.plan) if images else ():
        for region in result.regions:
            if region.image in images:
                regions[region.image].append(region)
    return regions


def _prove(run: Run, candidates: Sequence[Candidate]) -> dict[int, Instance]:
    """Return the new instances of files that are what they were, by position in the plan."""
    columns = tuple(set(catalog.segment_schema(scan.column_kinds(run.config)).names) - _OWN)
    task = partial(_check, columns=columns, job=job_of(run.config, run.out), config=run.config)
    now = {one.position: one.now for one in candidates}
    outcomes = run.executor.map(task, _batches(candidates), name="compare", carefully=_give_up)
    return {i: now[i] for outcome in outcomes if outcome.error is None for i in outcome.result}


def _batches(candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, ...]]:
    batch: list[Candidate] = []
    size = 0
    for one in candidates:
        batch.append(one)
        size += sum(map(len, one.placements)) * one.now.format.frame_bytes
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield tuple(batch)
            batch, size = [], 0
    if batch:
        yield tuple(batch)


def _give_up(_: tuple[Candidate, ...]) -> list[int]:
    """Prove nothing of files that a worker died of: that is the conversion's to judge."""
    return []


def _check(batch: tuple[Candidate, ...], *, columns: tuple[str, ...], job: Job, config: RunConfig) -> list[int]:
    """Return those of the files, by position, that are what they were; this is what travels to the workers."""
    earlier, now = (
        _rows(job.out, instances, columns) for instances in zip(*((c.earlier, c.now) for c in batch), strict=True)
    )
    alike = [one for one, row, other in zip(batch, earlier, now, strict=True) if row == other]
    return guarded(
        lambda watch: [one.position for one in alike if _has_same_frames(one, job, watch)],
        lambda: _give_up(batch),
        Bounds(config.limits.frame_seconds, job.task_memory + job.decode_memory),
    )


def _rows(out: OutputDir, instances: Sequence[Instance], columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the rows that the scan wrote; each segment is opened once."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    for one in instances:
        places[one.segment].append(one.row)
    found = {
        (segment, row): values
        for segment, rows in places.items()
        for row, values in zip(rows, catalog.read_rows(out.segment(segment), rows, columns), strict=True)
    }
    return [found[one.segment, one.row] for one in instances]


def _has_same_frames(one: Candidate, job: Job, watch: Watch) -> bool:
    pixels = one.now.format
    frame = np.empty(pixels.frame_shape, np.dtype(pixels.dtype).newbyteorder("<"))
    checksums = iter(np.frombuffer(one.checksums, "<u8"))
    for placement in one.placements:
        try:
            frames = decode_frames(one.now, placement.frames, job, lambda: frame)
            for _ in range(len(placement)):
                watch.begin()
                try:
                    decoded = next(frames)
                finally:
                    watch.end()
                if not isinstance(decoded, Frame) or xxhash.xxh3_64_intdigest(frame.data) != next(checksums):
                    return False
        except (PipelineError, OSError):  # it changes under our hands
            return False
    return True
