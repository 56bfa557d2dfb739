"""Frames of encapsulated pixel data: which fragments make which frame (PS3.5 A.4, PS3.3 C.7.6.3.1.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.frames.items import Items, read_table

Numbers = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Fragments in frame order, and where each frame begins among them."""

    source: str
    """What decided: see :attr:`pipeline.model.FrameIndex.boundaries`."""
    offsets: Numbers
    lengths: Numbers
    starts: Numbers
    """Positions of the first fragment of each frame, and one behind the last."""
    notes: tuple[str, ...] = ()
    problem: str = ""
    """Why fewer frames than declared were found; empty where all are there."""

    @property
    def frames(self) -> int:
        """How many frames were found, at most the declared number."""
        return len(self.starts) - 1


@dataclass(slots=True)
class _Finder:
    """The rules, tried in turn; each returns boundaries, or None after noting why not."""

    file: BinaryIO
    items: Items
    frames: int
    extended: Any
    notes: list[str] = field(default_factory=list)

    def find(self) -> Boundaries:
        rules = (self.by_extended_table, self.by_basic_table, self.by_count, self.by_markers)
        for rule in rules:
            if (found := rule()) is not None:
                return found
        return self._all("one_fragment_per_frame", np.zeros(1, np.uint64), self._missing_text())

    def by_extended_table(self) -> Boundaries | None:
        """Take the Extended Offset Table where each entry is exactly one fragment."""
        if self.extended is None:
            return None
        offsets, lengths = (_entries(table) for table in self.extended)
        if offsets is None or lengths is None or len(offsets) != len(lengths):
            return self._disbelieve("Extended Offset Table", "its two tables don't match")
        if (entries := len(offsets)) < self.frames:
            return self._disbelieve("Extended Offset Table", f"{entries} entries for {self.frames} frames")
        offsets, lengths = offsets[: self.frames], lengths[: self.frames]
        at = self._positions(offsets)
        if at is None or len(np.unique(at)) < len(at):
            return self._disbelieve("Extended Offset Table", "an offset isn't an item's")
        real = self.items.lengths[at]
        # An odd frame is padded in its item; the table tells the length without the padding.
        if not np.all((lengths == real) | (lengths + np.uint64(1) == real)):
            return self._disbelieve("Extended Offset Table", "a length isn't its item's")
        starts = np.arange(self.frames + 1, dtype=np.uint64)
        self._note_excess(entries)
        return Boundaries("extended_offset_table", self.items.offsets[at], lengths, starts, tuple(self.notes))

    def by_basic_table(self) -> Boundaries | None:
        """Take the Basic Offset Table where it begins at 0, rises, and each entry is an item's offset."""
        if not self.items.table_length:
            return None
        table = read_table(self.file, self.items, 2 * self.frames + 1024)
        if table is None or not len(table):
            return self._disbelieve("Basic Offset Table", f"{self.items.table_length} bytes are no table")
        if table[0] != 0 or np.any(table[1:] <= table[:-1]):
            return self._disbelieve("Basic Offset Table", "its offsets don't start at 0 and rise")
        here = table[table < np.uint64(self.items.end - self.items.first_item)]
        at = self._positions(here)
        if at is None:
            return self._disbelieve("Basic Offset Table", "an offset isn't an item's")
        cut = len(here) < min(len(table), self.frames)
        if not cut and len(table) < self.frames and len(self.items.offsets) > len(table):
            return self._disbelieve("Basic Offset Table", f"{len(table)} entries for {self.frames} frames")
        self._note_excess(len(table))
        ends = np.append(at, len(self.items.offsets))[: self.frames + 1].astype(np.uint64)
        return self._all("basic_offset_table", ends, self._missing_text() if len(ends) <= self.frames else "")

    def by_count(self) -> Boundaries | None:
        """One frame takes all fragments; as many fragments as frames are one each."""
        fragments = len(self.items.offsets)
        if self.frames == 1 and fragments:
            return self._all("single_frame", np.array([0, fragments], np.uint64))
        if fragments == self.frames:
            return self._all("one_fragment_per_frame", np.arange(fragments + 1, dtype=np.uint64))
        return None

    def by_markers(self) -> Boundaries | None:
        """End a frame with each fragment that has an end-of-image marker in its last ten bytes, as pydicom does."""
        fragments = len(self.items.offsets)
        if fragments <= self.frames:
            return None
        ends = np.flatnonzero(self.items.ends_image) + 1
        if not len(ends) or (ends[-1] != fragments and len(ends) < self.frames):
            self.notes.append("the last frame has no end-of-image marker")
            ends = np.append(ends, fragments)
        elif ends[-1] != fragments:
            self.notes.append(f"{fragments - int(ends[-1])} fragments behind the last end-of-image marker are left out")
        self._note_excess(len(ends))
        starts = np.concatenate([[0], ends[: self.frames]]).astype(np.uint64)
        return self._all("end_of_image_markers", starts, self._missing_text(len(ends)))

    def _all(self, source: str, starts: Numbers, problem: str = "") -> Boundaries:
        return Boundaries(source, self.items.offsets, self.items.lengths, starts, tuple(self.notes), problem)

    def _positions(self, offsets: Numbers) -> npt.NDArray[np.intp] | None:
        """Return which fragments begin at these table offsets, None unless all do."""
        values = offsets + np.uint64(self.items.first_item + 8)
        at = np.searchsorted(self.items.offsets, values)
        if not len(self.items.offsets) or np.any(at == len(self.items.offsets)):
            return None
        return at if np.array_equal(self.items.offsets[at], values) else None

    def _disbelieve(self, table: str, why: str) -> Boundaries | None:
        self.notes.append(f"{table} not believed: {why}")
        return None

    def _note_excess(self, found: int) -> None:
        if found > self.frames:
            self.notes.append(f"{found} frames found, only the declared {self.frames} are used")

    def _missing_text(self, found: int | None = None) -> str:
        if found is not None and found >= self.frames:
            return ""
        fragments = len(self.items.offsets)
        if fragments < self.frames:
            return (
                "Unable to generate frames from the encapsulated pixel data as there are fewer fragments than frames; "
                f"the dataset may be corrupt or the number of frames may be incorrect ({fragments} fragments, "
                f"{self.frames} frames)"
            )
        return f"fewer frames than expected have been found in {fragments} fragments ({self.frames} expected)"


def find_boundaries(file: BinaryIO, items: Items, frames: int, extended: Sequence[Any] | None) -> Boundaries:
    """Tell which fragments make which frame.

    Parameters
    ----------
    file : BinaryIO
        To read the basic offset table from.
    items : Items
        The walk.
    frames : int
        Number of Frames as declared.
    extended : Sequence, optional
        Extended Offset Table and Extended Offset Table Lengths, as bytes or numbers.
    """
    return _Finder(file, items, frames, extended).find()


def _entries(table: Any) -> Numbers | None:
    """Return a table's entries: 64-bit little endian numbers, or numbers already."""
    if not isinstance(table, bytes | bytearray):
        try:
            return np.array(table, np.uint64)
        except (TypeError, ValueError, OverflowError):
            return None
    return np.frombuffer(table, "<u8").astype(np.uint64) if len(table) and len(table) % 8 == 0 else None
