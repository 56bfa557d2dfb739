"""Reader for irregular headers: reads elements one by one, and as tolerantly as other toolkits.

pydicom's reader treats an unknown value representation as a short one, and UN as big endian in big endian data sets; and it
returns nothing from a data set that ends inside a sequence. This reader follows the standard, or most toolkits, notes what it
repaired, and reports the element in which the file ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, cast

from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.fileutil import read_undefined_length_value
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, SequenceDelimiterTag
from pydicom.valuerep import VR
from pydicom.values import convert_string

from pipeline.frames.byte_sources import clip, is_blank, size_of
from pipeline.frames.element_heads import DELIMITERS, HEADER, ITEM_DELIMITER, Encoding, Head, HeadReader, Mode
from pipeline.frames.items import ITEM, SEQUENCE_DELIMITER, UNDEFINED
from pipeline.frames.limits import DEFAULT_LIMITS, ITEM_TAGS, Spent, count_nested, count_values

StopWhen = Callable[[BaseTag, str | None, int], bool]
Element = RawDataElement | DataElement

_CHARSET, _NUMBER_OF_FRAMES = 0x00080005, 0x00280008
_SEQUENCES = frozenset({None, VR.SQ, VR.UN})
"""Value representations that can hide a sequence."""
_MANY_ITEMS, _AHEAD = 10_000, 1 << 24
"""Number of items after which the rest is counted ahead, and how many bytes of it."""


class _Cut(Exception):  # noqa: N818  the file's end, not an error of the program
    """The file ends inside a sequence."""


@dataclass
class CarefulReader(HeadReader):
    """Reads the elements of a data set up to the first one that `stop_when` accepts, or the end.

    Parameters
    ----------
    stream : BinaryIO
        Positioned at the first element; afterwards at the element that stopped the reader, or after the last one.
    stop_when : callable
        As for pydicom: gets tag, value representation and length, and returns whether to stop before the element.
    largest : int
        Most bytes of a value; elements with longer values are left out.
    spent : Spent
        Counts what is read and checks the limits.
    """

    stream: BinaryIO
    stop_when: StopWhen
    largest: int
    spent: Spent = field(default_factory=lambda: Spent(DEFAULT_LIMITS))
    mended: Counter[str] = field(default_factory=Counter)
    """Repaired irregularities, each with its number of occurrences."""
    left_out: dict[BaseTag, int] = field(default_factory=dict)
    """Tag → length of the elements that were left out."""
    cut: str = ""
    """Description of the element inside which the file ends; else empty."""
    value_at: int = 0
    """First byte of the value of the element that stopped the reader."""
    _checked_padding: bool = False
    _nested: int = 0
    """Number of open sequences."""

    def read(self, *, implicit: bool, little: bool) -> Dataset:
        """Return the data set; if the first element contradicts the given encoding, use the element's.

        Raises
        ------
        ValueError
            If a sequence holds something other than items.
        HeaderLimitError
            If the header exceeds the limits.
        """
        mode = self._mode_of_first(Mode(implicit, little))
        elements, encoding = self._elements(mode)
        dataset = Dataset(elements)
        dataset.set_original_encoding(mode.implicit, little, encoding)
        return dataset

    def notes(self) -> list[str]:
        """Return a note on each kind of repair."""
        return [text if times == 1 else f"{text} ({times} times)" for text, times in self.mended.items()]

    def _mode_of_first(self, mode: Mode, *, nested: bool = False) -> Mode:
        """Return the encoding of the first element; sequences never switch from implicit to explicit VR."""
        at = self.stream.tell()
        data = self.stream.read(HEADER)
        self.stream.seek(at)
        if len(data) < HEADER or (nested and mode.implicit):
            return mode
        implicit = not _is_capital(data[4:6])
        if implicit and not nested and not mode.implicit:
            implicit = self._unknown(data, mode, at).vr is None
            self.stream.seek(at)
        return mode._replace(implicit=implicit)

    def _elements(
        self, mode: Mode, stop: int | None = None, *, nested: bool = False
    ) -> tuple[dict[BaseTag, Element], Encoding]:
        """Read elements up to byte `stop` or the end of the data set; return the elements and their character sets."""
        elements: dict[BaseTag, Element] = {}
        own = 0
        while (head := self._next(mode, stop, nested=nested)) is not None:
            own += 1
            self.spent.add(1)
            self.spent.check_data_set(own)
            element = self._element(head, mode, nested=nested)
            if element is not None:
                elements[element.tag] = element
                if head.tag == _CHARSET:
                    mode = mode._replace(encoding=_encodings(element.value, mode))
            if self.cut:
                break
        return elements, mode.encoding

    def _next(self, mode: Mode, stop: int | None, *, nested: bool) -> Head | None:
        """Read the next element's head; return None at the end of the data set."""
        while stop is None or self.stream.tell() < stop:
            at = self.stream.tell()
            head = self.read_head(data := self.stream.read(HEADER), mode, at)
            if head is None:
                if nested:
                    raise _Cut
                self.stream.seek(at)
                return None
            if head.tag not in DELIMITERS:
                return head if nested or not self._ends(head, data, at) else None
            if nested:
                if head.tag != ITEM_DELIMITER:
                    self.mended["an item's delimiter is missing, or its length is wrong"] += 1
                    self.stream.seek(at)
                return None
            self.mended["a delimiter outside of sequences"] += 1
        return None

    def _ends(self, head: Head, data: bytes, at: int) -> bool:
        """Return whether the data set ends before an element, because the element stops the reader or is padding."""
        if any(data) or not self._padded(at):
            if not self.stop_when(BaseTag(head.tag), head.vr, head.length):
                return False
            self.value_at = head.value_at
        self.stream.seek(at)
        return True

    def _padded(self, at: int) -> bool:
        """Return whether only padding follows; checked once, so that a file of zeros isn't read repeatedly."""
        if not self._checked_padding:
            self._checked_padding = True
            return is_blank(self._file, at, size_of(self._file))
        return False

    def _element(self, head: Head, mode: Mode, *, nested: bool) -> Element | None:
        """Read an element's value; return None if it is left out, or if the file ends inside it."""
        try:
            # Like pydicom, leave sequences unparsed, except those whose elements pydicom would misread later.
            if head.length == UNDEFINED or (head.vr == VR.SQ and not mode.little):
                return self._undefined(head, mode)
            return self._defined(head, mode, nested=nested)
        except _Cut:
            if nested:
                raise
            self.cut = f"the file ends inside {BaseTag(head.tag)}"
            return None

    def _defined(self, head: Head, mode: Mode, *, nested: bool) -> Element | None:
        """Read a value of declared length, shorter if the file ends; return None if the element is left out."""
        tag, large = BaseTag(head.tag), head.length > self.largest
        value = None if large else self.stream.read(head.length)
        if value:
            self._count(head, value)
        there = clip(self._file, head.value_at, head.length) if value is None else len(value)
        if there < head.length:
            if nested:
                raise _Cut
            self.cut = f"the file ends inside {tag}: {there} of {head.length} bytes"
        if large:
            self.stream.seek(head.value_at + there)
            self.left_out[tag] = there
            return None
        value = value or cast(bytes | None, empty_value_for_VR(head.vr, raw=True))
        return RawDataElement(tag, head.vr, head.length, value, head.value_at, mode.implicit, head.little)

    def _count(self, head: Head, value: bytes) -> None:
        """Count a value, and the elements and values that it will become when it is converted."""
        self.spent.add(size=len(value))
        if head.vr in _SEQUENCES and value.startswith(ITEM_TAGS[head.little]):
            count_nested(value, self.spent, little=head.little)
        elif head.tag == _NUMBER_OF_FRAMES:
            self.spent.add_frames(value)
        else:
            self.spent.add(values=count_values(head.tag, head.vr, value))

    def _undefined(self, head: Head, mode: Mode) -> Element | None:
        """Read a sequence, or bytes of undefined length up to a delimiter; return None if the element is left out."""
        ahead = self.stream.read(4)
        self.stream.seek(head.value_at)
        vr = head.vr
        if vr == VR.UN:  # a sequence in implicit VR little endian (PS3.5 6.2.2); some writers keep big endian
            vr, mode = VR.SQ.value, mode._replace(little=not ahead.startswith(b"\xff\xfe"))
        elif vr is None:
            vr = dictionary_VR(head.tag) if dictionary_has_tag(head.tag) else None
            vr = VR.SQ.value if vr is None and mode.tag(ahead) == ITEM else vr
        if vr == VR.SQ:
            return self._sequence(head, mode)
        try:
            value = read_undefined_length_value(self.stream, mode.little, SequenceDelimiterTag, self.largest)
        except EOFError:
            raise _Cut from None
        if value is None:
            self.left_out[BaseTag(head.tag)] = self.stream.tell() - head.value_at
            return None
        self.spent.add(size=len(value), values=count_values(head.tag, vr, value))
        return RawDataElement(BaseTag(head.tag), vr, UNDEFINED, value, head.value_at, mode.implicit, mode.little)

    def _sequence(self, head: Head, mode: Mode) -> DataElement:
        is_undefined = head.length == UNDEFINED
        stop = None if is_undefined else head.value_at + head.length
        items: list[Dataset] = []
        while stop is None or self.stream.tell() < stop:
            at = self.stream.tell()
            data = self.stream.read(HEADER)
            if len(data) < HEADER:
                raise _Cut
            tag, length = mode.tag(data), mode.number(data[4:])
            if tag == SEQUENCE_DELIMITER:
                break
            if tag != ITEM:
                if tag <= head.tag:
                    raise ValueError(f"{BaseTag(tag)} instead of an item of {BaseTag(head.tag)} at offset {at}")
                self.mended[f"the delimiter of the sequence {BaseTag(head.tag)} is missing"] += 1
                self.stream.seek(at)
                break
            self._nested += 1
            self.spent.add(1)
            self.spent.check_depth(self._nested)
            if len(items) == _MANY_ITEMS and not self._nested - 1:
                self._count_ahead(at, mode)
            item = self._item(at, length, mode)
            if self._kept(item):
                items.append(item)
            self._nested -= 1
        sequence = Sequence(items)
        sequence.is_undefined_length = is_undefined
        return DataElement(BaseTag(head.tag), VR.SQ.value, sequence, head.value_at, is_undefined_length=is_undefined)

    def _count_ahead(self, at: int, mode: Mode) -> None:
        """Count the rest of a long sequence before objects are made of it, so that an excessive one is refused early."""
        behind = self.stream.tell()
        self.stream.seek(at)
        count_nested(self.stream.read(_AHEAD), replace(self.spent), little=mode.little)
        self.stream.seek(behind)

    def _kept(self, _item: Dataset) -> bool:
        """Return whether to keep an item."""
        return True

    def _item(self, at: int, length: int, mode: Mode) -> Dataset:
        is_undefined = length == UNDEFINED
        stop = None if is_undefined else self.stream.tell() + length
        parent, encoding = mode.encoding, mode.encoding
        elements: dict[BaseTag, Element] = {}
        if length:
            mode = self._mode_of_first(mode, nested=True)
            elements, encoding = self._elements(mode, stop, nested=True)
        item = Dataset(elements, parent_encoding=parent)
        item.set_original_encoding(mode.implicit, mode.little, encoding)
        item.is_undefined_length_sequence_item = is_undefined
        item.seq_item_tell = item.file_tell = at
        return item


def _is_capital(code: bytes) -> bool:
    return code.isalpha() and code.isupper()


def _encodings(value: Any, mode: Mode) -> Encoding:
    """Return Python's names of the character sets; for a damaged element, those of the enclosing data set."""
    try:
        found: Encoding = convert_encodings(convert_string(value or b"", mode.little))
    except Exception:  # noqa: BLE001  pydicom converts here, and damaged values fail in many ways
        return mode.encoding
    return found
