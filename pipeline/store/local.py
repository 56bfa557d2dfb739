"""The Zarr store below a local output directory; it follows no link, see :mod:`pipeline.storage.linkless_folder`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from zarr.abc.buffer import Buffer, BufferPrototype
from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.buffer import default_buffer_prototype
from zarr.storage import LocalStore

from pipeline.storage import LocalPlace


class LocalImages(LocalStore):
    """zarr's store of files with another way to reach them; folders needn't be made."""

    def __init__(self, at: LocalPlace, *, read_only: bool = False) -> None:
        super().__init__(at.path, read_only=read_only)
        self.at = at
        """The store's folder; nothing below the output directory may be a link."""

    def with_read_only(self, read_only: bool = False) -> LocalImages:
        """Return the same store, read-only or not."""
        return LocalImages(self.at, read_only=read_only)

    async def _open(self, **_how: Any) -> None:
        self._is_open = True  # zarr's own method would make the folder, through any link

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return a value, or the requested part of it; None if it doesn't exist."""
        try:
            data = _read(self.at / key, byte_range)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """See :meth:`get_sync`."""
        return await asyncio.to_thread(self.get_sync, key, prototype=prototype, byte_range=byte_range)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return several parts."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Return whether a value exists."""
        return await asyncio.to_thread((self.at / key).exists)

    def set_sync(self, key: str, value: Buffer) -> None:
        """Write a value, whole."""
        self._check_writable()
        (self.at / key).write_lightly(value.as_buffer_like())

    async def _set(self, key: str, value: Buffer, exclusive: bool = False) -> None:
        if exclusive and await self.exists(key):
            raise FileExistsError(key)
        await asyncio.to_thread(self.set_sync, key, value)

    def delete_sync(self, key: str) -> None:
        """Remove a value, or everything below a prefix."""
        self._check_writable()
        (self.at / key).remove()

    async def delete(self, key: str) -> None:
        """See :meth:`delete_sync`."""
        await asyncio.to_thread(self.delete_sync, key)

    async def delete_dir(self, prefix: str) -> None:
        """See :meth:`delete_sync`."""
        await asyncio.to_thread(self.delete_sync, prefix.rstrip("/"))

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        for key in self.at.walk():
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield all keys below a prefix."""
        folder = prefix.rstrip("/")
        for key in (self.at / folder if folder else self.at).walk():
            yield f"{folder}/{key}" if folder else key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly below a prefix."""
        folder = prefix.rstrip("/")
        for name in (self.at / folder if folder else self.at).children():
            yield name


def _read(at: LocalPlace, wanted: ByteRequest | None) -> bytes:
    with at.open() as file:
        if wanted is None:
            return file.read()
        size = file.seek(0, 2)
        if isinstance(wanted, RangeByteRequest):
            start, stop = wanted.start, wanted.end
        elif isinstance(wanted, SuffixByteRequest):
            start, stop = max(size - wanted.suffix, 0), size
        elif isinstance(wanted, OffsetByteRequest):
            start, stop = wanted.offset, size
        else:
            raise TypeError(f"{at}: unknown request {wanted!r}")
        file.seek(start)
        return file.read(max(min(stop, size) - start, 0))
