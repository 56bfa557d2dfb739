"""Base class of files that keep their own read position."""

from __future__ import annotations

import io
import os
from abc import abstractmethod


class PositionedFile(io.RawIOBase):
    """A seekable file for reading; subclasses read at ``self._position`` and move it."""

    def __init__(self, position: int = 0) -> None:
        self._position = position

    @abstractmethod
    def _end(self) -> int:
        """Return the file's size in bytes."""

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to `offset`, counted from the beginning, the position or the end."""
        base = 0 if whence == os.SEEK_SET else self._position if whence == os.SEEK_CUR else self._end()
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position
