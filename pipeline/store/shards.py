"""Putting a shard together (Zarr v3, codec ``sharding_indexed``), frame by frame.

Frames are decoded into a buffer of one chunk's frames; when it is full its chunks are encoded, while the processor's
cache still holds them, and written out. So no more than a chunk is in memory::

    ┌─────────┬─────────┬──  ─┬────────────────────────────────────────┬────────┐
    │ chunk 0 │ chunk 1 │  …  │ index: offset, length of each as <u8   │ crc32c │
    └─────────┴─────────┴──  ─┴────────────────────────────────────────┴────────┘
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from pipeline.model import ImageSpec
from pipeline.store.encoding import Encode

_ABSENT = np.iinfo(np.uint64).max
"""Offset and length of a chunk that isn't there: beyond the image's last frame."""


class ShardBuilder:
    """Takes the frames of one shard, in order, and writes its bytes.

    Parameters
    ----------
    spec : ImageSpec
        The image's layout.
    frames : int
        Frames of this shard: fewer than others have where the image ends.
    encode : callable
        Encodes one chunk.
    write : callable
        Takes the shard's bytes, piece by piece.
    """

    def __init__(self, spec: ImageSpec, frames: int, encode: Encode, write: Callable[[bytes], object]) -> None:
        self._spec = spec
        self._left = frames
        self._encode = encode
        kind = np.dtype(spec.format.dtype).newbyteorder("<")
        self._block: npt.NDArray[Any] = np.zeros((spec.chunks[0], *spec.format.frame_shape), kind)
        self._filled = 0
        self._write = write
        self._lengths: list[int] = []

    def place(self) -> npt.NDArray[Any]:
        """Return where the next frame goes: contiguous, little-endian, holding whatever was there before."""
        return self._block[self._filled, ...]

    def add(self) -> None:
        """Take the frame that is at :meth:`place`."""
        self._filled += 1
        self._left -= 1
        if self._filled == len(self._block):
            self._write_chunks()

    def finish(self) -> None:
        """Write what is left. Nothing can be added afterwards."""
        if self._left:
            raise RuntimeError(f"The shard lacks {self._left} frames")
        if self._filled:  # the image ends within a chunk, and zeros follow
            self._block[self._filled :] = 0
            self._write_chunks()
        if self._spec.shards != self._spec.chunks:
            self._write_index()

    def _write_chunks(self) -> None:
        for chunk in _chunks(self._block, self._spec.chunks):
            encoded = self._encode(chunk)
            self._lengths.append(len(encoded))
            self._write(encoded)
        self._filled = 0

    def _write_index(self) -> None:
        """Write the table of the chunks in C order, which is the order in which they came."""
        there = len(self._lengths)
        table = np.full((chunks_per_shard(self._spec), 2), _ABSENT, "<u8")
        table[:there, 1] = self._lengths
        table[:there, 0] = np.cumsum([0, *self._lengths[:-1]])
        index = table.tobytes()
        self._write(index + google_crc32c.value(index).to_bytes(4, "little"))


def chunks_per_shard(spec: ImageSpec) -> int:
    """Return the number of chunks in a whole shard."""
    return math.prod(shard // chunk for shard, chunk in zip(spec.shards, spec.chunks, strict=True))


def _chunks(block: npt.NDArray[Any], shape: tuple[int, ...]) -> Iterator[npt.NDArray[Any]]:
    """Cut whole frames into chunks of `shape`, in C order, padded with zeros at the edges."""
    if block.shape == shape:
        yield block
        return
    rows, columns = shape[1:3]
    for row, column in product(range(0, block.shape[1], rows), range(0, block.shape[2], columns)):
        piece = block[:, row : row + rows, column : column + columns]
        if piece.shape == shape:
            yield np.ascontiguousarray(piece)
            continue
        chunk = np.zeros(shape, block.dtype)
        chunk[:, : piece.shape[1], : piece.shape[2]] = piece
        yield chunk
