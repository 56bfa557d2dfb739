"""Parsing of element heads (tag, value representation, length), including irregular ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import MutableSequence
from functools import cached_property
from typing import BinaryIO, NamedTuple

from pydicom.charset import default_encoding
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from pipeline.frames.byte_sources import clip
from pipeline.frames.items import ITEM, SEQUENCE_DELIMITER

Encoding = str | MutableSequence[str]

VRS = {vr.value.encode(): vr.value for vr in VR if len(vr.value) == 2}  # noqa: PLR2004  the others are choices of two
LONG = frozenset(vr.value for vr in EXPLICIT_VR_LENGTH_32)
ITEM_DELIMITER = 0xFFFEE00D
DELIMITERS = frozenset({ITEM, ITEM_DELIMITER, SEQUENCE_DELIMITER})
HEADER = 8
"""Bytes of an element's tag, value representation and short length."""


class Mode(NamedTuple):
    """A data set's encoding."""

    implicit: bool
    little: bool
    encoding: Encoding = default_encoding

    def number(self, data: bytes) -> int:
        """Return bytes as an unsigned number."""
        return int.from_bytes(data, "little" if self.little else "big")

    def tag(self, data: bytes) -> int:
        """Return the tag at the beginning of the bytes."""
        return self.number(data[:2]) << 16 | self.number(data[2:4])


class Head(NamedTuple):
    """An element without its value."""

    tag: int
    vr: str | None
    """As written; UN for an unknown one, None in implicit VR."""
    length: int
    value_at: int
    little: bool
    """Byte order of the value."""


class HeadReader:
    """Reads element heads, one at a time."""

    stream: BinaryIO
    """The source of the heads."""
    mended: Counter[str]
    """Repaired irregularities, each with its number of occurrences."""
    _nested: int
    """Number of open sequences."""

    @cached_property
    def _file(self) -> BinaryIO:
        """The file behind the stream."""
        file: BinaryIO = getattr(self.stream, "source", self.stream)
        return file

    def read_head(self, data: bytes, mode: Mode, at: int) -> Head | None:
        """Read an element's head up to its value; `data` are its first eight bytes. Return None if the head is cut."""
        if len(data) < HEADER:
            return None
        tag, code, value_at = mode.tag(data), data[4:6], at + HEADER
        if mode.implicit or tag in DELIMITERS:
            return Head(tag, None, mode.number(data[4:]), value_at, mode.little)
        vr = VRS.get(code)
        if vr is None:
            head = self._unknown(data, mode, at)
            self.stream.seek(head.value_at)
            return head
        # UN is always little endian, even in a big endian data set (PS3.5 6.2.2).
        little = mode.little or vr == VR.UN
        if vr not in LONG:
            return Head(tag, vr, mode.number(data[6:]), value_at, little)
        length = self.stream.read(4)
        return Head(tag, vr, mode.number(length), value_at + 4, little) if len(length) == 4 else None  # noqa: PLR2004

    def _unknown(self, data: bytes, mode: Mode, at: int) -> Head:
        """Read the head of an element with an unknown value representation.

        A new value representation has a 32-bit length after two zero bytes (PS3.5 7.1.2), a mistaken one a 16-bit length, and
        some writers switch to implicit VR. Choose the form after whose value another element follows; else choose like
        pydicom.
        """
        tag, value_at = mode.tag(data), at + HEADER
        long = Head(tag, "UN", mode.number(self.stream.read(4)), value_at + 4, mode.little)
        short = Head(tag, "UN", mode.number(data[6:]), value_at, mode.little)
        none = Head(tag, None, mode.number(data[4:]), value_at, mode.little)
        forms = (long, short, none) if data[6:] == b"\0\0" else (short, none)
        head = next((form for form in forms if self._is_followed(form, mode)), None)
        if head is None:
            likely = forms if b"AA" <= data[4:6] <= b"ZZ" else (none,)
            head = next((form for form in likely if self._fits(form)), likely[0])
        if head.vr:
            self.mended[f"{BaseTag(tag)} has an unknown value representation and is read as UN"] += 1
        return head

    def _is_followed(self, head: Head, mode: Mode) -> bool:
        """Return whether the value is followed by an element with a higher tag, or by the end of an item or of the data."""
        self.stream.seek(head.value_at + head.length)
        data = self.stream.read(HEADER)
        if len(data) < HEADER:
            return not data and self._fits(head)
        tag = mode.tag(data)
        if tag in DELIMITERS:
            # an item after an empty value is the first item of a sequence in implicit VR
            return self._nested > 0 and (tag != ITEM or head.length > 0)
        return tag > head.tag and data[4:6] in VRS

    def _fits(self, head: Head) -> bool:
        return clip(self._file, head.value_at, head.length) == head.length
