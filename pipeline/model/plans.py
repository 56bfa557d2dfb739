"""The plan: which task writes which frames where. An immutable value, made before the first byte is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from pipeline.model.axes import Axes, Grid
from pipeline.model.compact import Compact
from pipeline.model.frame_index import PixelFormat
from pipeline.model.instances import Failure, Instance

LAYOUT = 2
"""Number of the layout: it rises with every change of any image's axes, shape, grouping, or default. Layout 1 had the axes
``frame, row, column[, sample]``."""


@dataclass(frozen=True, slots=True)
class Placement(Compact):
    """The frames ``range(start, stop, step)`` of one instance, at consecutive positions from `position` on.

    An image's placements are cut and expanded for one task at a time (:func:`pipeline.plan.task_input`), so that a placement may
    be a rule that stands for many frames.
    """

    instance: int
    """Position in :attr:`Plan.instances`."""
    start: int
    stop: int
    step: int
    position: int
    """Position of the first frame (:class:`pipeline.model.Grid`)."""

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def frames(self) -> range:
        """Frame indices in the instance."""
        return range(self.start, self.stop, self.step)

    @property
    def positions(self) -> range:
        """Positions of the frames."""
        return range(self.position, self.position + len(self.frames))


@dataclass(frozen=True, slots=True)
class ImageSpec(Compact):
    """One output array: its path, its layout, and the placements that fill it, in the order of their positions."""

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
    """Chunk shape, one entry per dimension of ``pixels``. Frames of a chunk are neighbours along the grid's last axis."""
    shards: tuple[int, ...]
    """Shard shape, a multiple of the chunk shape that covers whole frames."""
    order: str
    """Key by which the single-frame instances are ordered: ``position``, ``instance_number``, ``sop_instance_uid``;
    ``frame_number`` for an image of one instance."""
    placements: tuple[Placement, ...]
    aside: bool = False
    """Whether it is made beside the finished image at its path, which it replaces once it is whole."""

    @property
    def placements_by_instance(self) -> dict[int, tuple[Placement, ...]]:
        """The placements of each instance that gives the image frames, in the order of their positions."""
        found: dict[int, list[Placement]] = {}
        for placement in self.placements:
            found.setdefault(placement.instance, []).append(placement)
        return {instance: tuple(placements) for instance, placements in found.items()}

    @property
    def members(self) -> dict[int, None]:
        """The instances that give the image its frames, each once, in the order of its frames."""
        return dict.fromkeys(placement.instance for placement in self.placements)

    @property
    def grid(self) -> Grid:
        """The grid in which the frames lie."""
        return Grid(self.sizes, self.axes.cells(self.shards, self.format.frame_shape))

    @property
    def frames(self) -> int:
        """Number of frames."""
        return prod(self.sizes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of ``pixels``."""
        return self.axes.shape(self.sizes, self.format.frame_shape)

    @property
    def chunk_frames(self) -> int:
        """Frames of a chunk."""
        return prod(self.axes.cells(self.chunks, self.format.frame_shape))

    def frame_start(self, placements: Sequence[Placement]) -> int | None:
        """Return the `n` for which frame ``k`` of an instance is at ``n + k`` in the C order of the grid; None if there is none.

        `placements` are the instance's own, in the order of their positions.
        """
        start, frame = placements[0].position, 0
        for placement in placements:
            unbroken = placement.step == 1 or len(placement) == 1
            if not unbroken or (placement.start, placement.position) != (frame, start + frame):
                return None
            frame += len(placement)
        if self.grid.is_c_ordered:
            return start
        return self.grid.index(start) if frame == 1 else None


_ORDERED_BY = {
    "position": "ImagePositionPatient",
    "instance_number": "InstanceNumber",
    "sop_instance_uid": "SOPInstanceUID",
    "frame_number": "frame_number",
}
"""Keyword, or per-frame array, behind each order of frames."""


def describe_dimensions(axes: Axes, order: str) -> dict[str, Any]:
    """Return the attribute ``dimensions``: for each axis of the grid, what its frames are ordered ``from``, and ``assumed``.

    An axis is assumed if its frames are called points in time, and DICOM doesn't say so.
    """
    return {axis: {"from": [_ORDERED_BY[order]], "assumed": axis != "frame"} for axis in axes.grid}


@dataclass(frozen=True, slots=True)
class Region(Compact):
    """Positions ``[start, stop)`` of one image: a run of whole shards."""

    image: int
    """Position in :attr:`Plan.images`."""
    start: int
    stop: int

    @property
    def positions(self) -> range:
        """Positions of its frames."""
        return range(self.start, self.stop)


@dataclass(frozen=True, slots=True)
class Task:
    """One Dask task: the regions that it alone writes."""

    id: int
    regions: tuple[Region, ...]
    memory_bytes: int
    """Projected peak above the worker's own memory: the largest shard, encoded, a chunk, and the frame being decoded."""
    encoded_bytes: int
    """Bytes that it reads."""
    stored_bytes: int
    """Bytes that it stores, before compression."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All instances, images and tasks of a run."""

    instances: tuple[Instance, ...]
    images: tuple[ImageSpec, ...]
    tasks: tuple[Task, ...]
    refused: tuple[tuple[int, Failure], ...] = ()
    """Instances (by position) that exceed the limits, and why; they are in no image."""
    unselected: tuple[int, ...] = ()
    """Instances (by position) without a selected frame; they are in no image either."""


@dataclass(frozen=True, slots=True)
class RegionInput(Compact):
    """A region with all that its task needs, so that the task reads neither plan nor header."""

    region: Region
    spec: ImageSpec
    """The image's layout, its placements cut to those that touch the region."""
    instances: dict[int, Instance]
    """The instances of these placements, by their position in the plan."""


@dataclass(frozen=True, slots=True)
class TaskInput(Compact):
    """Everything that travels to a worker for one task."""

    id: int
    regions: tuple[RegionInput, ...]
