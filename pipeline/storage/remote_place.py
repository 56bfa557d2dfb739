"""Objects and prefixes of objects as :class:`~pipeline.storage.any_place.Place`."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from pipeline.storage.any_place import Place, inner_names, too_large
from pipeline.storage.objects import RangeFile
from pipeline.storage.options import Options
from pipeline.storage.remote_requests import Object, Version
from pipeline.storage.strays import is_stray

_BUFFER = 64 << 10
_DELETING = 16
"""Objects that are removed in parallel; not every server supports bulk deletes."""


@dataclass(frozen=True, slots=True)
class RemotePlace(Place):
    """An object or a prefix of objects; a single put writes each object, so none is ever partial."""

    url: str
    options: Options

    @property
    def name(self) -> str:
        """The URL."""
        return self.url

    @property
    def _object(self) -> Object:
        return Object(self.url, self.options)

    def __truediv__(self, part: str) -> RemotePlace:
        return RemotePlace("/".join([self.url, *inner_names(self, part)]), self.options)

    def read_bytes(self, most: int | None = None) -> bytes:
        """See :class:`Place`."""
        data, found = self._object.get(most)
        if most is not None and found.size > most:
            raise too_large(self, most)
        return bytes(data)

    def read_range(self, start: int, stop: int) -> bytes:
        """Return bytes ``[start, stop)``, fewer if the object ends earlier."""
        return bytes(self._object.get_range(start, stop)[0])

    def read_last(self, count: int) -> bytes:
        """Return the last `count` bytes, or all bytes of a shorter object."""
        return bytes(self._object.get_last(count))

    def size(self) -> int:
        """See :class:`Place`."""
        return self._object.head().size

    def write_bytes(self, data: Any) -> None:
        """See :class:`Place`."""
        self._object.put(data)

    def copy_to(self, other: RemotePlace) -> None:
        """Copy the object to another one of the same store, whole or not at all."""
        self._object.copy_to(other._object)

    def modified(self) -> float:
        """See :class:`Place`; by the server's clock."""
        return self._object.head().mtime_ns / 1e9

    def create(self, data: bytes) -> None:
        """Write the object if it doesn't exist, see :meth:`Object.create`."""
        self._object.create(data)

    def read_version(self, most: int) -> tuple[bytes, Version]:
        """Return the object's bytes (none if it has more than `most`) and its version."""
        return self._object.get_version(most)

    def replace_version(self, data: bytes, version: Version) -> None:
        """Write the object if it still has this version, see :meth:`Object.replace`."""
        self._object.replace(data, version)

    @contextmanager
    def replacing(self) -> Iterator[BinaryIO]:
        """See :class:`Place`: a local temporary file, then a put."""
        with tempfile.TemporaryDirectory(prefix="dcm2zarr-") as folder:
            part = Path(folder) / "part"
            with part.open("wb") as file:
                yield file
            self._object.put_file(part)

    def open(self) -> BinaryIO:
        """See :class:`Place`."""
        # Buffered, because Parquet readers treat a short read as the end of the file.
        return cast(BinaryIO, io.BufferedReader(RangeFile(self._object), _BUFFER))

    def exists(self) -> bool:
        """See :class:`Place`."""
        try:
            self._object.head()
        except FileNotFoundError:
            return False
        return True

    def children(self) -> list[str]:
        """See :class:`Place`."""
        folders, objects = self._object.children()
        names = {*folders, *(found.name.rpartition("/")[2] for found in objects)}
        return sorted(name for name in names if not is_stray(name))

    def walk(self) -> Iterator[str]:
        """See :class:`Place`."""
        for found in self._object.below():
            name = found.name.removeprefix(f"{self.url}/")
            if not any(map(is_stray, name.split("/"))):
                yield name

    def remove_one(self) -> None:
        """Remove the object of exactly this name, nothing below it."""
        self._object.delete()

    def remove(self) -> None:
        """See :class:`Place`."""
        with ThreadPoolExecutor(_DELETING, "dcm2zarr-delete") as threads:
            deleted = [threads.submit(Object(found.name, self.options).delete) for found in list(self._object.below())]
            for done in deleted:
                done.result()
        self._object.delete()
