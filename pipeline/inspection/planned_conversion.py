"""What a conversion would make of its sources, and what it would cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.config import RunConfig
from pipeline.executors import Progress
from pipeline.inspection.file_counts import failed_files, reasons_text
from pipeline.model import ImageSpec, Plan
from pipeline.output import too_small
from pipeline.runs import Prepared, make_remarks, plan_only
from pipeline.storage import OutputDir
from pipeline.text_tables import SHOWN, Shown, Table, more
from pipeline.units import compact_shape, counted, number, short_path, size

_HEADINGS = ("Image", "Modality", "Order", "Files", "Shape", "Type", "Chunk", "Shard", "Decoded")
_ORDERS = {"frame_number": "frame", "instance_number": "number", "sop_instance_uid": "UID"}
"""What orders an image's frames, in a word."""


@dataclass(frozen=True, slots=True)
class PlannedImage:
    """One image that would be written."""

    path: str
    """Group path inside ``images.zarr``."""
    modality: str
    order: str
    """What orders its files: ``position``, ``instance_number``, ``sop_instance_uid``; ``frame_number`` if it is one file."""
    files: int
    frames: int
    axes: tuple[str, ...]
    """Names of the dimensions of ``pixels``."""
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    """The unit of reading."""
    shards: tuple[int, ...]
    """The unit of writing: a whole number of chunks."""
    decoded_bytes: int

    @property
    def cells(self) -> dict[str, str]:
        """The image for people: heading → cell."""
        cells = (
            *(self.path, self.modality, _ORDERS.get(self.order, self.order), number(self.files)),
            *(compact_shape(self.shape), self.dtype, compact_shape(self.chunks), compact_shape(self.shards)),
            size(self.decoded_bytes),
        )
        return dict(zip(_HEADINGS, cells, strict=True))


@dataclass(frozen=True, slots=True)
class RefusedFile:
    """A file whose header is sound and that can't be stored within the limits."""

    source: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True, repr=False)
class PlannedConversion(Shown):
    """What a conversion would do; nothing has been written."""

    out: str
    """The output directory."""
    images: tuple[PlannedImage, ...]
    tasks: int
    """Dask tasks."""
    shards: int
    """Files or objects of pixels."""
    frames: int
    read_bytes: int
    """To be read, of the sources."""
    stored_bytes: int
    """To be stored, before compression."""
    memory_bytes: int
    """Memory of the largest task."""
    memory_allowed: int
    """``limits.task_memory``."""
    counts: Mapping[tuple[str, str], int]
    """``(status, reason)`` → number of files, as the catalog would have them; ``to convert`` for those that would be stored."""
    refused: tuple[RefusedFile, ...]
    """Files that would fail because of the limits; those with damaged headers are only counted."""
    remarks: tuple[str, ...]
    """What a person should know of the conversion as a whole, in sentences."""
    unopened: tuple[str, ...]
    """Sources that hold nothing but archives and empty files."""
    warning: str
    """That the disk seems too small; empty if it isn't."""

    @property
    def failed(self) -> int:
        """Files that would fail."""
        return failed_files(self.counts)

    @property
    def exit_code(self) -> int:
        """1 if files would fail, or a source could not be looked into, else 0."""
        return int(self.failed > 0 or bool(self.unopened))

    @property
    def total(self) -> str:
        """Images, frames, tasks and where they go, in a sentence."""
        return (
            f"{counted(len(self.images), 'image')} of {counted(self.frames, 'frame')} in {counted(self.tasks, 'task')} → {self.out}; "
            "nothing was written."
        )

    @property
    def cost(self) -> tuple[str, ...]:
        """What it would take, in sentences."""
        work = f"{size(self.read_bytes)} to read, {size(self.stored_bytes)} to store before compression"
        return (
            f"{counted(self.tasks, 'task')}: {work}, in {counted(self.shards, 'shard')}",
            f"Memory of the largest task: {size(self.memory_bytes)} of {size(self.memory_allowed)} allowed",
        )

    @property
    def verdict(self) -> str:
        """What would fail, in words."""
        if self.failed:
            return f"{number(self.failed)} would fail"
        if self.unopened:
            count = len(self.unopened)
            return f"{counted(count, 'source')} could not be looked into: nothing but archives and empty files"
        return "nothing would fail"

    def parts(self) -> Iterator[Table | str]:
        """Yield images, outcomes, cost, and what would fail."""
        if self.images:
            rows = [image.cells | {"Image": short_path(image.path)} for image in self.images[:SHOWN]]
            paths = [image.path for image in self.images[:SHOWN]]
            yield Table(_HEADINGS, [list(row.values()) for row in rows], paths)
            yield from more(len(self.images), "images has all")
        yield from reasons_text(self.counts)
        yield from self.cost
        yield from filter(None, (self.warning,))
        yield from (f"would fail: {file.source}: {file.message}" for file in self.refused[:SHOWN])
        yield from more(len(self.refused), "refused has all")
        yield from self.remarks
        yield f"{self.total} {self.verdict[0].upper()}{self.verdict[1:]}."


def plan_conversion(config: RunConfig, *, progress: Progress | None = None) -> PlannedConversion:
    """Scan and plan what a configuration describes, and sum up what would be done.

    Raises
    ------
    ConfigError, OutputError, PlanError
        As :func:`pipeline.runs.run`.
    """
    prepared = plan_only(config, progress=progress)
    plan = prepared.plan
    stored = sum(task.stored_bytes for task in plan.tasks)
    return PlannedConversion(
        out=config.output.path,
        images=tuple(map(_image, plan.images)),
        tasks=len(plan.tasks),
        shards=sum(image.grid.shards for image in plan.images),
        frames=sum(image.frames for image in plan.images),
        read_bytes=sum(task.encoded_bytes for task in plan.tasks),
        stored_bytes=stored,
        memory_bytes=max((task.memory_bytes for task in plan.tasks), default=0),
        memory_allowed=config.limits.task_memory,
        counts=count_outcomes(prepared),
        refused=tuple(_refused(plan)),
        remarks=make_remarks(prepared),
        unopened=prepared.unopened,
        warning=too_small(OutputDir(config.output.path), stored) or "",
    )


def count_outcomes(prepared: Prepared) -> dict[tuple[str, str], int]:
    """Count the files that would get each status and reason."""
    plan = prepared.plan
    counts = Counter(prepared.counts)
    counts.update(("failed", failure.reason) for _, failure in plan.refused)
    counts["skipped", "duplicate"] += len(prepared.copies)
    counts["skipped", "no_frames_selected"] += len(plan.unselected)
    stored = len(plan.instances) - len(plan.refused) - len(plan.unselected)
    return dict(+(counts + Counter({("to convert", ""): stored})))


def _image(image: ImageSpec) -> PlannedImage:
    return PlannedImage(
        path=image.path,
        modality=image.modality,
        order=image.order,
        files=len(image.members),
        frames=image.frames,
        axes=image.axes.names,
        shape=image.shape,
        dtype=image.format.dtype,
        chunks=image.chunks,
        shards=image.shards,
        decoded_bytes=image.frames * image.format.frame_bytes,
    )


def _refused(plan: Plan) -> Iterator[RefusedFile]:
    for position, failure in plan.refused:
        yield RefusedFile(plan.instances[position].source, failure.reason, failure.message)
