"""The memory that a task is projected to use, above the worker process's own.

A task writes one shard at a time and decodes one frame at a time, into the chunk that is being filled, so its peak is::

    shard frames x padded frame  the shard's encoded chunks, if nothing can be compressed (tiles at the edges are padded)
    + chunk frames x frame       the frames of the chunk being filled
    + 2 x chunk                  a tile cut out of them, and its encoded copy
    + 2 x frame                  the frame being decoded, and its copy in another colour space or byte order
    + encoded frame              the bytes it is decoded from

A shard that is a file is written chunk by chunk and isn't held in memory; one that is an object is put whole. The plan is
the same for both.

The encoded frame of a single-frame instance is its whole pixel data. That of a multi-frame instance is assumed to be no
larger than the average, or than the decoded frame if that is more. The inflated data of a deflated data set stay
in memory too, up to INFLATED_BYTES.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline.model import Axes, ImageSpec, Instance, PixelFormat, syntaxes

INFLATED_BYTES = 16 * 2**20
"""Bytes of an inflated data set that stay in memory; the rest goes to a temporary file."""


@dataclass(frozen=True, slots=True)
class Projection:
    """The terms of a projection, in bytes."""

    shard_frames: int
    chunk_frames: int
    frame: int
    padded_frame: int
    tile: int
    """One frame's part of a chunk."""
    encoded_frame: int

    @property
    def total(self) -> int:
        """The projected peak."""
        return self.shard_frames * self.padded_frame + self.chunk_frames * self._a_chunk_frame + self._decoding

    @property
    def _a_chunk_frame(self) -> int:
        return self.frame + 2 * self.tile

    @property
    def _decoding(self) -> int:
        return 2 * self.frame + self.encoded_frame

    def frames_within(self, limit: int) -> int:
        """Return the most frames that a shard of such chunks may have for the peak to stay within `limit` bytes."""
        return (limit - self._decoding - self.chunk_frames * self._a_chunk_frame) // self.padded_frame

    def chunk_frames_within(self, limit: int) -> int:
        """Return the most frames that a chunk may have, if it alone makes a shard, for the peak to stay within `limit` bytes."""
        return (limit - self._decoding) // (self.padded_frame + self._a_chunk_frame)

    def __str__(self) -> str:
        return (
            f"{mebibytes(self.total)} = {self.shard_frames} encoded frame(s) a shard x {mebibytes(self.padded_frame)}"
            f" + {self.chunk_frames} frame(s) a chunk x {mebibytes(self._a_chunk_frame)}"
            f" + two decoded frames {mebibytes(2 * self.frame)} + an encoded frame {mebibytes(self.encoded_frame)}"
        )


def project(
    pixel_format: PixelFormat, tile: tuple[int, ...], chunk_frames: int, shard_frames: int, encoded_frame: int
) -> Projection:
    """Project the memory of a task that writes shards of `shard_frames` frames, in chunks of `chunk_frames` frames' tiles."""
    return Projection(shard_frames, chunk_frames, *_frame_bytes(pixel_format, tile), encoded_frame)


def project_image(instances: Sequence[Instance], image: ImageSpec) -> Projection:
    """Project the memory of a task that writes any shard of `image`."""
    encoded = max(largest_encoded_frame(instances[placement.instance]) for placement in image.placements)
    return project(image.format, *_tile_and_frames(image.axes, image.chunks, image.shards, image.format), encoded)


@lru_cache(1024)
def _tile_and_frames(
    axes: Axes, chunks: tuple[int, ...], shards: tuple[int, ...], pixel_format: PixelFormat
) -> tuple[tuple[int, ...], int, int]:
    """Return the part of a frame that a chunk holds, and how many frames a chunk and a shard have."""
    own = pixel_format.frame_shape
    return axes.tile(chunks, own), math.prod(axes.cells(chunks, own)), math.prod(axes.cells(shards, own))


def padded_frame(frame_shape: Sequence[int], tile: Sequence[int]) -> tuple[int, ...]:
    """Return the frame's shape, rounded up to whole tiles."""
    return tuple(math.ceil(size / part) * part for size, part in zip(frame_shape, tile, strict=True))


@lru_cache(1024)
def _frame_bytes(pixel_format: PixelFormat, tile: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the bytes of a frame, of a frame padded to whole tiles, and of a tile; cached, as many images share few formats."""
    itemsize = np.dtype(pixel_format.dtype).itemsize
    padded = math.prod(padded_frame(pixel_format.frame_shape, tile))
    return pixel_format.frame_bytes, padded * itemsize, math.prod(tile) * itemsize


def largest_encoded_frame(instance: Instance) -> int:
    """Return the most bytes of pixel data that decoding one frame of `instance` may need at once."""
    inflated = INFLATED_BYTES if instance.transfer_syntax_uid == syntaxes.DEFLATED else 0
    average = math.ceil(instance.encoded_bytes / max(1, instance.number_of_frames))
    if instance.number_of_frames <= 1:
        return inflated + average
    return inflated + min(instance.encoded_bytes, max(average, instance.format.frame_bytes))


def mebibytes(count: int) -> str:
    """Return `count` bytes as text, in MiB from 10 MiB on."""
    return f"{count / 2**20:.1f} MiB" if count >= 10 * 2**20 else f"{count} bytes"
