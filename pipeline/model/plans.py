"""The plan: what will be written where, by which task. An immutable value, made before the first byte is written."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.model.compact import Compact
from pipeline.model.frame_index import PixelFormat
from pipeline.model.instances import Failure, Instance


@dataclass(frozen=True, slots=True)
class Span(Compact):
    """The frames ``range(start, stop, step)`` of one instance, stored one after the other from `frame_start` on."""

    instance: int
    """Position in :attr:`Plan.instances`."""
    start: int
    stop: int
    step: int
    frame_start: int
    """Where the first of them lies along the image's frame axis."""

    def __len__(self) -> int:
        return len(range(self.start, self.stop, self.step))


@dataclass(frozen=True, slots=True)
class ImageSpec(Compact):
    """One output array: its place, its layout, and the spans that fill it, in order."""

    path: str
    """Group path inside ``images.zarr``."""
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    format: PixelFormat
    frames: int
    chunks: tuple[int, ...]
    """Chunk shape, one entry a dimension of ``(frame, row, column[, sample])``."""
    shards: tuple[int, ...]
    """Shard shape, a multiple of the chunk shape that covers whole frames."""
    order: str
    """What the single-frame instances are ordered by: ``position``, ``instance_number``, ``sop_instance_uid``;
    ``frame_number`` for an image of one instance."""
    spans: tuple[Span, ...]
    aside: bool = False
    """Whether it is made beside the image that stands at its path, whose place it takes when it is whole."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``(frame, row, column[, sample])``."""
        return (self.frames, *self.format.frame_shape)

    @property
    def shard_bytes(self) -> int:
        """Bytes of one whole shard, decoded."""
        return self.shards[0] * self.format.frame_bytes


@dataclass(frozen=True, slots=True)
class Region(Compact):
    """Frames ``[frame_start, frame_stop)`` of one image: whole shards of it."""

    image: int
    """Position in :attr:`Plan.images`."""
    frame_start: int
    frame_stop: int


@dataclass(frozen=True, slots=True)
class Task:
    """One Dask task: the regions it alone writes."""

    id: int
    regions: tuple[Region, ...]
    memory_bytes: int
    """Projected peak above the worker's own: the largest shard, encoded, a chunk, and the frame being decoded."""
    encoded_bytes: int
    """Bytes it reads."""
    stored_bytes: int
    """Bytes it stores, before compression."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All instances, images and tasks of a run."""

    instances: tuple[Instance, ...]
    images: tuple[ImageSpec, ...]
    tasks: tuple[Task, ...]
    refused: tuple[tuple[int, Failure], ...] = ()
    """Instances (by position) that can't be stored within the limits, and why; they are in no image."""
    unselected: tuple[int, ...] = ()
    """Instances (by position) of which the selection takes no frame; they are in no image either."""


@dataclass(frozen=True, slots=True)
class RegionInput(Compact):
    """A region with all that its task needs: no look-up in the plan, no header."""

    region: Region
    spec: ImageSpec
    """The image's layout, its spans cut to those that touch the region."""
    instances: dict[int, Instance]
    """The instances of these spans, by their position in the plan."""


@dataclass(frozen=True, slots=True)
class TaskInput(Compact):
    """What travels to a worker for one task."""

    id: int
    regions: tuple[RegionInput, ...]
