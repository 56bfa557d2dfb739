"""One walk over the items of encapsulated pixel data (PS3.5 A.4)."""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.errors import HeaderLimitError
from pipeline.frames.byte_sources import is_blank, read_bytes, read_range

ITEM = 0xFFFEE000
SEQUENCE_DELIMITER = 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
_PIXEL_DATA = 0x7FE00010

_HEADER = struct.Struct("<HHL")
_TAIL = 10
"""Last bytes of a fragment in which its end-of-image marker may lie (pydicom's rule: padding may follow the marker)."""
_FIRST = 8
"""Bytes in which a codestream is recognised."""
_LONGEST_TABLE = 1 << 26
_END_OF_IMAGE = b"\xff\xd9"
_DELIMITER = _HEADER.pack(SEQUENCE_DELIMITER >> 16, SEQUENCE_DELIMITER & 0xFFFF, 0)
_SMALL = 1 << 11
_BLOCK = 1 << 16
_IN_A_ROW = 8
"""Number of small fragments in a row after which more are expected."""
_MUCH_LONGER = 4


@dataclass(frozen=True, slots=True)
class Items:
    """Result of one walk: the place of the offset table and of every fragment."""

    table_offset: int
    table_length: int
    table_start: int
    """The first eight bytes of the basic offset table's item, as a little endian number."""
    first_item: int
    """Offset of the item tag after the basic offset table, at which offset tables start to count."""
    offsets: npt.NDArray[np.uint64]
    """First byte of each fragment's value."""
    lengths: npt.NDArray[np.uint64]
    ends_image: npt.NDArray[np.bool_]
    """Whether a fragment's last ten bytes hold an end-of-image marker."""
    end: int
    """First byte after the last fragment: the sequence delimiter."""
    after: int
    """First byte after the pixel data element."""
    damage: str = ""
    """Why the walk ended before a delimiter or the end of the data; else empty."""
    truncated: bool = False
    """Whether the file ends inside the last fragment, which is then shortened."""
    delimited: bool = True
    """Whether a sequence delimiter ended the items."""
    padding: int = 0
    """Bytes in place of the delimiter: padding, or a part of the delimiter."""
    shifted: bool = False
    """Whether a sequence delimiter lies near the damage, which means that bytes were lost or added before it."""


@dataclass(slots=True)
class _Peek:
    """Small reads at rising offsets: whole blocks if fragments are small, else only the requested bytes."""

    file: BinaryIO
    stop: int
    near: int
    """Length of a fragment below which reading it costs less than skipping it."""
    start: int = 0
    data: bytes = b""
    block: int = field(default=_BLOCK)

    def at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes at `offset`, fewer at the end of the data."""
        skip = offset - self.start
        if skip < 0 or skip + length > len(self.data):
            wanted = min(max(length, self.block), max(self.stop - offset, 0))
            self.file.seek(offset)
            self.data = self.file.read(wanted)
            while len(self.data) < min(length, wanted) and (more := self.file.read(wanted - len(self.data))):
                self.data += more
            self.start, skip = offset, 0
        return self.data[skip : skip + length]


@dataclass(slots=True)
class _Ahead:
    """Decides when to read through the fragments of a remote file, because skipping them would take longer."""

    file: Any
    stop: int
    limit: int
    """Length of a fragment below which reading through is faster; 0 to always skip. Much longer fragments end the reading."""
    small: int = 0
    reading: bool = False

    def passes(self, length: int, end: int) -> None:
        """Record a fragment; after some small ones in a row, announce that everything after them will be read."""
        if self.reading:
            if length >= _MUCH_LONGER * self.limit:
                self.file.expect(())
                self.reading, self.small = False, 0
            return
        self.small = self.small + 1 if length < self.limit else 0
        if self.small == _IN_A_ROW:
            self.file.expect([(end, self.stop)])
            self.reading = True


@dataclass(slots=True)
class _Walk:
    """State of a walk: the next item's position and the results so far."""

    peek: _Peek
    ahead: _Ahead
    position: int
    most: int = sys.maxsize
    """Most fragments."""
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    lengths: array[int] = field(default_factory=lambda: array("Q"))
    ends_image: bytearray = field(default_factory=bytearray)
    damage: str = ""
    truncated: bool = False
    delimited: bool = False
    padding: int = 0
    shifted: bool = False

    def run(self) -> None:
        """Hop from item to item until something else follows."""
        while self.position < self.peek.stop:
            head = self.peek.at(self.position, _HEADER.size)
            if len(head) < _HEADER.size:
                self._cut(head)
                return
            group, element, length = _HEADER.unpack(head)
            if (tag := group << 16 | element) != ITEM or length == UNDEFINED:
                self._end(tag, length)
                return
            self._add(self.position + _HEADER.size, length)

    def _add(self, value: int, length: int) -> None:
        end = value + length
        if end > self.peek.stop:
            self.truncated, end = True, self.peek.stop
        self.ahead.passes(end - value, end)
        self.peek.block = _BLOCK if length < self.peek.near else _HEADER.size + _TAIL
        tail = min(_TAIL, end - value)
        # The marker and the next item's header are adjacent: one read covers both.
        self.ends_image.append(_END_OF_IMAGE in self.peek.at(end - tail, tail + _HEADER.size)[:tail])
        self.offsets.append(value)
        self.lengths.append(end - value)
        self.position = end
        if len(self.offsets) > self.most:
            raise HeaderLimitError(
                f"the pixel data have more than {self.most:,} fragments (limits.fragments)", reason="too_many_fragments"
            )

    def _cut(self, head: bytes) -> None:
        """Classify last bytes that are too few for an item's header: padding, a cut delimiter, or a cut item."""
        if _DELIMITER.startswith(head) or is_blank(self.peek.file, self.position, self.peek.stop):
            self.padding = len(head)
            self.position = self.peek.stop
        else:
            self.damage = f"the file ends inside an item's header at offset {self.position}"

    def _end(self, tag: int, length: int) -> None:
        self.delimited = tag == SEQUENCE_DELIMITER
        if self.delimited or _may_follow(tag):
            return
        self.padding = self._padding(zeros=not (tag or length))
        self.position += self.padding
        if not self.padding:
            self.damage = _problem(tag, length, self.position, "an item or the sequence delimiter")
            start = max(self.position - _BLOCK, self.offsets[-1] if self.offsets else self.position)
            self.shifted = _DELIMITER in read_bytes(self.peek.file, start, self.position + _BLOCK - start)

    def _padding(self, *, zeros: bool) -> int:
        """Return the bytes of padding in place of the delimiter: zeros of its length, or all up to the end; else 0."""
        tag, _ = _header(self.peek.at(self.position + _HEADER.size, _HEADER.size))
        if zeros and _may_follow(tag):
            return _HEADER.size
        return self.peek.stop - self.position if is_blank(self.peek.file, self.position, self.peek.stop) else 0


def walk_items(file: BinaryIO, start: int, stop: int, most: int = sys.maxsize) -> Items:
    """Find every fragment by hopping from item header to item header.

    Parameters
    ----------
    file : BinaryIO
        Its position moves.
    start : int
        First byte of the pixel data element's value: the basic offset table's item.
    stop : int
        End of the value if its length is defined, else of the file.
    most : int, optional
        Most fragments.

    Returns
    -------
    Items
        For a damaged sequence, the items before the damage.

    Raises
    ------
    HeaderLimitError
        If the sequence has more than `most` fragments, reason ``too_many_fragments``.
    """
    # A remote file declares by `near` and `through` what another request costs.
    peek = _Peek(file, stop, block=_HEADER.size, near=getattr(file, "near", _SMALL))
    ahead = _Ahead(file, stop, getattr(file, "through", 0))
    head = peek.at(start, _HEADER.size + _FIRST)
    tag, length = _header(head)
    if tag != ITEM or length == UNDEFINED:
        walk = _Walk(peek, ahead, start, damage=_problem(tag, length, start, "the basic offset table's item"))
        return _items(walk, start, start, 0)
    table = start + _HEADER.size
    if _announce(file, table, length, table + length, stop):
        ahead.limit = 0
    walk = _Walk(peek, ahead, table + length, most)
    walk.run()
    first = int.from_bytes(head[_HEADER.size :], "little") if length else 0
    return _items(walk, table + length, table, min(length, max(stop - table, 0)), first)


def with_first_item(file: BinaryIO, items: Items) -> Items:
    """Add the first item as a fragment, for writers that leave out the basic offset table."""
    end = items.table_offset + items.table_length
    tail = read_range(file, max(end - _TAIL, items.table_offset), min(_TAIL, items.table_length)).tobytes()
    return replace(
        items,
        table_length=0,
        offsets=np.insert(items.offsets, 0, items.table_offset),
        lengths=np.insert(items.lengths, 0, items.table_length),
        ends_image=np.insert(items.ends_image, 0, _END_OF_IMAGE in tail),
    )


def _announce(file: BinaryIO, table: int, length: int, first: int, stop: int) -> bool:
    """Announce the walk's reads to a remote file, if a basic offset table predicts them; return whether it does."""
    expect = getattr(file, "expect", None)
    if expect is None or length % 4 or not _HEADER.size <= length <= _LONGEST_TABLE or first >= stop:
        return False
    offsets = read_range(file, table, length).view("<u4").astype(np.int64)
    if not len(offsets) or offsets[0] or not np.all(np.diff(offsets) > 0):
        return False
    positions = offsets + first
    before = np.maximum(positions - _TAIL, first)
    gap = max(getattr(file, "near", 0), getattr(file, "through", 0))
    expect(zip(before.tolist(), np.minimum(positions + _HEADER.size, stop).tolist(), strict=True), gap)
    return True


def _items(walk: _Walk, first: int, table: int, table_length: int, table_start: int = 0) -> Items:
    return Items(
        table_offset=table,
        table_length=table_length,
        table_start=table_start,
        first_item=first,
        offsets=_numbers(walk.offsets),
        lengths=_numbers(walk.lengths),
        ends_image=np.frombuffer(walk.ends_image, np.bool_),
        end=min(walk.position - walk.padding, walk.peek.stop),
        after=walk.position + _HEADER.size * walk.delimited,
        damage=walk.damage,
        truncated=walk.truncated,
        delimited=walk.delimited,
        padding=walk.padding,
        shifted=walk.shifted,
    )


def _numbers(values: array[int]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(values, np.uint64) if values else np.zeros(0, np.uint64)


def _header(head: bytes) -> tuple[int, int]:
    """Return tag and length; zeros at the end of the data."""
    if len(head) < _HEADER.size:
        return 0, 0
    group, element, length = _HEADER.unpack_from(head)
    return group << 16 | element, length


def _may_follow(tag: int) -> bool:
    """Return whether a tag may follow pixel data, so that only the sequence delimiter is missing."""
    return tag > _PIXEL_DATA and tag >> 16 != ITEM >> 16


def _problem(tag: int, length: int, position: int, expected: str) -> str:
    if tag == ITEM and length == UNDEFINED:
        return f"undefined item length at offset {position}"
    return f"unexpected tag ({tag >> 16:04X},{tag & 0xFFFF:04X}) instead of {expected} at offset {position}"


def read_table(file: BinaryIO, items: Items, most: int) -> npt.NDArray[np.uint64] | None:
    """Return the basic offset table's entries; None if its length is wrong or absurd."""
    if items.table_length % 4 or items.table_length // 4 > most:
        return None
    return read_range(file, items.table_offset, items.table_length).view("<u4").astype(np.uint64)
