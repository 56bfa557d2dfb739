"""The plan: what will be written where, by which task. An immutable value, made before the first byte is written."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from pipeline.model.axes import Axes, Grid
from pipeline.model.compact import Compact
from pipeline.model.frame_index import PixelFormat
from pipeline.model.instances import Failure, Instance


@dataclass(frozen=True, slots=True)
class Placement(Compact):
    """The frames ``range(start, stop, step)`` of one instance, at consecutive positions from `position` on.

    An image's placements are cut and expanded for one task at a time (:func:`pipeline.plan.task_input`): so may rules be that
    stand for many frames.
    """

    instance: int
    """Position in :attr:`Plan.instances`."""
    start: int
    stop: int
    step: int
    position: int
    """Where the first of them lies (:class:`pipeline.model.Grid`)."""

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def frames(self) -> range:
        """Frame indices in the instance."""
        return range(self.start, self.stop, self.step)

    @property
    def positions(self) -> range:
        """Where they lie."""
        return range(self.position, self.position + len(self.frames))


@dataclass(frozen=True, slots=True)
class ImageSpec(Compact):
    """One output array: its place, its layout, and the placements that fill it, in the order of their positions."""

    path: str
    """Group path inside ``images.zarr``."""
    study_instance_uid: str
    series_instance_uid: str
    modality: str
    format: PixelFormat
    axes: Axes
    sizes: tuple[int, ...]
    """Frames along each axis of the grid."""
    chunks: tuple[int, ...]
    """Chunk shape, one entry a dimension of ``pixels``. Frames of a chunk follow each other along the grid's last axis."""
    shards: tuple[int, ...]
    """Shard shape, a multiple of the chunk shape that covers whole frames."""
    order: str
    """What the single-frame instances are ordered by: ``position``, ``instance_number``, ``sop_instance_uid``;
    ``frame_number`` for an image of one instance."""
    placements: tuple[Placement, ...]
    aside: bool = False
    """Whether it is made beside the image that stands at its path, whose place it takes when it is whole."""

    @property
    def grid(self) -> Grid:
        """Where its frames lie."""
        return Grid(self.sizes, self.axes.cells(self.shards, self.format.frame_shape))

    @property
    def frames(self) -> int:
        """How many there are."""
        return prod(self.sizes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of ``pixels``."""
        return self.axes.shape(self.sizes, self.format.frame_shape)

    @property
    def chunk_frames(self) -> int:
        """Frames of a chunk."""
        return prod(self.axes.cells(self.chunks, self.format.frame_shape))

    def frame_start(self, position: int) -> int | None:
        """Return where frames from a position on begin in the C order of the grid; None if they don't follow each other there."""
        return position if self.grid.is_c_ordered else None


@dataclass(frozen=True, slots=True)
class Region(Compact):
    """Positions ``[start, stop)`` of one image: a run of whole shards."""

    image: int
    """Position in :attr:`Plan.images`."""
    start: int
    stop: int

    @property
    def positions(self) -> range:
        """Where its frames lie."""
        return range(self.start, self.stop)


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
    """The image's layout, its placements cut to those that touch the region."""
    instances: dict[int, Instance]
    """The instances of these placements, by their position in the plan."""


@dataclass(frozen=True, slots=True)
class TaskInput(Compact):
    """What travels to a worker for one task."""

    id: int
    regions: tuple[RegionInput, ...]
