"""Frames of encapsulated pixel data: assign fragments to frames (PS3.5 A.4, PS3.3 C.7.6.3.1.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.frames.items import Items, read_table

Numbers = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Fragments in frame order, and the first fragment of each frame."""

    source: str
    """The rule that decided, see :attr:`pipeline.model.FrameIndex.boundaries`."""
    offsets: Numbers
    lengths: Numbers
    starts: Numbers
    """Position of each frame's first fragment, and the position after the last fragment."""
    notes: tuple[str, ...] = ()
    problem: str = ""
    """Why fewer frames than declared were found; empty if all were found."""
    surplus: int = 0
    """Recognised frames beyond the declared ones."""
    left: int = 0
    """Fragments that can't be assigned to a frame."""

    @property
    def frames(self) -> int:
        """Number of frames that were found, at most the declared number."""
        return len(self.starts) - 1


@dataclass(slots=True)
class _Finder:
    """The rules, tried in turn; each returns boundaries, or None after noting the reason."""

    file: BinaryIO
    items: Items
    frames: int
    extended: Any
    begins: npt.NDArray[np.bool_]
    """Which fragments begin a codestream."""
    notes: list[str] = field(default_factory=list)

    def find(self) -> Boundaries:
        for rule in (self.by_extended_table, self.by_basic_table, self.by_count, self.by_markers, self.by_starts):
            if (found := rule()) is not None:
                return self._remove_surplus(found)
        return self._all("one_fragment_per_frame", np.zeros(1, np.uint64), self._missing_text())

    def by_extended_table(self) -> Boundaries | None:
        """Use the Extended Offset Table if each entry is exactly one fragment."""
        if self.extended is None:
            return None
        offsets, lengths = (_entries(table) for table in self.extended)
        if offsets is None or lengths is None or len(offsets) != len(lengths):
            return self._reject("Extended Offset Table", "its two tables don't match")
        if (entries := len(offsets)) < self.frames:
            return self._reject("Extended Offset Table", f"{entries} entries for {self.frames} frames")
        offsets, lengths = offsets[: self.frames], lengths[: self.frames]
        at = self._positions(offsets)
        if at is None or len(np.unique(at)) < len(at):
            return self._reject("Extended Offset Table", "an offset isn't an item's")
        real = self.items.lengths[at]
        # A frame of odd length is padded in its item; the table holds the length without padding.
        if not np.all((lengths == real) | (lengths + np.uint64(1) == real)):
            return self._reject("Extended Offset Table", "a length isn't its item's")
        return Boundaries(
            "extended_offset_table",
            self.items.offsets[at],
            lengths,
            np.arange(self.frames + 1, dtype=np.uint64),
            tuple(self.notes),
            surplus=max(entries, len(self.items.offsets)) - self.frames,
        )

    def by_basic_table(self) -> Boundaries | None:
        """Use the Basic Offset Table if it starts at 0, rises, and each entry is an item's offset."""
        if not self.items.table_length:
            return None
        table = read_table(self.file, self.items, max(2 * self.frames + 1024, len(self.items.offsets)))
        if table is None or not len(table):
            return self._reject("Basic Offset Table", f"{self.items.table_length} bytes aren't a table")
        if table[0] != 0 or np.any(table[1:] <= table[:-1]):
            return self._reject("Basic Offset Table", "its offsets don't start at 0 and rise")
        here = table[table < np.uint64(max(self.items.end - self.items.first_item, 0))]
        at = self._positions(here)
        if at is None:
            return self._reject("Basic Offset Table", "an offset isn't an item's")
        cut = len(here) < min(len(table), self.frames)
        if not cut and len(table) < self.frames and len(self.items.offsets) > len(table):
            return self._reject("Basic Offset Table", f"{len(table)} entries for {self.frames} frames")
        ends = np.append(at, len(self.items.offsets))[: self.frames + 1].astype(np.uint64)
        problem = self._missing_text() if len(ends) <= self.frames else ""
        return replace(self._all("basic_offset_table", ends, problem), surplus=max(len(table) - self.frames, 0))

    def by_count(self) -> Boundaries | None:
        """Give all fragments to a single frame, or one fragment to each frame if the numbers are equal."""
        fragments = len(self.items.offsets)
        if self.frames == 1 and fragments:
            return self._all("single_frame", np.array([0, fragments], np.uint64))
        if fragments == self.frames:
            return self._all("one_fragment_per_frame", np.arange(fragments + 1, dtype=np.uint64))
        return None

    def by_markers(self) -> Boundaries | None:
        """End a frame with each fragment that has an end-of-image marker in its last ten bytes, like pydicom.

        Return None if that finds too few frames and the beginnings of codestreams find more.
        """
        fragments = len(self.items.offsets)
        if fragments <= self.frames:
            return None
        ends = np.flatnonzero(self.items.ends_image) + 1
        left = fragments - int(ends[-1]) if len(ends) else fragments
        if left and len(ends) < self.frames:
            if self.begins[0] and np.count_nonzero(self.begins) > len(ends) + 1:
                return None
            self.notes.append("the last frame has no end-of-image marker")
            ends, left = np.append(ends, fragments), 0
        starts = np.concatenate([[0], ends[: self.frames]]).astype(np.uint64)
        found = self._all("end_of_image_markers", starts, self._missing_text(len(ends)))
        return replace(found, surplus=max(len(ends) - self.frames, 0), left=left)

    def by_starts(self) -> Boundaries | None:
        """Begin a frame with each fragment that begins a codestream, if the first fragment does."""
        if not len(self.begins) or not self.begins[0]:
            return None
        at = np.append(np.flatnonzero(self.begins), len(self.begins)).astype(np.uint64)
        found = len(at) - 1
        return replace(
            self._all("codestream_starts", at[: self.frames + 1], self._missing_text(found)),
            surplus=max(found - self.frames, 0),
        )

    def _remove_surplus(self, found: Boundaries) -> Boundaries:
        """Remove fragments that begin another codestream inside a frame: they are undeclared frames."""
        used = int(found.starts[-1]) if found.frames else 0
        if found.source == "extended_offset_table" or used <= found.frames:
            return found
        # a fragment is surplus if it begins a codestream and an earlier fragment of its frame begins one too
        begun = np.cumsum(self.begins[:used])
        starts = found.starts.astype(np.intp)
        frame = np.repeat(starts[:-1], starts[1:] - starts[:-1])
        others = (begun > begun[frame]) & self.begins[frame]
        if not others.any():
            return found
        kept = np.flatnonzero(~others)
        ends = np.searchsorted(kept, found.starts).astype(np.uint64)
        surplus = found.surplus + int(np.count_nonzero(self.begins[:used] & others))
        return replace(found, offsets=found.offsets[kept], lengths=found.lengths[kept], starts=ends, surplus=surplus)

    def _all(self, source: str, starts: Numbers, problem: str = "") -> Boundaries:
        return Boundaries(source, self.items.offsets, self.items.lengths, starts, tuple(self.notes), problem)

    def _positions(self, offsets: Numbers) -> npt.NDArray[np.intp] | None:
        """Return the fragments that begin at the table's offsets; None if an offset isn't a fragment's."""
        values = offsets + np.uint64(self.items.first_item + 8)
        at = np.searchsorted(self.items.offsets, values)
        if not len(self.items.offsets) or np.any(at == len(self.items.offsets)):
            return None
        return at if np.array_equal(self.items.offsets[at], values) else None

    def _reject(self, table: str, why: str) -> Boundaries | None:
        self.notes.append(f"{table} not believed: {why}")
        return None

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


def find_boundaries(
    file: BinaryIO, items: Items, frames: int, extended: Sequence[Any] | None, begins: npt.NDArray[np.bool_]
) -> Boundaries:
    """Assign fragments to frames.

    Parameters
    ----------
    file : BinaryIO
        The file, for its basic offset table.
    items : Items
        The items of the pixel data.
    frames : int
        Number of Frames as declared.
    extended : Sequence, optional
        Extended Offset Table and Extended Offset Table Lengths, as bytes or numbers.
    begins : numpy.ndarray of bool, shape (fragments,)
        Which fragments begin a codestream.
    """
    return _Finder(file, items, frames, extended, begins).find()


def _entries(table: Any) -> Numbers | None:
    """Return a table's entries, given as numbers or as bytes of 64-bit little endian numbers; None if the value isn't a table."""
    if not isinstance(table, bytes | bytearray):
        try:
            return np.array(table, np.uint64)
        except (TypeError, ValueError, OverflowError):
            return None
    return np.frombuffer(table, "<u8").astype(np.uint64) if len(table) and len(table) % 8 == 0 else None
