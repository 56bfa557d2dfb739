"""The scan phase: batches of files run on the executor, then possible copies are compared."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count, islice
from operator import attrgetter

from pipeline import scan
from pipeline.config import RunConfig
from pipeline.deid import Gate
from pipeline.errors import OutputError, foreign_text
from pipeline.executors import Executor, Outcome, Progress
from pipeline.isolation import Bounds, guarded
from pipeline.model import Instance, SourceFile
from pipeline.output import name_prefixes
from pipeline.runs.digests import read_digests
from pipeline.runs.scan_cache import keep_scanned, read_cached_scan
from pipeline.runs.state import Prepared, Run
from pipeline.storage import OutputDir, as_resource_error
from pipeline.tasks import scan_carefully

BATCHES = ((64, 16), (256, 80), (512, sys.maxsize))
"""Number of files per scan task, and the segment up to which it holds: a tenth of a second for single-frame files, more once
there are many files. A segment, however small, costs some milliseconds when it is written, and again for the catalog."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The files of one scan task, and the catalog segment that it writes."""

    segment: int
    files: tuple[SourceFile, ...]


@dataclass(slots=True)
class Scan:
    """The result of the scan."""

    instances: list[Instance] = field(default_factory=list)
    """Sorted by source, whatever the order in which the tasks ended."""
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """``(status, reason)`` of the files that hold no instance to store."""
    segments: list[int] = field(default_factory=list)
    files: int = 0
    bytes: int = 0

    def with_more(self, other: Scan) -> Scan:
        """Return this result with that of other files added."""
        return Scan(
            sorted([*self.instances, *other.instances], key=attrgetter("source")),
            self.counts + other.counts,
            [*self.segments, *other.segments],
            self.files + other.files,
            self.bytes + other.bytes,
        )


def scan_sources(config: RunConfig, out: OutputDir, executor: Executor, progress: Progress, salt: bytes) -> Scan:
    """Find and read all files; the full rows go into the catalog segments below `out`, the compact records into the result."""
    return scan_files(find_files(config, out, progress), config, out, executor, progress, salt=salt)


def scan_more(run: Run, before: Prepared, files: Iterator[SourceFile], first: int) -> Scan:
    """Read files that are added to `before`, in segments from `first` on."""
    salt = bytes.fromhex(before.salt)
    return scan_files(files, run.config, run.out, run.executor, run.progress, salt=salt, first=first)


def scan_files(
    files: Iterator[SourceFile],
    config: RunConfig,
    out: OutputDir,
    executor: Executor,
    progress: Progress,
    *,
    salt: bytes,
    first: int = 0,
) -> Scan:
    """Read `files`; their segments are numbered from `first` on. `salt` is the key of the patients' hashes."""
    found, read_before = Scan(), 0
    progress.phase("scan", None)
    gate = Gate.of(config)
    task = partial(_scan, config=config, out=out, salt=salt, gate=gate)
    again = partial(_scan_carefully, config=config, out=out, salt=salt, gate=gate)
    for outcome in executor.map(task, _batches(files, first), name="scan", carefully=again):
        result = _result(outcome, out, gate)
        found.instances += result.instances
        found.counts.update(result.counts)
        found.segments.append(result.segment)
        found.files += result.files
        found.bytes += result.bytes
        read_before += result.files if result.read_before else 0
        progress.advance(
            files=result.files, failures=sum(n for (status, _), n in result.counts.items() if status == "failed")
        )
    if read_before:
        progress.message(f"{read_before} file(s) had been read by an earlier scan")
    found.instances.sort(key=attrgetter("source"))
    found.segments.sort()
    return found


def find_files(config: RunConfig, out: OutputDir, progress: Progress) -> Iterator[SourceFile]:
    """Yield the files that the configuration's paths name, without those of the output directory."""
    ours = name_prefixes(out)
    source = config.source
    found = scan.find_files(source.paths, exclude=out.name, list_origins=source.list_origins, tell=progress.message)
    return (file for file in found if not f"{file.source}/".startswith(ours))


def _batches(files: Iterator[SourceFile], first: int) -> Iterator[Batch]:
    for segment in count(first):
        batch = tuple(islice(files, next(size for size, last in BATCHES if segment < last)))
        if not batch:
            return
        yield Batch(segment, batch)


def _scan(batch: Batch, *, config: RunConfig, out: OutputDir, salt: bytes, gate: Gate) -> scan.ScanResult:
    limits = config.limits
    if before := read_cached_scan(batch.files, config, out, batch.segment, salt):
        return before
    found = guarded(
        lambda watch: scan.scan_batch(batch.files, config, out, batch.segment, salt=salt, gate=gate, watch=watch),
        lambda: _scan_carefully(batch, config=config, out=out, salt=salt, gate=gate),
        Bounds(limits.header_seconds, limits.task_memory + limits.decode_memory),
    )
    keep_scanned(batch.files, config, out, salt, found)
    return found


def _scan_carefully(batch: Batch, *, config: RunConfig, out: OutputDir, salt: bytes, gate: Gate) -> scan.ScanResult:
    return scan_carefully(batch.files, config, out, batch.segment, salt=salt, gate=gate)


def _result(outcome: Outcome, out: OutputDir, gate: Gate) -> scan.ScanResult:
    """Return the task's result; a lost task gets a failed row for each of its files."""
    if outcome.error is None:
        found: scan.ScanResult = outcome.result
        return found
    if isinstance(outcome.error, OutputError):  # no space, no permission: not a file's fault
        raise outcome.error
    if short := as_resource_error(outcome.error):
        raise short
    batch: Batch = outcome.item
    message = f"The task that read this file's header ended with {foreign_text(outcome.error)}"
    return scan.lost_batch(batch.files, out, batch.segment, reason="worker_lost", message=message, gate=gate)


def find_duplicates(instances: Sequence[Instance], executor: Executor, first: int = 0) -> dict[int, int]:
    """Return, by position, the byte-identical copies of other files, each with the position of the one to keep.

    Only instances from position `first` on can be copies; the earlier ones are stored already.
    """
    groups = (group for group in scan.candidates(instances) if max(group) >= first)
    positions = sorted({i for group in groups for i in group})
    known = {i: instances[i].sha256 for i in positions if instances[i].sha256}
    unknown = ((i, instances[i].source, instances[i].size) for i in positions if i not in known)
    read = {file.key: file.sha256 for file in read_digests(unknown, executor) if file.sha256}
    return scan.mark(instances, known | read, first)
