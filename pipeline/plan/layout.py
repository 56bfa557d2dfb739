"""Chunk and shard shapes from byte targets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipeline.errors import ConfigError
from pipeline.model import PixelFormat

MiB = 2**20
Auto = Literal["auto"]

WHOLE_FRAME_BYTES = 16 * MiB
"""Frames up to this size are one chunk; larger ones are tiled, so that a region can be read without the rest."""
SHARD_BYTES = 64 * MiB
"""About what a shard holds …"""
SHARD_COST = 512 * MiB
"""… and what it may cost, in bytes of native pixel data to store: about a second, since a task owns whole shards."""
TILE_BYTES = 4 * MiB
"""About what a tile holds: a few milliseconds of decompression."""
TILE_SIDE = 256
"""Sides of tiles are multiples of this, the common tile of whole-slide viewers and of GPU textures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The settings that a plan follows; the defaults are the configuration's.

    Raises
    ------
    ConfigError
        If a value can't be followed.
    """

    grouping: Literal["series", "instance"] = "series"
    frames: str | tuple[int, ...] | None = None
    """Selection of frames in every instance (:func:`pipeline.plan.select_frames`)."""
    chunk_frames: int = 1
    chunk_rows: int | Auto = "auto"
    chunk_columns: int | Auto = "auto"
    shard_bytes: int | Auto = "auto"
    """Decoded bytes of a shard: SHARD_BYTES, or fewer where decoding them would be too much for one task."""
    frame_limit: int = 2048 * MiB
    """Decoded bytes of one frame."""
    task_memory: int = 1024 * MiB
    """Projected bytes of one task (:func:`pipeline.plan.task_memory.project`)."""
    task_bytes: int = 512 * MiB
    """Work of one task, in bytes of native pixel data to store: about a second."""

    def __post_init__(self) -> None:
        if self.grouping not in ("series", "instance"):
            raise ConfigError(f'output.grouping: expected "series" or "instance", got {self.grouping!r}')
        for name in ("chunk_frames", "chunk_rows", "chunk_columns", "shard_bytes", "task_bytes"):
            value = getattr(self, name)
            if value != "auto" and value < 1:
                raise ConfigError(f"{name}: expected at least 1, got {value}")


def chunk_shape(layout: Layout, pixel_format: PixelFormat, frames: int) -> tuple[int, ...]:
    """``(frame, row, column[, sample])`` of a chunk: never larger than the image, all samples of a pixel together."""
    rows, columns = _tile(layout, pixel_format)
    return (min(layout.chunk_frames, frames), rows, columns, *pixel_format.frame_shape[2:])


def shard_shape(
    layout: Layout, pixel_format: PixelFormat, frames: int, chunks: tuple[int, ...], weight: float = 1.0
) -> tuple[int, ...]:
    """Shape of a shard: whole frames in whole chunks, about `layout.shard_bytes`, no more than the image needs.

    Parameters
    ----------
    layout, pixel_format, frames, chunks
        The settings, and the image.
    weight : float
        What a decoded byte costs (:func:`pipeline.plan.costs.weight`).
    """
    wanted = layout.shard_bytes if layout.shard_bytes != "auto" else min(SHARD_BYTES, int(SHARD_COST / weight))
    fitting = wanted // pixel_format.frame_bytes // chunks[0]
    needed = math.ceil(frames / chunks[0])
    return (chunks[0] * max(1, min(fitting, needed)), *padded_frame(pixel_format.frame_shape, chunks))


def padded_frame(frame_shape: Sequence[int], chunks: Sequence[int]) -> tuple[int, ...]:
    """Return the frame's shape, rounded up to whole chunks."""
    return tuple(math.ceil(size / chunk) * chunk for size, chunk in zip(frame_shape, chunks[1:], strict=True))


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
    # A height that is given, or short, leaves its share of the pixels to the width.
    return rows, wanted[1] or _side(pixels // rows, sides[1])


def _side(target: int, limit: int) -> int:
    """Round `target` down to a multiple of TILE_SIDE, at least one of them, at most `limit`."""
    return min(limit, max(1, target // TILE_SIDE) * TILE_SIDE)
