"""A Zarr store of objects below a URL. Each value is one put; nothing is renamed, listed in order, or conditional."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

from pipeline.storage import RemotePlace

T = TypeVar("T")
_THREADS = 16
"""Requests in parallel: reading an array asks for many chunks at once."""


class RemoteStore(Store):
    """Objects below `root` as a Zarr store; travels to other processes with its options, and without secrets.

    Parameters
    ----------
    root : RemotePlace
    read_only : bool, optional
    """

    supports_writes = True
    supports_deletes = True
    supports_listing = True

    def __init__(self, root: RemotePlace, *, read_only: bool = False) -> None:
        super().__init__(read_only=read_only)
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteStore) and (other.root, other.read_only) == (self.root, self.read_only)

    __hash__ = Store.__hash__

    def with_read_only(self, read_only: bool = False) -> RemoteStore:
        """Return the same store, read-only or not."""
        return RemoteStore(self.root, read_only=read_only)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return a value, or the requested part of it; None if it doesn't exist."""
        try:
            data = await _threaded(lambda: _read(self.root / key, byte_range))
        except FileNotFoundError:
            return None
        return prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return several parts, fetched in parallel."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Return whether a value exists."""
        return await _threaded((self.root / key).exists)

    async def set(self, key: str, value: Buffer) -> None:
        """Write a value by a single put."""
        self._check_writable()
        await _threaded(lambda: (self.root / key).write_bytes(value.as_buffer_like()))

    async def delete(self, key: str) -> None:
        """Remove a value; a missing one isn't an error."""
        self._check_writable()
        await _threaded((self.root / key).remove_one)

    async def delete_dir(self, prefix: str) -> None:
        """Remove everything below a prefix."""
        self._check_writable()
        await _threaded((self.root / prefix if prefix else self.root).remove)

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys, in no order."""
        for key in await _threaded(lambda: [*self.root.walk()]):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield all keys below a prefix, in no order."""
        folder = prefix.rstrip("/")
        for key in await _threaded(lambda: [*(self.root / folder if folder else self.root).walk()]):
            yield f"{folder}/{key}" if folder else key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly below a prefix."""
        folder = prefix.rstrip("/")
        for name in await _threaded((self.root / folder if folder else self.root).children):
            yield name


def _read(at: RemotePlace, wanted: ByteRequest | None) -> bytes:
    if wanted is None:
        return at.read_bytes()
    if isinstance(wanted, RangeByteRequest):
        return at.read_range(wanted.start, wanted.end)
    if isinstance(wanted, SuffixByteRequest):
        return at.read_last(wanted.suffix)
    if isinstance(wanted, OffsetByteRequest):
        return at.read_range(wanted.offset, at.size())
    raise TypeError(f"{at}: unknown request {wanted!r}")


async def _threaded(function: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_pool(), function)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    """Return the threads that wait for answers, because the loop's own threads are only as many as cores."""
    return ThreadPoolExecutor(_THREADS, "dcm2zarr-objects")
