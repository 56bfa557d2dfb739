"""Interface of all places, whether file, folder or object, and the check of names below a place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Self

from pipeline.errors import OutputError

_OUTWARDS = frozenset({"", ".", ".."})


class Place(ABC):
    """A file or folder, or the objects in its place; ``place / "name"`` is the entry `name` of a folder.

    A write replaces the old content whole or not at all. Missing parent folders are made.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The path or the URL."""

    @abstractmethod
    def __truediv__(self, part: str) -> Self:
        """Return the place of a relative name below this one; OutputError if the name leads out of it."""

    @abstractmethod
    def read_bytes(self, most: int | None = None) -> bytes:
        """Return the content; FileNotFoundError if it is missing, OSError for other failures or for more than `most` bytes."""

    @abstractmethod
    def write_bytes(self, data: Any) -> None:
        """Write bytes, whole or not at all."""

    def write_lightly(self, data: Any) -> None:
        """Write like :meth:`write_bytes`, but without a flush to the disk: a power failure may lose or empty the file."""
        self.write_bytes(data)

    @abstractmethod
    def replacing(self) -> AbstractContextManager[BinaryIO]:
        """Yield a file to write; on success its content replaces this place's, on failure it vanishes."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """Open the file or object for reading by ranges."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether a file or object of this name exists; False for a folder."""

    @abstractmethod
    def size(self) -> int:
        """Return the number of bytes; FileNotFoundError if the file or object is missing."""

    @abstractmethod
    def modified(self) -> float:
        """Return the time of the last change in seconds since 1970; FileNotFoundError if the file or object is missing."""

    @abstractmethod
    def children(self) -> list[str]:
        """Return the sorted names of the folder's entries; empty if the folder is missing."""

    @abstractmethod
    def walk(self) -> Iterator[str]:
        """Yield the names, relative to this place, of all files below it, in arbitrary order."""

    @abstractmethod
    def remove(self) -> None:
        """Remove the place with everything below it; do nothing if it is missing."""

    def __str__(self) -> str:
        return self.name


def inner_names(within: Place, part: str) -> list[str]:
    """Split a relative name at its slashes.

    Raises
    ------
    OutputError
        If the name leads out of `within`, reason ``leads_outside``. Names come from tables that others may have written.
    """
    names = part.split("/")
    if not is_inner(part):
        raise OutputError(
            f"{within}: {part!r} doesn't lie in this directory, so dcm2zarr doesn't touch it", reason="leads_outside"
        )
    return names


def is_inner(part: str) -> bool:
    """Return whether a relative name can't lead out of the folder that it starts in."""
    return "\0" not in part and not _OUTWARDS.intersection(part.split("/"))


def too_large(what: Place, most: int) -> OutputError:
    """Return the error for a file that is larger than any such file of a result."""
    return OutputError(f"{what} has more than {most} bytes, so no run of dcm2zarr wrote it", reason="not_ours")
