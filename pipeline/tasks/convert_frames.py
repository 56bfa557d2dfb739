"""The convert task: it reads frames of files and writes whole shards. It runs in a worker and holds one shard at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from pipeline.config import RunConfig
from pipeline.deid import IDENTITY, Gate
from pipeline.errors import PipelineError, ResourceError, foreign_text
from pipeline.frames import FrameReader, open_source
from pipeline.isolation import Watch
from pipeline.model import (
    Failure,
    ImageSpec,
    Instance,
    InstanceOutcome,
    Placement,
    RegionInput,
    RegionResult,
    TaskInput,
    TaskResult,
)
from pipeline.output import Ticket, ticket
from pipeline.printable import printable
from pipeline.storage import Expected, Options, OutputDir, active, prefetching, using
from pipeline.store import ShardWriter, Stored
from pipeline.tasks.reads import predict_reads, read_frame_index


@dataclass(frozen=True, slots=True)
class Job:
    """Settings that all convert tasks of a run share."""

    out: OutputDir
    codec: Mapping[str, Any]
    raw: bool = False
    plugin: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    salvage: bool = False
    """Store the frames that can be decoded of an instance that has others that can't."""
    frame_seconds: float = 120
    """Seconds that a frame may take."""
    decode_memory: int = 4 * 2**30
    """Bytes that decoding may need in addition to `task_memory` …"""
    task_memory: int = 2**30
    """… which is the most that a task of the plan needs."""
    storage: Options = field(default_factory=active)
    """How object stores are reached, also by a process that decodes for the task."""
    gate: Gate = IDENTITY
    """The gate that messages pass."""
    lock: Ticket | None = field(default_factory=ticket)
    """The run's lock on the output; a task whose run has lost the lock writes nothing."""


def make_job(config: RunConfig, out: OutputDir) -> Job:
    """Return the settings that all tasks of a run share."""
    decode, limits = config.decode, config.limits
    return Job(
        out=out,
        codec=config.output.codec,
        raw=decode.raw,
        plugin=decode.plugin,
        options=decode.options,
        salvage=decode.salvage,
        frame_seconds=limits.frame_seconds,
        decode_memory=limits.decode_memory,
        task_memory=limits.task_memory,
        gate=Gate.of(config),
    )


class Frame(NamedTuple):
    """Facts about a decoded frame."""

    decoder: str
    photometric_interpretation: str
    encoded_bytes: int


Place = Callable[[], npt.NDArray[Any]]
"""Returns the array for the next frame."""
FrameSource = Callable[[Instance, range, Job, Place], Iterator[Frame | Failure]]
"""Decodes frames of an instance, in order, each into its place when it is asked for; yields the facts about each frame,
or the reason why it can't be decoded. Raises an error if no frame can be decoded, for example because the file is gone."""


@dataclass(slots=True)
class _Record:
    """The record of one instance while a task works on it."""

    decoders: dict[str, None] = field(default_factory=dict)
    photometric: dict[str, None] = field(default_factory=dict)
    failure: Failure | None = None

    def fail(self, failure: Failure, job: Job) -> None:
        """Keep the first failure."""
        self.failure = self.failure or replace(failure, salvaged=job.salvage)

    def outcome(self, instance: int) -> InstanceOutcome:
        return InstanceOutcome(instance, "+".join(self.decoders), "+".join(self.photometric), self.failure)


@dataclass(slots=True)
class _Work:
    """A task's running totals, and its source of frames."""

    decode: FrameSource
    watch: Watch
    writer: ShardWriter | None = None
    """Writer of the current shard."""
    records: dict[int, _Record] = field(default_factory=dict)
    frames: int = 0
    encoded_bytes: int = 0
    decoded_bytes: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"decode": 0.0, "write": 0.0})
    syntax_seconds: defaultdict[str, dict[str, float]] = field(
        default_factory=lambda: defaultdict(lambda: {"decode": 0.0, "write": 0.0})
    )
    unwritten: Counter[str] = field(default_factory=Counter)
    """Frames decoded for the current shard, by Transfer Syntax UID."""

    def place(self) -> npt.NDArray[Any]:
        """Return the array for the next frame."""
        if self.writer is None:
            raise RuntimeError("no shard is under way")
        return self.writer.place()

    def time_frames(self, uid: str, frames: Iterator[Frame | Failure]) -> Iterator[Frame | Failure]:
        """Pass frames on, and add the time that getting each takes to its transfer syntax."""
        spent = self.syntax_seconds[uid]
        while True:
            begin = perf_counter()
            frame = next(frames, None)
            spent["decode"] += perf_counter() - begin
            if frame is None:
                return
            self.unwritten[uid] += isinstance(frame, Frame)
            yield frame

    def add_write_time(self, seconds: float) -> None:
        """Add the time for writing a shard, divided among the transfer syntaxes of its frames."""
        self.seconds["write"] += seconds
        for uid, frames in self.unwritten.items():
            self.syntax_seconds[uid]["write"] += seconds * frames / self.unwritten.total()
        self.unwritten.clear()


def convert(task: TaskInput, job: Job, *, decode: FrameSource | None = None, watch: Watch | None = None) -> TaskResult:
    """Decode the frames of `task` and write its shards.

    A failing instance doesn't affect others: its frames are marked missing, and all others are stored.

    Parameters
    ----------
    task : TaskInput
    job : Job
    decode : FrameSource, optional
        Source of frames; by default this process decodes them.
    watch : Watch, optional
        Receives the beginning and the end of each frame.
    """
    work = _Work(decode or decode_frames, watch or Watch())
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
    """Fill and write one shard after the other; a placement that crosses shards keeps its file open."""
    decoded = _decode_placements(piece, job, work)
    with prefetching(predict_reads(piece, job.out)):
        return [
            _convert_shard(piece.region.image, shard, piece.spec, decoded, job=job, work=work)
            for shard in piece.spec.grid.whole_shards(piece.region.positions) or ()
        ]


def _convert_shard(
    image: int, shard: int, spec: ImageSpec, frames: Iterator[bool], *, job: Job, work: _Work
) -> RegionResult:
    """Decode each frame into the shard's buffer; nothing is written if no frame can be decoded."""
    positions = spec.grid.shard_positions(shard)
    count = len(positions)
    writer = work.writer = ShardWriter(job.out, spec, shard, job.codec)
    valid = np.zeros(count, np.uint8)
    checksums = np.zeros(count, "<u8")
    writing = 0.0
    begin = perf_counter()
    for position in range(count):
        work.watch.begin()
        decoded = next(frames)
        work.watch.end()
        if decoded:
            checksums[position] = xxhash.xxh3_64_intdigest(writer.place().data)
            valid[position] = 1
        else:
            writer.place()[...] = 0
        encode = perf_counter()
        writer.add()
        writing += perf_counter() - encode
    work.seconds["decode"] += perf_counter() - begin - writing
    work.frames += int(valid.sum())
    stored = Stored(0, ("",))
    if valid.any():
        begin = perf_counter()
        stored = writer.finish()
        work.decoded_bytes += count * spec.format.frame_bytes
        work.add_write_time(writing + perf_counter() - begin)
    else:
        writer.discard()
    return RegionResult(
        image,
        positions.start,
        positions.stop,
        checksums.tobytes(),
        valid.tobytes(),
        stored.bytes,
        stored.digests[0],
    )


def _decode_placements(piece: RegionInput, job: Job, work: _Work) -> Iterator[bool]:
    """Decode the region's frames in order, each into its place; yield False for each missing frame."""
    for placement in piece.spec.placements:
        record = work.records.setdefault(placement.instance, _Record())
        left = len(placement)
        if record.failure is None or job.salvage:
            for decoded in _decode_placement(piece.instances[placement.instance], placement, job, record, work):
                yield decoded
                left -= 1
        yield from [False] * left


def _decode_placement(
    instance: Instance, placement: Placement, job: Job, record: _Record, work: _Work
) -> Iterator[bool]:
    """Decode a placement's frames up to the first failure; if frames are salvaged, yield False for it and go on."""
    try:
        frames = work.decode(instance, placement.frames, job, work.place)
        for decoded in work.time_frames(instance.transfer_syntax_uid, frames):
            if isinstance(decoded, Failure):
                record.fail(decoded, job)
                if not job.salvage:
                    return
                yield False
                continue
            record.decoders |= {decoded.decoder: None} if decoded.decoder else {}
            record.photometric |= {decoded.photometric_interpretation: None}
            work.encoded_bytes += decoded.encoded_bytes
            yield True
    except ResourceError:  # not the file's fault
        raise
    except Exception as error:  # noqa: BLE001  the file or its index is gone; any error becomes its reason
        record.fail(describe_error(error, instance, job), job)


def decode_frames(instance: Instance, frames: range, job: Job, place: Place) -> Iterator[Frame | Failure]:
    """Decode frames of an instance in this process: the usual :data:`FrameSource`."""
    with using(job.storage):
        index = read_frame_index(instance, job.out, frames)
        opened = open_source(
            instance.source, Expected(instance.size, instance.mtime_ns, instance.etag, instance.sha256)
        )
    with opened as file:
        reader = FrameReader(
            file,
            index,
            raw=job.raw,
            decoding_plugin=job.plugin,
            options=job.options,
            source=instance.source,
        )
        reader.expect(frames)
        for frame in frames:
            yield _decode_frame(reader, frame, instance, job, place())


def _decode_frame(
    reader: FrameReader, frame: int, instance: Instance, job: Job, out: npt.NDArray[Any]
) -> Frame | Failure:
    try:
        decoded = reader.read_into(frame, out)
        return Frame(decoded.decoder, decoded.photometric_interpretation, reader.index.encoded_bytes(frame))
    except ResourceError:  # not the file's fault
        raise
    # Decoders are foreign code and raise anything on damaged data; any error becomes the file's reason.
    except Exception as error:  # noqa: BLE001
        return describe_error(error, instance, job, frame)
    except SystemExit as error:
        message = f"{instance.source}: a decoder tried to end the process (exit status {error.code!r})"
        return make_failure(job, instance, "decoder_crashed", message, frame)


def describe_error(error: Exception, instance: Instance, job: Job, frame: int | None = None) -> Failure:
    """Return the failure that describes an error in `instance` or in one of its frames."""
    if isinstance(error, PipelineError):
        return make_failure(job, instance, error.reason, str(error), frame if error.frame is None else error.frame)
    reasons = ((MemoryError, "memory"), (OSError, "unreadable"))
    reason = next((reason for kind, reason in reasons if isinstance(error, kind)), "decode_failed")
    return make_failure(job, instance, reason, printable(f"{instance.source}: {foreign_text(error)}"), frame)


def make_failure(job: Job, instance: Instance, reason: str, message: str, frame: int | None) -> Failure:
    """Return a failure whose message has passed the run's gate."""
    return Failure(reason, job.gate.message(message, reason=reason, source=instance.source), frame)
