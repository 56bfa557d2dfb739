"""Frames in a row: ``pixels`` has the axes ``frame, y, x`` or ``t, c, y, x``; chunk and shard shapes come from byte targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np

from pipeline.model import Axes, ImageSpec, Instance, PixelFormat, Placement, frame_axes
from pipeline.plan.costs import weight
from pipeline.plan.grouping import Group
from pipeline.plan.layout import Layout, MiB
from pipeline.plan.selection import Frames, cut_into_runs, select_frames
from pipeline.plan.task_memory import padded_frame

WHOLE_FRAME_BYTES = 16 * MiB
"""Frames up to this size are one chunk; larger ones are tiled, so that a region can be read without the rest."""
SHARD_BYTES = 64 * MiB
"""Approximate decoded bytes of a shard …"""
SHARD_COST = 512 * MiB
"""… and the most that it may cost, in bytes of native pixel data to store: about a second, since a task owns whole shards."""
TILE_BYTES = 4 * MiB
"""Approximate bytes of a tile: a few milliseconds of decompression."""
TILE_SIDE = 256
"""Sides of tiles are multiples of this, the common tile of whole-slide viewers and of GPU textures."""

Select = Callable[[int], Frames]
Shapes = Callable[[PixelFormat, int, float], tuple[tuple[int, ...], tuple[int, ...]]]


def shape_chooser(layout: Layout) -> tuple[Select, Shapes]:
    """Return a function that selects an instance's frames, and one that chooses an image's chunk and shard shapes.

    Raises
    ------
    ConfigError
        For an invalid selection, even if there is no instance.
    """

    @cache
    def select(frames: int) -> Frames:
        return select_frames(layout.frames, frames)

    @cache
    def shapes(pixel_format: PixelFormat, frames: int, heaviest: float) -> tuple[tuple[int, ...], tuple[int, ...]]:
        chunks = chunk_shape(layout, pixel_format, frames)
        return chunks, shard_shape(layout, pixel_format, frames, chunks, heaviest)

    select(0)
    return select, shapes


def lay_out_image(instances: Sequence[Instance], path: str, group: Group, select: Select, shapes: Shapes) -> ImageSpec:
    """Lay out the image that a group of instances becomes."""
    placements = tuple(_placements(instances, group.members, select))
    frames = placements[-1].positions.stop
    first = instances[group.members[0]]
    heaviest = max(weight(instances[member].transfer_syntax_uid) for member in group.members)
    chunks, shards = shapes(first.format, frames, heaviest)
    return ImageSpec(
        path=path,
        study_instance_uid=first.study_instance_uid,
        series_instance_uid=first.series_instance_uid,
        modality=first.modality,
        format=first.format,
        axes=_axes(first.format),
        sizes=(frames,),
        chunks=chunks,
        shards=shards,
        order=group.order,
        placements=placements,
    )


def _placements(instances: Sequence[Instance], members: Sequence[int], select: Select) -> Iterator[Placement]:
    """Yield the placements of the instances' selected frames, one instance after the other."""
    position = 0
    for member in members:
        for run in cut_into_runs(select(instances[member].number_of_frames)):
            yield Placement(member, run.start, run.stop, run.step, position)
            position += len(run)


def chunk_shape(layout: Layout, pixel_format: PixelFormat, frames: int) -> tuple[int, ...]:
    """Return the shape of a chunk: at most the image's size, all samples of a pixel together."""
    return _axes(pixel_format).shape((min(layout.chunk_frames, frames),), tile_shape(layout, pixel_format))


def _axes(pixel_format: PixelFormat) -> Axes:
    return frame_axes(1 + len(pixel_format.frame_shape))


def tile_shape(layout: Layout, pixel_format: PixelFormat) -> tuple[int, ...]:
    """Return ``(row, column[, sample])`` of the part of a frame that a chunk holds."""
    return (*_tile(layout, pixel_format), *pixel_format.frame_shape[2:])


def shard_shape(
    layout: Layout, pixel_format: PixelFormat, frames: int, chunks: tuple[int, ...], weight: float = 1.0
) -> tuple[int, ...]:
    """Return the shape of a shard: whole frames in whole chunks, about `layout.shard_bytes`, at most the image's size.

    Parameters
    ----------
    layout, pixel_format, frames, chunks
        The settings, and the image.
    weight : float
        Cost of a decoded byte (:func:`pipeline.plan.costs.weight`).
    """
    wanted = layout.shard_bytes if layout.shard_bytes != "auto" else min(SHARD_BYTES, int(SHARD_COST / weight))
    axes, frame_shape = _axes(pixel_format), pixel_format.frame_shape
    (chunk_frames,) = axes.cells(chunks, frame_shape)
    fitting = wanted // pixel_format.frame_bytes // chunk_frames
    needed = math.ceil(frames / chunk_frames)
    whole = padded_frame(frame_shape, axes.tile(chunks, frame_shape))
    return axes.shape((chunk_frames * max(1, min(fitting, needed)),), whole)


def _tile(layout: Layout, pixel_format: PixelFormat) -> tuple[int, int]:
    sides = (pixel_format.rows, pixel_format.columns)
    wanted = [
        min(setting, side) if isinstance(setting, int) else None
        for setting, side in zip((layout.chunk_rows, layout.chunk_columns), sides, strict=True)
    ]
    if pixel_format.frame_bytes <= WHOLE_FRAME_BYTES:
        rows, columns = (side if want is None else want for want, side in zip(wanted, sides, strict=True))
        return rows, columns
    pixels = TILE_BYTES // (pixel_format.samples_per_pixel * np.dtype(pixel_format.dtype).itemsize)
    columns = wanted[1] or _side(math.isqrt(pixels), sides[1])
    rows = wanted[0] or _side(pixels // columns, sides[0])
    # A given height, or a short frame, leaves the rest of the pixels to the width.
    return rows, wanted[1] or _side(pixels // rows, sides[1])


def _side(target: int, limit: int) -> int:
    """Round `target` down to a multiple of TILE_SIDE that is at least TILE_SIDE; the result is at most `limit`."""
    return min(limit, max(1, target // TILE_SIDE) * TILE_SIDE)
