"""What a place offers, be it a file, a folder or an object; and which names lie below a place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, Self

from pipeline.errors import OutputError

_OUTWARDS = frozenset({"", ".", ".."})


class Place(ABC):
    """A file or a folder, or the objects that stand for them; ``place / "name"`` is what lies in it.

    What is written appears whole or not at all, and replaces what was there. Folders needn't be made.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """The path or the URL."""

    @abstractmethod
    def __truediv__(self, part: str) -> Self:
        """Return what lies in it under a relative name; OutputError for a name that leads out of it."""

    @abstractmethod
    def read_bytes(self, most: int | None = None) -> bytes:
        """Return the bytes; FileNotFoundError where there is none, OSError for all else, and where it has over `most`."""

    @abstractmethod
    def write_bytes(self, data: Any) -> None:
        """Write bytes, whole or not at all."""

    def write_lightly(self, data: Any) -> None:
        """Write as :meth:`write_bytes`, but a machine that loses power may lose it, or leave it empty."""
        self.write_bytes(data)

    @abstractmethod
    def replacing(self) -> AbstractContextManager[BinaryIO]:
        """Give a file to write to; what it holds becomes this place's on success, and vanishes on failure."""

    @abstractmethod
    def open(self) -> BinaryIO:
        """Open it for reading by ranges."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether there is a file or an object of this name (a folder is none)."""

    @abstractmethod
    def size(self) -> int:
        """Return the number of bytes; FileNotFoundError where there is none."""

    @abstractmethod
    def modified(self) -> float:
        """Return when it last changed, in seconds since 1970; FileNotFoundError where it isn't there."""

    @abstractmethod
    def children(self) -> list[str]:
        """Return the names of what lies directly in it, sorted; none where it isn't there."""

    @abstractmethod
    def walk(self) -> Iterator[str]:
        """Yield the names, relative to this place, of all files below it, in no order."""

    @abstractmethod
    def remove(self) -> None:
        """Remove it, with all below it; nothing where it isn't there."""

    def __str__(self) -> str:
        return self.name


def inner_names(within: Place, part: str) -> list[str]:
    """Return the names between the slashes of what lies below a place.

    Raises
    ------
    OutputError
        Where one of them leads elsewhere, reason ``leads_outside``: names come from tables that others could have written.
    """
    names = part.split("/")
    if not is_inner(part):
        raise OutputError(f"{within}: {part!r} doesn't lie in it, so it isn't touched", reason="leads_outside")
    return names


def is_inner(part: str) -> bool:
    """Whether a relative name, with slashes or without, can only be that of something below."""
    return "\0" not in part and not _OUTWARDS.intersection(part.split("/"))


def too_large(what: Place, most: int) -> OutputError:
    """Return the error for a file of a result that has more bytes than any such file."""
    return OutputError(f"{what} has more than {most} bytes, so it isn't what a run left", reason="not_ours")
