"""The elements of a header that isn't ordinary, read one by one from any stream: what other toolkits make of it.

pydicom's reader takes an unknown value representation for a short one, value representation UN for big endian where the
data set is, and gives no element of a data set that ends inside a sequence. Here each element is read as the standard
says, or as most toolkits do; what was mended is noted, and where the file ends inside an element is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, MutableSequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, BinaryIO, NamedTuple, cast

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.fileutil import read_undefined_length_value
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, SequenceDelimiterTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR
from pydicom.values import convert_string

from pipeline.frames.items import ITEM, SEQUENCE_DELIMITER, UNDEFINED
from pipeline.frames.sources import clip, is_blank, size_of

StopWhen = Callable[[BaseTag, str | None, int], bool]
Encoding = str | MutableSequence[str]
Element = RawDataElement | DataElement

_VRS = {vr.value.encode(): vr.value for vr in VR if len(vr.value) == 2}  # noqa: PLR2004  the others are choices of two
_LONG = frozenset(vr.value for vr in EXPLICIT_VR_LENGTH_32)
_ITEM_DELIMITER = 0xFFFEE00D
_DELIMITERS = frozenset({ITEM, _ITEM_DELIMITER, SEQUENCE_DELIMITER})
_CHARSET = 0x00080005
_HEADER = 8


class _Mode(NamedTuple):
    """How a data set is encoded."""

    implicit: bool
    little: bool
    encoding: Encoding = default_encoding

    def number(self, data: bytes) -> int:
        """Return bytes as an unsigned number."""
        return int.from_bytes(data, "little" if self.little else "big")

    def tag(self, data: bytes) -> int:
        """Return the tag that bytes begin with."""
        return self.number(data[:2]) << 16 | self.number(data[2:4])


class _Head(NamedTuple):
    """An element without its value."""

    tag: int
    vr: str | None
    """As written, UN for one that isn't known; None in implicit VR."""
    length: int
    value_at: int
    little: bool
    """Byte order of the value."""


class _Cut(Exception):  # noqa: N818  it is the file's end, no error of the program
    """The file ends inside a sequence."""


@dataclass
class CarefulReader:
    """Reads the elements of a data set up to one that is to stop it, or the end.

    Parameters
    ----------
    stream : BinaryIO
        At the first element. Afterwards at the element that stopped it, or behind the last one.
    stop_when : callable
        As pydicom takes it: gets tag, value representation and length, and says whether to stop in front of an element.
    largest : int
        Bytes of a value beyond which it isn't read: the element is left out.
    """

    stream: BinaryIO
    stop_when: StopWhen
    largest: int
    mended: Counter[str] = field(default_factory=Counter)
    """What isn't as it should be and was read all the same, with how many times."""
    left_out: dict[BaseTag, int] = field(default_factory=dict)
    """Tags and lengths of the elements that were left out."""
    cut: str = ""
    """Where the file ends inside an element: which one; else empty."""
    value_at: int = 0
    """First byte of the value of the element that stopped it."""
    _asked: bool = False
    _nested: int = 0
    """How many sequences are open."""

    def read(self, *, implicit: bool, little: bool) -> Dataset:
        """Return the data set; a first element that isn't in the encoding given decides on another one.

        Raises
        ------
        ValueError
            Where a sequence holds what can't be in one.
        """
        mode = self._mode_of_first(_Mode(implicit, little))
        elements, encoding = self._elements(mode)
        dataset = Dataset(elements)
        dataset.set_original_encoding(mode.implicit, little, encoding)
        return dataset

    def told(self) -> list[str]:
        """Return what was mended, as notes."""
        return [text if times == 1 else f"{text} ({times} times)" for text, times in self.mended.items()]

    @cached_property
    def _file(self) -> BinaryIO:
        """What the stream reads from."""
        found: BinaryIO = getattr(self.stream, "source", self.stream)
        return found

    def _mode_of_first(self, mode: _Mode, *, nested: bool = False) -> _Mode:
        """Return the mode that the first element gives away; sequences never switch from implicit to explicit VR."""
        at = self.stream.tell()
        data = self.stream.read(_HEADER)
        self.stream.seek(at)
        if len(data) < _HEADER or (nested and mode.implicit):
            return mode
        implicit = not _is_capital(data[4:6])
        if implicit and not nested and not mode.implicit:
            implicit = self._unknown(data, mode, at).vr is None
            self.stream.seek(at)
        return mode._replace(implicit=implicit)

    def _elements(
        self, mode: _Mode, stop: int | None = None, *, nested: bool = False
    ) -> tuple[dict[BaseTag, Element], Encoding]:
        """Read elements up to byte `stop` or what ends the data set; return them, and their character sets."""
        elements: dict[BaseTag, Element] = {}
        while (head := self._next(mode, stop, nested=nested)) is not None:
            element = self._element(head, mode, nested=nested)
            if element is not None:
                elements[element.tag] = element
                if head.tag == _CHARSET:
                    mode = mode._replace(encoding=_encodings(element.value, mode))
            if self.cut:
                break
        return elements, mode.encoding

    def _next(self, mode: _Mode, stop: int | None, *, nested: bool) -> _Head | None:
        """Read the header of the next element; None where the data set ends."""
        while stop is None or self.stream.tell() < stop:
            at = self.stream.tell()
            head = self._head(data := self.stream.read(_HEADER), mode, at)
            if head is None:
                if nested:
                    raise _Cut
                self.stream.seek(at)
                return None
            if head.tag not in _DELIMITERS:
                return head if nested or not self._ends(head, data, at) else None
            if nested:
                if head.tag != _ITEM_DELIMITER:
                    self.mended["an item's delimiter is missing, or its length is wrong"] += 1
                    self.stream.seek(at)
                return None
            self.mended["a delimiter outside of sequences"] += 1
        return None

    def _ends(self, head: _Head, data: bytes, at: int) -> bool:
        """Whether the data set ends in front of an element: because that stops it, or is padding."""
        if any(data) or not self._padded(at):
            if not self.stop_when(BaseTag(head.tag), head.vr, head.length):
                return False
            self.value_at = head.value_at
        self.stream.seek(at)
        return True

    def _padded(self, at: int) -> bool:
        """Whether nothing but padding follows; asked once, so that a file of zeros isn't read again and again."""
        if not self._asked:
            self._asked = True
            return is_blank(self._file, at, size_of(self._file))
        return False

    def _head(self, data: bytes, mode: _Mode, at: int) -> _Head | None:
        """Read an element's header, of which `data` are the first eight bytes, up to its value; None where it is cut."""
        if len(data) < _HEADER:
            return None
        tag, code, value_at = mode.tag(data), data[4:6], at + _HEADER
        if mode.implicit or tag in _DELIMITERS:
            return _Head(tag, None, mode.number(data[4:]), value_at, mode.little)
        vr = _VRS.get(code)
        if vr is None:
            head = self._unknown(data, mode, at)
            self.stream.seek(head.value_at)
            return head
        # What was written as UN is little endian, whatever the data set is (PS3.5 6.2.2).
        little = mode.little or vr == VR.UN
        if vr not in _LONG:
            return _Head(tag, vr, mode.number(data[6:]), value_at, little)
        length = self.stream.read(4)
        return _Head(tag, vr, mode.number(length), value_at + 4, little) if len(length) == 4 else None  # noqa: PLR2004

    def _unknown(self, data: bytes, mode: _Mode, at: int) -> _Head:
        """Read the header of an element whose value representation isn't known.

        One that is new has a length of 32 bits behind two zero bytes (PS3.5 7.1.2), one that is a mistake of 16 bits, and
        some writers switch to implicit VR. That form is right which another element follows; else pydicom's choice is.
        """
        tag, value_at = mode.tag(data), at + _HEADER
        long = _Head(tag, "UN", mode.number(self.stream.read(4)), value_at + 4, mode.little)
        short = _Head(tag, "UN", mode.number(data[6:]), value_at, mode.little)
        none = _Head(tag, None, mode.number(data[4:]), value_at, mode.little)
        forms = (long, short, none) if data[6:] == b"\0\0" else (short, none)
        head = next((form for form in forms if self._is_followed(form, mode)), None)
        if head is None:
            likely = forms if b"AA" <= data[4:6] <= b"ZZ" else (none,)
            head = next((form for form in likely if self._fits(form)), likely[0])
        if head.vr:
            self.mended[f"{BaseTag(tag)} has an unknown value representation and is read as UN"] += 1
        return head

    def _is_followed(self, head: _Head, mode: _Mode) -> bool:
        """Whether what lies behind a value is an element of a higher tag, the end of an item, or that of the data."""
        self.stream.seek(head.value_at + head.length)
        data = self.stream.read(_HEADER)
        if len(data) < _HEADER:
            return not data and self._fits(head)
        tag = mode.tag(data)
        if tag in _DELIMITERS:
            # an item behind nothing is the first one of a sequence in implicit VR
            return self._nested > 0 and (tag != ITEM or head.length > 0)
        return tag > head.tag and data[4:6] in _VRS

    def _fits(self, head: _Head) -> bool:
        return clip(self._file, head.value_at, head.length) == head.length

    def _element(self, head: _Head, mode: _Mode, *, nested: bool) -> Element | None:
        """Read an element's value; None where it is left out, or where the file ends inside it."""
        try:
            # Sequences are left for later, as pydicom does, but for those of which it would mistake the elements.
            if head.length == UNDEFINED or (head.vr == VR.SQ and not mode.little):
                return self._undefined(head, mode)
            return self._defined(head, mode, nested=nested)
        except _Cut:
            if nested:
                raise
            self.cut = f"the file ends inside {BaseTag(head.tag)}"
            return None

    def _defined(self, head: _Head, mode: _Mode, *, nested: bool) -> Element | None:
        """Read as many bytes as are declared, fewer where the file ends; None where they are left out."""
        tag, large = BaseTag(head.tag), head.length > self.largest
        value = None if large else self.stream.read(head.length)
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

    def _undefined(self, head: _Head, mode: _Mode) -> Element | None:
        """Read a sequence, or bytes of undefined length up to a delimiter; None where they are left out."""
        ahead = self.stream.read(4)
        self.stream.seek(head.value_at)
        vr = head.vr
        if vr == VR.UN:  # a sequence in implicit VR little endian (PS3.5 6.2.2); some leave it as it was
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
        return RawDataElement(BaseTag(head.tag), vr, UNDEFINED, value, head.value_at, mode.implicit, mode.little)

    def _sequence(self, head: _Head, mode: _Mode) -> DataElement:
        is_undefined = head.length == UNDEFINED
        stop = None if is_undefined else head.value_at + head.length
        items: list[Dataset] = []
        while stop is None or self.stream.tell() < stop:
            at = self.stream.tell()
            data = self.stream.read(_HEADER)
            if len(data) < _HEADER:
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
            items.append(self._item(at, length, mode))
            self._nested -= 1
        sequence = Sequence(items)
        sequence.is_undefined_length = is_undefined
        return DataElement(BaseTag(head.tag), VR.SQ.value, sequence, head.value_at, is_undefined_length=is_undefined)

    def _item(self, at: int, length: int, mode: _Mode) -> Dataset:
        is_undefined = length == UNDEFINED
        stop = None if is_undefined else self.stream.tell() + length
        parent, mode = mode.encoding, self._mode_of_first(mode, nested=True)
        elements, encoding = self._elements(mode, stop, nested=True)
        item = Dataset(elements, parent_encoding=parent)
        item.set_original_encoding(mode.implicit, mode.little, encoding)
        item.is_undefined_length_sequence_item = is_undefined
        item.seq_item_tell = item.file_tell = at
        return item


def _is_capital(code: bytes) -> bool:
    return code.isalpha() and code.isupper()


def _encodings(value: Any, mode: _Mode) -> Encoding:
    """Return Python's names of the character sets; those of the data set around where the element is damaged."""
    try:
        found: Encoding = convert_encodings(convert_string(value or b"", mode.little))
    except Exception:  # noqa: BLE001  pydicom converts here, and damaged values fail in many ways
        return mode.encoding
    return found
