"""Fast reader for regular headers in memory, with the same result as pydicom's.

pydicom's reader takes every element through its file object and checks it for all irregularities. This reader accepts only
little endian, known value representations and lengths within the available bytes. For any other header it returns None, and
the whole header is read by a slower reader.
"""

from __future__ import annotations

from functools import lru_cache, partial
from io import BytesIO
from struct import Struct
from typing import BinaryIO

from pydicom import config
from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.filereader import read_sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

from pipeline.frames.items import UNDEFINED
from pipeline.frames.limits import DEFAULT_LIMITS, Spent
from pipeline.frames.unusual_header import CarefulReader, StopWhen

_explicit = Struct("<HH2sH").unpack_from
_implicit = Struct("<HHL").unpack_from
_length = Struct("<L").unpack_from
_VRS = {vr.value.encode(): vr.value for vr in VR if len(vr.value) == 2}  # noqa: PLR2004  the others are choices of two
_LONG = frozenset(vr.value for vr in EXPLICIT_VR_LENGTH_32)
_CHARSET = 0x00080005
_FIRST_OF_ITEMS = 0xFFFE0000
MOST_IN_A_GROUP = 1 << 24
"""Most bytes of an element of the file meta information or of a command; longer ones are left out. Real ones are far shorter."""
_tag = lru_cache(4096)(BaseTag)
_raw = partial(tuple.__new__, RawDataElement)


def quick_dataset(
    stream: BytesIO, *, implicit: bool, stop_when: StopWhen, first: int = 0, last: int = _FIRST_OF_ITEMS - 1
) -> Dataset | None:
    """Read little endian elements like pydicom's ``read_dataset``; for an irregular header, return None and read nothing.

    Parameters
    ----------
    stream : BytesIO
    implicit : bool
        Whether the elements are in implicit VR.
    stop_when : callable
        As for pydicom: gets tag, value representation and length, and returns whether to stop before the element.
    first, last : int
        Range of tags that never stop the reader, so that `stop_when` isn't called for them.
    """
    start = stream.tell()
    if config.debugging or (implicit and _looks_explicit(stream.getvalue()[start + 4 : start + 6])):
        return None
    try:
        dataset = _read(stream, stop_when, range(first, last + 1), implicit=implicit)
    # a slower reader will report the problem or cope with it
    except Exception:  # noqa: BLE001
        dataset = None
    if dataset is None:
        stream.seek(start)
    return dataset


def _looks_explicit(code: bytes) -> bool:
    """Return whether two bytes of a length could be a value representation, so that the data set isn't implicit."""
    return code.isalpha() and code.isupper()


def _read(stream: BytesIO, stop_when: StopWhen, wanted: range, *, implicit: bool) -> Dataset | None:
    data, at = stream.getvalue(), stream.tell()
    elements: dict[BaseTag, RawDataElement | DataElement] = {}
    encoding: list[str] | None = None
    end = len(data)
    vr: str | None = None
    while at < end:
        value_at = at + 8
        if implicit:
            group, number, length = _implicit(data, at)
        else:
            group, number, code, length = _explicit(data, at)
            vr = _VRS[code]
            if vr in _LONG:
                (length,) = _length(data, value_at)
                value_at += 4
        tag = group << 16 | number
        if tag not in wanted:
            if tag >= _FIRST_OF_ITEMS:
                return None
            if stop_when(_tag(tag), vr, length):
                stream.seek(at)
                break
        at = value_at + length
        key = _tag(tag)
        if at <= end:
            value = data[value_at:at] if length else empty_value_for_VR(vr, raw=True)
            elements[key] = _raw((key, vr, length, value, value_at, implicit, True, True, False))
            if tag == _CHARSET:
                encoding = list(_encodings(vr, value))  # type: ignore[arg-type]  # unconverted, so bytes
        elif length == UNDEFINED and vr == "SQ":
            stream.seek(value_at)
            items = read_sequence(stream, implicit, True, length, encoding or default_encoding)
            elements[key] = DataElement(key, vr, items, value_at, is_undefined_length=True)
            at = stream.tell()
        else:
            return None
    else:
        stream.seek(end)
    dataset = Dataset(elements)
    dataset.set_original_encoding(implicit, True, encoding or default_encoding)
    return dataset


@lru_cache(64)
def _encodings(vr: str | None, value: bytes | None) -> tuple[str, ...]:
    """Return Python's names of the character sets; KeyError if the element isn't a text."""
    if vr not in {None, "CS"}:
        raise KeyError(vr)
    raw = RawDataElement(_tag(_CHARSET), vr, len(value or b""), value, 0, vr is None, True)
    return tuple(convert_encodings(convert_raw_data_element(raw).value))


def read_group(
    stream: BinaryIO, group: int, assumptions: list[str], *, implicit: bool, spent: Spent | None = None
) -> Dataset:
    """Read the elements of one little endian group, up to the first repeated element.

    Notes on irregularities are appended to `assumptions`.
    """
    if isinstance(stream, BytesIO):
        # `stop_when` is called for every tag, because the group may be repeated.
        dataset = quick_dataset(stream, implicit=implicit, stop_when=_once(group), first=0, last=-1)
        if dataset is not None:
            return dataset
    reader = CarefulReader(stream, _once(group), MOST_IN_A_GROUP, spent or Spent(DEFAULT_LIMITS))
    dataset = reader.read(implicit=implicit, little=True)
    assumptions += reader.notes()
    return dataset


def _once(group: int) -> StopWhen:
    """Return a function that stops before another group and before a repeated element."""
    seen: set[int] = set()

    def stops(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        if tag >> 16 != group or tag in seen:
            return True
        seen.add(tag)
        return False

    return stops


def next_group(stream: BinaryIO) -> int | None:
    """Return the group of the next little endian element; None at the end."""
    start = stream.tell()
    group = stream.read(2)
    stream.seek(start)
    return int.from_bytes(group, "little") if group else None


def is_explicit_group(stream: BinaryIO, group: int) -> bool:
    """Return whether the next element belongs to a group and is in explicit VR little endian."""
    start = stream.tell()
    head = stream.read(6)
    stream.seek(start)
    return head[:2] == group.to_bytes(2, "little") and head[4:] in _VRS
