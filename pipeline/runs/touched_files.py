"""Find files that look changed but aren't: the same header and the same frames, with another time of change.

A file that was scanned without ``source.hash`` has no known digest, but everything that a conversion would store is known:
its row, and the checksum of each frame. If a file of the same size yields them again, its image stays valid.
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
from pipeline.tasks import Frame, Job, decode_frames, frame_results, make_job

BATCH = 64
BATCH_BYTES = 64 * 2**20
"""Most bytes, of files or of decoded frames, that a task compares."""
_OWN = frozenset({"mtime_ns", "sha256"})
"""Columns that may differ."""


@dataclass(frozen=True, slots=True)
class Candidate(Compact):
    """A file that may be unchanged."""

    position: int
    """Position of its instance in the plan."""
    earlier: Instance
    now: Instance
    placements: tuple[Placement, ...]
    checksums: bytes
    """Checksums of its stored frames, in the order of the placements: little-endian uint64."""


def adopt(run: Run, before: Prepared, found: Scan, changes: Changes) -> tuple[Prepared, Scan, Changes]:
    """Put new scan records of files that turn out unchanged into the plan, in place of the earlier ones.

    Returns
    -------
    tuple
        The arguments, without these files among the found instances and the changes.
    """
    proven = _prove(run, list(_find_candidates(run, before, found, changes)))
    if not proven:
        return before, found, changes
    run.progress.message(f"{len(proven)} file(s) were only touched: their header and pixels equal the stored ones")
    instances = tuple(proven.get(i, instance) for i, instance in enumerate(before.plan.instances))
    same = {instance.source for instance in proven.values()}
    return (
        replace(before, plan=replace(before.plan, instances=instances)),
        replace(found, instances=[instance for instance in found.instances if instance.source not in same]),
        replace(changes, changed=[change for change in changes.changed if change.file.source not in same]),
    )


def _find_candidates(run: Run, before: Prepared, found: Scan, changes: Changes) -> Iterator[Candidate]:
    """Yield the files of unchanged size that are whole in a complete image."""
    now = {instance.source: instance for instance in found.instances}
    rows = {(change.earlier.segment, change.earlier.row) for change in changes.changed}
    touched = {
        i: now[instance.source]
        for i, instance in enumerate(before.plan.instances)
        if (instance.segment, instance.row) in rows
        and instance.source in now
        and _are_alike(instance, now[instance.source])
    }
    complete = recorded_results.images(run.out, before.id, before.plan)
    images = {
        number: own
        for number, image in enumerate(before.plan.images)
        if number in complete and (own := image.members.keys() & touched.keys())
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


def _are_alike(first: Instance, other: Instance) -> bool:
    """Return whether two instances are equal, except in fields that tell versions of a file apart."""

    def plain(instance: Instance) -> Instance:
        own: dict[str, Any] = {"frame_index": b"", "frame_index_file": "", "etag": "", "sha256": ""}
        return replace(instance, mtime_ns=0, segment=0, row=0, **own)

    return plain(first) == plain(other)


def _regions(run: Run, before: Prepared, images: Mapping[int, Any]) -> Mapping[int, list[RegionResult]]:
    regions: defaultdict[int, list[RegionResult]] = defaultdict(list)
    for result in recorded_results.results(run.out, before.id, before.plan) if images else ():
        for region in result.regions:
            if region.image in images:
                regions[region.image].append(region)
    return regions


def _prove(run: Run, candidates: Sequence[Candidate]) -> dict[int, Instance]:
    """Return the new instances of files that are unchanged, by position in the plan."""
    columns = tuple(set(catalog.segment_schema(scan.column_kinds(run.config)).names) - _OWN)
    task = partial(_check, columns=columns, job=make_job(run.config, run.out), config=run.config)
    now = {candidate.position: candidate.now for candidate in candidates}
    outcomes = run.executor.map(task, _batches(candidates), name="compare", carefully=_give_up)
    return {i: now[i] for outcome in outcomes if outcome.error is None for i in outcome.result}


def _batches(candidates: Iterable[Candidate]) -> Iterator[tuple[Candidate, ...]]:
    batch: list[Candidate] = []
    size = 0
    for candidate in candidates:
        batch.append(candidate)
        size += sum(map(len, candidate.placements)) * candidate.now.format.frame_bytes
        if len(batch) >= BATCH or size >= BATCH_BYTES:
            yield tuple(batch)
            batch, size = [], 0
    if batch:
        yield tuple(batch)


def _give_up(_: tuple[Candidate, ...]) -> list[int]:
    """Return nothing for files that killed a worker: the conversion will judge them."""
    return []


def _check(batch: tuple[Candidate, ...], *, columns: tuple[str, ...], job: Job, config: RunConfig) -> list[int]:
    """Return the positions of those of the files that are unchanged; this function travels to the workers."""
    earlier, now = (
        _rows(job.out, instances, columns) for instances in zip(*((c.earlier, c.now) for c in batch), strict=True)
    )
    alike = [candidate for candidate, row, other in zip(batch, earlier, now, strict=True) if row == other]
    return guarded(
        lambda watch: [candidate.position for candidate in alike if _has_same_frames(candidate, job, watch)],
        lambda: _give_up(batch),
        Bounds(config.limits.frame_seconds, job.task_memory + job.decode_memory),
    )


def _rows(out: OutputDir, instances: Sequence[Instance], columns: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the rows that the scan wrote; each segment is opened once."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    for instance in instances:
        places[instance.segment].append(instance.row)
    found = {
        (segment, row): values
        for segment, rows in places.items()
        for row, values in zip(rows, catalog.read_rows(out.segment(segment), rows, columns), strict=True)
    }
    return [found[instance.segment, instance.row] for instance in instances]


def _has_same_frames(candidate: Candidate, job: Job, watch: Watch) -> bool:
    pixels = candidate.now.format
    frame = np.empty(pixels.frame_shape, np.dtype(pixels.dtype).newbyteorder("<"))
    checksums = iter(np.frombuffer(candidate.checksums, "<u8"))
    for placement in candidate.placements:
        try:
            frames = decode_frames(candidate.now, placement.frames, job, lambda: frame)
            for _ in range(len(placement)):
                watch.begin()
                try:
                    decoded = next(frames)
                finally:
                    watch.end()
                if not isinstance(decoded, Frame) or xxhash.xxh3_64_intdigest(frame.data) != next(checksums):
                    return False
        except (PipelineError, OSError):  # the file is changing while it is read
            return False
    return True
