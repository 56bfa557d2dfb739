"""The convert task: file spans in, whole shards out. It runs in a worker and holds one shard at a time."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline.errors import PipelineError, PixelDataError, SourceError
from pipeline.frames import FrameReader, open_source
from pipeline.model import (
    Failure,
    FrameIndex,
    ImageSpec,
    Instance,
    InstanceOutcome,
    Region,
    RegionInput,
    RegionResult,
    Span,
    TaskInput,
    TaskResult,
)
from pipeline.store import Stored, write_region


@dataclass(frozen=True, slots=True)
class Job:
    """What all convert tasks of a run share."""

    out: str
    codec: Mapping[str, Any]
    raw: bool = False
    plugin: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Record:
    """What happens to one instance while a task works on it."""

    decoders: dict[str, None] = field(default_factory=dict)
    photometric: dict[str, None] = field(default_factory=dict)
    failure: Failure | None = None

    def outcome(self, instance: int) -> InstanceOutcome:
        return InstanceOutcome(instance, "+".join(self.decoders), "+".join(self.photometric), self.failure)


@dataclass(slots=True)
class _Work:
    """A task's running totals."""

    records: dict[int, _Record] = field(default_factory=dict)
    frames: int = 0
    encoded_bytes: int = 0
    decoded_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"decode": 0.0, "write": 0.0})
    syntax_seconds: defaultdict[str, dict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: {"decode": 0.0, "write": 0.0})
    )
    unwritten: Counter[str] = field(default_factory=Counter)
    """Frames decoded for the shard under way, by Transfer Syntax UID."""

    def wrote(self, seconds: float) -> None:
        """Count the time that writing a shard took, and divide it among the transfer syntaxes of its frames."""
        self.seconds["write"] += seconds
        for uid, frames in self.unwritten.items():
            self.syntax_seconds[uid]["write"] += seconds * frames / self.unwritten.total()
        self.unwritten.clear()


def convert(task: TaskInput, job: Job) -> TaskResult:
    """Decode the frames of `task` and write its shards.

    An instance that fails takes nothing else with it: its frames are marked missing, its neighbours are stored.
    """
    work = _Work()
    regions = [_convert_region(region, job, work) for region in task.regions]
    return TaskResult(
        task=task.id,
        regions=tuple(result for region in regions for result in region),
        outcomes=tuple(record.outcome(instance) for instance, record in work.records.items()),
        frames=work.frames,
        encoded_bytes=work.encoded_bytes,
        decoded_bytes=work.decoded_bytes,
        seconds=work.seconds,
        syntax_seconds=dict(work.syntax_seconds),
    )


def _convert_region(piece: RegionInput, job: Job, work: _Work) -> list[RegionResult]:
    """Fill and write one shard after the other; a span that crosses shards keeps its file open."""
    decoded = _decode_spans(piece, job, work)
    region, step = piece.region, piece.spec.shards[0]
    return [
        _convert_shard(
            Region(region.image, start, min(start + step, region.frame_stop)), piece.spec, decoded, job, work
        )
        for start in range(region.frame_start, region.frame_stop, step)
    ]


def _convert_shard(
    shard: Region, spec: ImageSpec, decoded: Iterator[npt.NDArray[Any] | None], job: Job, work: _Work
) -> RegionResult:
    count = shard.frame_stop - shard.frame_start
    frames = np.zeros((count, *spec.format.frame_shape), np.dtype(spec.format.dtype).newbyteorder("<"))
    valid = np.zeros(count, np.uint8)
    checksums = np.zeros(count, "<u8")
    begin = perf_counter()
    for position in range(count):
        array = next(decoded)
        if array is not None:
            frames[position] = array
            checksums[position] = xxhash.xxh3_64_intdigest(frames[position].data)
            valid[position] = 1
        del array
    work.seconds["decode"] += perf_counter() - begin
    work.frames += int(valid.sum())
    stored = Stored(0, ("",))
    if valid.any():
        begin = perf_counter()
        stored = write_region(job.out, spec, shard.frame_start, frames, job.codec)
        work.decoded_bytes += frames.nbytes
        work.wrote(perf_counter() - begin)
    return RegionResult(
        shard.image,
        shard.frame_start,
        shard.frame_stop,
        checksums.tobytes(),
        valid.tobytes(),
        stored.bytes,
        stored.digests[0],
    )


def _decode_spans(piece: RegionInput, job: Job, work: _Work) -> Iterator[npt.NDArray[Any] | None]:
    """Yield the region's frames in order, None for each that is missing."""
    for span in piece.spec.spans:
        record = work.records.setdefault(span.instance, _Record())
        left = len(span)
        if record.failure is None:
            try:
                for array in _decode_span(piece.instances[span.instance], span, job, record, work):
                    yield array
                    left -= 1
            # decoders are foreign code and raise anything on damaged data; whatever it is becomes the file's reason
            except Exception as error:  # noqa: BLE001
                record.failure = _failure(error, piece.instances[span.instance])
        yield from [None] * left


def _decode_span(instance: Instance, span: Span, job: Job, record: _Record, work: _Work) -> Iterator[npt.NDArray[Any]]:
    index = frame_index(instance, job.out)
    _check_unchanged(instance)
    with open_source(instance.source) as file:
        reader = FrameReader(
            file,
            index,
            raw=job.raw,
            decoding_plugin=job.plugin,
            options=job.options,
            source=instance.source,
        )
        spent = work.syntax_seconds[instance.transfer_syntax_uid]
        for frame in range(span.start, span.stop, span.step):
            begin = perf_counter()
            decoded = reader.read_as(frame, instance.format.dtype)
            spent["decode"] += perf_counter() - begin
            work.unwritten[instance.transfer_syntax_uid] += 1
            work.encoded_bytes += index.encoded_bytes(frame)
            record.decoders |= {decoded.decoder: None} if decoded.decoder else {}
            record.photometric |= {decoded.photometric_interpretation: None}
            yield decoded.array


def frame_index(instance: Instance, out: str) -> FrameIndex:
    """Return the instance's frame index, from its record or from its file below `out`."""
    data = instance.frame_index or (Path(out) / instance.frame_index_file).read_bytes()
    return FrameIndex.from_bytes(data)


def _check_unchanged(instance: Instance) -> None:
    try:
        now = os.stat(instance.source)  # noqa: PTH116  a path from the scan, as bytes-safe text
    except OSError as error:
        raise SourceError(
            f"{instance.source}: gone or unreadable since the scan ({error.strerror})", source=instance.source
        ) from error
    if (now.st_size, now.st_mtime_ns) != (instance.size, instance.mtime_ns):
        raise PixelDataError(
            f"{instance.source}: changed since the scan (size {instance.size} then, {now.st_size} now); run again",
            reason="source_changed",
            source=instance.source,
        )


def _failure(error: Exception, instance: Instance) -> Failure:
    if isinstance(error, PipelineError):
        return Failure(error.reason, str(error), error.frame)
    reason = {MemoryError: "memory", OSError: "unreadable"}.get(type(error), "decode_failed")
    return Failure(reason, f"{instance.source}: {type(error).__name__}: {error}")
