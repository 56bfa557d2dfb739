"""Put a shard together (Zarr v3, codec ``sharding_indexed``), frame by frame.

Frames are decoded into a buffer for the frames of one chunk. When it is full, its chunks are encoded, while they are still in
the processor's cache, and written out. So at most one chunk is in memory, and a copy of it if the array has the samples in
another order than the frames, as for colour::

    ┌─────────┬─────────┬──  ─┬────────────────────────────────────────┬────────┐
    │ chunk 0 │ chunk 1 │  …  │ index: offset, length of each as <u8   │ crc32c │
    └─────────┴─────────┴──  ─┴────────────────────────────────────────┴────────┘
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from pipeline.model import ImageSpec
from pipeline.store.encoding import Encode

_ABSENT = np.iinfo(np.uint64).max
"""Offset and length of a missing chunk, beyond the image's last frame."""


class ShardBuilder:
    """Takes the frames of one shard, in the order of their positions, and writes its bytes.

    Parameters
    ----------
    spec : ImageSpec
        The image's layout.
    shard : int
        The shard's number; a shard at the image's end has fewer frames.
    encode : callable
        Encodes one chunk.
    write : callable
        Takes the shard's bytes, piece by piece.
    """

    def __init__(self, spec: ImageSpec, shard: int, encode: Encode, write: Callable[[bytes], object]) -> None:
        self._spec = spec
        self._encode = encode
        self._write = write
        self._cells = [part.stop - part.start for part in spec.grid.shard_slices(shard)]
        self._left = math.prod(self._cells)
        kind = np.dtype(spec.format.dtype).newbyteorder("<")
        self._block: npt.NDArray[Any] = np.zeros((spec.chunk_frames, *spec.format.frame_shape), kind)
        self._filled = 0
        self._lengths: dict[int, int] = {}
        """Bytes of each chunk written, by its number in the shard, in the order of writing."""
        self._numbers = _chunk_numbers(spec, self._cells)

    def place(self) -> npt.NDArray[Any]:
        """Return the array for the next frame: contiguous, little-endian, with undefined contents."""
        return self._block[self._filled, ...]

    def add(self) -> None:
        """Take the frame in :meth:`place`."""
        self._filled += 1
        self._left -= 1
        if self._filled == len(self._block) or self._left % self._cells[-1] == 0:
            self._block[self._filled :] = 0  # the image ends within a chunk; zeros fill the rest
            self._write_chunks()

    def finish(self) -> None:
        """Write the rest of the shard. No frame can be added afterwards."""
        if self._left:
            raise RuntimeError(f"the shard lacks {self._left} frames")
        if self._spec.shards != self._spec.chunks:
            self._write_index()

    def _write_chunks(self) -> None:
        for chunk in _chunks(self._spec.axes.fold(self._block), self._spec.chunks):
            encoded = self._encode(chunk)
            self._lengths[next(self._numbers)] = len(encoded)
            self._write(encoded)
        self._filled = 0

    def _write_index(self) -> None:
        """Write the table of the chunks, in C order."""
        table = np.full((chunks_per_shard(self._spec), 2), _ABSENT, "<u8")
        lengths = [*self._lengths.values()]
        table[[*self._lengths], 1] = lengths
        table[[*self._lengths], 0] = np.cumsum([0, *lengths[:-1]])
        index = table.tobytes()
        self._write(index + google_crc32c.value(index).to_bytes(4, "little"))


def chunks_per_shard(spec: ImageSpec) -> int:
    """Return the number of chunks in a whole shard."""
    return math.prod(_counts(spec.shards, spec.chunks))


def _counts(whole: Sequence[int], chunks: Sequence[int]) -> tuple[int, ...]:
    return tuple(-(-size // chunk) for size, chunk in zip(whole, chunks, strict=True))


def _chunk_numbers(spec: ImageSpec, cells: Sequence[int]) -> Iterator[int]:
    """Yield each chunk's number in the shard, in the order of writing: by its frames, then tile by tile."""
    axes, frame_shape = spec.axes, spec.format.frame_shape
    a_chunk = axes.cells(spec.chunks, frame_shape)
    tiles = _counts(axes.shape(a_chunk, frame_shape), spec.chunks)
    blocks = _counts(_counts(spec.shards, spec.chunks), tiles)
    numbers = np.arange(chunks_per_shard(spec)).reshape(
        [size for pair in zip(blocks, tiles, strict=True) for size in pair]
    )
    dimensions = 2 * len(tiles)
    numbers = numbers.transpose([*range(0, dimensions, 2), *range(1, dimensions, 2)])
    there = axes.along(_counts(cells, a_chunk))
    return iter(numbers[tuple(slice(count or None) for count in there)].ravel().tolist())


def _chunks(block: npt.NDArray[Any], shape: tuple[int, ...]) -> Iterator[npt.NDArray[Any]]:
    """Cut whole frames into chunks of `shape`, in C order, padded with zeros at the edges."""
    if block.shape == shape:
        yield np.ascontiguousarray(block)
        return
    for corner in product(*(range(0, size, step) for size, step in zip(block.shape, shape, strict=True))):
        piece = block[tuple(slice(start, start + step) for start, step in zip(corner, shape, strict=True))]
        if piece.shape == shape:
            yield np.ascontiguousarray(piece)
            continue
        chunk = np.zeros(shape, block.dtype)
        chunk[tuple(map(slice, piece.shape))] = piece
        yield chunk
