"""Limits of headers, counted while a header is read; unparsed values are counted before anybody converts them.

pydicom makes an object of every element, item and value, and parses nested sequences, so a few kilobytes of a file can cost
gigabytes of memory and hours. A header that exceeds a limit is refused at once, with its own reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import NoReturn

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from pipeline.errors import HeaderLimitError
from pipeline.frames.items import ITEM, UNDEFINED

MOST_IN_A_DATA_SET = 1 << 16
"""Most elements of one data set or item; the data dictionary has some 5,000, and few private creators have more than 100."""
PER_FRAME = 100
"""Further elements and items that a multi-frame instance may have for each of its frames …"""
MOST_FRAMES = 20_000
"""… up to this number of frames, because the declared Number of Frames may be false."""
_OFTEN = 1 << 12
"""Elements between two checks of the limit."""
_LONG_VALUE = 1 << 10
"""Most bytes of an element whose values aren't counted."""
_VRS = {vr.value.encode(): vr.value for vr in VR if len(vr.value) == 2}  # noqa: PLR2004  the others are choices of two
_LONG = frozenset(vr.value.encode() for vr in EXPLICIT_VR_LENGTH_32)
_SIZES: Mapping[str, int] = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "AT": 4, "FD": 8, "SV": 8, "UV": 8}
"""Value representation → bytes of one number."""
_TEXTS = frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"])
"""Value representations with several values separated by backslashes (PS3.5 6.4)."""
_HIDING = frozenset({None, "UN"})
"""Value representations that may hide a sequence."""
_ITEM_GROUP, _ITEM, _ITEM_DELIMITER, _SEQUENCE_DELIMITER = 0xFFFE, 0xE000, 0xE00D, 0xE0DD
_HEADER = 8
_STRUCTS = {
    little: tuple(Struct(f"{'<' if little else '>'}{form}").unpack_from for form in ("HHL", "H"))
    for little in (True, False)
}
ITEM_TAGS = {little: Struct("<HH" if little else ">HH").pack(ITEM >> 16, ITEM & 0xFFFF) for little in (True, False)}


@dataclass(frozen=True, slots=True)
class HeaderLimits:
    """Limits of a header; see the configuration's section ``limits``."""

    header_bytes: int = 128 << 20
    header_elements: int = 1_000_000
    header_values: int = 10_000_000
    header_depth: int = 64
    fragments: int = 2_000_000
    inflated: int = 1 << 30


DEFAULT_LIMITS = HeaderLimits()


@dataclass(slots=True)
class Spent:
    """Counts of what has been read of one header so far."""

    limits: HeaderLimits
    source: str = ""
    elements: int = 0
    """Elements and items, at all depths."""
    values: int = 0
    size: int = 0
    """Bytes of values."""
    frames: int = 0
    """Number of Frames, up to :data:`MOST_FRAMES`."""

    def add(self, elements: int = 0, values: int = 0, size: int = 0) -> None:
        """Add to the counts.

        Raises
        ------
        HeaderLimitError
            If a count exceeds its limit, reason ``header_too_large``.
        """
        self.elements += elements
        self.values += values
        self.size += size
        limits = self.limits
        most = limits.header_elements + PER_FRAME * self.frames
        if self.elements > most:
            self.refuse(f"more than {most:,} elements and items", "header_elements")
        if self.values > limits.header_values:
            self.refuse(f"more than {limits.header_values:,} values", "header_values")
        if self.size > limits.header_bytes:
            self.refuse(f"more than {limits.header_bytes:,} bytes", "header_bytes")

    def add_frames(self, text: bytes) -> None:
        """Record the value of Number of Frames."""
        number = text.strip(b" \0")
        self.frames = min(int(number), MOST_FRAMES) if number.isdigit() and len(number) <= 12 else 0  # noqa: PLR2004  IS

    def check_data_set(self, elements: int) -> None:
        """Refuse a data set with more elements than any real one."""
        if elements > MOST_IN_A_DATA_SET:
            self.refuse(f"more than {MOST_IN_A_DATA_SET:,} elements in one data set", "")

    def check_depth(self, depth: int) -> None:
        """Refuse sequences that are nested too deeply."""
        if depth > self.limits.header_depth:
            raise HeaderLimitError(
                f"{self.source}: sequences are nested more than {self.limits.header_depth} deep (limits.header_depth)",
                reason="header_too_deep",
                source=self.source,
            )

    def refuse(self, what: str, limit: str) -> NoReturn:
        """Raise the error for a header that exceeds a limit."""
        allowed = f" (limits.{limit})" if limit else ""
        raise HeaderLimitError(f"{self.source}: the header holds {what}{allowed}", source=self.source)


def count_values(tag: int, vr: str | None, value: bytes) -> int:
    """Return the number of values of a long element, 0 for a short one; see :func:`_multiplicity`."""
    return _multiplicity(tag, vr, value, 0, len(value)) if len(value) > _LONG_VALUE else 0


def _multiplicity(tag: int, vr: str | None, data: bytes, start: int, stop: int) -> int:
    """Return the number of values in the bytes by value representation; in implicit VR, by the dictionary's."""
    if vr is None or vr == "UN":
        vr = str(dictionary_VR(tag))[:2] if dictionary_has_tag(tag) else ""
    if vr in _TEXTS:
        return data.count(b"\\", start, stop) + 1
    return (stop - start) // _SIZES[vr] if vr in _SIZES else 0


def count_nested(value: bytes, spent: Spent, *, little: bool) -> None:
    """Count elements, items and values of an unparsed sequence, at all depths, without making objects of them.

    Damaged content is counted like elements; the count stays bounded, because every step consumes at least eight bytes.

    Parameters
    ----------
    value : bytes
        The sequence's value: items.
    spent : Spent
        Receives the counts.
    little : bool
        Whether the value is little endian.

    Raises
    ------
    HeaderLimitError
        If a limit is exceeded, reason ``header_too_large`` or ``header_too_deep``.
    """
    _Nested(value, spent, little).run()


class _Nested:
    """State of one count: the open items and sequences."""

    def __init__(self, value: bytes, spent: Spent, little: bool) -> None:
        self._value, self._spent = value, spent
        self._little = little
        self._head, self._short = _STRUCTS[little]
        self._item_tag = ITEM_TAGS[little]
        self._ends: list[int] = []
        """End of each open item; after the whole value for items of undefined length."""
        self._owns: list[int] = []
        """Number of direct elements of each open item."""
        self._undelimited = 0
        """Number of open sequences that need a delimiter."""

    def run(self) -> None:
        """Go from element to element, into each sequence and item."""
        at, count, stop = 0, 0, len(self._value)
        while at + _HEADER <= stop:
            while self._ends and self._ends[-1] <= at:
                self._close()
            group, number, length = self._head(self._value, at)
            if group == _ITEM_GROUP and number == _SEQUENCE_DELIMITER:
                if not self._undelimited:  # the delimiter of the counted sequence itself
                    break
                self._undelimited -= 1
                at += _HEADER
                continue
            count += not (group == _ITEM_GROUP and number == _ITEM_DELIMITER)
            if count >= _OFTEN:
                self._spent.add(count)
                count = 0
            if group == _ITEM_GROUP:
                at = self._item(at + _HEADER, number, length)
            else:
                at = self._element(at, group << 16 | number, length)
        self._spent.add(count)

    def _close(self) -> None:
        self._ends.pop()
        self._owns.pop()

    def _item(self, at: int, number: int, length: int) -> int:
        """Open or close an item; return the offset of its content, or the offset after its delimiter."""
        if number == _ITEM:
            self._ends.append(len(self._value) + 1 if length == UNDEFINED else at + length)
            self._owns.append(0)
            self._spent.check_depth(len(self._ends))
        elif number == _ITEM_DELIMITER and self._ends:
            self._close()
        return at

    def _element(self, at: int, tag: int, length: int) -> int:
        """Count an element's values; return the offset of the next element, or of the first item of a sequence."""
        value = self._value
        if self._owns:
            self._owns[-1] += 1
            self._spent.check_data_set(self._owns[-1])
        code = value[at + 4 : at + 6]
        vr = _VRS.get(code)
        at += _HEADER
        if vr is not None and code not in _LONG:
            (length,) = self._short(value, at - 2)
        elif vr is not None:
            length = int.from_bytes(value[at : at + 4], "little" if self._little else "big")
            at += 4
        self._undelimited += length == UNDEFINED
        if vr == "SQ" or length == UNDEFINED or (vr in _HIDING and length and value.startswith(self._item_tag, at)):
            return at
        if length > _LONG_VALUE:
            self._spent.add(values=_multiplicity(tag, vr, value, at, min(at + length, len(value))))
        return at + length
