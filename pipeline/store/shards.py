"""Putting a shard together (Zarr v3, codec ``sharding_indexed``) with one copy of its encoded chunks in memory.

zarr's own writer holds every encoded chunk and then joins them, two copies. Here zarr encodes the chunks of an array
like ours but without shards, and the store that it writes them to appends each to the shard as it comes::

    ┌─────────┬─────────┬──  ─┬────────────────────────────────────────┬────────┐
    │ chunk 0 │ chunk 1 │  …  │ index: offset, length of each as <u8   │ crc32c │
    └─────────┴─────────┴──  ─┴────────────────────────────────────────┴────────┘
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import google_crc32c
import numpy as np
from zarr.abc.buffer import Buffer
from zarr.buffer import cpu
from zarr.storage import MemoryStore, WrapperStore

from pipeline.model import ImageSpec

_ABSENT = np.iinfo(np.uint64).max
"""Offset and length of a chunk that isn't there: beyond the image's last frame."""


class ShardBuilder(WrapperStore[MemoryStore]):
    """A store that takes the chunks of one shard, in any order, and lays them out in the grid's C order.

    Chunks come nearly in order, so those that wait for an earlier one are few.

    Parameters
    ----------
    keys : dict of str to tuple of int
        Key of every chunk that will come → its place in the shard, in C order.
    grid : tuple of int
        Chunks of a shard along each dimension.
    """

    def __init__(self, keys: dict[str, tuple[int, ...]], grid: tuple[int, ...]) -> None:
        super().__init__(MemoryStore())
        self._places = keys
        self._order: Iterator[str] = iter(keys)
        self._next = next(self._order, None)
        self._waiting: dict[str, Buffer] = {}
        self._index = np.full((*grid, 2), _ABSENT, "<u8")
        self._shard = bytearray()

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Buffer | None:  # noqa: ARG002  given
        """Return nothing: chunks at the image's edges are padded, not merged with what may be there."""
        return None

    async def set(self, key: str, value: Buffer) -> None:
        """Append a chunk, and those that waited for it."""
        self._waiting[key] = value
        while self._next in self._waiting:
            chunk = self._waiting.pop(self._next).as_buffer_like()
            self._index[self._places[self._next]] = len(self._shard), memoryview(chunk).nbytes
            self._shard += chunk
            self._next = next(self._order, None)

    def finish(self) -> Buffer:
        """Return the shard, without a copy. Nothing can be added afterwards."""
        if self._next is not None:
            raise RuntimeError(f"The shard lacks chunk {self._next}")  # zarr wrote less than it was told to
        index = self._index.tobytes()
        self._shard += index + google_crc32c.value(index).to_bytes(4, "little")
        return cpu.Buffer.from_array_like(np.frombuffer(self._shard, np.uint8))


def shard_grid(spec: ImageSpec) -> tuple[int, ...]:
    """Return the number of chunks in a shard along each dimension."""
    return tuple(shard // chunk for shard, chunk in zip(spec.shards, spec.chunks, strict=True))


def chunk_places(
    spec: ImageSpec, path: str, metadata: Any, frame_start: int, frames: int
) -> dict[str, tuple[int, ...]]:
    """Return the key of each chunk of the shard that holds these frames, with its place in the shard, in C order."""
    first = frame_start // spec.chunks[0]
    counts = [-(-size // chunk) for size, chunk in zip((frames, *spec.shape[1:]), spec.chunks, strict=True)]
    return {
        f"{path}/{metadata.encode_chunk_key((first + place[0], *place[1:]))}": place
        for place in product(*map(range, counts))
    }
